//! Who has said that nothing follows, while a pipeline is held so that what shards send to one another drains.
//!
//! An end is the number of the cut with which it was said. So it is known, of savepoints of several shards, whether what one
//! heard is what the other said last: see [`is_drained`](crate::snapshot::is_drained).

use serde::{Deserialize, Serialize};

/// Ends of what shards send to a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The cut with which this shard said that it sends nothing more.
    pub own: Option<u64>,
    /// What the others said, by number; nothing where more came, or may come.
    pub others: Vec<Option<u64>>,
}

impl Ends {
    pub(super) fn new(n_partitions: u32) -> Self {
        Self {
            own: None,
            others: vec![None; n_partitions as usize],
        }
    }

    /// Whether all others have said so to the shard of this number. One without keys hears of nobody.
    pub(super) fn are_heard(&self, shard: u32) -> bool {
        let others = || self.others.iter().enumerate();
        let is_other = |number: usize| number != shard as usize;
        !self.has(shard) || others().all(|(number, end)| end.is_some() || !is_other(number))
    }

    /// Whether the shard of this number has keys of the stage.
    pub(super) fn has(&self, shard: u32) -> bool {
        (shard as usize) < self.others.len()
    }
}
