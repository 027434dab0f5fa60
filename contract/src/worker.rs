//! What a worker's admin server answers: paths, and the JSON of `/status` and of savepoints.
//!
//! Fields are only added. A reader passes over those that it does not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether the worker's threads make progress.
pub const LIVEZ: &str = "/livez";
/// Whether the worker does its part of the pipeline.
pub const READYZ: &str = "/readyz";
/// What the worker measures, in Prometheus' text format.
pub const METRICS: &str = "/metrics";
/// [`WorkerStatus`].
pub const STATUS: &str = "/status";
/// Savepoints: POST begins one, GET on `/v1/savepoints/{id}` looks at it.
pub const SAVEPOINTS: &str = "/v1/savepoints";
/// POST ends the worker in order.
pub const DRAIN: &str = "/v1/drain";

/// What a worker is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerStatus {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the worker.
    pub worker: String,
    /// Version of the worker.
    pub version: String,
    /// How long it has run, in seconds.
    pub uptime_seconds: f64,
    /// Whether it does its part: what `/readyz` answers.
    pub ready: bool,
    /// Why not.
    pub not_ready: Vec<String>,
    /// Whether it was asked to end.
    pub draining: bool,
    /// Shards of this worker, in order.
    pub shards: Vec<ShardStatus>,
    /// Threads that work on shards.
    pub threads: Vec<ThreadStatus>,
    /// All partitions of this worker together.
    pub lag: LagStatus,
    /// The newest snapshots of its shards.
    pub checkpoints: CheckpointStatus,
    /// What is wrong that does not stop the worker.
    pub degraded: Vec<DegradedStatus>,
    /// The last thing that went wrong, and is tried again.
    pub last_error: Option<ErrorStatus>,
}

/// Something that is wrong and does not stop the worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DegradedStatus {
    /// A reason of the condition [`DEGRADED`](crate::conditions::DEGRADED).
    pub reason: String,
    /// What it is, and what may be done.
    pub message: String,
}

/// A shard of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShardStatus {
    /// Its number, and that of its partitions.
    pub shard: u32,
    /// How far it is on its way into work.
    pub phase: ShardPhase,
    /// Number of its last cut; nothing while that is asked for.
    pub sequence: Option<u64>,
    /// Its run epoch; nothing while that is asked for.
    pub epoch: Option<u32>,
    /// Whether it is held: it reads no source, for a savepoint that drains.
    pub held: bool,
    /// Share of the last seconds in which its records were processed.
    pub busy_ratio: f64,
    /// Keys that at least a tenth of the rows of a stage have, lately and by a sample.
    pub top_keys: Vec<TopKeyStatus>,
    /// What event time brings about next, though no record comes: a window closes, an alarm fires.
    pub earliest_timer: Option<TimerStatus>,
    /// Its partitions; none of sources that have no such partition.
    pub inputs: Vec<InputStatus>,
    /// Its newest snapshot of this worker's.
    pub checkpoint: Option<ShardCheckpoint>,
}

/// A key that many rows of a stage have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopKeyStatus {
    /// The stage.
    pub stage: String,
    /// The key, such as `service=api, host=web-1`.
    pub key: String,
    /// Its share of the stage's rows in this shard.
    pub share: f64,
}

/// A timer that is pending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimerStatus {
    /// The stage.
    pub stage: String,
    /// The watermark at which it is due, in milliseconds since 1970.
    pub due_ms: i64,
}

/// How far a shard is on its way into work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ShardPhase {
    /// Where the pipeline has come to is asked for.
    #[default]
    Asking,
    /// Its state is read from a snapshot.
    Restoring,
    /// What the journal says is done again.
    Replaying,
    /// New records are processed.
    Running,
}

impl ShardPhase {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Asking, Self::Restoring, Self::Replaying, Self::Running];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "Asking",
            Self::Restoring => "Restoring",
            Self::Replaying => "Replaying",
            Self::Running => "Running",
        }
    }
}

/// A partition of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InputStatus {
    /// Name of the source.
    pub source: String,
    /// Its topic.
    pub topic: String,
    /// Offset of the next record to process.
    pub offset: i64,
    /// How far it is behind; nothing before the first answer of a broker.
    pub lag_records: Option<u64>,
    /// Age of the oldest record that waits, in seconds; 0 when none waits.
    pub lag_seconds: Option<f64>,
    /// The source's watermark in this shard, in milliseconds since 1970.
    pub watermark_ms: Option<i64>,
    /// Whether it has been silent for so long that the clock moves its watermark.
    pub idle: bool,
    /// For how long, in seconds, an open transaction of another producer has held it up; nothing if none does.
    pub held_up_seconds: Option<f64>,
}

/// A thread that works on shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadStatus {
    /// Its name.
    pub thread: String,
    /// Share of the last ten seconds that it was busy.
    pub busy_ratio: f64,
    /// Share of the last ten seconds that it was held back by commits.
    pub backpressure_ratio: f64,
}

/// How far a worker is behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LagStatus {
    /// Records that wait, of all partitions.
    pub records: u64,
    /// Age of the oldest of them, in seconds.
    pub seconds: f64,
    /// Partitions with records that wait.
    pub partitions_lagging: u32,
    /// Partitions of which no broker has said how far they are behind.
    pub partitions_unknown: u32,
}

/// Snapshots of a worker's shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckpointStatus {
    /// Snapshots that were written.
    pub written: u64,
    /// Snapshots that could not be written.
    pub failed: u64,
    /// Failures since the last one that was written.
    pub failures_in_a_row: u32,
}

/// The newest snapshot of a shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShardCheckpoint {
    /// The cut that it is of.
    pub sequence: u64,
    /// When it was complete, in milliseconds since 1970.
    pub completed_ms: i64,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

/// Something that went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorStatus {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub message: String,
}

/// A savepoint that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Savepoint {
    /// Its name.
    pub id: String,
    /// How far it is.
    pub state: SavepointState,
    /// Where it is in the storage, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it holds, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<SavepointContents>,
}

/// What a savepoint holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SavepointContents {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its manifest, in hexadecimal digits.
    pub manifest_hash: String,
    /// The run epoch that it is of.
    pub epoch: u32,
    /// The stages whose state it holds, each with the shape of that.
    pub stages: BTreeMap<String, String>,
}

/// How far a savepoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SavepointState {
    /// It waits.
    #[default]
    Pending,
    /// It is being written.
    InProgress,
    /// It is complete.
    Completed,
    /// There is none.
    Failed,
}

impl SavepointState {
    /// Whether nothing changes any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// Why a request was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Refused {
    /// The reason, in a sentence.
    pub error: String,
}
