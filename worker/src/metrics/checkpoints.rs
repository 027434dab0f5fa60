//! Snapshots of a worker's shards: the newest of each, and how many there were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tocsin_worker_core::stream::Micros;

use super::Pause;

/// A snapshot of a shard that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The shard.
    pub shard: u32,
    /// The cut that it is of.
    pub sequence: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// The longest time without a break for which it kept its thread from records.
    pub pause: Pause,
    /// When it was complete, by the wall clock.
    pub at: Micros,
}

/// Snapshots of a worker's shards.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    pub newest: BTreeMap<u32, Checkpoint>,
    pub written: u64,
    pub failed: u64,
    pub failed_in_a_row: u32,
}

impl Checkpoints {
    pub fn written(&mut self, checkpoint: Checkpoint) {
        self.written += 1;
        self.failed_in_a_row = 0;
        self.newest.insert(checkpoint.shard, checkpoint);
    }

    pub fn failed(&mut self) {
        self.failed += 1;
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
    }

    /// Those of shards that another worker has by now say nothing.
    pub fn keep(&mut self, shards: &BTreeSet<u32>) {
        self.newest.retain(|shard, _| shards.contains(shard));
    }
}
