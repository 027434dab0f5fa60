//! One input of a stage whose rows are dealt out: how far it is, here and elsewhere, and what waits to be sent.

use serde::{Deserialize, Serialize};

use super::bytes_of;
use crate::plan::repartition::RepartitionPlan;
use crate::stage::aggregate::combine::combine;
use crate::stream::{Batch, END, Micros, NO_WATERMARK, Progress};

/// An input of the stage.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub state: State,
    /// Rows of other shards' keys that wait for a cut, by shard.
    pub pending: Vec<Vec<Batch>>,
    /// How many bytes they have, about.
    pub pending_bytes: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// How far the own part of the input is.
    pub own: Micros,
    /// How far the stage was told that the input is.
    pub given: Micros,
    /// How far the others were told that the own part is.
    pub told: Micros,
    /// Event time of the newest row that was sent away, where that is not usual and others still wait for this shard.
    pub sent_at: Option<Micros>,
    /// The others, by number.
    pub others: Vec<Other>,
    /// Rows that were sent away.
    pub n_sent: u64,
}

/// Another shard.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Other {
    pub watermark: Micros,
    /// Whether it is not waited for.
    pub quiet: bool,
}

impl State {
    pub fn new(plan: &RepartitionPlan) -> Self {
        let other = Other {
            watermark: NO_WATERMARK,
            quiet: plan.claimed,
        };
        Self {
            own: NO_WATERMARK,
            given: NO_WATERMARK,
            told: NO_WATERMARK,
            sent_at: None,
            others: vec![other; plan.n_partitions as usize],
            n_sent: 0,
        }
    }

    /// How far all others are that are waited for.
    pub fn least_other(&self, shard: u32) -> Micros {
        let others = self.others.iter().enumerate();
        let others = others.filter(|(number, other)| *number != shard as usize && !other.quiet);
        others.map(|(_, other)| other.watermark).min().unwrap_or(END)
    }

    fn waits_for_others(&self, shard: u32) -> bool {
        let others = self.others.iter().enumerate();
        let mut others = others.filter(|(number, _)| *number != shard as usize);
        others.any(|(_, other)| !other.quiet)
    }
}

impl Input {
    pub fn send(&mut self, rows: Batch, to: usize, is_unusual: bool) {
        self.state.n_sent += rows.n_rows() as u64;
        if is_unusual {
            // By the rows, not by how far their part comes: the same however records were batched.
            let at = rows.times.iter().chain(&rows.watermarks).max();
            self.state.sent_at = self.state.sent_at.max(at.copied());
        }
        self.pending_bytes += bytes_of(&rows);
        self.pending[to].push(rows);
    }

    /// Holds the watermarks of a part back to what the others are at.
    pub fn hold(&mut self, mut part: Batch, shard: u32, is_sorted: bool) -> Batch {
        let state = &mut self.state;
        if state.waits_for_others(shard) {
            let (given, most) = (state.given, state.least_other(shard));
            part.watermark = part.watermark.min(most).max(given);
            for watermark in part.watermarks.iter_mut().filter(|_| !is_sorted) {
                *watermark = (*watermark).clamp(given, part.watermark);
            }
            part.ended = None;
        }
        state.given = part.watermark;
        part
    }

    /// Whether others wait for this shard.
    pub fn is_waited_for(&self, plan: &RepartitionPlan) -> bool {
        !plan.claimed || self.state.sent_at.is_some()
    }

    pub fn is_due(&self, plan: &RepartitionPlan) -> bool {
        self.pending_bytes > 0 || (self.is_waited_for(plan) && self.state.own > self.state.told)
    }

    /// Notes how far the others are told that it is. Answers whether they need not wait any more.
    pub fn tell(&mut self, plan: &RepartitionPlan) -> bool {
        let state = &mut self.state;
        state.told = state.told.max(state.own);
        if plan.claimed
            && state
                .sent_at
                .is_none_or(|at| state.own > at.saturating_add(plan.idle_timeout))
        {
            state.sent_at = None;
            return true;
        }
        false
    }

    /// The rows that wait for a shard.
    pub fn rows_of(&self, to: u32, plan: &RepartitionPlan) -> Batch {
        let parts = self.pending.get(to as usize).cloned().unwrap_or_default();
        let Some(first) = parts.first() else {
            return plan.nothing(self.state.told);
        };
        let (columns, watermark) = (first.rows.schema(), self.state.told);
        let all = Batch::concat(&columns, parts, &Progress { watermark, ended: None });
        match &plan.combined {
            Some(combined) => combine(combined, &plan.columns, all, false),
            None => all,
        }
    }
}
