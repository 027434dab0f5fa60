//! Tumbling windows: one pane a window.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pane_keys::PaneKeys;
use super::results::{Part, Results, before};
use super::{AggregatePlan, EmitOn, Rows, Windows};
use super::{load_states, new_accumulators, next_due, save_states, window_start};
use crate::aggregate::{Accumulators, CorruptState};
use crate::key::{KeyId, KeySet};
use crate::state::{decode, encode};
use crate::stream::Micros;

pub(super) struct Tumbling {
    plan: Arc<AggregatePlan>,
    size: Micros,
    keys: PaneKeys,
    /// By start of the window.
    panes: BTreeMap<Micros, Pane>,
    /// The watermark at which late rows last changed a window that was given out.
    revised_at: Option<Micros>,
    ids: Vec<KeyId>,
}

/// One window.
struct Pane {
    accumulators: Vec<Box<dyn Accumulators>>,
    /// The keys, in the order of their first row: the order in which they are given out.
    keys: KeySet,
    given_out: bool,
    /// Of a window that was given out: how often each key was. Empty if each was once.
    revisions: BTreeMap<KeyId, i64>,
    /// Of a window that was given out: keys that late rows changed since.
    changed: KeySet,
}

#[derive(Serialize, Deserialize)]
struct SavedPane {
    start: Micros,
    given_out: bool,
    /// Key, revisions so far, states.
    rows: Vec<(Vec<u8>, i64, Vec<u8>)>,
    changed: Vec<Vec<u8>>,
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
        })
    }

    /// Adds rows `from..to` of one window to its pane.
    fn add(&mut self, rows: &Rows<'_>, start: Micros, from: usize, to: usize) {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        for row in from..to {
            ids.push(self.keys.of_row(rows, row));
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
            let Some(pane) = self.panes.get_mut(&start) else { break };
            pane.given_out = true;
            let part = Part {
                window: Some((start, end)),
                watermark: before(due),
                time: before(end),
                ids: pane.keys.as_slice(),
                revisions: vec![0; pane.keys.as_slice().len()],
                last: only,
            };
            results.push(self.keys.table(), &pane.accumulators, part);
        }
        while let Some(first) = self.panes.first_entry() {
            let gone = first.key().saturating_add(self.size).saturating_add(self.plan.lateness) <= watermark;
            if !gone || !first.get().given_out {
                break;
            }
            self.keys.leave(first.remove().keys.as_slice());
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

    fn save(&self) -> Vec<u8> {
        let panes: Vec<SavedPane> = self
            .panes
            .iter()
            .map(|(start, pane)| {
                let row = |id: &KeyId| {
                    let mut states = Vec::new();
                    save_states(&pane.accumulators, *id, &mut states);
                    (
                        self.keys.table().key(*id).to_vec(),
                        pane.revisions.get(id).copied().unwrap_or(0),
                        states,
                    )
                };
                SavedPane {
                    start: *start,
                    given_out: pane.given_out,
                    rows: pane.keys.as_slice().iter().map(row).collect(),
                    changed: pane
                        .changed
                        .as_slice()
                        .iter()
                        .map(|id| self.keys.table().key(*id).to_vec())
                        .collect(),
                }
            })
            .collect();
        encode(&(self.revised_at, panes))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        let corrupt = || CorruptState {
            what: "tumbling windows",
        };
        let (revised_at, panes): (Option<Micros>, Vec<SavedPane>) = decode(bytes, "tumbling windows")?;
        *self = Self::new(Arc::clone(&self.plan), self.size);
        self.revised_at = revised_at;
        for saved in panes {
            if saved.start.rem_euclid(self.size) != 0 {
                return Err(corrupt());
            }
            let mut pane = Pane {
                accumulators: new_accumulators(&self.plan),
                keys: KeySet::default(),
                given_out: saved.given_out,
                revisions: BTreeMap::new(),
                changed: KeySet::default(),
            };
            for (key, revision, states) in &saved.rows {
                let id = self.keys.of(key);
                self.keys.enter(id);
                pane.keys.insert(id);
                if *revision != 0 {
                    pane.revisions.insert(id, *revision);
                }
                let mut states = states.as_slice();
                load_states(&mut pane.accumulators, id, &mut states)?;
            }
            for key in &saved.changed {
                pane.changed.insert(self.keys.table().find(key).ok_or_else(corrupt)?);
            }
            self.panes.insert(saved.start, pane);
        }
        Ok(())
    }

    fn n_keys(&self) -> usize {
        self.keys.table().len()
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
