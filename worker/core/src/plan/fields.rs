//! The type of each field that the plan reads: declared, or from its uses.

use std::collections::{BTreeMap, BTreeSet};

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;

use super::broken::Broken;
use super::field_types::columns;
use super::graph::Graph;
use super::parsed::{ParsedKind, ParsedStage, Text, at_use, no_such_column};
use super::signature::{Passed, Shape, Shapes};
use crate::decode::ColumnSpec;
use crate::expr::uses::{ColumnUse, Use};

/// The name under which expressions see a row's event time.
pub const EVENT_TIME: &str = "event_time";

/// What is read of each source.
#[derive(Debug)]
pub struct Fields {
    /// The columns, by source.
    pub columns: Vec<Vec<ColumnSpec>>,
    /// Stages whose expressions read `event_time`.
    pub event_time: BTreeSet<usize>,
    /// The shapes of the streams.
    pub shapes: Shapes,
}

/// Where a field is used.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub used_as: Use,
    /// The stage does without, too.
    pub optional: bool,
    pub path: String,
    /// The text and the place in it, if it stands in a text.
    pub text: Option<(String, ColumnUse)>,
}

/// What the stages read.
#[derive(Default)]
pub(super) struct Collected {
    /// By source and field.
    pub places: BTreeMap<(usize, String), Vec<Place>>,
    /// Fields of a source that have one type.
    pub same: Vec<(usize, String, String)>,
    event_time: BTreeSet<usize>,
}

/// Finds the types of all fields that the stages read.
pub fn resolve(
    spec: &IncidentPipelineSpec,
    parsed: &[ParsedStage],
    graph: &Graph,
    broken: &mut Broken,
    problems: &mut Vec<Problem>,
) -> Fields {
    let shapes = Shapes::find(spec, parsed, graph);
    let mut collected = Collected::default();
    for &stage in &graph.order {
        // What it reads is collected all the same: other stages may read the same fields.
        let ignored = &mut Vec::new();
        let problems = if broken.stages.contains(&stage) {
            ignored
        } else {
            &mut *problems
        };
        let several = graph.inputs[stage].len() > 1;
        if shapes.inputs[stage].is_none() && several && !matches!(parsed[stage].kind, ParsedKind::Wrong) {
            problems.push(
                Problem::new(
                    format!("{}.from", parsed[stage].path),
                    "these inputs have different kinds of rows",
                )
                .hint("records (of sources, filter, enrich, escalate) go together, results of stages go together"),
            );
        }
        collect_stage(spec, stage, parsed, graph, &shapes, &mut collected, problems);
    }
    let mut all = Vec::new();
    for (i, source) in spec.sources.iter().enumerate() {
        let mut found = Vec::new();
        all.push(columns(i, source, &collected, &mut found));
        if broken.sources.contains(&i) {
            continue;
        }
        if !found.is_empty() {
            broken.sources.insert(i);
        }
        problems.append(&mut found);
    }
    Fields {
        columns: all,
        event_time: collected.event_time,
        shapes,
    }
}

fn collect_stage(
    spec: &IncidentPipelineSpec,
    stage: usize,
    parsed: &[ParsedStage],
    graph: &Graph,
    shapes: &Shapes,
    collected: &mut Collected,
    problems: &mut Vec<Problem>,
) {
    let (number, stage) = (stage, &spec.stages[stage]);
    let path = &parsed[number].path;
    let Some(shape) = &shapes.inputs[number] else { return };
    let mut scope = Scope {
        stage: number,
        shape,
        passed: &shapes.passed_in[number],
        collected,
        problems,
    };
    match &parsed[number].kind {
        ParsedKind::Filter(condition) => scope.text(condition, Use::Boolean, &[]),
        ParsedKind::Aggregate(columns) => {
            let Some(aggregate) = &stage.aggregate else { return };
            scope.names(&aggregate.by, &format!("{path}.aggregate.by"));
            for (_, column) in columns {
                scope.text(column, Use::Any, &["window_start", "window_end"]);
            }
        }
        ParsedKind::Escalate => {
            let by = stage
                .escalate
                .as_ref()
                .map(|escalate| escalate.by.as_slice())
                .unwrap_or_default();
            scope.names(by, &format!("{path}.escalate.by"));
        }
        ParsedKind::Alarm(rules) => {
            let by = stage
                .alarm
                .as_ref()
                .map(|alarm| alarm.by.as_slice())
                .unwrap_or_default();
            scope.names(by, &format!("{path}.alarm.by"));
            for rule in rules {
                scope.names(&rule.further_by, &format!("{}.by", rule.path));
                for text in rule.when.iter().chain(&rule.clear) {
                    scope.text(text, Use::Boolean, &[]);
                }
                if let Some(value) = &rule.baseline {
                    scope.text(value, Use::Number, &[]);
                }
                scope.summary(rule.rule.summary.as_deref().unwrap_or_default(), &rule.path);
            }
        }
        ParsedKind::Incident => {
            let by = stage
                .incident
                .as_ref()
                .map(|incident| incident.by.as_slice())
                .unwrap_or_default();
            for (i, input) in graph.inputs[number].iter().enumerate() {
                let Some(shape) = shapes.of(*input) else { continue };
                let passed = shapes.passed(*input);
                let mut scope = Scope {
                    stage: number,
                    shape: &shape,
                    passed: &passed,
                    collected,
                    problems,
                };
                let path = format!(
                    "{path}.incident.by (input {})",
                    stage.from.0.get(i).map_or("", String::as_str)
                );
                scope.names(by, &path);
                if matches!(shape, Shape::Open { .. }) {
                    scope.optional(&["severity", "message"], &path);
                }
            }
        }
        ParsedKind::Sql(sql) => {
            let window = ["window_start", "window_end"];
            let made: &[&str] = if sql.window.is_some() { &window } else { &[] };
            for condition in sql.filter.iter().chain(&sql.having) {
                scope.text(condition, Use::Boolean, made);
            }
            for key in &sql.group_by {
                scope.text(key, Use::AsWritten, &[]);
            }
            let wanted = if sql.aggregates() { Use::Any } else { Use::Passed };
            for (_, column) in sql.select.iter().flatten() {
                scope.text(column, wanted, made);
            }
        }
        ParsedKind::Enrich => {
            let on = stage
                .enrich
                .as_ref()
                .map(|enrich| enrich.on.as_slice())
                .unwrap_or_default();
            scope.names(on, &format!("{path}.enrich.by"));
        }
        ParsedKind::Detect => {
            let Some(detect) = &stage.detect else { return };
            scope.names(&detect.by, &format!("{path}.detect.by"));
            for feature in &detect.features {
                scope.name(feature, Use::Number, &format!("{path}.detect.features"));
            }
        }
        ParsedKind::Match(define, set) => {
            let by = stage
                .pattern
                .as_ref()
                .map(|pattern| pattern.by.as_slice())
                .unwrap_or_default();
            scope.names(by, &format!("{path}.match.by"));
            for text in define {
                scope.text(text, Use::Boolean, &[]);
            }
            for (_, text) in set {
                scope.text(text, Use::Passed, &[]);
            }
        }
        ParsedKind::Wrong => {}
    }
}

