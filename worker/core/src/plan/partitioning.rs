//! Which streams are partitioned by what.

use std::collections::BTreeSet;

use arrow_schema::DataType;
use datafusion_expr::Expr;
use tocsin_contract::pipeline::source::{Partitioner, Source};

use super::repartition::dealt;
use super::{StagePlan, Step, StreamId};

/// How a stream is partitioned: rows with the same values of these columns are in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partitioned {
    pub key: Vec<String>,
    pub partitioner: Partitioner,
    pub n_partitions: u32,
    /// Whether each row was looked at, and not only somebody's word taken.
    pub is_checked: bool,
}

impl Partitioned {
    /// The same whatever the order of the columns: two topics are then partitioned alike only if it is one column.
    fn by(&self) -> BTreeSet<&str> {
        self.key.iter().map(String::as_str).collect()
    }

    /// Both, if they are partitioned alike.
    fn with(self, other: &Self) -> Option<Self> {
        let is_checked = self.is_checked && other.is_checked;
        let own = Self { is_checked, ..self };
        let alike = Self {
            is_checked,
            ..other.clone()
        };
        (own == alike).then_some(own)
    }
}

/// How the sources are partitioned, by their claims, where their topics have these partitions.
pub(super) fn of_sources(sources: &[Source], n_partitions: &[u32]) -> Vec<Option<Partitioned>> {
    let of_source = |(source, n): (&Source, &u32)| {
        if *n == 1 {
            return Some(Partitioned {
                key: Vec::new(),
                partitioner: Partitioner::Murmur2,
                n_partitions: 1,
                is_checked: true,
            });
        }
        let claim = source.partitioned_by.as_ref()?;
        Some(Partitioned {
            key: claim.key.clone(),
            partitioner: claim.partitioner,
            n_partitions: *n,
            is_checked: false,
        })
    };
    sources.iter().zip(n_partitions).map(of_source).collect()
}

/// How streams are partitioned, as far as that is known.
struct Streams<'a> {
    of_sources: &'a [Option<Partitioned>],
    of_inputs: Vec<Option<Partitioned>>,
    of_stages: Vec<Option<Partitioned>>,
}

impl<'a> Streams<'a> {
    fn new(of_sources: &'a [Option<Partitioned>]) -> Self {
        Self {
            of_sources,
            of_inputs: Vec::new(),
            of_stages: Vec::new(),
        }
    }

    fn of(&self, stream: StreamId) -> Option<&Partitioned> {
        match stream {
            StreamId::Source(i) => self.of_sources.get(i)?.as_ref(),
            StreamId::Stage(i) => self.of_stages.get(i)?.as_ref(),
            // Late rows stay where they were read.
            StreamId::Late(i) => self.of_inputs.get(i)?.as_ref(),
        }
    }

    /// The input of the next stage; none where it differs between inputs.
    fn input(&self, stage: &StagePlan) -> Option<Partitioned> {
        let mut inputs = stage.inputs.iter().map(|input| self.of(input.stream));
        let first = inputs.next()?.cloned();
        inputs.fold(first, |all, next| all?.with(next?))
    }

    fn add(&mut self, stage: &StagePlan, input: Option<Partitioned>, at_its_state: Option<Partitioned>) {
        self.of_inputs.push(input);
        let is_given = |at: &Partitioned| at.by().iter().all(|column| gives(stage, column));
        self.of_stages.push(at_its_state.filter(is_given));
    }
}

/// How the input of each stage is partitioned.
pub(super) fn inputs(stages: &[StagePlan], of_sources: &[Option<Partitioned>]) -> Vec<Option<Partitioned>> {
    let mut streams = Streams::new(of_sources);
    for stage in stages {
        let input = streams.input(stage);
        let at_its_state = match &stage.repartition {
            Some(repartition) => dealt(stage, repartition),
            None => input.clone(),
        };
        streams.add(stage, input, at_its_state);
    }
    streams.of_inputs
}

