//! Stages whose rows must be dealt out by key: what they are dealt out by, and among whom.
//!
//! A stage by key needs all rows of a key in one shard. Where the topics say nothing of it, each shard sends the rows of
//! other shards' keys to them, through the stage's repartition topic (`<pipeline>.<stage>.by`). Where a source says
//! `partitionedBy`, rows are checked, and only those go that way that stand in another partition than their key's.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use tocsin_contract::pipeline::source::{Partitioner, Source};

use super::partitioning::{Partitioned, column_of_key, inputs, keys, of_sources};
use super::{Plan, StagePlan, Step, StreamId};
use crate::expr::Expression;
use crate::stage::aggregate::AggregatePlan;
use crate::stage::aggregate::combine::{combined_columns, may_be_combined};
use crate::stage::lateness::Lateness;
use crate::stream::Micros;

/// How rows of a stage's input find the shard of their key.
#[derive(Clone, Debug)]
pub struct RepartitionPlan {
    /// How many of the stage's steps come before: they keep nothing.
    pub n_steps: usize,
    /// The columns of the rows that are dealt out.
    pub columns: SchemaRef,
    /// How rows are added up before: the first of two phases.
    pub combined: Option<Arc<AggregatePlan>>,
    /// What makes a row's key.
    pub key: Vec<KeyPart>,
    /// How the key becomes a partition.
    pub partitioner: Partitioner,
    /// How many shards have keys.
    pub n_partitions: u32,
    /// Whether the producers are said to have dealt out by this key: then nobody is waited for who sent nothing.
    pub claimed: bool,
    /// Where that was not true, who sent something is waited for until so much event time has passed, in microseconds.
    pub idle_timeout: Micros,
    /// Which rows are late: that is decided before they are dealt out.
    pub lateness: Lateness,
}

/// A part of a row's key.
#[derive(Clone, Debug)]
pub enum KeyPart {
    /// A column.
    Column(usize),
    /// What is computed from the columns.
    Value(Expression),
}

impl Plan {
    /// Numbers of the stages whose rows are dealt out by key, in order.
    pub fn repartitioned(&self) -> impl Iterator<Item = usize> + '_ {
        let stages = self.stages.iter().enumerate();
        stages.filter_map(|(number, stage)| stage.repartition.as_ref().map(|_| number))
    }

    /// The stage that input `number` of a shard brings rows to: behind those of the sources there is one for each stage
    /// whose rows are dealt out.
    pub fn repartitioned_by(&self, input: usize) -> Option<usize> {
        let behind = input.checked_sub(self.sources.len())?;
        self.repartitioned().nth(behind)
    }

    /// The name of what shards send to a stage: `<stage>.by`, or `<stage>.partial`.
    pub fn repartition_name(&self, stage: usize) -> String {
        let stage = &self.stages[stage];
        let combined = stage.repartition.as_ref().and_then(|dealt| dealt.combined.as_ref());
        let what = combined.map_or("by", |_| "partial");
        format!("{}.{what}", stage.name)
    }

    /// Whether rows of a stream depend on when other shards sent what they sent, or on which source was read first: that is known
    /// only once it is in the journal.
    pub fn is_dealt(&self, stream: StreamId) -> bool {
        match stream {
            StreamId::Source(_) => false,
            StreamId::Stage(i) | StreamId::Late(i) => {
                let stage = &self.stages[i];
                let own = stage.repartition.as_ref().is_some_and(|dealt| !dealt.claimed);
                own || self.mixes_sources(i) || stage.inputs.iter().any(|input| self.is_dealt(input.stream))
            }
        }
    }

    /// Names of a shard's inputs: the sources, then what shards send to one another.
    pub fn input_names(&self) -> Vec<String> {
        let sources = self.sources.iter().map(|source| source.name.clone());
        let dealt = self.repartitioned();
        sources.chain(dealt.map(|stage| self.repartition_name(stage))).collect()
    }
}

/// Says of each stage how its rows are dealt out, for sources whose topics have these partitions.
pub fn repartition(plan: &mut Plan, sources: &[Source], n_partitions: &[u32]) {
    let n_shards = n_partitions.iter().copied().max().unwrap_or(1);
    if n_shards <= 1 {
        return;
    }
    let idle_timeout = plan.sources.iter().map(|source| source.idle_timeout).max();
    let of_sources = of_sources(sources, n_partitions);
    for number in 0..plan.stages.len() {
        let of_inputs = inputs(&plan.stages, &of_sources);
        let stage = &plan.stages[number];
        if keys(stage).is_none() {
            continue;
        }
        let dealt = match of_inputs[number].as_ref() {
            Some(input) if input.key.iter().all(|name| column_of_key(stage, name)) => {
                if input.is_checked || input.key.is_empty() {
                    continue;
                }
                dealt_as_claimed(stage, input)
            }
            _ => dealt_by_key(stage, n_shards),
        };
        let repartition = dealt.map(|(n_steps, key, by)| RepartitionPlan {
            n_steps,
            columns: columns_before(stage, n_steps),
            combined: None,
            key,
            partitioner: by.partitioner,
            n_partitions: by.n_partitions,
            claimed: by.is_claimed,
            idle_timeout: idle_timeout.unwrap_or(0),
            lateness: stage.steps.get(n_steps).map_or(Lateness::Never, Lateness::of),
        });
        plan.stages[number].repartition = repartition;
        combine(&mut plan.stages[number]);
    }
}

