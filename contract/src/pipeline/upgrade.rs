//! How a pipeline goes from one spec to the next.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::duration::Duration;
use crate::rule::validations;

/// Upgrades of a pipeline. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::UPGRADE)))]
pub struct Upgrade {
    /// What the new version begins with.
    pub mode: UpgradeMode,
    /// What it begins with when the savepoint cannot be taken.
    pub fallback: UpgradeFallback,
    /// Oldest checkpoint that an upgrade may begin with.
    pub max_checkpoint_age: Duration,
    /// Time that the new workers have to become ready.
    pub readiness_timeout: Duration,
    /// What the new version must show before it counts as good.
    pub stability: Stability,
    /// What happens when it does not.
    pub rollback: Rollback,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self {
            mode: UpgradeMode::default(),
            fallback: UpgradeFallback::default(),
            max_checkpoint_age: Duration::from_mins(10),
            readiness_timeout: Duration::from_mins(5),
            stability: Stability::default(),
            rollback: Rollback::default(),
        }
    }
}

/// What a new version begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradeMode {
    /// A savepoint, taken before the old version stops.
    #[default]
    Savepoint,
    /// The newest checkpoint.
    LastCheckpoint,
    /// Nothing: state is lost.
    Stateless,
}

/// What an upgrade begins with when its savepoint fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradeFallback {
    /// Nothing: the old version goes on, and a condition says why.
    #[default]
    None,
    /// The newest checkpoint.
    LastCheckpoint,
}

/// What a new version must show before it counts as good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Stability {
    /// Time that it must run without a fault.
    pub min_running: Duration,
    /// Largest lag at the end of that time.
    pub max_lag: Duration,
    /// Most records of a thousand that may become dead letters.
    #[schemars(range(min = 0, max = 1000))]
    pub max_errors_per_thousand: u32,
}

impl Default for Stability {
    fn default() -> Self {
        Self {
            min_running: Duration::from_mins(3),
            max_lag: Duration::from_mins(2),
            max_errors_per_thousand: 10,
        }
    }
}

/// What happens when a new version is not good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollback {
    /// Whether the last good spec comes back, with the savepoint that was taken before the upgrade.
    pub enabled: bool,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { enabled: true }
    }
}
