//! Which streams are partitioned by what.

use std::collections::BTreeSet;

use arrow_schema::DataType;
use datafusion_expr::Expr;
use tocsin_contract::pipeline::source::{Partitioner, Source};

use super::repartition::dealt;
use super::{Plan, StagePlan, Step, StreamId};
use crate::capture::Row;
use crate::encode::RecordKeys;
use crate::kafka::partitioner;
use crate::key::decode_keys;
use crate::stream::columns_batch;

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
fn n_common(stage: &StagePlan) -> Option<usize> {
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

/// How the keys of a stage find their partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The partitioner of the records that it reads.
    pub partitioner: Partitioner,
    tables: Vec<TableKey>,
}

/// The key of a table of a stage's state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TableKey {
    types: Vec<DataType>,
    /// Which columns of it make the records' key, in that key's order.
    columns: Vec<usize>,
}

/// For each stage, how its keys find their partition; none where that is not known: it is not kept by key, or its input is
/// not known to be partitioned by it.
pub fn placements(plan: &Plan, sources: &[Source]) -> Vec<Option<Placement>> {
    // As many as are needed for a claim to count.
    let inputs = inputs(&plan.stages, &of_sources(sources, &vec![2; sources.len()]));
    let of_stage = |(stage, input): (&StagePlan, Option<Partitioned>)| {
        let tables = keys(stage)?;
        let is_dealt = stage.repartition.as_ref().is_some_and(|dealt| !dealt.claimed);
        let fits = |input: &Partitioned| input.key.iter().all(|name| column_of_key(stage, name));
        // By its own key, if rows are dealt out or would be among several shards.
        let Some(input) = input.filter(|input| !is_dealt && fits(input)) else {
            let n_columns = n_common(stage).unwrap_or(usize::MAX);
            let table = |key: Vec<(String, DataType)>| TableKey {
                columns: (0..n_columns.min(key.len())).collect(),
                types: key.into_iter().map(|(_, data_type)| data_type).collect(),
            };
            return Some(Placement {
                partitioner: Partitioner::Murmur2,
                tables: tables.into_iter().map(table).collect(),
            });
        };
        let tables = tables.into_iter().map(|key| {
            let column = |name: &String| {
                let fits = column_of_key(stage, name);
                key.iter().position(|(column, _)| column == name).filter(|_| fits)
            };
            let columns = input.key.iter().map(column).collect::<Option<Vec<_>>>()?;
            let types = key.iter().map(|(_, data_type)| data_type.clone()).collect();
            Some(TableKey { types, columns })
        });
        Some(Placement {
            partitioner: input.partitioner,
            tables: tables.collect::<Option<Vec<_>>>()?,
        })
    };
    plan.stages.iter().zip(inputs).map(of_stage).collect()
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

impl Placement {
    /// Whether all rows have one key: that of no columns.
    pub fn is_one_key(&self) -> bool {
        self.tables.iter().all(|table| table.columns.is_empty())
    }

    /// The hash of each row's key, as the partitioner of its records has it. Rows without a key of their own have 0.
    pub fn hashes(&self, table: u32, rows: &[Row<'_>]) -> Vec<u32> {
        if self.is_one_key() {
            return vec![partitioner::hash(self.partitioner, b""); rows.len()];
        }
        let keyed = rows.iter().all(|row| !row.key.is_empty());
        let Some(key) = self.tables.get(table as usize).filter(|_| keyed) else {
            return vec![0; rows.len()];
        };
        if key.types == [DataType::Utf8] && key.columns == [0] {
            // Behind a byte that says that there is one.
            let hash = |row: &Row<'_>| partitioner::hash(self.partitioner, row.key.get(1..).unwrap_or_default());
            return rows.iter().map(hash).collect();
        }
        let all = decode_keys(rows.iter().map(|row| row.key), &key.types);
        let columns: Vec<_> = key.columns.iter().map(|&i| all[i].clone()).collect();
        let keys = RecordKeys::of(&columns_batch(columns), &(0..key.columns.len()).collect::<Vec<_>>());
        let hash = |row| partitioner::hash(self.partitioner, keys.get(row).unwrap_or_default());
        (0..rows.len()).map(hash).collect()
    }
}
