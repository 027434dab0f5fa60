//! The worker pods of a pipeline.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage::ObjectRef;
use crate::quantity::Quantity;
use crate::schema::list::{Map, Named};
use crate::schema::{any_object, text::Text};

/// The workers of a pipeline. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Workers {
    /// Image of the worker; by default the one that belongs to the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<512>")]
    pub image: Option<String>,
    /// Secrets to pull the image with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<ObjectRef, 8>")]
    pub image_pull_secrets: Vec<ObjectRef>,
    /// Number of workers. While `autoscaling.mode` is Active the autoscaler decides, and this is where it begins.
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: u32,
    /// Threads of a worker that process events; by default one for each whole processor that it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub threads: Option<u32>,
    /// Processor and memory of a worker.
    pub resources: Resources,
    /// Parts of a pod template that are laid over the operator's own: labels, tolerations, affinity, volumes,
    /// environment and the like. The container of the worker is called `worker`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: serde_json::Map<String, serde_json::Value>,
    /// What the workers log.
    pub logging: Logging,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            image: None,
            image_pull_secrets: Vec::new(),
            replicas: 1,
            threads: None,
            resources: Resources::of_a_worker(),
            pod_template: serde_json::Map::new(),
            logging: Logging::default(),
        }
    }
}

/// Processor and memory of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What a container is sure to get: `cpu`, `memory` and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Quantity, 16>")]
    pub requests: BTreeMap<String, Quantity>,
    /// What a container gets at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Quantity, 16>")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Resources {
    fn of_a_worker() -> Self {
        let requests = [("cpu", "1"), ("memory", "1Gi")].map(|(name, amount)| (name.to_owned(), Quantity::new(amount)));
        Self {
            requests: BTreeMap::from(requests),
            limits: BTreeMap::new(),
        }
    }
}

/// What the workers log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    /// The least important lines that are still logged.
    pub level: LogLevel,
    /// Shape of a line.
    pub format: LogFormat,
}

/// How important a line of a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs a look.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// How it happened.
    Debug,
    /// Each step. Slow.
    Trace,
}

/// Shape of a line of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Lines for people.
    Text,
}
