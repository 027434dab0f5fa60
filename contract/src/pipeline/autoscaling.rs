//! How the number of workers follows the load.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::duration::Duration;
use crate::quantity::Quantity;
use crate::rule::validations;
use crate::schema::list::{List, Named};
use crate::schema::text::{Cron, Name, PositiveDuration, TimeZone};

/// The autoscaler of a pipeline. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::AUTOSCALING)))]
pub struct Autoscaling {
    /// Whether the autoscaler decides, recommends or rests. Write "Off" in quotes: without them YAML reads false.
    pub mode: AutoscalingMode,
    /// Fewest workers. With 0 the pipeline sleeps while nothing comes in.
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: u32,
    /// Most workers. Partitions and the cloud's quota may allow fewer.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: u32,
    /// Time over which load is measured.
    #[schemars(with = "PositiveDuration")]
    pub metrics_window: Duration,
    /// Rest after a change, in which nothing is measured.
    pub stabilization_interval: Duration,
    /// How busy workers should be.
    pub utilization: Utilization,
    /// Time in which a backlog should be worked off.
    pub catch_up_duration: Duration,
    /// Lag above which workers are added whatever the utilization.
    pub max_lag: Duration,
    /// How long a change of the number of workers interrupts the pipeline.
    pub restart_time: RestartTime,
    /// Limits of going down.
    pub scale_down: ScaleDown,
    /// Limits of going up.
    pub scale_up: ScaleUp,
    /// Whether the number of workers is chosen so that partitions spread well.
    pub partition_alignment: PartitionAlignment,
    /// What happens when more workers did not help.
    pub effectiveness: Effectiveness,
    /// What happens while there are no measurements.
    pub fallback: ScalingFallback,
    /// Most that all workers together may ask for.
    pub quota: ScalingQuota,
    /// Times with bounds of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<ScalingSchedule, 32>")]
    pub schedules: Vec<ScalingSchedule>,
    /// Times in which nothing is changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<ExcludedPeriod, 32>")]
    pub excluded_periods: Vec<ExcludedPeriod>,
    /// A number; when it changes, the autoscaler forgets what it measured.
    #[schemars(range(min = 0))]
    pub reset_nonce: i64,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            mode: AutoscalingMode::default(),
            min_replicas: 1,
            max_replicas: 12,
            metrics_window: Duration::from_mins(2),
            stabilization_interval: Duration::from_mins(1),
            utilization: Utilization::default(),
            catch_up_duration: Duration::from_mins(5),
            max_lag: Duration::from_mins(5),
            restart_time: RestartTime::default(),
            scale_down: ScaleDown::default(),
            scale_up: ScaleUp::default(),
            partition_alignment: PartitionAlignment::default(),
            effectiveness: Effectiveness::default(),
            fallback: ScalingFallback::default(),
            quota: ScalingQuota::default(),
            schedules: Vec::new(),
            excluded_periods: Vec::new(),
            reset_nonce: 0,
        }
    }
}

/// Who decides on the number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutoscalingMode {
    /// `workers.replicas` does.
    #[default]
    Off,
    /// `workers.replicas` does; the status says what the autoscaler would do.
    Recommend,
    /// The autoscaler does.
    Active,
}

/// How busy workers should be, in percent of their time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::UTILIZATION)))]
pub struct Utilization {
    /// Below this, workers are taken away.
    #[schemars(range(min = 1, max = 100))]
    pub min: u32,
    /// What a change aims at.
    #[schemars(range(min = 1, max = 100))]
    pub target: u32,
    /// Above this, workers are added.
    #[schemars(range(min = 1, max = 100))]
    pub max: u32,
}

impl Default for Utilization {
    fn default() -> Self {
        Self {
            min: 40,
            target: 60,
            max: 85,
        }
    }
}

/// How long a change of the number of workers interrupts the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartTime {
    /// What is assumed at first.
    pub initial: Duration,
    /// Whether what was measured takes its place.
    pub track: bool,
    /// Longest time that a measurement counts for.
    pub limit: Duration,
}

impl Default for RestartTime {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(30),
            track: true,
            limit: Duration::from_mins(10),
        }
    }
}

/// Limits of going down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleDown {
    /// Time that fewer workers must have been enough.
    pub delay: Duration,
    /// Most workers that go at once, in percent of those there are.
    #[schemars(range(min = 1, max = 100))]
    pub max_step_percent: u32,
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self {
            delay: Duration::from_mins(10),
            max_step_percent: 50,
        }
    }
}

/// Limits of going up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleUp {
    /// Most workers that come at once, in percent of those there are. At least one can always come.
    #[schemars(range(min = 1, max = 100000))]
    pub max_step_percent: u32,
}

impl Default for ScaleUp {
    fn default() -> Self {
        Self { max_step_percent: 300 }
    }
}

/// How the number of workers fits the number of partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PartitionAlignment {
    /// The next number at which the busiest worker has fewer partitions.
    #[default]
    Balanced,
    /// The next number that divides the partitions.
    EvenlySpread,
    /// Any number.
    None,
}

/// What happens when more workers did not help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Effectiveness {
    /// Whether it is watched.
    pub detect: bool,
    /// Least gain that counts as help, in percent of the gain that was expected.
    #[schemars(range(min = 1, max = 100))]
    pub threshold_percent: u32,
    /// What is done.
    pub on_ineffective: OnIneffective,
}

impl Default for Effectiveness {
    fn default() -> Self {
        Self {
            detect: true,
            threshold_percent: 10,
            on_ineffective: OnIneffective::default(),
        }
    }
}

/// What is done when more workers did not help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnIneffective {
    /// An event says so.
    Event,
    /// No more workers are added.
    Block,
    /// The added workers go again.
    #[default]
    Revert,
}

/// What happens while there are no measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingFallback {
    /// Measurements that must be missing in a row.
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: u32,
    /// What is done then.
    pub behavior: FallbackBehavior,
    /// Number of workers that `behavior` speaks of; by default `workers.replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
}

impl Default for ScalingFallback {
    fn default() -> Self {
        Self {
            failure_threshold: 3,
            behavior: FallbackBehavior::default(),
            replicas: None,
        }
    }
}

/// What is done while there are no measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FallbackBehavior {
    /// The number stays.
    CurrentReplicas,
    /// The number stays if it is higher than `replicas`.
    #[default]
    CurrentReplicasIfHigher,
    /// `replicas`.
    Static,
}

/// Most that all workers together may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingQuota {
    /// Processors, of all workers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory, of all workers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Whether the cloud's quota is read before machines are added.
    pub respect_open_stack_quota: bool,
}

impl Default for ScalingQuota {
    fn default() -> Self {
        Self {
            cpu: None,
            memory: None,
            respect_open_stack_quota: true,
        }
    }
}

/// A time with bounds of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::SCHEDULE)))]
pub struct ScalingSchedule {
    /// Name of the schedule.
    #[schemars(with = "Name")]
    pub name: String,
    /// When it begins, in cron's five fields.
    #[schemars(with = "Cron")]
    pub start: String,
    /// When it ends, in cron's five fields.
    #[schemars(with = "Cron")]
    pub end: String,
    /// Time zone of both; by default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeZone")]
    pub time_zone: Option<String>,
    /// Fewest workers in that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: Option<u32>,
    /// Most workers in that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<u32>,
}

/// A time in which nothing is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExcludedPeriod {
    /// When it begins, in cron's five fields.
    #[schemars(with = "Cron")]
    pub start: String,
    /// When it ends, in cron's five fields.
    #[schemars(with = "Cron")]
    pub end: String,
    /// Time zone of both; by default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeZone")]
    pub time_zone: Option<String>,
}
