//! Tumbling windows as captured state: a row a key with its state in each pane, and the order of the keys of each pane.

mod run;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Pane, Tumbling};
use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{put_i64, take_i64, take_u64};
use crate::capture::{Block, BlockId, Blocks, Captured, Extent, ORDER, Row, RowWriter};
use crate::key::{KeyId, KeySet, Renumbered};
use crate::stage::aggregate::pane_capture::{CapturedPane, PaneCapture};
use crate::stage::aggregate::{load_states, new_accumulators, save_states};
use crate::state::{decode, encode};
use crate::stream::Micros;
use run::Run;

/// The table with the order of keys as it was before it had one that says so. Table 0 has a row a key.
const FORMER_ORDER: u32 = 1;

/// Keys of a block of [`ORDER`], whose rows are [`Run`]s of them.
const SEGMENT: usize = 4096;

/// What is captured and taken back.
#[derive(Default)]
pub(super) struct Capture {
    pub panes: PaneCapture<Pane>,
    /// Of each pane, the part of its order that the capture under way still lacks.
    order: Vec<(Micros, Range<usize>)>,
    restoring: Restoring,
}

/// What is known only while state is taken back.
#[derive(Default)]
struct Restoring {
    /// By where it comes from: the panes, and whether each was given out.
    panes: Vec<BTreeMap<Micros, bool>>,
    changed: Vec<(Micros, usize, KeyId)>,
    numbers: Renumbered,
    /// The order of keys by pane, where it comes from, and number of the segment.
    order: BTreeMap<(Micros, usize, u32), Vec<KeyId>>,
    n_members: usize,
}

#[derive(Serialize, Deserialize)]
struct Head {
    revised_at: Option<Micros>,
    panes: Vec<SavedPane>,
}

#[derive(Serialize, Deserialize)]
struct SavedPane {
    start: Micros,
    given_out: bool,
    changed: Vec<KeyId>,
}

impl CapturedPane for Pane {
    fn keys(&self) -> &KeySet {
        &self.keys
    }

    fn save(&self, id: KeyId, out: &mut Vec<u8>) {
        put_i64(out, self.revisions.get(&id).copied().unwrap_or(0));
        save_states(&self.accumulators, id, out);
    }
}

impl Captured for Tumbling {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.capture.panes.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        self.capture.panes.save_rows(ids, &self.panes, &self.keys, rows);
    }
}

impl Tumbling {
    pub(super) fn begin(&mut self, extent: Extent) -> Vec<u8> {
        self.capture.panes.begin(extent, &mut self.keys);
        self.capture.order.clear();
        let mut panes = Vec::new();
        for (&start, pane) in &mut self.panes {
            let n_keys = pane.keys.as_slice().len();
            let from = if extent == Extent::Whole { 0 } else { pane.n_captured };
            pane.n_captured = n_keys / SEGMENT * SEGMENT;
            self.capture.order.push((start, from..n_keys));
            panes.push(SavedPane {
                start,
                given_out: pane.given_out,
                changed: pane.changed.as_slice().to_vec(),
            });
        }
        encode(&Head {
            revised_at: self.revised_at,
            panes,
        })
    }

    pub(super) fn next(&mut self) -> Option<Block> {
        let next = Captured::next_block(self).or_else(|| self.next_segment());
        if next.is_none() {
            self.capture.panes.end(&mut self.keys);
        }
        next
    }

    fn next_segment(&mut self) -> Option<Block> {
        loop {
            let (start, left) = self.capture.order.last_mut()?;
            let start = *start;
            let segment = left.start..left.end.min(left.start + SEGMENT);
            left.start = segment.end;
            if segment.is_empty() {
                self.capture.order.pop();
                continue;
            }
            let retired = self.capture.panes.retired(start);
            let Some(pane) = retired.or_else(|| self.panes.get(&start)) else {
                continue;
            };
            let mut rows = RowWriter::default();
            let number = (segment.start / SEGMENT) as u32;
            for run in Run::all(&pane.keys.as_slice()[segment]) {
                rows.row(run.first, &[], |out| run.save(out));
            }
            let id = BlockId {
                table: ORDER,
                window: start,
                number,
            };
            return Some(rows.into_block(id));
        }
    }

