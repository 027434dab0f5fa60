//! Stages to steps that run: schemas, expressions bound to them, inputs that go together.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::source::Source;
use tocsin_contract::pipeline::stage::OnError;
use tocsin_contract::problem::Problem;

use super::fields::{EVENT_TIME, Fields};
use super::graph::Graph;
use super::names::{source_path, stage_path};
use super::parsed::{ParsedKind, ParsedStage, Text};
use super::signature::{ESCALATED, Shape};
use super::{Adapt, InputPlan, Plan, SinkPlan, SourcePlan, StagePlan, Step, StreamId};
use super::{aggregate, alarm, incident, pushdown};
use crate::decode::{ColumnSpec, ColumnType, EventTimeSpec, RecordSchema};
use crate::encode::{RECORD, json_field};
use crate::expr::Expression;
use crate::expr::compile::{bind, finish, finish_condition, timestamp_type, type_name};
use crate::stage::escalate::EscalatePlan;
use crate::stream::Micros;

/// What is known of a stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its columns.
    pub schema: SchemaRef,
    /// Columns that stages added to or replaced in the record.
    pub changed: Vec<String>,
    /// How late its rows may be.
    pub lateness: Micros,
    /// Its key, if a row replaces the one before with the same key.
    pub key: Vec<String>,
    /// Whether it is made by an `alarm` stage.
    pub alarms: bool,
}

/// What lowering a stage gives.
pub struct Lowered {
    /// The steps.
    pub steps: Vec<Step>,
    /// The stage's stream.
    pub output: Stream,
    /// Whether the input must be in the order of event time.
    pub sorted: bool,
}

/// All that lowering a stage needs.
pub struct Context<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// Path of the stage.
    pub path: &'a str,
    /// Name of the stage.
    pub name: &'a str,
    /// The stage's merged input.
    pub input: Stream,
    /// Steps that come first.
    pub steps: Vec<Step>,
    /// What is wrong.
    pub problems: &'a mut Vec<Problem>,
    /// What a user should know.
    pub warnings: &'a mut Vec<Problem>,
    /// What keeps the plan from running.
    pub missing: &'a mut Vec<Problem>,
}

impl Context<'_> {
    /// Numbers of the columns with these names; a name that is not there was reported before.
    pub fn columns(&self, names: &[String]) -> Vec<usize> {
        names
            .iter()
            .filter_map(|name| self.input.schema.index_of(name).ok())
            .collect()
    }

    /// A condition over the input.
    pub fn condition(&mut self, text: &Text) -> Option<Expression> {
        let schema = Arc::clone(&self.input.schema);
        let made = bind(text.tree.clone(), &schema).and_then(|bound| finish_condition(&text.text, bound, &schema));
        made.map_err(|error| self.problems.push(text.problem(&error))).ok()
    }

    /// An expression over the input.
    pub fn expression(&mut self, text: &Text) -> Option<Expression> {
        let schema = Arc::clone(&self.input.schema);
        let made = bind(text.tree.clone(), &schema).and_then(|bound| finish(&text.text, bound, &schema));
        made.map_err(|error| self.problems.push(text.problem(&error))).ok()
    }

    /// For a stage that cannot replace what it already took in: only first results.
    pub fn first_results_only(&mut self) {
        if self.input.schema.column_with_name("_rev").is_none() {
            return;
        }
        let text = Text::parse(self.path.to_owned(), "_rev = 0", self.problems);
        if let Some(condition) = text.and_then(|text| self.condition(&text)) {
            self.steps.push(Step::Filter(condition));
        }
        if self.input.lateness > 0 {
            self.warnings.push(
                Problem::new(
                    self.path,
                    "takes the first result of each window; revisions by late events are passed over",
                )
                .hint("say `emit: Final` on the stage before to wait for late events"),
            );
        }
    }
}

