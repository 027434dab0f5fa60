//! The worker in its consumer group.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// An error of the group that did not come again for so long is over: the client repeats itself more often.
const OVER: Duration = Duration::from_secs(15);

/// The worker in its consumer group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Whether the group has said which shards are this worker's.
    pub joined: bool,
    pub shards: BTreeSet<u32>,
    pub rebalances: u64,
    trouble: Option<Instant>,
}

impl Group {
    pub fn assigned(&mut self, shards: &[u32]) {
        self.joined = true;
        self.trouble = None;
        self.rebalances += 1;
        self.shards.extend(shards);
    }

    pub fn revoked(&mut self, shards: &[u32], lost: bool) {
        self.joined &= !lost;
        self.rebalances += 1;
        self.shards.retain(|shard| !shards.contains(shard));
    }

    pub fn trouble(&mut self, now: Instant) {
        self.trouble = Some(now);
    }

    /// Whether the brokers could not be asked just now.
    pub fn has_trouble(&self, now: Instant) -> bool {
        self.trouble.is_some_and(|at| now.saturating_duration_since(at) < OVER)
    }
}
