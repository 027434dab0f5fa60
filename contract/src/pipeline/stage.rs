//! What happens to events: a stage turns streams into a stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::duration::Duration;
use crate::rule::validations;
use crate::schema::list::{Map, Unique};
use crate::schema::text::{Column, Expression, Name, ObjectName, PositiveDuration, Statement, Text, Word};

/// A named step: its inputs, and exactly one kind.
///
/// All expressions are SQL expressions over the columns of the input, and `event_time`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::STAGE)))]
pub struct Stage {
    /// Name of the stream that this stage makes.
    #[schemars(with = "Name")]
    pub name: String,
    /// Name of the input, or a list of names. A `sql` stage names its input in FROM instead.
    #[serde(default, skip_serializing_if = "Inputs::is_empty")]
    pub from: Inputs,
    /// Keeps the records for which this expression is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Expression")]
    pub filter: Option<String>,
    /// Adds columns of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrich: Option<Enrich>,
    /// Windowed totals, averages, percentiles and the like, by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Raises the severity when enough events of a key come within a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalate>,
    /// Fires when a condition holds, for a time if so asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
    /// Scores events with a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Detect>,
    /// Finds sequences of events.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Match>,
    /// Groups what its inputs report into incidents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// One SELECT, or `INSERT INTO <sink> SELECT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Statement")]
    pub sql: Option<String>,
    /// When results are given out: `OnClose` (default), `OnChange`, `Final`, or `{every: 1s}` without a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit: Option<Emit>,
    /// What an expression that fails on a record does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// How a stage copes with a few keys that have most of the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<Skew>,
    /// How long the state of a key without events is kept, in event time. For aggregates without a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PositiveDuration")]
    pub ttl: Option<Duration>,
}

/// One name or several: `from: alerts` or `from: [alerts, metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs(pub Vec<String>);

/// When a stage gives out results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emit {
    /// When the window closes, and again for each step of the watermark in which late events changed it.
    OnClose,
    /// At each slide, only what changed.
    OnChange,
    /// Once, after the allowed lateness.
    Final,
    /// At event-time ticks, what changed since the last. For aggregates without a window.
    Every(Duration),
}

/// What an expression that fails on a record does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// The expression is NULL for the record, and it is counted.
    #[default]
    Null,
    /// The record goes to the dead letters.
    DeadLetter,
}

/// How a stage copes with a few keys that have most of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Skew {
    /// All events of a key on one shard.
    #[default]
    OnePhase,
    /// Partial results per shard, and one that adds them up.
    TwoPhase,
}

/// Adds columns of a table to each event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enrich {
    /// Table to look up.
    #[schemars(with = "Name")]
    pub table: String,
    /// Fields of the event that make the table's key, in its order.
    // Not `on`: kubectl's YAML reads that key as true.
    #[serde(rename = "by")]
    #[schemars(with = "Unique<Column, 16>", extend("minItems" = 1))]
    pub on: Vec<String>,
    /// Columns of the table to add.
    #[schemars(with = "Unique<Column, 64>", extend("minItems" = 1))]
    pub add: Vec<String>,
}

/// Aggregates by key, over windows of event time or without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::AGGREGATE)))]
pub struct Aggregate {
    /// Fields that make the key.
    #[serde(default)]
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// The window; without one, running totals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Result columns: name and expression over aggregate functions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Expression, 64>", extend("minProperties" = 1))]
    pub select: BTreeMap<String, String>,
    /// Takes the result columns from the `kpis` of an IncidentRuleSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kpis_ref: Option<ObjectRef>,
}

/// Windows over event time; exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::WINDOW)))]
pub struct Window {
    /// Windows of this length, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PositiveDuration")]
    pub tumbling: Option<Duration>,
    /// Windows that overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding: Option<SlidingWindow>,
    /// Windows of activity, closed by a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionWindow>,
}

/// A window of `size` that starts every `every`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlidingWindow {
    /// Length of a window.
    #[schemars(with = "PositiveDuration")]
    pub size: Duration,
    /// Distance between the starts of two windows; `size` is a multiple of it.
    #[schemars(with = "PositiveDuration")]
    pub every: Duration,
}

/// A window that ends when a key has no event for `gap`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionWindow {
    /// Time without an event that ends the window.
    #[schemars(with = "PositiveDuration")]
    pub gap: Duration,
}

