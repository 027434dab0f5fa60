//! The pipeline's file as its workers read it.

use serde_json::{Value, json};
use tocsin_contract::crds::API_VERSION;
use tocsin_contract::reach;

use crate::pipeline::Pipeline;

/// The file: what only a cluster reads is not in it, so a change of that restarts no worker. Kafka is always an external
/// one for them, whoever runs it.
pub fn worker_file(pipeline: &Pipeline) -> Value {
    let mut spec = pipeline.spec.clone();
    spec.kafka.tls.clone_from(&pipeline.kafka.tls);
    spec.kafka.sasl.clone_from(&pipeline.kafka.sasl);
    let mut spec = reach::worker_part(&spec);
    if let Some(kafka) = spec.get_mut("kafka").and_then(Value::as_object_mut) {
        kafka.insert(
            "bootstrapServers".into(),
            pipeline.kafka.bootstrap_servers.as_str().into(),
        );
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": "IncidentPipeline",
        "metadata": {"name": pipeline.id.name},
        "spec": spec,
    })
}
