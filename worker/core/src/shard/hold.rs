//! A shard that is held: it reads no source and its event time stands still, so that what shards send to one another comes
//! to an end.
//!
//! With the cut behind it each shard says, in band, that it sends nothing more to a stage: at once where the stage reads
//! sources, else when all that the stage reads has ended. Once a shard has heard that of all others its state holds
//! everything that was sent to it. It goes on reading what others send: one of them may have gone on and been held anew, and
//! then its last word counts.

use std::collections::BTreeMap;

use super::{Shard, Step};
use crate::repartition::Ends;

/// Ends of what shards send to one another, by name of the input.
pub type Drained = BTreeMap<String, Ends>;

impl Shard {
    /// Holds it, perhaps until a later run epoch begins: a decision, which the journal repeats.
    pub fn hold(&mut self, until: Option<u32>) {
        if !self.is_held() || (until.is_some() && self.held_until() != until) {
            self.held = Some(until);
            self.engine.hold();
            self.steps.push(Step::Hold { until });
        }
    }

    /// Lets it go on, unless it is held until a later run epoch: a savepoint may be complete with which that begins, and what
    /// came behind it would be given out twice.
    pub fn go_on(&mut self) {
        if self.held == Some(None) {
            self.held = None;
            self.engine.go_on();
            self.steps.push(Step::GoOn);
        }
    }

    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The run epoch until which it is held, if it is until one.
    pub fn held_until(&self) -> Option<u32> {
        self.held.flatten()
    }

    /// What was said of ends, once it is held, sends nothing more, and has read all that others sent; to be asked at a cut.
    pub fn drained(&self) -> Option<Drained> {
        self.engine.drained().filter(|_| self.is_held())
    }
}
