//! A pipeline over partitions: an engine a shard, whose state can be dealt out to another number of shards.

use tocsin_contract::pipeline::source::{Partitioner, Source};
use tocsin_worker_core::capture::Extent;
use tocsin_worker_core::decode::{Records, Span};
use tocsin_worker_core::engine::{Arrived, Engine, Outputs, SavedHead};
use tocsin_worker_core::kafka::partitioner::{hash, partition};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::dealing::{Deal, stage_deals};
use tocsin_worker_core::plan::placement::placements;
use tocsin_worker_core::snapshot::Restore;

use super::captured::file_of_blocks;
use super::{Decoding, Results, engine};

/// Late enough for no record to be ahead of its arrival.
const ARRIVED: i64 = i64::MAX / 2;

/// The shards of a pipeline.
pub struct Fleet {
    plan: Plan,
    sources: Vec<Source>,
    engines: Vec<Engine>,
    pub results: Results,
}

/// The partition that a record of this key is in: nobody's is that of an empty one.
pub fn place(key: &str, n_partitions: u32) -> u32 {
    partition(
        Partitioner::Murmur2,
        hash(Partitioner::Murmur2, key.as_bytes()),
        n_partitions,
    )
}

/// A capture as it is stored: its head, and a file of blocks.
fn stored(plan: &Plan, sources: &[Source], engine: &mut Engine) -> (SavedHead, Vec<u8>) {
    let head = engine.begin_capture(Extent::Whole).save().encode();
    let placements = placements(plan, sources);
    let file = file_of_blocks(&placements, || engine.next_block());
    (SavedHead::decode(&head).unwrap(), file)
}

impl Fleet {
    /// So many shards at their beginning.
    pub fn new(plan: &Plan, sources: &[Source], n_shards: u32) -> Self {
        Self {
            plan: plan.clone(),
            sources: sources.to_vec(),
            engines: (0..n_shards).map(|_| engine(plan, Decoding::Own)).collect(),
            results: Results::default(),
        }
    }

    pub fn n_shards(&self) -> u32 {
        self.engines.len() as u32
    }

    /// Gives a record to the shard of its key.
    pub fn push(&mut self, source: usize, key: &str, record: &str) {
        self.push_to(place(key, self.n_shards()), source, record);
    }

    /// Gives a record to a shard, be it that of its key or not.
    pub fn push_to(&mut self, shard: u32, source: usize, record: &str) {
        let shard = (shard % self.n_shards()) as usize;
        let span = Span {
            start: 0,
            end: record.len(),
            offset: 0,
        };
        let records = Records {
            bytes: record.as_bytes(),
            spans: &[span],
        };
        let mut outputs = Outputs::default();
        self.engines[shard].push(source, records, Arrived::At(ARRIVED), &mut outputs);
        self.results.add(&self.plan, outputs);
    }

    /// Lets event time come so far in all shards.
    pub fn tick(&mut self, source: usize, now: i64) {
        for engine in &mut self.engines {
            let mut outputs = Outputs::default();
            engine.tick(source, now, &mut outputs);
            self.results.add(&self.plan, outputs);
        }
    }

    /// Deals the state out to so many shards, which read on in the same topics, or begin with others.
    pub fn rescale(&mut self, n_shards: u32, others: bool) {
        let before = vec![self.n_shards(); self.sources.len()];
        let now = vec![n_shards; self.sources.len()];
        let stages = stage_deals(&self.plan, &self.sources, &before, &now);
        let mut old = std::mem::take(&mut self.engines);
        let (plan, sources) = (&self.plan, &self.sources);
        let (heads, files): (Vec<_>, Vec<_>) = old.iter_mut().map(|engine| stored(plan, sources, engine)).unzip();
        for shard in 0..n_shards {
            let mut new = engine(plan, Decoding::Own);
            // A topic with fewer partitions is another one.
            let reads_on = !others && n_shards >= heads.len() as u32 && (shard as usize) < heads.len();
            let deal = Deal {
                shard,
                n_shards,
                reads_on: vec![reads_on; sources.len()],
                stages: stages.clone(),
            };
            let mut restore = Restore::begin(&mut new, &heads, Some(deal), false).unwrap();
            for (from, file) in files.iter().enumerate() {
                restore.file(from, file).unwrap();
            }
            let fit = restore.end().unwrap();
            assert!(fit.dropped.is_empty() && fit.new.is_empty(), "{fit:?}");
            self.engines.push(new);
        }
    }

    /// Every shard goes on from a capture of its own.
    pub fn restart(&mut self) {
        let (plan, sources) = (&self.plan, &self.sources);
        for old in &mut self.engines {
            let (head, file) = stored(plan, sources, old);
            let mut new = engine(plan, Decoding::Own);
            let mut restore = Restore::resume(&mut new, head, false).unwrap();
            restore.file(0, &file).unwrap();
            restore.end().unwrap();
            *old = new;
        }
    }

    /// How many keys have state, by stage.
    pub fn n_keys(&self) -> Vec<usize> {
        let mut all = vec![0; self.plan.stages.len()];
        for engine in &self.engines {
            for (sum, (keys, _)) in all.iter_mut().zip(engine.state_size()) {
                *sum += keys;
            }
        }
        all
    }
}
