//! What goes and what stays when a pipeline is deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// What goes with a pipeline. Workers always go. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeletionPolicy {
    /// Machines, networks and disks that the pipeline had made.
    pub infrastructure: Fate,
    /// Kafka and topics that the pipeline had made.
    pub kafka: Fate,
    /// Snapshots.
    pub snapshots: Fate,
    /// Whether a last savepoint is taken first.
    pub take_savepoint: bool,
    /// Time for all of that; afterwards the pipeline goes, and its last event names what stayed.
    pub timeout: Duration,
}

impl Default for DeletionPolicy {
    fn default() -> Self {
        Self {
            infrastructure: Fate::Delete,
            kafka: Fate::Retain,
            snapshots: Fate::Retain,
            take_savepoint: true,
            timeout: Duration::from_mins(10),
        }
    }
}

/// What becomes of a thing when its pipeline is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fate {
    /// It goes too.
    Delete,
    /// It stays. The same file applied again takes it over.
    Retain,
}
