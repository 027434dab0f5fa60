//! What the operator reports about a pipeline. Every list is bounded, and every field may be absent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::list::{List, Named};
use crate::schema::text::{Report, Time as TimeText};
use crate::status::Conditions;

/// What the operator reports about a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::tidy_status)]
pub struct IncidentPipelineStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the pipeline is in its life, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What is going on, in a sentence with the next step.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<4096>")]
    pub message: String,
    /// Hash of the spec that was last brought about whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<80>")]
    pub last_reconciled_spec_hash: String,
    /// ControllerRevision of the last spec that proved good.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<253>")]
    pub last_stable_revision: String,
    /// Machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<InfrastructureStatus>,
    /// Kafka and topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaStatus>,
    /// The worker pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersStatus>,
    /// How far the pipeline is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<LagStatus>,
    /// The newest checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStatus>,
    /// The newest savepoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_savepoint: Option<SavepointStatus>,
    /// The autoscaler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaler: Option<AutoscalerStatus>,
    /// What the pipeline found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertsStatus>,
    /// Addresses of the pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<EndpointsStatus>,
    /// Conditions, each with a reason from a closed list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a pipeline is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Seen for the first time.
    Created,
    /// Machines are being made.
    Provisioning,
    /// Kafka and workers are being made.
    Deploying,
    /// Events are processed; the version has not proved good yet.
    Running,
    /// Events are processed, and the version proved good.
    Stable,
    /// On the way to a new version.
    Upgrading,
    /// A savepoint is being taken.
    Savepointing,
    /// Stopped on request, state kept.
    Suspended,
    /// On the way back to the last good version.
    RollingBack,
    /// Back at the last good version.
    RolledBack,
    /// Stopped by an error.
    Failed,
    /// On the way out.
    Deleting,
}

/// Machines of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InfrastructureStatus {
    /// Id of the Heat stack.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub stack_id: String,
    /// Status of the Heat stack.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub stack_status: String,
    /// Groups of machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<NodePoolStatus, 16>")]
    pub node_pools: Vec<NodePoolStatus>,
    /// What the cloud allows, uses and lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<QuotaStatus, 32>")]
    pub quota: Vec<QuotaStatus>,
    /// What is not as it was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<CloudObject, 32>")]
    pub drift: Vec<CloudObject>,
    /// What carries the pipeline's tags and belongs to nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<CloudObject, 32>")]
    pub orphans: Vec<CloudObject>,
}

/// A group of machines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct NodePoolStatus {
    /// Name of the group.
    #[schemars(with = "Report<63>")]
    pub name: String,
    /// Machines that there should be.
    pub desired: u32,
    /// Machines that are ready.
    pub ready: u32,
    /// The machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<ServerStatus, 100>")]
    pub servers: Vec<ServerStatus>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerStatus {
    /// Its id in the cloud.
    #[schemars(with = "Report<64>")]
    pub id: String,
    /// Its name.
    #[schemars(with = "Report<255>")]
    pub name: String,
    /// Its state, as the cloud calls it.
    #[schemars(with = "Report<64>")]
    pub state: String,
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub address: String,
    /// Its availability zone.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<255>")]
    pub zone: String,
}

/// What the cloud allows of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaStatus {
    /// The resource: cores, ram, instances, volumes, ports.
    #[schemars(with = "Report<64>")]
    pub resource: String,
    /// What is allowed; -1 is without limit.
    pub limit: i64,
    /// What is in use.
    pub used: i64,
    /// What is missing for what the spec asks.
    pub short_by: i64,
}

/// Something in the cloud that needs a look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudObject {
    /// Its kind: server, port, volume, stack.
    #[schemars(with = "Report<64>")]
    pub kind: String,
    /// Its id in the cloud.
    #[schemars(with = "Report<64>")]
    pub id: String,
    /// What is the matter with it.
    #[schemars(with = "Report<1024>")]
    pub message: String,
}

