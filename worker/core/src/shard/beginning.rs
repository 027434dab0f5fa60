//! What a shard begins or goes on with besides its state: the savepoint, the cut, the revisions.

use std::collections::BTreeMap;

use super::{Hold, Shard};

/// The savepoints that a shard's state comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The one that it began with, if it did.
    pub restored_from: Option<String>,
    /// The one that it was resumed from, if it was.
    pub resumed_from: Option<String>,
    /// Whether it was resumed just now: no checkpoint of its own knows of it yet.
    pub is_new: bool,
}

impl Shard {
    /// The same, whose state comes from these savepoints.
    #[must_use]
    pub fn of_lineage(self, lineage: Lineage) -> Self {
        Self { lineage, ..self }
    }

    /// The same, of a shard that began with this savepoint, if with any.
    #[must_use]
    pub fn begun_with(self, restored_from: Option<String>) -> Self {
        self.of_lineage(Lineage {
            restored_from,
            ..Lineage::default()
        })
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

    /// The same, held as it was when its state was captured. What the journal says of that comes behind.
    #[must_use]
    pub fn as_held(mut self) -> Self {
        self.held = Some(Hold::default());
        self.engine.hold();
        self
    }

    /// The savepoints that its state comes from.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }
}
