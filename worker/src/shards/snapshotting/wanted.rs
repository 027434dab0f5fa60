//! A savepoint that was asked for, as far as a thread knows.

use std::collections::BTreeMap;
use std::time::Instant;

use tocsin_worker_core::shard::{Drained, Shard};

use crate::shards::savepoints::Kind;

/// A savepoint that is not complete, as far as this thread knows.
pub(super) struct WantedSavepoint {
    pub id: String,
    pub kind: Kind,
    /// The shards that this thread has written for it, and what was said of ends there: more may come, then they are written
    /// again.
    pub written: BTreeMap<u32, Option<Drained>>,
    /// It is not tried before, where it could not be written.
    pub not_before: Instant,
}

impl WantedSavepoint {
    /// One of which nothing is written.
    pub fn new(id: String, kind: Kind) -> Self {
        Self {
            id,
            kind,
            written: BTreeMap::new(),
            not_before: Instant::now(),
        }
    }

    /// Whether a shard is to be written for it.
    pub fn wants(&self, number: u32, shard: &Shard) -> bool {
        let Some(hold) = self.kind.hold(&self.id) else {
            return !self.written.contains_key(&number);
        };
        // Two savepoints with which a run ends are never both complete: a shard is part of the one that it is held for.
        if hold.until.is_some() && shard.held_for() != Some(hold) {
            return false;
        }
        let is_new = |drained: Drained| self.written.get(&number) != Some(&Some(drained));
        Instant::now() >= self.not_before && shard.drained().is_some_and(is_new)
    }
}