/// Kafka of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaStatus {
    /// Whether the brokers answer.
    pub ready: bool,
    /// Where they are.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<2048>")]
    pub bootstrap_servers: String,
    /// Id of the Kafka cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub cluster_id: String,
    /// The topics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<TopicStatus, 256>")]
    pub topics: Vec<TopicStatus>,
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct TopicStatus {
    /// Name of the topic.
    #[schemars(with = "Report<249>")]
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Whether it is there as it must be.
    pub ready: bool,
}

/// Workers of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkersStatus {
    /// Workers that there are.
    pub replicas: u32,
    /// Workers that are ready.
    pub ready_replicas: u32,
    /// Workers that there shall be.
    pub desired_replicas: u32,
    /// Workers of the newest version.
    pub updated_replicas: u32,
    /// Shards that the workers share: the largest number of partitions of a topic.
    pub shards: u32,
    /// Label selector of the worker pods, for `kubectl scale` and autoscalers.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<1024>")]
    pub selector: String,
    /// Version of the workers.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<128>")]
    pub version: String,
    /// Run epoch that they are in: each restore, and each upgrade, begins the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
}

/// How far a pipeline is behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LagStatus {
    /// Records that wait.
    pub records: i64,
    /// Age of the oldest of them, in seconds.
    pub seconds: i64,
    /// Partitions that have records waiting.
    pub partitions_lagging: u32,
    /// Partitions that are stuck at a record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<Report<300>, 32>")]
    pub poison_partitions: Vec<String>,
    /// When this was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub observed_at: Option<Time>,
}

/// The newest checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckpointStatus {
    /// Its number.
    pub last_id: i64,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub last_completed_time: Option<Time>,
    /// Its size in bytes.
    pub size_bytes: i64,
    /// How long it took, in milliseconds.
    pub duration_millis: i64,
    /// Checkpoints that have failed since.
    pub failures_in_a_row: u32,
}

/// The newest savepoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SavepointStatus {
    /// Its PipelineSnapshot.
    #[schemars(with = "Report<253>")]
    pub name: String,
    /// Its path in the storage.
    #[schemars(with = "Report<1024>")]
    pub path: String,
    /// Why it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<crate::snapshot::SnapshotTrigger>,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub time: Option<Time>,
    /// Whether it was read back and found good.
    pub verified: bool,
}

/// The autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerStatus {
    /// Workers that there are.
    pub current_replicas: u32,
    /// Workers that there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended_replicas: Option<u32>,
    /// Records per second that the workers could process if they were busy all the time.
    pub true_processing_rate: i64,
    /// Records per second that they have to process.
    pub target_rate: i64,
    /// Reason of `ScalingLimited`, if something holds the autoscaler back.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub limited_by: String,
    /// When the number of workers last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub last_scale_time: Option<Time>,
    /// The last ten decisions, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<ScalingDecision, 10>")]
    pub decisions: Vec<ScalingDecision>,
}

/// A decision of the autoscaler, with all that it hung on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingDecision {
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub time: Option<Time>,
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// Why, in a sentence.
    #[schemars(with = "Report<1024>")]
    pub reason: String,
    /// Every term of the formula with its value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<DecisionTerm, 32>")]
    pub terms: Vec<DecisionTerm>,
}

/// A term of the autoscaler's formula.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct DecisionTerm {
    /// Name of the term.
    #[schemars(with = "Report<64>")]
    pub name: String,
    /// Its value, as a decimal number.
    #[schemars(with = "Report<32>")]
    pub value: String,
}

/// What a pipeline found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertsStatus {
    /// Alarms that are on.
    pub firing: i64,
    /// Incidents that are open.
    pub incidents_open: i64,
    /// Escalations of the last hour.
    pub escalated: i64,
}

/// Addresses of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointsStatus {
    /// The live page.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<2048>")]
    pub page: String,
    /// The workers' metrics.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<2048>")]
    pub metrics: String,
}
