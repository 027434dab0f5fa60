//! Sliding windows: panes of the length of a slide, and running totals over them.
//!
//! A row is added to one pane, however many windows it is in. At each slide the pane that enters is added to the totals
//! and the pane that leaves is taken away again, key by key, so that a key without a change costs nothing. Aggregates
//! that cannot be taken away (min, max, first, last) stand on two stacks.

mod capture;
mod late;
mod two_stacks;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::pane_keys::PaneKeys;
use super::results::{Part, Results, before};
use super::{AggregatePlan, EmitOn, Rows, Windows};
use super::{new_accumulators, next_due, window_start};
use crate::aggregate::{Accumulators, CorruptState};
use crate::capture::{Block, BlockId, Captured, Extent, Row};
use crate::key::{KeyId, KeySet, KeyTable};
use crate::stream::{Micros, NO_WATERMARK};
use capture::Capture;
use two_stacks::TwoStacks;

pub(super) struct Sliding {
    plan: Arc<AggregatePlan>,
    size: Micros,
    every: Micros,
    keys: PaneKeys,
    /// By start.
    panes: BTreeMap<Micros, Pane>,
    /// States over the panes of the window that was given out last.
    totals: Vec<Box<dyn Accumulators>>,
    stacks: TwoStacks,
    /// In how many of those panes each key is.
    n_in_window: Vec<u32>,
    /// How many keys are in that window.
    n_live: usize,
    /// End of the window that was given out last.
    slid_to: Micros,
    /// Windows (by end) and keys that late rows changed, and the watermark at which they did.
    revised: BTreeSet<(Micros, KeyId)>,
    revised_at: Option<Micros>,
    /// How often a key of a window was given out, where it was more than once.
    revisions: BTreeMap<(Micros, KeyId), i64>,
    capture: Capture,
}

struct Pane {
    accumulators: Vec<Box<dyn Accumulators>>,
    keys: KeySet,
}

impl Sliding {
    pub fn new(plan: Arc<AggregatePlan>, size: Micros, every: Micros) -> Self {
        let totals = new_accumulators(&plan);
        Self {
            stacks: TwoStacks::new(&plan, &totals),
            totals,
            plan,
            size,
            every,
            keys: PaneKeys::default(),
            panes: BTreeMap::new(),
            n_in_window: Vec::new(),
            n_live: 0,
            slid_to: NO_WATERMARK,
            revised: BTreeSet::new(),
            revised_at: None,
            revisions: BTreeMap::new(),
            capture: Capture::default(),
        }
    }

    fn due(&self, end: Micros) -> Micros {
        match self.plan.emit {
            EmitOn::Final => end.saturating_add(self.plan.lateness),
            EmitOn::Close | EmitOn::Change => end,
        }
    }

    /// End of the next window that has something in it.
    fn next_end(&self) -> Option<Micros> {
        if self.n_live > 0 {
            return Some(self.slid_to + self.every);
        }
        self.panes
            .range(self.slid_to..)
            .next()
            .map(|(start, _)| start.saturating_add(self.every))
    }

    /// Moves the window on to `end`; answers the keys that changed.
    fn slide(&mut self, end: Micros) -> Vec<KeyId> {
        let mut changed = Vec::new();
        for accumulator in &mut self.totals {
            accumulator.grow(self.keys.capacity());
        }
        self.n_in_window.resize(self.keys.capacity(), 0);
        // Where windows were left out because they were empty, nothing leaves.
        let leaving = end.saturating_sub(self.size).saturating_sub(self.every);
        if let Some(pane) = self.panes.get(&leaving).filter(|_| self.slid_to == end - self.every) {
            for &id in pane.keys.as_slice() {
                let n = &mut self.n_in_window[id as usize];
                *n -= 1;
                for (total, states) in self.totals.iter_mut().zip(&pane.accumulators) {
                    if *n == 0 {
                        total.clear(id);
                    } else if total.invertible() {
                        total.retract(id, states.as_ref());
                    }
                }
                if *n == 0 {
                    self.n_live -= 1;
                }
                changed.push(id);
            }
        }
        if let Some(pane) = self.panes.get(&(end - self.every)) {
            for &id in pane.keys.as_slice() {
                let n = &mut self.n_in_window[id as usize];
                if *n == 0 {
                    self.n_live += 1;
                }
                *n += 1;
                for (total, states) in self.totals.iter_mut().zip(&pane.accumulators) {
                    if total.invertible() {
                        total.merge(id, states.as_ref());
                    }
                }
                changed.push(id);
            }
        }
        changed.sort_unstable();
        changed.dedup();
        self.slid_to = end;
        if self.stacks.is_needed() {
            let window = self.window();
            self.stacks.slide(&self.plan, &self.panes, &window, end - self.every);
            for &id in changed.iter().filter(|&&id| self.n_in_window[id as usize] > 0) {
                self.stacks.total(id, &self.panes, &window, &mut self.totals);
            }
        }
        changed
    }

    /// The window that was given out last.
    fn window(&self) -> Range<Micros> {
        self.slid_to.saturating_sub(self.size)..self.slid_to
    }

