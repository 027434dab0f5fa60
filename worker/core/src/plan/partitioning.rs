//! Which streams are partitioned by what, and which stages read a stream that is not partitioned by their key.

use std::collections::BTreeSet;

use datafusion_expr::Expr;
use tocsin_contract::pipeline::source::{Partitioner, Source};
use tocsin_contract::problem::Problem;

use super::{Plan, StagePlan, Step, StreamId};

/// How a stream is partitioned: rows with the same values of these columns are in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Partitioned {
    by: BTreeSet<String>,
    partitioner: Partitioner,
    n_partitions: u32,
}

/// Stages whose key is spread over several partitions of their input, by the partitions of each source's topic.
pub fn spread_keys(plan: &Plan, sources: &[Source], n_partitions: &[u32]) -> Vec<Problem> {
    let n_shards = n_partitions.iter().copied().max().unwrap_or(1);
    if n_shards <= 1 {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut of_stages: Vec<Option<Partitioned>> = Vec::new();
    let of_sources: Vec<Option<Partitioned>> = sources
        .iter()
        .zip(n_partitions)
        .map(|(source, n)| {
            let claim = source.partitioned_by.as_ref()?;
            Some(Partitioned {
                by: claim.key.iter().cloned().collect(),
                partitioner: claim.partitioner,
                n_partitions: *n,
            })
        })
        .collect();
    for stage in &plan.stages {
        let mut inputs = stage.inputs.iter().map(|input| match input.stream {
            StreamId::Source(i) => of_sources.get(i).cloned().flatten(),
            StreamId::Stage(i) | StreamId::Late(i) => of_stages.get(i).cloned().flatten(),
        });
        let first = inputs.next().flatten();
        let input = first.filter(|first| inputs.all(|other| other.as_ref() == Some(first)));
        let passes = stage.kind == "filter";
        let fits = |input: &Partitioned| input.by.iter().all(|column| keys_by(stage, column));
        if !passes && !input.as_ref().is_some_and(fits) {
            problems.push(problem(&stage.name, &stage.shown_key, n_shards));
        }
        of_stages.push(input.filter(|input| input.by.iter().all(|column| gives(stage, column))));
    }
    problems
}

/// Whether a column of the input, as it is, is part of a stage's key.
fn keys_by(stage: &StagePlan, column: &str) -> bool {
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
fn gives(stage: &StagePlan, column: &str) -> bool {
    let aggregate = stage.steps.iter().find_map(|step| match step {
        Step::Aggregate(plan) => Some(plan),
        _ => None,
    });
    let Some(plan) = aggregate else {
        return stage.output.index_of(column).is_ok();
    };
    let is_column = |expression: &Expr| matches!(expression, Expr::Column(key) if key.name == column);
    plan.select
        .iter()
        .any(|(name, value)| name == column && is_column(&value.logical))
        && keys_by(stage, column)
}

fn problem(stage: &str, by: &[String], n_shards: u32) -> Problem {
    let by = by.join(", ");
    Problem::new(
        format!("spec.stages[{stage}]"),
        format!("its input has {n_shards} partitions and is not known to be partitioned by [{by}]"),
    )
    .hint(format!(
        "say how the producers partition the topic, as in `partitionedBy: {{key: [{by}]}}` in its source; repartitioning is not built yet"
    ))
}