/// Adds rows up before they are dealt out, if that is asked for. Rows that are put in order first are not: each has its place.
fn combine(stage: &mut StagePlan) {
    if stage.sorted {
        return;
    }
    let Some(repartition) = stage.repartition.as_mut().filter(|dealt| !dealt.claimed) else {
        return;
    };
    let Some(Step::Aggregate(plan)) = stage.steps.get_mut(repartition.n_steps) else {
        return;
    };
    if !plan.two_phase || !may_be_combined(plan.window) {
        return;
    }
    repartition.combined = Some(Arc::new(plan.as_ref().clone()));
    repartition.columns = combined_columns(plan);
    plan.reads_states = true;
}

struct By {
    partitioner: Partitioner,
    n_partitions: u32,
    is_claimed: bool,
}

/// How many steps come before the one that keeps something.
fn n_steps_before(stage: &StagePlan) -> Option<usize> {
    stage.steps.iter().position(Step::has_state)
}

/// The columns that step `n_steps` of a stage sees.
fn columns_before(stage: &StagePlan, n_steps: usize) -> SchemaRef {
    let made = stage.steps[..n_steps].iter().rev().find_map(|step| match step {
        Step::AddEventTime(schema) | Step::Project(_, schema) => Some(schema),
        _ => None,
    });
    Arc::clone(made.unwrap_or(&stage.input))
}

/// As the producers are said to have done it.
fn dealt_as_claimed(stage: &StagePlan, input: &Partitioned) -> Option<(usize, Vec<KeyPart>, By)> {
    let n_steps = n_steps_before(stage)?;
    let columns = columns_before(stage, n_steps);
    let column = |name: &String| columns.index_of(name).ok().map(KeyPart::Column);
    let key: Option<Vec<KeyPart>> = input.key.iter().map(column).collect();
    let by = By {
        partitioner: input.partitioner,
        n_partitions: input.n_partitions,
        is_claimed: true,
    };
    key.map(|key| (n_steps, key, by))
}

/// By the whole key of the stage.
fn dealt_by_key(stage: &StagePlan, n_shards: u32) -> Option<(usize, Vec<KeyPart>, By)> {
    let n_steps = n_steps_before(stage)?;
    let columns = |by: &[usize]| by.iter().copied().map(KeyPart::Column).collect();
    let key = match stage.steps.get(n_steps)? {
        Step::AddEventTime(_) | Step::Filter(_) | Step::Project(..) => return None,
        Step::Aggregate(plan) => plan.by.iter().map(|(_, key)| KeyPart::Value(key.clone())).collect(),
        Step::Escalate(plan) => columns(&plan.by),
        // Rules may have further columns, behind those of the stage.
        Step::Alarm(plan, _) => columns(
            plan.rules
                .first()
                .map_or(&[], |rule| &rule.by[..plan.n_by.min(rule.by.len())]),
        ),
        Step::Incident(plan) => (0..plan.n_by).map(KeyPart::Column).collect(),
    };
    let by = By {
        partitioner: Partitioner::Murmur2,
        n_partitions: n_shards,
        is_claimed: false,
    };
    Some((n_steps, key, by))
}

/// How a stage's rows are partitioned once they were dealt out.
pub(super) fn dealt(stage: &StagePlan, repartition: &RepartitionPlan) -> Option<Partitioned> {
    let names: Option<Vec<String>> = match stage.steps.get(repartition.n_steps)? {
        Step::Aggregate(plan) if !repartition.claimed => Some(plan.by.iter().map(|(name, _)| name.clone()).collect()),
        _ => {
            let name = |part: &KeyPart| match part {
                KeyPart::Column(i) => Some(repartition.columns.field(*i).name().clone()),
                KeyPart::Value(_) => None,
            };
            repartition.key.iter().map(name).collect()
        }
    };
    Some(Partitioned {
        key: names?,
        partitioner: repartition.partitioner,
        n_partitions: repartition.n_partitions,
        is_checked: true,
    })
}
