//! A shard that is held: it reads no source and its event time stands still, so that what shards send to one another comes
//! to an end.
//!
//! It may be held until a later run epoch begins with a savepoint: that savepoint may be complete, whoever has heard of it, and
//! what the shard gave out behind it would be given out twice. So only two things let such a shard go on: the later epoch, and
//! that very savepoint's being given up, once the store has it that it never will be complete.
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

/// For what a shard is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// The run epoch in which it goes on, and not before; none if it may at any time.
    pub until: Option<u32>,
    /// The savepoint that ends the run, if it is for one that may be given up: [`SavepointNames::number`].
    ///
    /// [`SavepointNames::number`]: crate::snapshot::SavepointNames::number
    pub savepoint: Option<u64>,
}

impl Shard {
    /// Holds it, perhaps until a later run epoch begins: a decision, which the journal repeats. For which savepoint that
    /// epoch waits is settled with the first that asks.
    pub fn hold(&mut self, hold: Hold) {
        let is_settled = self.held.is_some_and(|held| hold.until <= held.until);
        if is_settled {
            return;
        }
        self.held = Some(hold);
        self.engine.hold();
        self.steps.push(match hold {
            Hold {
                until: Some(until),
                savepoint: Some(savepoint),
            } => Step::HoldFor { until, savepoint },
            Hold { until, .. } => Step::Hold { until },
        });
    }

    /// Lets it go on, unless it is held until a later run epoch.
    pub fn go_on(&mut self) {
        if self.held == Some(Hold::default()) {
            self.held = None;
            self.engine.go_on();
            self.steps.push(Step::GoOn);
        }
    }

    /// A savepoint was given up: if the shard is held for it, it goes on.
    pub fn give_up(&mut self, savepoint: u64) {
        if self.held.is_some_and(|held| held.savepoint == Some(savepoint)) {
            self.held = None;
            self.engine.go_on();
            self.steps.push(Step::GiveUp { savepoint });
        }
    }

    /// For what it is held, if it is.
    pub fn held_for(&self) -> Option<Hold> {
        self.held
    }

    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The run epoch until which it is held, if it is until one.
    pub fn held_until(&self) -> Option<u32> {
        self.held.and_then(|held| held.until)
    }

    /// What was said of ends, once it is held, sends nothing more, and has read all that others sent; to be asked at a cut.
    pub fn drained(&self) -> Option<Drained> {
        self.engine.drained().filter(|_| self.is_held())
    }
}
