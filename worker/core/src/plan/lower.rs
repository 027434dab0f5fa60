//! Stages to steps that run, each by the file of its kind.

use std::sync::Arc;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::stage::{OnError, Order, Stage};
use tocsin_contract::problem::Problem;

use super::broken::Broken;
use super::context::{Context, Lowered, Stream, add_event_time};
use super::fields::Fields;
use super::graph::Graph;
use super::merged::orders;
use super::parsed::{ParsedKind, ParsedStage};
use super::record_key::record_key;
use super::sources::{lower_source, merge, source_stream, sources_with_record};
use super::{InputPlan, Plan, SinkPlan, SourcePlan, StagePlan, Step, StreamId};
use super::{aggregate, ahead, alarm, escalate, incident, pushdown, unused};

/// Lowers a pipeline, as far as it is not broken; nothing is left of it if there are `problems`.
pub fn lower(
    name: &str,
    spec: &IncidentPipelineSpec,
    parsed: &[ParsedStage],
    graph: &Graph,
    fields: &Fields,
    broken: &Broken,
    mut problems: Vec<Problem>,
) -> Result<Plan, Vec<Problem>> {
    let (mut warnings, mut missing) = (Vec::new(), Vec::new());
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
    for &number in graph.order.iter().filter(|number| !broken.stages.contains(number)) {
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
        let streams: Vec<StreamId> = graph.inputs[number].iter().map(|stream| in_plan(*stream)).collect();
        let as_they_come = stage
            .incident
            .as_ref()
            .is_some_and(|incident| incident.order == Order::Arrival);
        stages.push(StagePlan {
            as_they_come,
            orders: orders(&streams, &stages, as_they_come),
            name: stage.name.clone(),
            kind: kind_name(&parsed[number].kind),
            inputs: inputs_of
                .map(|(stream, adapt)| InputPlan {
                    stream: in_plan(*stream),
                    adapt,
                })
                .collect(),
            repartition: None,
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
            key: Vec::new(),
        })
    });
    let sinks: Vec<SinkPlan> = sinks.collect();
    unused::warn(spec, graph, &mut warnings);
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
    key_records(&mut plan, spec);
    pushdown::push_down(&mut plan);
    Ok(plan)
}

/// Says what the records of each sink are keyed by.
fn key_records(plan: &mut Plan, spec: &IncidentPipelineSpec) {
    let keys: Vec<Vec<usize>> = plan
        .sinks
        .iter()
        .map(|sink| {
            let columns = match sink.stream {
                StreamId::Source(i) => &plan.sources[i].columns,
                StreamId::Stage(i) => &plan.stages[i].output,
                StreamId::Late(i) => &plan.stages[i].input,
            };
            let names = record_key(plan, &spec.sources, sink.stream);
            let key: Option<Vec<usize>> = names.iter().map(|name| columns.index_of(name).ok()).collect();
            key.unwrap_or_default()
        })
        .collect();
    for (sink, key) in plan.sinks.iter_mut().zip(keys) {
        sink.key = key;
    }
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
fn shown_key(stage: &Stage, kind: &ParsedKind) -> Vec<String> {
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

fn lower_stage(stage: &Stage, kind: &ParsedKind, mut context: Context<'_>) -> Option<Lowered> {
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
        ParsedKind::Escalate => escalate::lower(stage, context),
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
            Some(ahead::lower(stage, kind, context))
        }
        ParsedKind::Wrong => None,
    }
}