/// Raises the severity of the event that makes `count` within `within`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escalate {
    /// Fields that make the key.
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// Number of events that escalates.
    #[schemars(range(min = 1, max = 1000000))]
    pub count: u32,
    /// The time that they must come within.
    #[schemars(with = "PositiveDuration")]
    pub within: Duration,
    /// What the time is counted from.
    #[serde(default)]
    pub ttl: EscalateTtl,
    /// Severity of the escalated event.
    #[serde(default = "escalated")]
    #[schemars(with = "Word")]
    pub severity: String,
}

fn escalated() -> String {
    "ESCALATED".to_owned()
}

/// What `within` of an escalation is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EscalateTtl {
    /// The last `count` events that have not escalated yet span at most `within`.
    #[default]
    Sliding,
    /// All within `within` of the first.
    FromFirst,
    /// Each event renews it, as a state with a time to live does.
    OnWrite,
}

/// An alarm rule by key, inline or from a rule set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::ALARM)))]
pub struct Alarm {
    /// Fields that make the key.
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// The inline rule.
    #[serde(flatten)]
    pub rule: AlarmRule,
    /// Takes the rules from an IncidentRuleSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_ref: Option<ObjectRef>,
}

/// When an alarm fires and when it clears.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlarmRule {
    /// The condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Expression")]
    pub when: Option<String>,
    /// How long the condition must hold before the alarm fires.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// The condition that clears the alarm; by default that `when` is no longer true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Expression")]
    pub clear: Option<String>,
    /// How long the alarm stays after its condition ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<Duration>,
    /// Largest gap between two samples that still counts as holding. By default 2/5 of `for`, at least 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<Duration>,
    /// What a key without samples means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_no_data: Option<OnNoData>,
    /// A condition relative to the key's own past, instead of `when`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Severity of the alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub severity: Option<String>,
    /// Text of the alarm; `{column}` stands for a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<1024>")]
    pub summary: Option<String>,
}

/// What a key without samples means to an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnNoData {
    /// The alarm stays as it is.
    #[default]
    Keep,
    /// The alarm clears.
    Ok,
    /// The alarm fires.
    Alert,
}

/// More than `sigmas` standard deviations above the key's own average of the last `over`. Far below: watch `-value`.
/// Samples while the alarm is open do not count into the average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The value that is watched.
    #[schemars(with = "Expression")]
    pub value: String,
    /// How far back the average reaches.
    #[schemars(with = "PositiveDuration")]
    pub over: Duration,
    /// Distance from the average, in standard deviations.
    #[schemars(range(min = 0.1, max = 100.0))]
    pub sigmas: f64,
    /// Samples without which the baseline says nothing.
    #[serde(default = "min_samples")]
    #[schemars(range(min = 2, max = 1000000))]
    pub min_samples: u32,
}

fn min_samples() -> u32 {
    30
}

/// Scores events with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detect {
    /// Fields that make the key.
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// Columns that the model reads, in its order.
    #[schemars(with = "Unique<Column, 64>", extend("minItems" = 1))]
    pub features: Vec<String>,
    /// The IncidentModel.
    pub model_ref: ObjectRef,
}

/// Finds sequences of events by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Fields that make the key.
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// The sequence: `fail{5,} ok`.
    #[schemars(with = "Text<1024>")]
    pub pattern: String,
    /// What each name of the sequence stands for.
    #[schemars(with = "Map<Expression, 32>", extend("minProperties" = 1))]
    pub define: BTreeMap<String, String>,
    /// The time that the whole sequence must fit in.
    #[schemars(with = "PositiveDuration")]
    pub within: Duration,
    /// Columns to set on the result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Expression, 64>")]
    pub set: BTreeMap<String, String>,
    /// Severity of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub severity: Option<String>,
}

/// Groups what the inputs report into incidents by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// Fields that make the key.
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// How long an incident without news stays open.
    #[schemars(with = "PositiveDuration")]
    pub open_for: Duration,
    /// In which order several inputs are read.
    #[serde(default)]
    pub order: Order,
}

/// In which order several inputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Order {
    /// By event time: waits until every input has come as far.
    #[default]
    EventTime,
    /// As they come: sooner, and not the same in each run.
    Arrival,
}

/// An object of the pipeline's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Name of the object.
    #[schemars(with = "ObjectName")]
    pub name: String,
}
