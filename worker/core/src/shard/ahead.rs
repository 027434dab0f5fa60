//! What a shard may give out ahead of its cut, where results may repeat: with `delivery: AtLeastOnce`.
//!
//! After a crash the records behind the last cut are read again, and what they led to is given out again. So what goes ahead
//! must be what comes again: nothing may hang on a decision that the journal does not have yet.

use super::{Origin, Shard, Step};
use crate::engine::Outputs;

/// What is given out ahead of its cut.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Rows of sinks, and dead letters.
    pub outputs: Outputs,
    /// Where each dead letter came from, in their order.
    pub origins: Vec<Origin>,
}

impl Ahead {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.outputs.sinks.is_empty() && self.outputs.dead.is_empty()
    }
}

impl Shard {
    /// Whether a decision waits for a cut: what came behind it comes again only once that cut is committed. Where a shard
    /// begins is one.
    pub fn has_decided(&self) -> bool {
        let n_sources = self.engine.plan().sources.len();
        // Nobody sends the same again at the same place.
        let is_read = |step: &Step| matches!(step, Step::Read { source, .. } if (*source as usize) < n_sources);
        self.cut_is_due || !self.steps.iter().all(is_read)
    }

    /// Takes what goes ahead of the cut. Everything else is for the cut, and so for its transaction: all of it behind a
    /// decision, rows of sinks that `may_repeat` does not name, what other shards read, who keep state of it, and what hangs
    /// on what they sent: after a crash that may come in another order.
    pub fn take_ahead(&mut self, may_repeat: impl Fn(usize) -> bool) -> Ahead {
        let mut ahead = Ahead::default();
        if self.has_decided() {
            return ahead;
        }
        let sinks = std::mem::take(&mut self.outputs.sinks);
        let plan = self.engine.plan();
        let goes_ahead = |sink: usize| may_repeat(sink) && !plan.is_dealt(plan.sinks[sink].stream);
        (ahead.outputs.sinks, self.outputs.sinks) = sinks.into_iter().partition(|(sink, _)| goes_ahead(*sink));
        ahead.outputs.dead = std::mem::take(&mut self.outputs.dead);
        ahead.origins = std::mem::take(&mut self.origins);
        ahead
    }
}
