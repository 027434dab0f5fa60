//! What is kept of StatefulSets: workers, and pools of Kafka nodes.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde::Deserialize;
use tocsin_operator_core::build::kafka::node_pool::POOL;
use tocsin_operator_core::build::record::Record;
use tocsin_operator_core::names::WORKER_CONTAINER;

use super::children::pipeline_of;
use super::store::{Versioned, version_of};
use crate::api::stored::Object;

/// A StatefulSet as far as the operator looks at it.
pub type SeenStatefulSet = Object<StatefulSet, Body>;

/// Of its spec and status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Body {
    spec: Spec,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: u32,
    template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    observed_generation: i64,
    update_revision: String,
}

/// What is kept of a StatefulSet.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptStatefulSet {
    /// How many pods there should be.
    pub replicas: u32,
    /// The image of its workers; empty if it has none.
    pub image: Box<str>,
    /// The revision of its newest pod template, once its controller has seen that.
    pub revision: Option<Box<str>>,
    /// What the operator wrote on it; none if it is not ours, or somebody wrote into it.
    pub record: Option<Box<Record>>,
    /// The pool of Kafka nodes that it is, if it is one.
    pub pool: Option<Box<KeptPool>>,
    version: u64,
}

/// A pool of nodes of a Kafka that the operator runs.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptPool {
    /// Its pipeline's name.
    pub pipeline: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl KeptStatefulSet {
    /// What is kept of it.
    pub fn of(seen: &SeenStatefulSet) -> Self {
        let Body { spec, status } = &seen.body;
        let is_seen = seen
            .metadata
            .generation
            .is_some_and(|generation| generation == status.observed_generation);
        let containers = spec.template.spec.containers.iter();
        let worker = containers.clone().find(|container| container.name == WORKER_CONTAINER);
        let pool = seen.metadata.labels.as_ref().and_then(|labels| labels.get(POOL));
        let pool = pool.zip(pipeline_of(&seen.metadata)).map(|(name, pipeline)| KeptPool {
            pipeline: pipeline.name,
            name: name.as_str().into(),
        });
        Self {
            pool: pool.map(Box::new),
            replicas: spec.replicas,
            image: worker.map(|worker| worker.image.as_str()).unwrap_or_default().into(),
            revision: Some(status.update_revision.as_str().into()).filter(|_| is_seen),
            record: Record::read(seen.metadata.annotations.as_ref()).map(Box::new),
            version: version_of(seen.metadata.resource_version.as_deref()),
        }
    }
}

impl KeptStatefulSet {
    /// Its version, as the API server writes it.
    pub fn version_text(&self) -> String {
        self.version.to_string()
    }

    /// The same, with what was known of it where somebody wrote into what the operator keeps there.
    #[must_use]
    pub fn or_record_of(self, known: Option<&Self>) -> Self {
        let record = self.record.clone().or_else(|| known?.record.clone());
        Self { record, ..self }
    }

    /// Whether all but the version is the same.
    pub fn is_as(&self, other: &Self) -> bool {
        let version = other.version;
        Self {
            version,
            ..self.clone()
        } == *other
    }
}

impl Versioned for KeptStatefulSet {
    fn version(&self) -> u64 {
        self.version
    }
}
