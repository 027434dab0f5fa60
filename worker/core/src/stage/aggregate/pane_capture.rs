//! The captured state of windows that consist of panes: a row a key, with its state in each pane that it is in.

use std::collections::BTreeMap;
use std::ops::Range;

use super::pane_keys::PaneKeys;
use crate::aggregate::bytes::{put_i64, put_u64};
use crate::capture::{Blocks, Extent, RowWriter};
use crate::key::{KeyId, KeySet};
use crate::stream::Micros;

/// A pane, for its keys and what is saved of each.
pub(super) trait CapturedPane {
    /// The keys that are in it.
    fn keys(&self) -> &KeySet;

    /// Writes what it holds of a key.
    fn save(&self, id: KeyId, out: &mut Vec<u8>);
}

/// Where a capture of panes stands.
pub(super) struct PaneCapture<P> {
    pub blocks: Blocks,
    /// Whether a capture is under way: then panes that are gone are kept until it is done, and their keys with them.
    active: bool,
    retired: Vec<(Micros, P)>,
}

impl<P> Default for PaneCapture<P> {
    fn default() -> Self {
        Self {
            blocks: Blocks::new(0),
            active: false,
            retired: Vec::new(),
        }
    }
}

impl<P: CapturedPane> PaneCapture<P> {
    /// Begins a capture; one that is under way is given up.
    pub fn begin(&mut self, extent: Extent, keys: &mut PaneKeys) {
        self.end(keys);
        self.blocks.begin(extent, keys.capacity());
        self.active = true;
    }

    /// All is captured.
    pub fn end(&mut self, keys: &mut PaneKeys) {
        for (_, pane) in self.retired.drain(..) {
            keys.leave(pane.keys().as_slice());
        }
        self.active = false;
    }

    /// A pane is gone.
    pub fn retire(&mut self, start: Micros, pane: P, keys: &mut PaneKeys) {
        if self.active {
            self.retired.push((start, pane));
        } else {
            keys.leave(pane.keys().as_slice());
        }
    }

    /// A pane that is gone and still captured.
    pub fn retired(&self, start: Micros) -> Option<&P> {
        let mut retired = self.retired.iter();
        retired.find(|(of, _)| *of == start).map(|(_, pane)| pane)
    }

    /// Writes a row for each of these keys that is in a pane: how many, and of each its start and what it holds.
    pub fn save_rows(&self, ids: Range<KeyId>, panes: &BTreeMap<Micros, P>, keys: &PaneKeys, rows: &mut RowWriter) {
        let retired = self.retired.iter().map(|(start, pane)| (start, pane));
        let all: Vec<(&Micros, &P)> = retired.chain(panes).collect();
        for id in ids {
            let of_key = || all.iter().filter(|(_, pane)| pane.keys().contains(id));
            let n_panes = of_key().count();
            if n_panes == 0 {
                continue;
            }
            rows.row(id, keys.table().key(id), |out| {
                put_u64(out, n_panes as u64);
                for (start, pane) in of_key() {
                    put_i64(out, **start);
                    pane.save(id, out);
                }
            });
        }
    }
}
