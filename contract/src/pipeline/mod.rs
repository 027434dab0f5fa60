//! `IncidentPipeline`: the file that users write.

pub mod autoscaling;
pub mod deletion;
pub mod infrastructure;
mod inputs;
pub mod kafka;
pub mod node_pool;
pub mod observability;
pub mod partitions;
pub mod rules;
pub mod sink;
pub mod source;
pub mod stage;
pub mod state;
pub mod status;
pub mod time_table;
pub mod upgrade;
pub mod workers;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule::validations;
use crate::schema::list::Named;
use crate::schema::text::TimeZone;
use autoscaling::Autoscaling;
use deletion::DeletionPolicy;
use infrastructure::Infrastructure;
use kafka::Kafka;
use observability::{Health, Ingress, Observability};
use partitions::Partitions;
use sink::Sink;
use source::{Source, Table};
use stage::Stage;
use state::State;
use status::IncidentPipelineStatus;
use upgrade::Upgrade;
use workers::Workers;

/// What a user wants to have run.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tocsin.dev",
    version = "v1alpha1",
    kind = "IncidentPipeline",
    plural = "incidentpipelines",
    shortname = "ipl",
    category = "incidents",
    namespaced,
    status = "IncidentPipelineStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')")
        .message("the name of a pipeline has at most 40 small letters, digits and `-`, a letter or digit at both ends"),
    doc = "Finds incidents in event streams: where events come from, what happens to them, where results go, and \
           what all of that runs on.",
    scale(
        spec_replicas_path = ".spec.workers.replicas",
        status_replicas_path = ".status.workers.replicas",
        label_selector_path = ".status.workers.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.workers.readyReplicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.workers.desiredReplicas"),
    printcolumn(name = "Lag(s)", type_ = "integer", json_path = ".status.lag.seconds"),
    printcolumn(
        name = "Nodes",
        type_ = "string",
        json_path = ".status.infrastructure.nodePools[*].ready",
        priority = 1
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.workers.version"),
    printcolumn(name = "Savepoint", type_ = "date", json_path = ".status.lastSavepoint.time", priority = 1),
    printcolumn(name = "Alerts", type_ = "integer", json_path = ".status.alerts.firing", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = crate::schema::tidy,
    extend("x-kubernetes-validations" = validations(&rules::SPEC))
)]
pub struct IncidentPipelineSpec {
    /// Streams from outside.
    #[schemars(with = "Named<Source, 64>", extend("minItems" = 1))]
    pub sources: Vec<Source>,
    /// Tables that change slowly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<Table, 64>")]
    pub tables: Vec<Table>,
    /// Steps that turn streams into streams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<Stage, 256>")]
    pub stages: Vec<Stage>,
    /// Ways out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<Sink, 64>")]
    pub sinks: Vec<Sink>,
    /// Zone of calendar functions and of windows of a day. `UTC` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeZone")]
    pub time_zone: Option<String>,
    /// What results in Kafka can be relied on for. State is exactly once whatever it says.
    #[serde(default)]
    pub delivery: Delivery,
    /// True stops the pipeline and keeps its state.
    #[serde(default)]
    pub suspend: bool,
    /// A number; when it changes, the workers start anew.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub restart_nonce: i64,
    /// What happens when topics get more partitions.
    #[serde(default)]
    pub partitions: Partitions,
    /// The Kafka that the pipeline reads, writes and keeps its journal in.
    #[serde(default)]
    pub kafka: Kafka,
    /// The worker pods.
    #[serde(default)]
    pub workers: Workers,
    /// The machines under the workers.
    #[serde(default)]
    pub infrastructure: Infrastructure,
    /// State and snapshots.
    #[serde(default)]
    pub state: State,
    /// How the pipeline goes from one spec to the next.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// How the number of workers follows the load.
    #[serde(default)]
    pub autoscaling: Autoscaling,
    /// What goes and what stays when the pipeline is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// When the pipeline counts as unwell.
    #[serde(default)]
    pub health: Health,
    /// What is made for the tools that watch the cluster.
    #[serde(default)]
    pub observability: Observability,
    /// A way from outside the cluster to the live page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
}

/// What results in Kafka can be relied on for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// Each result once per run epoch, for readers that read committed records.
    #[default]
    ExactlyOnce,
    /// Each result once or more, sooner.
    AtLeastOnce,
}