/// Lowers a checked pipeline.
pub fn lower(
    name: &str,
    spec: &IncidentPipelineSpec,
    parsed: &[ParsedStage],
    graph: &Graph,
    fields: &Fields,
) -> Result<Plan, Vec<Problem>> {
    let (mut problems, mut warnings, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let with_record = sources_with_record(graph, fields);
    let sources: Vec<SourcePlan> = spec
        .sources
        .iter()
        .enumerate()
        .map(|(i, source)| lower_source(source, &fields.columns[i], with_record[i]))
        .collect();
    // By number in the file.
    let mut outputs: Vec<Option<Stream>> = vec![None; spec.stages.len()];
    let mut inputs: Vec<Option<Stream>> = vec![None; spec.stages.len()];
    let mut stages: Vec<StagePlan> = Vec::new();
    let position = |file: usize| graph.order.iter().position(|&stage| stage == file).unwrap_or(0);
    let in_plan = |stream: StreamId| match stream {
        StreamId::Source(i) => StreamId::Source(i),
        StreamId::Stage(i) => StreamId::Stage(position(i)),
        StreamId::Late(i) => StreamId::Late(position(i)),
    };
    for &number in &graph.order {
        let stage = &spec.stages[number];
        let path = parsed[number].path.as_str();
        let streams: Option<Vec<Stream>> = graph.inputs[number]
            .iter()
            .map(|input| match input {
                StreamId::Source(i) => Some(source_stream(&spec.sources[*i], &sources[*i])),
                StreamId::Stage(i) => outputs[*i].clone(),
                StreamId::Late(i) => inputs[*i].clone(),
            })
            .collect();
        let Some(streams) = streams else { continue };
        let incident = matches!(parsed[number].kind, ParsedKind::Incident);
        let merged = if incident {
            let names: Vec<&str> = stage.from.0.iter().map(String::as_str).collect();
            incident::merge(&streams, &names, stage, path, &mut problems, &mut warnings)
        } else {
            merge(streams, path, &mut problems)
        };
        let Some((input, adapts)) = merged else { continue };
        let mut context = Context {
            pipeline: name,
            path,
            name: &stage.name,
            input: input.clone(),
            steps: Vec::new(),
            problems: &mut problems,
            warnings: &mut warnings,
            missing: &mut missing,
        };
        if fields.event_time.contains(&number) {
            add_event_time(&mut context);
        }
        let Some(lowered) = lower_stage(stage, &parsed[number].kind, context) else {
            continue;
        };
        let several = adapts.len() > 1;
        let inputs_of = graph.inputs[number].iter().zip(adapts);
        stages.push(StagePlan {
            name: stage.name.clone(),
            kind: kind_name(&parsed[number].kind),
            inputs: inputs_of
                .map(|(stream, adapt)| InputPlan {
                    stream: in_plan(*stream),
                    adapt,
                })
                .collect(),
            sorted: several || lowered.sorted,
            input: Arc::clone(&input.schema),
            steps: lowered.steps,
            output: Arc::clone(&lowered.output.schema),
            key: lowered.output.key.clone(),
            shown_key: shown_key(stage, &parsed[number].kind),
        });
        inputs[number] = Some(input);
        outputs[number] = Some(lowered.output);
    }
    let sinks = spec.sinks.iter().zip(&graph.sinks).filter_map(|(sink, stream)| {
        let source = match stream {
            StreamId::Source(i) => Some(source_stream(&spec.sources[*i], &sources[*i])),
            StreamId::Stage(i) => outputs[*i].clone(),
            StreamId::Late(i) => inputs[*i].clone(),
        }?;
        let changed = source
            .changed
            .iter()
            .filter_map(|name| source.schema.index_of(name).ok())
            .collect();
        Some(SinkPlan {
            name: sink.name.clone(),
            stream: in_plan(*stream),
            changed,
        })
    });
    let sinks: Vec<SinkPlan> = sinks.collect();
    unused(spec, graph, &mut warnings);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut plan = Plan {
        name: name.to_owned(),
        sources,
        stages,
        sinks,
        warnings,
        missing,
    };
    pushdown::push_down(&mut plan);
    Ok(plan)
}

fn kind_name(kind: &ParsedKind) -> &'static str {
    match kind {
        ParsedKind::Filter(_) => "filter",
        ParsedKind::Aggregate(_) => "aggregate",
        ParsedKind::Escalate => "escalate",
        ParsedKind::Alarm(_) => "alarm",
        ParsedKind::Incident => "incident",
        ParsedKind::Sql(_) => "sql",
        ParsedKind::Enrich => "enrich",
        ParsedKind::Detect => "detect",
        ParsedKind::Match(..) | ParsedKind::Wrong => "match",
    }
}