/// How the rows of each stage are partitioned where it keeps its state: as its input is, or by its own key. None where that is
/// not known.
pub(super) fn of_state(stages: &[StagePlan], sources: &[Source], n_partitions: &[u32]) -> Vec<Option<Partitioned>> {
    let n_shards = n_partitions.iter().copied().max().unwrap_or(1);
    let of_sources = of_sources(sources, n_partitions);
    let mut streams = Streams::new(&of_sources);
    let mut of_states: Vec<Option<Partitioned>> = Vec::new();
    for stage in stages {
        let input = streams.input(stage);
        let fits = |input: &Partitioned| input.key.iter().all(|name| column_of_key(stage, name));
        let own = || {
            let names = keys(stage)?.into_iter().next()?.into_iter().map(|(name, _)| name);
            Some(Partitioned {
                key: names.take(n_common(stage).unwrap_or(usize::MAX)).collect(),
                partitioner: Partitioner::Murmur2,
                n_partitions: n_shards,
                is_checked: true,
            })
        };
        let state = match keys(stage) {
            Some(_) => input.clone().filter(fits).or_else(own),
            None => input.clone(),
        };
        of_states.push(state.clone());
        streams.add(stage, input, state);
    }
    of_states
}

/// How many columns all tables of a stage's state have in common: rules of an alarm may have further ones, behind them.
pub(super) fn n_common(stage: &StagePlan) -> Option<usize> {
    stage.steps.iter().find_map(|step| match step {
        Step::Alarm(plan, _) => Some(plan.n_by),
        _ => None,
    })
}

/// Whether a column of the input, as it is, is part of a stage's key.
pub(super) fn column_of_key(stage: &StagePlan, column: &str) -> bool {
    let shown = stage.shown_key.iter().any(|key| key == column);
    let aggregate = stage.steps.iter().find_map(|step| match step {
        Step::Aggregate(plan) => Some(plan),
        _ => None,
    });
    // `GROUP BY lower(service)` may be called `service` too.
    let is_column = |expression: &Expr| matches!(expression, Expr::Column(key) if key.name == column);
    shown
        && aggregate.is_none_or(|plan| {
            plan.by
                .iter()
                .any(|(name, key)| name == column && is_column(&key.logical))
        })
}

/// Whether a column of a stage's output is the column of its input with that name.
pub(super) fn gives(stage: &StagePlan, column: &str) -> bool {
    let aggregate = stage.steps.iter().find_map(|step| match step {
        Step::Aggregate(plan) => Some(plan),
        _ => None,
    });
    let is_column = |expression: &Expr| matches!(expression, Expr::Column(key) if key.name == column);
    let Some(plan) = aggregate else {
        let passes = |step: &Step| match step {
            Step::Project(columns, schema) => schema
                .index_of(column)
                .is_ok_and(|i| columns.get(i).is_some_and(|value| is_column(&value.logical))),
            _ => true,
        };
        return stage.output.index_of(column).is_ok() && stage.steps.iter().all(passes);
    };
    plan.select
        .iter()
        .any(|(name, value)| name == column && is_column(&value.logical))
        && column_of_key(stage, column)
}

/// Whether a stage keeps state by key.
pub fn is_keyed(stage: &StagePlan) -> bool {
    keys(stage).is_some()
}

/// Names and types of the key of each table of a stage's state.
pub(crate) fn keys(stage: &StagePlan) -> Option<Vec<Vec<(String, DataType)>>> {
    let field = |schema: &arrow_schema::SchemaRef, i: usize| {
        let field = schema.field(i);
        (field.name().clone(), field.data_type().clone())
    };
    stage.steps.iter().find_map(|step| match step {
        Step::AddEventTime(_) | Step::Filter(_) | Step::Project(..) => None,
        Step::Aggregate(plan) => {
            let by = plan.by.iter();
            Some(vec![
                by.map(|(name, key)| (name.clone(), key.data_type.clone())).collect(),
            ])
        }
        Step::Escalate(plan) => Some(vec![plan.by.iter().map(|&i| field(&stage.input, i)).collect()]),
        Step::Alarm(plan, input) => {
            let of_rule = |rule: &crate::stage::alarm::RulePlan| rule.by.iter().map(|&i| field(input, i)).collect();
            Some(plan.rules.iter().map(of_rule).collect())
        }
        Step::Incident(plan) => Some(vec![(0..plan.n_by).map(|i| field(&plan.input, i)).collect()]),
    })
}
