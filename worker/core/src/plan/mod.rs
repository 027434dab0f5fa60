//! The pipeline compiler: a user's file to a checked plan.
//!
//! `graph` resolves the names of streams, `parsed` reads the texts of the stages, `fields` finds the type of each field
//! from its uses, `lower` makes the steps that run, `pushdown` moves filters into the decoder. All problems are
//! collected; the plan exists only if there is none.

mod aggregate;
mod ahead;
mod alarm;
mod broken;
mod calls;
mod context;
pub mod dealing;
pub mod describe;
mod escalate;
mod field_types;
mod fields;
mod format_columns;
mod graph;
mod incident;
mod lower;
mod merged;
pub use merged::DealtStage;
mod names;
mod parsed;
pub mod partitioning;
pub mod placement;
mod pushdown;
mod record_key;
mod refused;
pub mod repartition;
pub mod shape;
mod signature;
mod sources;
mod sql;
mod unused;

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::source::FormatKind;
use tocsin_contract::problem::Problem;
use tocsin_contract::rule_set::IncidentRuleSetSpec;

use broken::Broken;
use repartition::RepartitionPlan;

use crate::decode::RecordSchema;
use crate::expr::Expression;
use crate::stage::aggregate::AggregatePlan;
use crate::stage::alarm::AlarmPlan;
use crate::stage::escalate::EscalatePlan;
use crate::stage::incident::IncidentPlan;
use crate::stage::incident::signal::Reporting;
use crate::stream::Micros;

/// What stands for the references of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// Rule sets by name.
    pub rule_sets: BTreeMap<String, IncidentRuleSetSpec>,
}

/// A checked pipeline.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the pipeline.
    pub name: String,
    /// In the file's order.
    pub sources: Vec<SourcePlan>,
    /// Each behind those that it reads.
    pub stages: Vec<StagePlan>,
    /// In the file's order.
    pub sinks: Vec<SinkPlan>,
    /// What a user should know and need not change.
    pub warnings: Vec<Problem>,
    /// What keeps the plan from running: parts that are not built, references that nothing stands for.
    pub missing: Vec<Problem>,
}

/// A source.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Its name, and that of its stream.
    pub name: String,
    /// Its format.
    pub format: FormatKind,
    /// The year of times without one, in records of which nobody knows when they arrived.
    pub year: Option<i32>,
    /// Address of the schema registry that numbers the schemas of its records.
    pub registry: Option<String>,
    /// What is decoded.
    pub record: RecordSchema,
    /// The columns of its stream.
    pub columns: SchemaRef,
    /// How far events are out of order, in microseconds.
    pub max_out_of_orderness: Micros,
    /// How far an event may jump ahead, in microseconds.
    pub max_ahead: Micros,
    /// Without events for this long, a live source no longer holds others back, in microseconds.
    pub idle_timeout: Micros,
    /// How far it may be ahead of the sources that it is merged with, in microseconds.
    pub alignment: Micros,
}

/// A stream, by what makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamId {
    /// The source with this number.
    Source(usize),
    /// The stage with this number.
    Stage(usize),
    /// The late rows of the stage with this number.
    Late(usize),
}

/// A stage.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// Its name, and that of its stream.
    pub name: String,
    /// Its kind, as the file has it.
    pub kind: &'static str,
    /// What it reads.
    pub inputs: Vec<InputPlan>,
    /// How rows find the shard of their key, where that is not known to be this one.
    pub repartition: Option<RepartitionPlan>,
    /// Whether rows are put into the order of event time first. Always so with several inputs.
    pub sorted: bool,
    /// Whether several inputs are not put into the order of event time, but into that in which they come.
    pub as_they_come: bool,
    /// A number for each input: those with the same are put into one order, and wait for each other. Others' rows come in
    /// between as they come.
    pub orders: Vec<usize>,
    /// The columns of its (merged) input.
    pub input: SchemaRef,
    /// What it does, one behind the other.
    pub steps: Vec<Step>,
    /// The columns of its stream.
    pub output: SchemaRef,
    /// Its output's key, for readers that replace by key.
    pub key: Vec<String>,
    /// The columns that name what a row is about: the `by` columns.
    pub shown_key: Vec<String>,
}

/// An input of a stage.
#[derive(Clone, Debug)]
pub struct InputPlan {
    /// What it reads.
    pub stream: StreamId,
    /// How the rows become those of the stage's input.
    pub adapt: Adapt,
}

/// How the rows of a stream become those of a stage's input.
#[derive(Clone, Debug)]
pub enum Adapt {
    /// As they are.
    Same,
    /// These columns; NULL where there is none.
    Columns(Vec<Option<usize>>),
    /// As reports to an incident.
    Report(Reporting),
}

/// A part of a stage.
#[derive(Clone, Debug)]
pub enum Step {
    /// Adds the column `event_time`.
    AddEventTime(SchemaRef),
    /// Keeps rows.
    Filter(Expression),
    /// Computes columns.
    Project(Vec<Expression>, SchemaRef),
    /// Aggregates.
    Aggregate(Box<AggregatePlan>),
    /// Escalates.
    Escalate(EscalatePlan),
    /// Alarms.
    Alarm(Box<AlarmPlan>, SchemaRef),
    /// Groups into incidents.
    Incident(IncidentPlan),
}

impl Step {
    /// Whether it keeps something of the rows that it saw.
    pub fn has_state(&self) -> bool {
        match self {
            Self::AddEventTime(_) | Self::Filter(_) | Self::Project(..) => false,
            Self::Aggregate(_) | Self::Escalate(_) | Self::Alarm(..) | Self::Incident(_) => true,
        }
    }
}

/// A sink.
#[derive(Clone, Debug)]
pub struct SinkPlan {
    /// Its name.
    pub name: String,
    /// What it takes out.
    pub stream: StreamId,
    /// Columns that replace fields of the record, where the stream keeps the record.
    pub changed: Vec<usize>,
    /// Columns that make the key of a record in Kafka; without any, records have none.
    pub key: Vec<usize>,
}

impl Plan {
    /// Name of a stream.
    pub fn stream_name(&self, stream: StreamId) -> String {
        match stream {
            StreamId::Source(i) => self.sources[i].name.clone(),
            StreamId::Stage(i) => self.stages[i].name.clone(),
            StreamId::Late(i) => format!("{}.late", self.stages[i].name),
        }
    }
}

/// Compiles a pipeline.
///
/// # Errors
/// Everything that is wrong, each with its path in the file.
pub fn compile(name: &str, spec: &IncidentPipelineSpec, references: &References) -> Result<Plan, Vec<Problem>> {
    compile_beside(&[], name, spec, references)
}

/// Compiles a pipeline in whose file these faults were found; what only follows from them is not reported.
///
/// # Errors
/// Everything else that is wrong, each with its path in the file.
pub fn compile_beside(
    faults: &[Problem],
    name: &str,
    spec: &IncidentPipelineSpec,
    references: &References,
) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let parsed = parsed::parse_stages(spec, references, &mut problems);
    let graph = graph::resolve(spec, &parsed, &mut problems);
    let mut broken = Broken::default();
    broken.by(faults, spec, &parsed, &graph);
    broken.by(&problems, spec, &parsed, &graph);
    let fields = fields::resolve(spec, &parsed, &graph, &mut broken, &mut problems);
    broken.by(&problems, spec, &parsed, &graph);
    lower::lower(name, spec, &parsed, &graph, &fields, &broken, problems)
}
