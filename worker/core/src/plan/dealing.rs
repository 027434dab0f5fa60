//! How state is dealt out anew when topics have another number of partitions than when it was captured.

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use tocsin_contract::pipeline::source::{Partitioner, Source};

use super::partitioning::{Partitioned, column_of_key, is_keyed, of_state};
use super::placement::{Placement, placements};
use super::{Plan, StagePlan, Step};
use crate::encode::RecordKeys;
use crate::kafka::partitioner::{hash, partition};
use crate::repartition;

/// What comes to a shard of the state of several.
#[derive(Clone, Debug)]
pub struct Deal {
    /// Number of the shard.
    pub shard: u32,
    /// How many shards there are now.
    pub n_shards: u32,
    /// For each source of the plan whether its partition is read on where the shard of the same number stopped. Else it is
    /// another log, and its clock begins anew.
    pub reads_on: Vec<bool>,
    /// For each stage of the plan; none where nobody knows which rows go where.
    pub stages: Vec<Option<StageDeal>>,
}

/// How a stage's rows are dealt out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageDeal {
    /// How a row finds its partition.
    pub routing: Routing,
    /// Partitions of what the stage reads, when its state was captured.
    pub before: u32,
    /// The same, now.
    pub now: u32,
}

/// How rows of a stage's input find the partition that their records came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// How a key becomes a partition.
    pub partitioner: Partitioner,
    /// The columns that make the records' key; none where a row's own key does, by which rows are dealt out.
    pub columns: Vec<String>,
}

impl Routing {
    /// The hash of each row's key, of rows as they come to a stage's state.
    pub fn hashes(&self, stage: &StagePlan, rows: &RecordBatch) -> Vec<u32> {
        let own = stage.repartition.as_ref().filter(|dealt| !dealt.claimed);
        let names = match own {
            Some(dealt) => match &dealt.combined {
                None => return repartition::hashes(dealt, rows),
                Some(combined) => &combined.by.iter().map(|(name, _)| name.clone()).collect(),
            },
            None => &self.columns,
        };
        if names.is_empty() {
            return vec![hash(self.partitioner, b""); rows.num_rows()];
        }
        let schema = rows.schema();
        let columns: Vec<usize> = names.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        let keys = RecordKeys::of(rows, &columns);
        let hash = |row| hash(self.partitioner, keys.get(row).unwrap_or_default());
        (0..rows.num_rows()).map(hash).collect()
    }

    /// The partition of a key with this hash.
    pub fn partition(&self, hash: u32, n_partitions: u32) -> u32 {
        partition(self.partitioner, hash, n_partitions)
    }
}

/// How the rows of each stage are dealt out, by the partitions of each source's topic before and now.
pub fn stage_deals(plan: &Plan, sources: &[Source], before: &[u32], now: &[u32]) -> Vec<Option<StageDeal>> {
    let (before, now) = (
        of_state(&plan.stages, sources, before),
        of_state(&plan.stages, sources, now),
    );
    let partitioned = before.into_iter().zip(now);
    let stages = plan.stages.iter().zip(placements(plan, sources)).zip(partitioned);
    let of_stage = |((stage, placement), (before, now)): ((&StagePlan, Option<Placement>), (Option<_>, Option<_>))| {
        let (before, now): (Partitioned, Partitioned) = (before?, now?);
        // All rows of one partition are in it by whatever key.
        let by = if before.n_partitions > 1 { &before } else { &now };
        let is_same = now.n_partitions <= 1 || (&now.key, now.partitioner) == (&by.key, by.partitioner);
        // Where rows are dealt out by the stage's key that key is computed, else it must stand in the rows.
        let is_own = stage.repartition.as_ref().is_some_and(|dealt| !dealt.claimed);
        let is_there = |name: &String| is_own || reads_as_it_is(stage, name);
        let fits = is_same && by.key.iter().all(is_there) && (placement.is_some() || !is_keyed(stage));
        fits.then(|| StageDeal {
            routing: Routing {
                partitioner: by.partitioner,
                columns: by.key.clone(),
            },
            before: before.n_partitions,
            now: now.n_partitions,
        })
    };
    stages.map(of_stage).collect()
}

/// Whether a column of the key stands in what the stage reads, under its name.
fn reads_as_it_is(stage: &StagePlan, name: &str) -> bool {
    let is_made = stage.steps.iter().any(|step| matches!(step, Step::Project(..)));
    let is_there = stage.input.index_of(name).is_ok();
    is_there && (!is_keyed(stage) || column_of_key(stage, name) || !is_made)
}
