//! Partitions of the topics that a pipeline reads: what happens when there are more of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when topics get more partitions. On Kafka a worker reads `onGrowth`; the rest only the cluster does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Partitions {
    /// What the pipeline does when a topic that it reads has more partitions than before.
    pub on_growth: OnGrowth,
    /// Whether the operator may add partitions to topics that it manages.
    pub grow: Grow,
    /// Most partitions that it may give a topic.
    #[schemars(range(min = 1, max = 10000))]
    pub max: u32,
}

impl Default for Partitions {
    fn default() -> Self {
        Self {
            on_growth: OnGrowth::default(),
            grow: Grow::default(),
            max: 256,
        }
    }
}

/// What a pipeline does when a topic has grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnGrowth {
    /// Takes a savepoint and goes on from it in the next run epoch, with each key's state where its events now are.
    #[default]
    Restore,
    /// Stops and says so.
    Stop,
}

/// Whether the operator may add partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grow {
    /// Never.
    #[default]
    Never,
    /// When the autoscaler needs more workers than there are partitions.
    WhenLimited,
}
