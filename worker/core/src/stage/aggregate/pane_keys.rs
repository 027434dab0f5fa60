//! The keys of windows that consist of panes: a key is forgotten when the last pane that it is in is gone.

use super::Rows;
use crate::capture::{BlockId, Row, expect};
use crate::key::{KeyId, KeyTable, reserve};

/// Keys, and in how many panes each is.
#[derive(Debug, Default)]
pub(super) struct PaneKeys {
    table: KeyTable,
    n_panes: Vec<u32>,
    scratch: Vec<u8>,
}

impl PaneKeys {
    /// The table, to look keys up.
    pub fn table(&self) -> &KeyTable {
        &self.table
    }

    /// One more than the largest number in use so far.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// The number of the key of a row.
    pub fn of_row(&mut self, rows: &Rows<'_>, row: usize) -> KeyId {
        let mut scratch = std::mem::take(&mut self.scratch);
        rows.key(row, &mut scratch);
        let id = self.of(&scratch);
        self.scratch = scratch;
        id
    }

    /// The number of a key that a row has.
    fn of(&mut self, key: &[u8]) -> KeyId {
        let (id, _) = self.table.intern(key);
        self.make_room(id)
    }

    /// Prepares for the keys of a block that are taken back. Answers their hashes.
    pub fn expect(&mut self, block: BlockId, rows: &[Row<'_>]) -> Vec<u32> {
        let hashes = expect(&mut self.table, block, rows);
        reserve(&mut self.n_panes, self.table.n_expected());
        hashes
    }

    /// The number of a key that is taken back.
    pub fn take_back(&mut self, key: &[u8], hash: u32) -> KeyId {
        let (id, _) = self.table.take_back(key, hash);
        self.make_room(id)
    }

    fn make_room(&mut self, id: KeyId) -> KeyId {
        if self.n_panes.len() <= id as usize {
            self.n_panes.resize(self.table.capacity().next_multiple_of(1024), 0);
        }
        id
    }

    /// A key came into one more pane.
    pub fn enter(&mut self, id: KeyId) {
        self.n_panes[id as usize] += 1;
    }

    /// A pane that these keys are in is gone.
    pub fn leave(&mut self, ids: &[KeyId]) {
        for &id in ids {
            let n_panes = &mut self.n_panes[id as usize];
            *n_panes -= 1;
            if *n_panes == 0 {
                self.table.release(id);
            }
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.n_panes.capacity() * size_of::<u32>()
    }
}
