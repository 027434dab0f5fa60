//! What columns a stream has, before their types are known.
//!
//! A stream that keeps its records is *open*: any field of the record is a column. The others have the columns that their
//! stage makes.

use std::collections::{BTreeMap, BTreeSet};

use datafusion_sql::sqlparser::ast;
use tocsin_contract::pipeline::IncidentPipelineSpec;

use super::StreamId;
use super::graph::Graph;
use super::parsed::{ParsedKind, ParsedStage};
use super::sql::ParsedSql;

/// The columns of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Records of these sources, with columns that stages added or replaced.
    Open {
        /// Numbers of the sources.
        sources: Vec<usize>,
        /// Names of the added columns.
        added: Vec<String>,
    },
    /// These columns.
    Closed(Vec<String>),
}

/// Columns that an escalation sets.
pub const ESCALATED: [&str; 3] = ["severity", "escalation_count", "escalation_since"];

/// Columns of an alarm behind its key.
pub const ALARM: [&str; 8] = [
    "alarm",
    "rule",
    "status",
    "severity",
    "since",
    "event_time",
    "summary",
    "values",
];

/// Columns of an incident behind its id and key.
pub const INCIDENT: [&str; 9] = [
    "status",
    "severity",
    "opened_at",
    "updated_at",
    "resolved_at",
    "summary",
    "causes",
    "events",
    "transition",
];

/// Columns that stages only pass on, with the fields of sources that they are: (source, field). A use of the column is a
/// use of the field.
pub type Passed = BTreeMap<String, BTreeSet<(usize, String)>>;

/// The shapes of all streams.
#[derive(Debug)]
pub struct Shapes {
    /// Of the merged input of each stage; for an `incident` stage that of the first input.
    pub inputs: Vec<Option<Shape>>,
    /// Of the output of each stage.
    pub outputs: Vec<Option<Shape>>,
    /// Of the merged input of each stage, what is passed on.
    pub passed_in: Vec<Passed>,
    passed_out: Vec<Passed>,
}

impl Shapes {
    /// Finds the shapes of all stages.
    pub fn find(spec: &IncidentPipelineSpec, parsed: &[ParsedStage], graph: &Graph) -> Self {
        let n_stages = spec.stages.len();
        let mut shapes = Self {
            inputs: vec![None; n_stages],
            outputs: vec![None; n_stages],
            passed_in: vec![Passed::new(); n_stages],
            passed_out: vec![Passed::new(); n_stages],
        };
        for &stage in &graph.order {
            let inputs: Vec<Shape> = graph.inputs[stage]
                .iter()
                .filter_map(|input| shapes.of(*input))
                .collect();
            let input = match &parsed[stage].kind {
                ParsedKind::Incident => inputs.first().cloned(),
                _ => merge(inputs),
            };
            for stream in &graph.inputs[stage] {
                for (name, fields) in shapes.passed(*stream) {
                    shapes.passed_in[stage].entry(name).or_default().extend(fields);
                }
            }
            shapes.outputs[stage] = input
                .as_ref()
                .and_then(|input| output(spec, stage, &parsed[stage], input));
            if let Some(input) = &input {
                shapes.passed_out[stage] = passed_on(spec, stage, &parsed[stage], input, &shapes.passed_in[stage]);
            }
            shapes.inputs[stage] = input;
        }
        shapes
    }

    /// What a stream passes on of records.
    pub fn passed(&self, stream: StreamId) -> Passed {
        match stream {
            StreamId::Source(_) => Passed::new(),
            StreamId::Stage(i) => self.passed_out[i].clone(),
            StreamId::Late(i) => self.passed_in[i].clone(),
        }
    }

    /// The shape of a stream.
    pub fn of(&self, stream: StreamId) -> Option<Shape> {
        match stream {
            StreamId::Source(i) => Some(Shape::Open {
                sources: vec![i],
                added: Vec::new(),
            }),
            StreamId::Stage(i) => self.outputs[i].clone(),
            StreamId::Late(i) => self.inputs[i].clone(),
        }
    }
}

/// The shape of several streams together; nothing if they do not go together.
fn merge(shapes: Vec<Shape>) -> Option<Shape> {
    let mut shapes = shapes.into_iter();
    let first = shapes.next()?;
    shapes.try_fold(first, |all, shape| match (all, shape) {
        (
            Shape::Open {
                sources: mut all,
                added: mut names,
            },
            Shape::Open { sources, added },
        ) => {
            all.extend(sources);
            all.sort_unstable();
            all.dedup();
            names.extend(added);
            names.sort();
            names.dedup();
            Some(Shape::Open {
                sources: all,
                added: names,
            })
        }
        (Shape::Closed(mut all), Shape::Closed(names)) => {
            let new: Vec<String> = names.into_iter().filter(|name| !all.contains(name)).collect();
            all.extend(new);
            Some(Shape::Closed(all))
        }
        _ => None,
    })
}

