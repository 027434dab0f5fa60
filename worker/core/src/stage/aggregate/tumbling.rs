//! Tumbling windows: one pane a window.

mod capture;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pane_keys::PaneKeys;
use super::results::{Part, Results, before};
use super::{AggregatePlan, EmitOn, Rows, Windows};
use super::{new_accumulators, next_due, window_start};
use crate::aggregate::{Accumulators, CorruptState};
use crate::capture::{Block, BlockId, Captured, Extent, Row};
use crate::key::{KeyId, KeySet, KeyTable};
use crate::stream::Micros;
use capture::Capture;

pub(super) struct Tumbling {
    plan: Arc<AggregatePlan>,
    size: Micros,
    keys: PaneKeys,
    /// By start of the window.
    panes: BTreeMap<Micros, Pane>,
    /// The watermark at which late rows last changed a window that was given out.
    revised_at: Option<Micros>,
    ids: Vec<KeyId>,
    capture: Capture,
}

/// One window.
struct Pane {
    accumulators: Vec<Box<dyn Accumulators>>,
    /// The keys, in the order of their first row: the order in which they are given out.
    keys: KeySet,
    given_out: bool,
    /// Of a window that was given out: how often each key was. Empty if each was once.
    ///
    /// Of one that was not: keys that were given out all the same, by a shard that they came from. They are given out
    /// again only if they changed.
    revisions: BTreeMap<KeyId, i64>,
    /// Keys that were given out and that rows changed since.
    changed: KeySet,
    /// So many of `keys` stand in captures already.
    n_captured: usize,
}

impl Pane {
    /// The keys to be given out at the close, with their revisions.
    fn give_out(&mut self) -> (Vec<KeyId>, Vec<i64>) {
        self.given_out = true;
        let ids = self.keys.as_slice();
        if self.revisions.is_empty() {
            return (ids.to_vec(), vec![0; ids.len()]);
        }
        let changed = std::mem::take(&mut self.changed);
        let due = |id: &&KeyId| !self.revisions.contains_key(id) || changed.contains(**id);
        let ids: Vec<KeyId> = ids.iter().filter(due).copied().collect();
        for id in changed.as_slice() {
            self.revisions.entry(*id).and_modify(|n| *n += 1);
        }
        let revisions = ids.iter().map(|id| self.revisions.get(id).copied().unwrap_or(0));
        let revisions = revisions.collect();
        (ids, revisions)
    }
}

impl Tumbling {
    pub fn new(plan: Arc<AggregatePlan>, size: Micros) -> Self {
        Self {
            plan,
            size,
            keys: PaneKeys::default(),
            panes: BTreeMap::new(),
            revised_at: None,
            ids: Vec::new(),
            capture: Capture::default(),
        }
    }

    /// When a window that ends at `end` is first given out.
    fn due(&self, end: Micros) -> Micros {
        match self.plan.emit {
            EmitOn::Final => end.saturating_add(self.plan.lateness),
            EmitOn::Close | EmitOn::Change => end,
        }
    }

    /// Gives out what late rows changed, once the watermark has moved on.
    fn revise(&mut self, results: &mut Results) {
        let Some(watermark) = self.revised_at.take() else {
            return;
        };
        let changed = self.panes.values().flat_map(|pane| pane.changed.as_slice());
        for id in changed.copied().collect::<Vec<_>>() {
            self.touch(id);
        }
        for (&start, pane) in &mut self.panes {
            let changed = std::mem::take(&mut pane.changed);
            let revisions = changed
                .as_slice()
                .iter()
                .map(|id| {
                    let revision = pane.revisions.entry(*id).and_modify(|n| *n += 1).or_insert(1);
                    *revision
                })
                .collect();
            let end = start + self.size;
            let part = Part {
                window: Some((start, end)),
                watermark,
                time: before(end),
                ids: changed.as_slice(),
                revisions,
                last: false,
            };
            results.push(self.keys.table(), &pane.accumulators, part);
        }
    }

    /// The pane of the window that starts at `start`.
    fn pane(&mut self, start: Micros, watermark: Micros) -> &mut Pane {
        let due = self.due(start.saturating_add(self.size));
        let plan = &self.plan;
        self.panes.entry(start).or_insert_with(|| Pane {
            accumulators: new_accumulators(plan),
            keys: KeySet::default(),
            // A window that a late row opens is given out like one that it changes.
            given_out: due <= watermark,
            revisions: BTreeMap::new(),
            changed: KeySet::default(),
            n_captured: 0,
        })
    }