/// The columns that name what a stage's rows are about.
fn shown_key(stage: &tocsin_contract::pipeline::stage::Stage, kind: &ParsedKind) -> Vec<String> {
    let by = |by: &[String]| by.to_vec();
    match kind {
        ParsedKind::Aggregate(_) => stage.aggregate.as_ref().map(|stage| by(&stage.by)),
        ParsedKind::Escalate => stage.escalate.as_ref().map(|stage| by(&stage.by)),
        ParsedKind::Alarm(_) => stage.alarm.as_ref().map(|stage| by(&stage.by)),
        ParsedKind::Incident => stage.incident.as_ref().map(|stage| by(&stage.by)),
        ParsedKind::Sql(sql) => {
            let selected = sql.select.iter().flatten();
            let keys: Vec<String> = sql.group_by.iter().map(|key| key.tree.to_string()).collect();
            Some(
                selected
                    .filter(|(_, text)| keys.contains(&text.tree.to_string()))
                    .map(|(name, _)| name.clone())
                    .collect(),
            )
        }
        _ => None,
    }
    .unwrap_or_default()
}

fn lower_stage(
    stage: &tocsin_contract::pipeline::stage::Stage,
    kind: &ParsedKind,
    mut context: Context<'_>,
) -> Option<Lowered> {
    if stage.on_error == Some(OnError::DeadLetter) {
        context.missing.push(
            Problem::new(format!("{}.onError", context.path), "`DeadLetter` is not built yet")
                .hint("leave it out: an expression that fails gives NULL, and is counted"),
        );
    }
    match kind {
        ParsedKind::Filter(text) => {
            let condition = context.condition(text)?;
            context.steps.push(Step::Filter(condition));
            Some(Lowered {
                steps: context.steps,
                output: context.input,
                sorted: false,
            })
        }
        ParsedKind::Aggregate(columns) => aggregate::lower_aggregate(stage, columns, context),
        ParsedKind::Sql(sql) => aggregate::lower_sql(stage, sql, context),
        ParsedKind::Escalate => lower_escalate(stage, context),
        ParsedKind::Alarm(rules) => alarm::lower(stage, rules, context),
        ParsedKind::Incident => incident::lower(stage, context),
        ParsedKind::Enrich | ParsedKind::Detect | ParsedKind::Match(..) => {
            context.missing.push(
                Problem::new(
                    format!("{}.{}", context.path, kind_name(kind)),
                    "this kind of stage is not built yet",
                )
                .hint("the pipeline can be checked with it, not run"),
            );
            Some(ahead(stage, kind, context))
        }
        ParsedKind::Wrong => None,
    }
}

/// The stream of a stage that is not built yet, so that the rest can be checked.
fn ahead(stage: &tocsin_contract::pipeline::stage::Stage, kind: &ParsedKind, context: Context<'_>) -> Lowered {
    let text = |name: &String| Field::new(name, DataType::Utf8, true);
    let kept = |names: &[String]| -> Vec<Field> {
        let find = |name: &String| context.input.schema.field_with_name(name).cloned();
        names
            .iter()
            .map(|name| find(name).unwrap_or_else(|_| text(name)))
            .collect()
    };
    let fields: Vec<Field> = match kind {
        ParsedKind::Enrich => {
            let add = stage
                .enrich
                .as_ref()
                .map(|enrich| enrich.add.as_slice())
                .unwrap_or_default();
            let others = context
                .input
                .schema
                .fields()
                .iter()
                .filter(|field| !add.contains(field.name()));
            others
                .map(|field| field.as_ref().clone())
                .chain(add.iter().map(text))
                .collect()
        }
        ParsedKind::Detect => {
            let names = stage
                .detect
                .iter()
                .flat_map(|detect| detect.by.iter().chain(&detect.features))
                .cloned();
            let mut fields = kept(&names.collect::<Vec<_>>());
            fields.extend(["score", "confidence"].map(|name| Field::new(name, DataType::Float64, true)));
            fields.extend(["severity", "summary"].map(|name| Field::new(name, DataType::Utf8, true)));
            fields
        }
        ParsedKind::Match(_, set) => {
            let by = stage
                .pattern
                .as_ref()
                .map(|pattern| pattern.by.clone())
                .unwrap_or_default();
            let mut fields = kept(&by);
            fields.extend(set.iter().map(|(name, _)| text(name)));
            fields.extend(["severity", "summary"].map(|name| Field::new(name, DataType::Utf8, true)));
            fields.extend(["started_at", "ended_at"].map(|name| Field::new(name, timestamp_type(), true)));
            fields
        }
        _ => Vec::new(),
    };
    let output = Stream {
        schema: Arc::new(Schema::new(fields)),
        key: Vec::new(),
        ..context.input
    };
    Lowered {
        steps: Vec::new(),
        output,
        sorted: false,
    }
}

