//! The workers.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use tocsin_contract::labels::{self, Component};

use super::{Run, metadata, pod};
use crate::pipeline::{Pipeline, Settings};

/// Annotation: the `spec.restartNonce` that the workers began with.
pub const RESTART_NONCE: &str = "tocsin.dev/restart-nonce";

/// The workers. Each keeps its name, and with it its place in the consumer group, over a restart; they come and go together,
/// as none waits for another. Old ones are never replaced by ones of another revision one by one: `plan` takes them to
/// zero in between.
pub fn of_workers(pipeline: &Pipeline, settings: &Settings, run: &Run) -> StatefulSet {
    let names = pipeline.names();
    let mut template = pod::template(pipeline, settings, run);
    let nonce = pipeline.spec.restart_nonce;
    if nonce != 0 {
        let metadata = template.metadata.get_or_insert_with(ObjectMeta::default);
        let annotations = metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.insert(RESTART_NONCE.to_owned(), nonce.to_string());
    }
    StatefulSet {
        metadata: ObjectMeta {
            annotations: Some(run.record.annotations()),
            ..metadata(pipeline, names.workers(), Component::Workers)
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::try_from(run.replicas).unwrap_or(i32::MAX)),
            service_name: Some(names.workers()),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(labels::selector(&pipeline.id.name, Component::Workers)),
                match_expressions: None,
            },
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: None,
            }),
            template,
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}
