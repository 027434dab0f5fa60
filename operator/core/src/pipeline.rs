//! A pipeline that passed all checks: what builders work with.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use tocsin_contract::labels;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::kafka::{KafkaSasl, KafkaTls};

use crate::names::Names;
use crate::validate::compiled::Compiled;

/// What tells a pipeline from all others, also from one of its name that was there before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// A pipeline that passed all checks.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Which one it is.
    pub id: PipelineId,
    /// The generation that was checked.
    pub generation: i64,
    /// What the user asks for.
    pub spec: IncidentPipelineSpec,
    /// What the compiler made of it.
    pub compiled: Arc<Compiled>,
    /// The pod template that is laid over ours.
    pub pod_template: PodTemplateSpec,
    /// How its Kafka is reached.
    pub kafka: KafkaAccess,
}

/// How workers reach Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaAccess {
    /// The brokers: `host:port`, several with commas between.
    pub bootstrap_servers: String,
    /// Encryption.
    pub tls: Option<KafkaTls>,
    /// Login.
    pub sasl: Option<KafkaSasl>,
    /// Whether others use the Kafka too: names of topics and groups then begin with the namespace.
    pub is_shared: bool,
}

/// What the operator itself was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of workers whose pipeline names none.
    pub worker_image: String,
    /// Image of the nodes of a Kafka that the operator runs.
    pub kafka_image: String,
    /// Namespace of the operator: its pods may reach the workers.
    pub namespace: String,
}

impl Pipeline {
    /// Names of its objects.
    pub fn names(&self) -> Names<'_> {
        Names::of(&self.id.name)
    }

    /// How many workers there shall be.
    pub fn wanted_replicas(&self) -> u32 {
        wanted_replicas(&self.spec)
    }

    /// Labels of its objects.
    pub fn labels(&self, component: labels::Component) -> BTreeMap<String, String> {
        labels::of(&self.id.name, &self.id.uid, component)
    }

    /// The image of its Kafka's nodes.
    pub fn kafka_image(&self, settings: &Settings) -> String {
        let image = &settings.kafka_image;
        let Some(version) = &self.spec.kafka.version else {
            return image.clone();
        };
        // Behind the last slash: a registry may have a port.
        let tag = image
            .rfind(':')
            .filter(|tag| image.rfind('/').is_none_or(|slash| slash < *tag));
        let name = image.split('@').next().unwrap_or_default();
        format!("{}:{version}", &name[..tag.unwrap_or(name.len()).min(name.len())])
    }

    /// The image of its workers.
    pub fn image<'a>(&'a self, settings: &'a Settings) -> &'a str {
        self.spec.workers.image.as_deref().unwrap_or(&settings.worker_image)
    }
}

/// How many workers a spec asks for.
pub fn wanted_replicas(spec: &IncidentPipelineSpec) -> u32 {
    if spec.suspend { 0 } else { spec.workers.replicas }
}