/// The sources whose whole records some sink writes.
fn sources_with_record(graph: &Graph, fields: &Fields) -> Vec<bool> {
    let mut with_record = vec![false; fields.columns.len()];
    for stream in &graph.sinks {
        if let Some(Shape::Open { sources, .. }) = fields.shapes.of(*stream) {
            for source in sources {
                with_record[source] = true;
            }
        }
    }
    with_record
}

fn lower_source(source: &Source, columns: &[ColumnSpec], whole_record: bool) -> SourcePlan {
    let read = columns.iter().filter(|column| column.read);
    let mut fields: Vec<Field> = read.map(field_of).collect();
    if whole_record {
        fields.push(Field::new(RECORD, DataType::Utf8, true));
    }
    let event_time = &source.event_time;
    // A declared path says where the field stands, for the event time as well.
    let path = columns
        .iter()
        .find(|column| column.name == event_time.field)
        .map(|column| column.path.clone());
    SourcePlan {
        name: source.name.clone(),
        format: source.format.kind,
        record: RecordSchema {
            columns: columns.to_vec(),
            event_time: EventTimeSpec {
                path: path.unwrap_or_else(|| vec![event_time.field.clone()]),
                unit: event_time.unit,
            },
            whole_record,
            strict: source.format.strict,
            predicate: None,
        },
        columns: Arc::new(Schema::new(fields)),
        max_out_of_orderness: event_time.max_out_of_orderness.as_micros(),
        max_ahead: event_time.max_ahead.as_micros(),
        idle_timeout: event_time.idle_timeout.as_micros(),
    }
}

fn field_of(column: &ColumnSpec) -> Field {
    let data_type = match column.ty {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::UInt64 => DataType::UInt64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal => DataType::Decimal128(38, 9),
        ColumnType::Utf8 => DataType::Utf8,
        ColumnType::Timestamp(_) => timestamp_type(),
        ColumnType::Json => return json_field(&column.name),
    };
    Field::new(&column.name, data_type, true)
}

fn source_stream(source: &Source, plan: &SourcePlan) -> Stream {
    Stream {
        schema: Arc::clone(&plan.columns),
        changed: Vec::new(),
        lateness: source.event_time.allowed_lateness.as_micros(),
        key: Vec::new(),
        alarms: false,
    }
}