    pub(super) fn restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        *self = Self::new(Arc::clone(&self.plan), self.size);
        for (from, head) in heads.iter().enumerate() {
            let head: Head = decode(head, "tumbling windows")?;
            self.revised_at = self.revised_at.max(head.revised_at);
            let mut panes = BTreeMap::new();
            for pane in head.panes {
                if pane.start.rem_euclid(self.size) != 0 {
                    return Err(corrupt());
                }
                panes.insert(pane.start, pane.given_out);
                let changed = pane.changed.into_iter().map(|id| (pane.start, from, id));
                self.capture.restoring.changed.extend(changed);
                let plan = &self.plan;
                let new = self.panes.entry(pane.start).or_insert_with(|| Pane {
                    accumulators: new_accumulators(plan),
                    keys: KeySet::default(),
                    given_out: true,
                    revisions: BTreeMap::new(),
                    changed: KeySet::default(),
                    n_captured: 0,
                });
                // Where it was given out for some keys only, it waits for the others.
                new.given_out &= pane.given_out;
            }
            self.capture.restoring.panes.push(panes);
        }
        Ok(())
    }

    pub(super) fn take_back(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        let Some(panes) = self.capture.restoring.panes.get(from) else {
            return Err(corrupt());
        };
        if block.is_order() || block.table == FORMER_ORDER {
            // Panes that were gone by the cut still stand in earlier captures.
            if panes.contains_key(&block.window) {
                let mut ids = Vec::new();
                for row in rows {
                    ids.extend(Run::load(row)?.ids());
                    if ids.len() > SEGMENT {
                        return Err(corrupt());
                    }
                }
                let place = (block.window, from, block.number);
                self.capture.restoring.order.insert(place, ids);
            }
            return Ok(());
        }
        let mut unwanted = new_accumulators(&self.plan);
        let hashes = self.keys.expect(block, rows);
        let n_expected = self.keys.table().n_expected();
        for (row, hash) in rows.iter().zip(hashes) {
            let mut state = row.state;
            let mut id = None;
            for _ in 0..take_u64(&mut state, "tumbling windows")? {
                let start = take_i64(&mut state, "tumbling windows")?;
                let revision = take_i64(&mut state, "tumbling windows")?;
                let (Some(given_out), Some(pane)) = (
                    self.capture.restoring.panes[from].get(&start),
                    self.panes.get_mut(&start),
                ) else {
                    load_states(&mut unwanted, (0, 0), &mut state)?;
                    continue;
                };
                let id = *id.get_or_insert_with(|| self.keys.take_back(row.key, hash));
                load_states(&mut pane.accumulators, (id, n_expected), &mut state)?;
                if revision != 0 || (*given_out && !pane.given_out) {
                    pane.revisions.insert(id, revision);
                }
                self.capture.restoring.n_members += 1;
            }
            if let Some(id) = id {
                self.capture.restoring.numbers.insert(from, row.id, id);
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), CorruptState> {
        let Restoring {
            changed,
            numbers,
            order,
            mut n_members,
            ..
        } = std::mem::take(&mut self.capture.restoring);
        for ((start, from, _), ids) in order {
            let pane = self.panes.get_mut(&start).ok_or_else(corrupt)?;
            // Keys that went elsewhere are not here.
            for id in ids.iter().filter_map(|id| numbers.get(from, *id)) {
                if pane.keys.insert(id) {
                    self.keys.enter(id);
                    n_members = n_members.checked_sub(1).ok_or_else(corrupt)?;
                }
            }
        }
        if n_members > 0 {
            return Err(corrupt());
        }
        for (start, from, id) in changed {
            let pane = self.panes.get_mut(&start).ok_or_else(corrupt)?;
            if let Some(id) = numbers.get(from, id) {
                pane.changed.insert(id);
            }
        }
        self.panes.retain(|_, pane| !pane.keys.as_slice().is_empty());
        Ok(())
    }
}

fn corrupt() -> CorruptState {
    CorruptState {
        what: "tumbling windows",
    }
}
