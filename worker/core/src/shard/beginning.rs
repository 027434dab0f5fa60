//! What a shard begins or goes on with besides its state: the savepoint, the cut, the revisions.

use std::collections::BTreeMap;

use super::Shard;

impl Shard {
    /// The same, of a shard that began with this savepoint, if with any.
    #[must_use]
    pub fn begun_with(self, restored_from: Option<String>) -> Self {
        Self { restored_from, ..self }
    }

    /// The same, of a shard that was resumed from this savepoint, if from any.
    #[must_use]
    pub fn resumed_with(self, resumed_from: Option<String>) -> Self {
        Self { resumed_from, ..self }
    }

    /// The same, whose beginning is this cut.
    #[must_use]
    pub fn begun_at(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }

    /// The same with these revisions in effect.
    #[must_use]
    pub fn with_revisions(self, revisions: BTreeMap<u32, u64>) -> Self {
        Self { revisions, ..self }
    }

    /// The savepoint that it began with, if it did.
    pub fn restored_from(&self) -> Option<&str> {
        self.restored_from.as_deref()
    }

    /// The savepoint that it was resumed from, if it was.
    pub fn resumed_from(&self) -> Option<&str> {
        self.resumed_from.as_deref()
    }
}