    fn give_out(&mut self, end: Micros, changed: &[KeyId], results: &mut Results) {
        let mut ids: Vec<KeyId> = match self.plan.emit {
            EmitOn::Change => changed.to_vec(),
            EmitOn::Close | EmitOn::Final => (0..self.n_in_window.len())
                .filter(|&id| self.n_in_window[id] > 0)
                .map(|id| id as KeyId)
                .collect(),
        };
        // The numbers of keys depend on what was there before; the keys themselves do not.
        ids.sort_unstable_by(|a, b| self.keys.table().key(*a).cmp(self.keys.table().key(*b)));
        let due = self.due(end);
        let part = Part {
            window: Some((end - self.size, end)),
            watermark: before(due),
            time: before(end),
            revisions: vec![0; ids.len()],
            ids: &ids,
            last: self.plan.emit == EmitOn::Final || self.plan.lateness == 0,
        };
        results.push(self.keys.table(), &self.totals, part);
    }

    /// Drops panes that no window can need any more.
    fn forget(&mut self, watermark: Micros) {
        while let Some((&start, _)) = self.panes.first_key_value() {
            let last_end = start.saturating_add(self.size);
            let in_window = self.n_live > 0 && start.saturating_add(self.size) >= self.slid_to;
            let awaited = start >= self.slid_to;
            if in_window || awaited || last_end.saturating_add(self.plan.lateness) > watermark {
                break;
            }
            let Some(pane) = self.panes.remove(&start) else { break };
            self.capture.panes.retire(start, pane, &mut self.keys);
        }
        self.revisions
            .retain(|(end, _), _| end.saturating_add(self.plan.lateness) > watermark);
    }

    fn pane(&mut self, start: Micros) -> &mut Pane {
        let plan = &self.plan;
        self.panes.entry(start).or_insert_with(|| Pane {
            accumulators: new_accumulators(plan),
            keys: KeySet::default(),
        })
    }

    /// Adds rows `from..to` of one pane.
    fn add(&mut self, rows: &Rows<'_>, start: Micros, from: usize, to: usize) -> Vec<KeyId> {
        let ids: Vec<KeyId> = (from..to).map(|row| self.keys.of_row(rows, row)).collect();
        for &id in &ids {
            self.touch(id);
        }
        let n_keys = self.keys.capacity();
        let pane = self.pane(start);
        let entered: Vec<KeyId> = ids.iter().copied().filter(|id| pane.keys.insert(*id)).collect();
        rows.update(&mut pane.accumulators, from, &ids, n_keys);
        for id in entered {
            self.keys.enter(id);
        }
        ids
    }
}

impl Windows for Sliding {
    fn advance(&mut self, watermark: Micros, _: Micros, results: &mut Results) {
        if self.revised_at.is_some_and(|revised| revised < watermark) {
            self.revise(results);
        }
        while let Some(end) = self.next_end().filter(|end| self.due(*end) <= watermark) {
            let changed = self.slide(end);
            self.give_out(end, &changed, results);
        }
        self.forget(watermark);
    }

    fn take(&mut self, rows: &Rows<'_>, from: usize, late: &mut Vec<u32>) -> usize {
        let (times, watermarks) = (&rows.input.times, &rows.input.watermarks);
        let watermark = watermarks[from];
        let start = window_start(times[from], self.every);
        let end = start.saturating_add(self.every);
        if start.saturating_add(self.size).saturating_add(self.plan.lateness) <= watermark {
            late.push(from as u32);
            return 1;
        }
        if self.due(end) <= watermark {
            // Windows without a key have passed without being given out: those that hold this pane are as late as the row.
            if self.n_live == 0 {
                self.slid_to = self.slid_to.max(window_start(watermark - self.due(0), self.every));
            }
            self.add_late(rows, start, from, watermark);
            return 1;
        }
        let next_due = next_due(watermark, self.every, self.due(0));
        let to = rows.run_within(from, &(start..end), next_due, self.revised_at);
        self.add(rows, start, from, to);
        to - from
    }

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.begin(extent)
    }

    fn next_block(&mut self) -> Option<Block> {
        let next = Captured::next_block(self);
        if next.is_none() {
            self.capture.panes.end(&mut self.keys);
        }
        next
    }

    fn begin_restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        self.restore(heads)
    }

    fn restore_rows(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        self.take_back(from, block, rows)
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.end();
        Ok(())
    }

    fn next_timer(&self) -> Option<Micros> {
        self.next_end().map(|end| self.due(end))
    }

    fn keys(&self) -> &KeyTable {
        self.keys.table()
    }

    fn memory(&self) -> usize {
        let states = |accumulators: &[Box<dyn Accumulators>]| -> usize {
            accumulators.iter().map(|accumulator| accumulator.memory()).sum()
        };
        let panes: usize = self
            .panes
            .values()
            .map(|pane| states(&pane.accumulators) + pane.keys.memory())
            .sum();
        panes + self.stacks.memory() + states(&self.totals) + self.keys.memory() + self.n_in_window.capacity() * 4
    }
}
