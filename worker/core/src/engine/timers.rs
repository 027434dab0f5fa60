//! When stages do something next though no record comes, for people: why nothing is given out, and when something will be.

use super::Engine;
use crate::stream::Micros;

/// A timer of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Number of the stage.
    pub stage: usize,
    /// The watermark at which it is due.
    pub due: Micros,
}

impl Engine {
    /// The earliest timer that is pending; of several at a time that of the first stage.
    pub fn earliest_timer(&self) -> Option<Timer> {
        let timers = self.stages.iter().enumerate();
        let timers = timers.filter_map(|(stage, run)| {
            Some(Timer {
                stage,
                due: run.next_timer()?,
            })
        });
        timers.min_by_key(|timer| timer.due)
    }
}
