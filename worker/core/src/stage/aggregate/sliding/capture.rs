//! Sliding windows as captured state: a row a key with its state in each pane. Totals and stacks are made of them again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Pane, Sliding};
use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{take_i64, take_u64};
use crate::capture::{BlockId, Blocks, Captured, Extent, Row, RowWriter};
use crate::key::{KeyId, KeySet, Renumbered};
use crate::stage::aggregate::pane_capture::{CapturedPane, PaneCapture};
use crate::stage::aggregate::{load_states, new_accumulators, save_states};
use crate::state::{decode, encode};
use crate::stream::Micros;

/// What is captured and taken back.
#[derive(Default)]
pub(super) struct Capture {
    pub panes: PaneCapture<Pane>,
    restoring: Vec<Head>,
    numbers: Renumbered,
}

#[derive(Serialize, Deserialize)]
struct Head {
    slid_to: Micros,
    revised_at: Option<Micros>,
    panes: BTreeSet<Micros>,
    revised: Vec<(Micros, KeyId)>,
    revisions: Vec<(Micros, KeyId, i64)>,
}

impl CapturedPane for Pane {
    fn keys(&self) -> &KeySet {
        &self.keys
    }

    fn save(&self, id: KeyId, out: &mut Vec<u8>) {
        save_states(&self.accumulators, id, out);
    }
}

impl Captured for Sliding {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.capture.panes.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        self.capture.panes.save_rows(ids, &self.panes, &self.keys, rows);
    }
}

impl Sliding {
    pub(super) fn begin(&mut self, extent: Extent) -> Vec<u8> {
        self.capture.panes.begin(extent, &mut self.keys);
        encode(&Head {
            slid_to: self.slid_to,
            revised_at: self.revised_at,
            panes: self.panes.keys().copied().collect(),
            revised: self.revised.iter().copied().collect(),
            revisions: self.revisions.iter().map(|((end, id), n)| (*end, *id, *n)).collect(),
        })
    }

    pub(super) fn restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        *self = Self::new(Arc::clone(&self.plan), self.size, self.every);
        for head in heads {
            let head: Head = decode(head, "sliding windows")?;
            if head.panes.iter().any(|start| start.rem_euclid(self.every) != 0) {
                return Err(corrupt());
            }
            self.slid_to = self.slid_to.max(head.slid_to);
            self.revised_at = self.revised_at.max(head.revised_at);
            self.capture.restoring.push(head);
        }
        Ok(())
    }

    pub(super) fn take_back(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        let mut unwanted = new_accumulators(&self.plan);
        let hashes = self.keys.expect(block, rows);
        let n_expected = self.keys.table().n_expected();
        for (row, hash) in rows.iter().zip(hashes) {
            let mut state = row.state;
            let mut known = None;
            for _ in 0..take_u64(&mut state, "sliding windows")? {
                let start = take_i64(&mut state, "sliding windows")?;
                let head = self.capture.restoring.get(from).ok_or_else(corrupt)?;
                // Panes that were gone by the cut still stand in earlier captures.
                if !head.panes.contains(&start) {
                    load_states(&mut unwanted, (0, 0), &mut state)?;
                    continue;
                }
                let id = *known.get_or_insert_with(|| self.keys.take_back(row.key, hash));
                let pane = self.pane(start);
                let entered = pane.keys.insert(id);
                load_states(&mut pane.accumulators, (id, n_expected), &mut state)?;
                if entered {
                    self.keys.enter(id);
                }
            }
            if let Some(id) = known {
                self.capture.numbers.insert(from, row.id, id);
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self) {
        // The totals are the panes of the window, added up: exact, whatever the order.
        self.n_in_window = vec![0; self.keys.capacity()];
        for total in &mut self.totals {
            total.grow(self.keys.capacity());
        }
        let window = self.window();
        self.stacks.turn(&self.plan, &self.panes, &window);
        for (_, pane) in self.panes.range(window) {
            for &id in pane.keys.as_slice() {
                if self.n_in_window[id as usize] == 0 {
                    self.n_live += 1;
                }
                self.n_in_window[id as usize] += 1;
                for (total, states) in self.totals.iter_mut().zip(&pane.accumulators) {
                    total.merge(id, states.as_ref());
                }
            }
        }
        let numbers = std::mem::take(&mut self.capture.numbers);
        for (from, head) in std::mem::take(&mut self.capture.restoring).into_iter().enumerate() {
            let revised = head.revised.into_iter();
            let revised = revised.filter_map(|(end, id)| Some((end, numbers.get(from, id)?)));
            self.revised.extend(revised);
            let revisions = head.revisions.into_iter();
            let revisions = revisions.filter_map(|(end, id, n)| Some(((end, numbers.get(from, id)?), n)));
            self.revisions.extend(revisions);
        }
    }
}

fn corrupt() -> CorruptState {
    CorruptState {
        what: "sliding windows",
    }
}
