//! State of a pipeline: where snapshots go, how often they are taken, and which one a start begins with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::stage::ObjectRef;
use crate::duration::Duration;
use crate::quantity::Quantity;
use crate::rule::validations;
use crate::schema::text::{Cron, HttpUrl, ObjectName, Path, PositiveDuration, Text};

/// State and snapshots of a pipeline. On Kafka a worker reads `checkpoint` and `allowNonRestoredState`; the rest only the
/// cluster does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Where snapshots go.
    pub storage: Storage,
    /// Snapshots that are taken all the time, to recover from.
    pub checkpoint: Checkpoint,
    /// Snapshots that are kept, to go back to.
    pub savepoint: Savepoint,
    /// A number; when it changes, a savepoint is taken.
    #[schemars(range(min = 0))]
    pub savepoint_nonce: i64,
    /// The snapshot that the pipeline begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<RestoreFrom>,
    /// A number; when it changes, the pipeline restores from `restoreFrom` once more.
    #[schemars(range(min = 0))]
    pub restore_nonce: i64,
    /// Whether a start may drop state that the pipeline has no stage for any more.
    pub allow_non_restored_state: bool,
}

/// Where snapshots go; exactly one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::STORAGE)))]
pub struct Storage {
    /// A volume of the cluster. It is lost with its zone, and a condition says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeStorage>,
    /// A bucket of an object store with the S3 API: AWS, OpenStack Swift, Ceph, MinIO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            volume: Some(VolumeStorage::default()),
            s3: None,
        }
    }
}

/// A volume of the cluster that all workers mount.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeStorage {
    /// Size of the volume.
    pub size: Quantity,
    /// StorageClass of the volume; by default the cluster's own. More than one node needs ReadWriteMany.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub class: Option<String>,
}

impl Default for VolumeStorage {
    fn default() -> Self {
        Self {
            size: Quantity::new("10Gi"),
            class: None,
        }
    }
}

/// A bucket of an object store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Storage {
    /// Name of the bucket.
    #[schemars(with = "Text<255>")]
    pub bucket: String,
    /// Beginning of the names of all objects; by default namespace and name of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Path")]
    pub prefix: Option<String>,
    /// Address of the store; by default that of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpUrl")]
    pub endpoint: Option<String>,
    /// Region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<64>")]
    pub region: Option<String>,
    /// Whether the bucket stands in the path and not in the host name, as most stores but AWS want it.
    #[serde(default)]
    pub path_style: bool,
    /// Secret with `accessKeyId` and `secretAccessKey`; without it the identity of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectRef>,
}

/// Snapshots that are taken all the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Checkpoint {
    /// Time between two checkpoints.
    #[schemars(with = "PositiveDuration")]
    pub interval: Duration,
    /// Time after which a checkpoint counts as failed.
    pub timeout: Duration,
    /// Rest between the end of a checkpoint and the next.
    pub min_pause: Duration,
    /// Checkpoints that are kept.
    #[schemars(range(min = 1, max = 100))]
    pub retained: u32,
    /// Whether a checkpoint holds only what changed.
    pub incremental: bool,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_mins(5),
            min_pause: Duration::from_secs(5),
            retained: 3,
            incremental: true,
        }
    }
}

/// Snapshots that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Savepoint {
    /// When savepoints are taken, in cron's five fields, in UTC. Without it only when asked for and before upgrades.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Cron")]
    pub schedule: Option<String>,
    /// Most savepoints that are kept; the oldest goes first.
    #[schemars(range(min = 1, max = 1000))]
    pub history_max_count: u32,
    /// Longest time that a savepoint is kept. The newest is kept whatever its age.
    pub history_max_age: Duration,
    /// Whether the data goes when the PipelineSnapshot is deleted.
    pub dispose_on_delete: bool,
    /// Whether each savepoint is read back and checked.
    pub verify: bool,
}

impl Default for Savepoint {
    fn default() -> Self {
        Self {
            schedule: None,
            history_max_count: 10,
            history_max_age: Duration::from_mins(7 * 24 * 60),
            dispose_on_delete: false,
            verify: false,
        }
    }
}

/// The snapshot that a pipeline begins with; exactly one of `snapshotRef` and `path`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::RESTORE_FROM)))]
pub struct RestoreFrom {
    /// A PipelineSnapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_ref: Option<ObjectRef>,
    /// Path of a snapshot in the storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Path")]
    pub path: Option<String>,
    /// Where reading goes on.
    #[serde(default)]
    pub mode: RestoreMode,
}

/// Where reading goes on after a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestoreMode {
    /// Where the pipeline had come to: nothing is published twice.
    #[default]
    Resume,
    /// Where the snapshot was taken: what was published since is published again, under a new run epoch.
    Rewind,
}