/// Brings several streams to one shape: all their columns by name.
fn merge(streams: Vec<Stream>, path: &str, problems: &mut Vec<Problem>) -> Option<(Stream, Vec<Adapt>)> {
    if streams.len() == 1 {
        return streams.into_iter().next().map(|stream| (stream, vec![Adapt::Same]));
    }
    let mut fields: Vec<Field> = Vec::new();
    for stream in &streams {
        for field in stream.schema.fields() {
            match fields.iter().find(|known| known.name() == field.name()) {
                None => fields.push(field.as_ref().clone()),
                Some(known) if known.data_type() == field.data_type() => {}
                Some(known) => problems.push(Problem::new(
                    format!("{path}.from"),
                    format!(
                        "`{}` is {} in one input and {} in another",
                        field.name(),
                        type_name(known.data_type()),
                        type_name(field.data_type())
                    ),
                )),
            }
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let adapts = streams
        .iter()
        .map(|stream| {
            Adapt::Columns(
                schema
                    .fields()
                    .iter()
                    .map(|field| stream.schema.index_of(field.name()).ok())
                    .collect(),
            )
        })
        .collect();
    let mut changed: Vec<String> = streams.iter().flat_map(|stream| stream.changed.clone()).collect();
    changed.sort();
    changed.dedup();
    let lateness = streams.iter().map(|stream| stream.lateness).max().unwrap_or(0);
    Some((
        Stream {
            schema,
            changed,
            lateness,
            key: Vec::new(),
            alarms: false,
        },
        adapts,
    ))
}

fn add_event_time(context: &mut Context<'_>) {
    let fields = context.input.schema.fields().iter().map(|field| field.as_ref().clone());
    let all: Vec<Field> = fields.chain([Field::new(EVENT_TIME, timestamp_type(), true)]).collect();
    let schema = Arc::new(Schema::new(all));
    context.steps.push(Step::AddEventTime(Arc::clone(&schema)));
    context.input.schema = schema;
}

fn lower_escalate(stage: &tocsin_contract::pipeline::stage::Stage, mut context: Context<'_>) -> Option<Lowered> {
    let escalate = stage.escalate.as_ref()?;
    context.first_results_only();
    let input = Arc::clone(&context.input.schema);
    let is_set = |name: &str| ESCALATED.contains(&name);
    let mut fields: Vec<Field> = Vec::new();
    let mut kept = Vec::new();
    for (i, field) in input
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !is_set(field.name()) && field.name() != RECORD)
    {
        fields.push(field.as_ref().clone());
        kept.push(Some(i));
    }
    for (name, data_type) in ESCALATED
        .into_iter()
        .zip([DataType::Utf8, DataType::Int64, timestamp_type()])
    {
        fields.push(Field::new(name, data_type, true));
        kept.push(None);
    }
    if let Ok(i) = input.index_of(RECORD) {
        fields.push(input.field(i).clone());
        kept.push(Some(i));
    }
    let output: SchemaRef = Arc::new(Schema::new(fields));
    let plan = EscalatePlan {
        by: context.columns(&escalate.by),
        count: escalate.count.max(1),
        within: escalate.within.as_micros(),
        ttl: escalate.ttl,
        severity: escalate.severity.clone(),
        lateness: context.input.lateness,
        output: Arc::clone(&output),
        kept,
    };
    context.steps.push(Step::Escalate(plan));
    let mut changed = context.input.changed;
    changed.retain(|name| !is_set(name));
    changed.extend(ESCALATED.map(str::to_owned));
    let output = Stream {
        schema: output,
        changed,
        key: Vec::new(),
        ..context.input
    };
    Some(Lowered {
        steps: context.steps,
        output,
        sorted: false,
    })
}

/// Warns of sources and stages whose rows go nowhere.
fn unused(spec: &IncidentPipelineSpec, graph: &Graph, warnings: &mut Vec<Problem>) {
    let read = |stream: StreamId| {
        let by_stage = graph.inputs.iter().flatten().any(|input| match (input, stream) {
            (StreamId::Late(i), StreamId::Stage(j)) => *i == j,
            (input, _) => *input == stream,
        });
        by_stage || graph.sinks.contains(&stream)
    };
    for (_, stage) in spec
        .stages
        .iter()
        .enumerate()
        .filter(|(i, _)| !read(StreamId::Stage(*i)))
    {
        let shown = stage.aggregate.is_some() || stage.incident.is_some() || stage.alarm.is_some();
        let message = if shown {
            "no sink takes it out; it shows on the live page alone"
        } else {
            "nothing reads it"
        };
        warnings.push(Problem::new(stage_path(&stage.name), message).hint(format!(
            "add to spec.sinks: - {{name: {}-out, from: {}, stdout: {{}}}}",
            stage.name, stage.name
        )));
    }
    for (_, source) in spec
        .sources
        .iter()
        .enumerate()
        .filter(|(i, _)| !read(StreamId::Source(*i)))
    {
        warnings.push(Problem::new(source_path(&source.name), "nothing reads it"));
    }
    if spec.sinks.is_empty() {
        warnings.push(
            Problem::new("spec.sinks", "no sink: results show on the live page alone")
                .hint("add one: - {name: out, from: <stage>, stdout: {}}"),
        );
    }
}