    /// Adds rows `from..to` of one window to its pane.
    fn add(&mut self, rows: &Rows<'_>, start: Micros, from: usize, to: usize) {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        for row in from..to {
            ids.push(self.keys.of_row(rows, row));
        }
        for &id in &ids {
            self.touch(id);
        }
        let n_keys = self.keys.capacity();
        let watermark = rows.input.watermarks[from];
        let pane = self.pane(start, watermark);
        let n_before = pane.keys.as_slice().len();
        for &id in &ids {
            pane.keys.insert(id);
        }
        let entered = pane.keys.as_slice()[n_before..].to_vec();
        rows.update(&mut pane.accumulators, from, &ids, n_keys);
        if pane.given_out {
            for &id in &ids {
                pane.changed.insert(id);
            }
            // A key that is new in this window was never given out: its first revision is 0.
            pane.revisions.extend(entered.iter().map(|id| (*id, -1)));
            self.revised_at = Some(watermark);
        } else if !pane.revisions.is_empty() {
            for &id in ids.iter().filter(|id| pane.revisions.contains_key(id)) {
                pane.changed.insert(id);
            }
        }
        for id in entered {
            self.keys.enter(id);
        }
        self.ids = ids;
    }
}

impl Windows for Tumbling {
    fn advance(&mut self, watermark: Micros, _: Micros, results: &mut Results) {
        if self.revised_at.is_some_and(|revised| revised < watermark) {
            self.revise(results);
        }
        while let Some((&start, _)) = self.panes.iter().find(|(_, pane)| !pane.given_out) {
            let end = start.saturating_add(self.size);
            let due = self.due(end);
            if due > watermark {
                break;
            }
            let only = self.plan.emit == EmitOn::Final || self.plan.lateness == 0;
            let changed = self.panes[&start].changed.as_slice().to_vec();
            changed.into_iter().for_each(|id| self.touch(id));
            let Some(pane) = self.panes.get_mut(&start) else { break };
            let (ids, revisions) = pane.give_out();
            let part = Part {
                window: Some((start, end)),
                watermark: before(due),
                time: before(end),
                ids: &ids,
                revisions,
                last: only,
            };
            results.push(self.keys.table(), &pane.accumulators, part);
        }
        while let Some(first) = self.panes.first_entry() {
            let gone = first.key().saturating_add(self.size).saturating_add(self.plan.lateness) <= watermark;
            if !gone || !first.get().given_out {
                break;
            }
            let (start, pane) = first.remove_entry();
            self.capture.panes.retire(start, pane, &mut self.keys);
        }
    }

    fn take(&mut self, rows: &Rows<'_>, from: usize, late: &mut Vec<u32>) -> usize {
        let (times, watermarks) = (&rows.input.times, &rows.input.watermarks);
        let watermark = watermarks[from];
        let next_due = next_due(watermark, self.size, self.due(0));
        let start = window_start(times[from], self.size);
        let end = start.saturating_add(self.size);
        if end.saturating_add(self.plan.lateness) <= watermark {
            late.push(from as u32);
            return 1;
        }
        if self.due(end) <= watermark {
            // It changes a window that was given out; the change is given out before the next step of the watermark.
            self.add(rows, start, from, from + 1);
            return 1;
        }
        // As long as rows are of this window and nothing is due in between.
        let to = rows.run_within(from, &(start..end), next_due, self.revised_at);
        self.add(rows, start, from, to);
        to - from
    }

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.begin(extent)
    }

    fn next_block(&mut self) -> Option<Block> {
        self.next()
    }

    fn begin_restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        self.restore(heads)
    }

    fn restore_rows(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        self.take_back(from, block, rows)
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.end()
    }

    fn next_timer(&self) -> Option<Micros> {
        let open = self.panes.iter().find(|(_, pane)| !pane.given_out);
        open.map(|(start, _)| self.due(start.saturating_add(self.size)))
    }

    fn keys(&self) -> &KeyTable {
        self.keys.table()
    }

    fn memory(&self) -> usize {
        let panes: usize = self
            .panes
            .values()
            .map(|pane| {
                let states: usize = pane.accumulators.iter().map(|accumulator| accumulator.memory()).sum();
                states + pane.keys.memory() + pane.changed.memory()
            })
            .sum();
        panes + self.keys.memory()
    }
}