fn output(spec: &IncidentPipelineSpec, stage: usize, parsed: &ParsedStage, input: &Shape) -> Option<Shape> {
    let stage = &spec.stages[stage];
    let closed = |parts: &[&[&str]], by: &[String]| {
        let rest = parts.iter().flat_map(|part| part.iter().map(|name| (*name).to_owned()));
        Some(Shape::Closed(by.iter().cloned().chain(rest).collect()))
    };
    match &parsed.kind {
        ParsedKind::Filter(_) => Some(input.clone()),
        ParsedKind::Enrich => Some(with_added(input, &stage.enrich.as_ref()?.add)),
        ParsedKind::Escalate => Some(with_added(input, &ESCALATED.map(str::to_owned))),
        ParsedKind::Aggregate(columns) => {
            let aggregate = stage.aggregate.as_ref()?;
            let names = columns.iter().map(|(name, _)| name.clone());
            let window: &[&str] = if aggregate.window.is_some() {
                &["window_start", "window_end"]
            } else {
                &[]
            };
            let mut all: Vec<String> = aggregate.by.clone();
            all.extend(window.iter().map(|name| (*name).to_owned()).chain(names));
            all.extend(revision_columns(aggregate.window.is_some()));
            Some(Shape::Closed(all))
        }
        ParsedKind::Alarm(_) => closed(&[&ALARM], &stage.alarm.as_ref()?.by),
        ParsedKind::Incident => {
            let mut all = vec!["incident".to_owned()];
            all.extend(stage.incident.as_ref()?.by.iter().cloned());
            closed(&[&INCIDENT], &all)
        }
        ParsedKind::Sql(sql) => Some(sql_output(sql, input)),
        ParsedKind::Detect => {
            let detect = stage.detect.as_ref()?;
            let names: Vec<String> = detect.by.iter().chain(&detect.features).cloned().collect();
            closed(&[&["score", "confidence", "severity", "summary"]], &names)
        }
        ParsedKind::Match(_, set) => {
            let pattern = stage.pattern.as_ref()?;
            let names: Vec<String> = pattern
                .by
                .iter()
                .chain(set.iter().map(|(name, _)| name))
                .cloned()
                .collect();
            closed(&[&["severity", "summary", "started_at", "ended_at"]], &names)
        }
        ParsedKind::Wrong => None,
    }
}

/// What a stage that makes new rows passes on: its key, and columns that are selected as they are.
fn passed_on(
    spec: &IncidentPipelineSpec,
    stage: usize,
    parsed: &ParsedStage,
    input: &Shape,
    passed_in: &Passed,
) -> Passed {
    let stage = &spec.stages[stage];
    let fields = |name: &str| -> BTreeSet<(usize, String)> {
        match input {
            Shape::Open { added, .. } if added.iter().any(|known| known == name) => BTreeSet::new(),
            Shape::Open { sources, .. } => sources.iter().map(|&source| (source, name.to_owned())).collect(),
            Shape::Closed(_) => passed_in.get(name).cloned().unwrap_or_default(),
        }
    };
    let by = |by: &[String]| by.iter().map(|name| (name.clone(), fields(name))).collect();
    match &parsed.kind {
        ParsedKind::Filter(_) | ParsedKind::Enrich | ParsedKind::Escalate => passed_in.clone(),
        ParsedKind::Aggregate(_) => stage.aggregate.as_ref().map(|stage| by(&stage.by)).unwrap_or_default(),
        ParsedKind::Alarm(_) => stage.alarm.as_ref().map(|stage| by(&stage.by)).unwrap_or_default(),
        ParsedKind::Sql(sql) => match &sql.select {
            None => passed_in.clone(),
            Some(columns) => columns
                .iter()
                .filter_map(|(name, text)| match &text.tree {
                    ast::Expr::Identifier(ident) => Some((name.clone(), fields(&ident.value))),
                    _ => None,
                })
                .collect(),
        },
        // The key of an incident comes from several inputs; a use of it behind is a use of text.
        ParsedKind::Incident | ParsedKind::Detect | ParsedKind::Match(..) | ParsedKind::Wrong => Passed::new(),
    }
}

/// Columns that say which revision of a result a row is.
pub fn revision_columns(windowed: bool) -> [String; 2] {
    [
        "_rev".to_owned(),
        if windowed { "_final" } else { "_deleted" }.to_owned(),
    ]
}

fn sql_output(sql: &ParsedSql, input: &Shape) -> Shape {
    let Some(columns) = &sql.select else {
        return input.clone();
    };
    let mut names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    if sql.aggregates() {
        names.extend(revision_columns(sql.window.is_some()));
    }
    Shape::Closed(names)
}

fn with_added(input: &Shape, new: &[String]) -> Shape {
    let mut shape = input.clone();
    let (Shape::Open { added: names, .. } | Shape::Closed(names)) = &mut shape;
    let new: Vec<String> = new.iter().filter(|name| !names.contains(name)).cloned().collect();
    names.extend(new);
    shape
}