/// A stage that reads columns of a stream.
struct Scope<'a> {
    stage: usize,
    shape: &'a Shape,
    /// What the input only passes on.
    passed: &'a Passed,
    collected: &'a mut Collected,
    problems: &'a mut Vec<Problem>,
}

impl Scope<'_> {
    fn names(&mut self, names: &[String], path: &str) {
        for name in names {
            self.name(name, Use::AsWritten, path);
        }
    }

    /// Columns of records that nobody named.
    fn optional(&mut self, names: &[&str], path: &str) {
        for name in names {
            let place = Place {
                used_as: Use::AsWritten,
                optional: true,
                path: path.to_owned(),
                text: None,
            };
            // Records may have any column.
            let _ = self.reads(name, place);
        }
    }

    fn name(&mut self, name: &str, used_as: Use, path: &str) {
        if let Err(message) = self.reads(
            name,
            Place {
                used_as,
                optional: false,
                path: path.to_owned(),
                text: None,
            },
        ) {
            self.problems.push(Problem::new(path, message));
        }
    }

    /// The columns of a text. `made` are columns that the stage itself makes.
    fn text(&mut self, text: &Text, wanted: Use, made: &[&str]) {
        let uses = match text.uses(wanted) {
            Ok(uses) => uses,
            Err(error) => return self.problems.push(text.problem(&error)),
        };
        for column in &uses.columns {
            if made.contains(&column.name.as_str()) {
                continue;
            }
            let place = Place {
                used_as: column.used_as,
                optional: false,
                path: text.path.clone(),
                text: Some((text.text.clone(), column.clone())),
            };
            if let Err(message) = self.reads(&column.name, place) {
                self.problems.push(text.problem(&at_use(message, column)));
            }
        }
        if let Shape::Open { sources, added } = self.shape {
            let of_record = |name: &String| !added.contains(name) && name != EVENT_TIME;
            for (a, b) in uses.same.iter().filter(|(a, b)| of_record(a) && of_record(b)) {
                self.collected
                    .same
                    .extend(sources.iter().map(|&source| (source, a.clone(), b.clone())));
            }
        }
    }

    /// The `{column}`s of a summary.
    fn summary(&mut self, summary: &str, path: &str) {
        for part in summary.split('{').skip(1) {
            let Some((name, _)) = part.split_once('}') else {
                continue;
            };
            self.name(name, Use::Passed, &format!("{path}.summary"));
        }
    }

    fn reads(&mut self, name: &str, place: Place) -> Result<(), String> {
        match self.shape {
            Shape::Closed(names) if names.iter().any(|known| known == name) => {
                for field in self.passed.get(name).into_iter().flatten() {
                    self.collected
                        .places
                        .entry(field.clone())
                        .or_default()
                        .push(place.clone());
                }
            }
            _ if name == EVENT_TIME => drop(self.collected.event_time.insert(self.stage)),
            Shape::Closed(names) => return Err(no_such_column(name, names.iter().map(String::as_str))),
            Shape::Open { added, .. } if added.iter().any(|known| known == name) => {}
            Shape::Open { sources, .. } => {
                for &source in sources {
                    self.collected
                        .places
                        .entry((source, name.to_owned()))
                        .or_default()
                        .push(place.clone());
                }
            }
        }
        Ok(())
    }
}
