//! `PipelineSnapshot`: a snapshot of a pipeline's state, to list, keep, restore from and delete.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pipeline::stage::ObjectRef;
use crate::problem::Problem;
use crate::rule::{Rule, validations};
use crate::schema::list::List;
use crate::schema::text::{Path, Report, Time as TimeText};
use crate::status::Conditions;

/// Which snapshot, and what becomes of it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tocsin.dev",
    version = "v1alpha1",
    kind = "PipelineSnapshot",
    plural = "pipelinesnapshots",
    shortname = "isnap",
    category = "incidents",
    namespaced,
    status = "PipelineSnapshotStatus",
    derive = "PartialEq",
    doc = "A snapshot of a pipeline's state: to list, keep, restore from and delete. It outlives its pipeline.",
    printcolumn(name = "Pipeline", type_ = "string", json_path = ".spec.pipelineRef.name"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Trigger", type_ = "string", json_path = ".status.trigger"),
    printcolumn(name = "Size", type_ = "integer", json_path = ".status.sizeBytes"),
    printcolumn(name = "Path", type_ = "string", json_path = ".status.path", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = crate::schema::tidy,
    extend("x-kubernetes-validations" = validations(&RULES))
)]
pub struct PipelineSnapshotSpec {
    /// The IncidentPipeline, in the same namespace.
    pub pipeline_ref: ObjectRef,
    /// Kind of snapshot.
    #[serde(default, rename = "type")]
    pub kind: SnapshotType,
    /// Path in the pipeline's storage of a snapshot that is there already, with `alreadyExists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Path")]
    pub path: Option<String>,
    /// Whether the snapshot is there already, and nothing has to be taken.
    #[serde(default)]
    pub already_exists: bool,
    /// Whether the data goes when this object is deleted.
    #[serde(default)]
    pub dispose_on_delete: bool,
    /// How often a snapshot that failed is tried again; -1 is without end.
    #[serde(default = "three")]
    #[schemars(range(min = -1, max = 1000))]
    pub backoff_limit: i32,
}

fn three() -> i32 {
    3
}

/// Rules between the fields of a snapshot.
pub const RULES: [Rule; 4] = [
    Rule::on(
        ".pipelineRef",
        "self.pipelineRef == oldSelf.pipelineRef",
        "must not change: a snapshot stays with its pipeline",
    ),
    Rule::on(
        ".type",
        "self.type == oldSelf.type",
        "must not change: a snapshot keeps its type",
    ),
    Rule::on(
        ".path",
        "self.alreadyExists ? has(self.path) : !has(self.path)",
        "must be given exactly when alreadyExists is true",
    ),
    Rule::on(
        ".alreadyExists",
        "self.alreadyExists == oldSelf.alreadyExists",
        "must not change: a snapshot is taken, or was there already",
    ),
];

/// What breaks a rule between fields. The twin of the CEL rules above that need no earlier spec.
pub fn rule_problems(spec: &PipelineSnapshotSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    RULES[2].unless(spec.already_exists == spec.path.is_some(), "spec", &mut problems);
    problems
}

/// Kinds of snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotType {
    /// A snapshot that is kept: it restores into other numbers of workers and partitions, and into a changed pipeline.
    #[default]
    Savepoint,
    /// A snapshot to recover from.
    Checkpoint,
}

/// What the operator reports about a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::tidy_status)]
pub struct PipelineSnapshotStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the snapshot is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<SnapshotState>,
    /// Why it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<SnapshotTrigger>,
    /// Id under which the workers know it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub trigger_id: String,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub trigger_time: Option<Time>,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub completion_time: Option<Time>,
    /// Its path in the storage.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<1024>")]
    pub path: String,
    /// Run epoch that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Its size in bytes.
    pub size_bytes: i64,
    /// SHA-256 of its manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<80>")]
    pub manifest_hash: String,
    /// The stages whose state it holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<StageState, 256>")]
    pub stages: Vec<StageState>,
    /// How often it failed.
    pub failures: u32,
    /// Why it failed last.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<4096>")]
    pub error: String,
    /// Whether it was read back and found good.
    pub verified: bool,
    /// Conditions, each with a reason from a closed list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a snapshot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotState {
    /// Waits for its turn.
    Pending,
    /// Being taken.
    InProgress,
    /// There, whole.
    Completed,
    /// Not taken.
    Failed,
    /// Given up, because its pipeline stopped or went.
    Abandoned,
}

/// Why a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotTrigger {
    /// Somebody asked.
    Manual,
    /// The time table.
    Schedule,
    /// Before an upgrade.
    Upgrade,
    /// Before the pipeline was suspended.
    Suspend,
    /// Before another number of workers or partitions.
    Rescale,
    /// Before the pipeline was deleted.
    Deletion,
}

/// State of a stage in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StageState {
    /// Name of the stage.
    #[schemars(with = "Report<63>")]
    pub name: String,
    /// Hash of the shape of its state: it restores into a stage with the same one.
    #[schemars(with = "Report<80>")]
    pub schema: String,
}
