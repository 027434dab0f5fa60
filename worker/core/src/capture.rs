//! Captures of state that goes on changing while it is captured.
//!
//! A capture holds the state as it was at one moment, its cut. What is kept by key is saved in blocks of keys, some at a
//! time, while the stage goes on; a block that is about to change and is not saved yet is saved first. So the stage never
//! stands still for longer than a few blocks take. Each block knows whether it changed since the last capture: one that
//! did not is left out of the next, and stands in an earlier one.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{put_bytes, put_u64, take_bytes, take_u64};
use crate::key::{KeyId, KeyTable};
use crate::stream::Micros;

/// Keys of a block: some 4 KiB of state.
const KEYS: u32 = 128;

/// How much is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What changed since the last capture, which is kept.
    Changes,
    /// All there is.
    Whole,
}

/// Tables from here on hold no state: their rows say in which order keys stand that have theirs in others.
pub const ORDER: u32 = 1 << 16;

/// Which block of a stage's state it is. One that is captured again takes the place of the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId {
    /// Which of the stage's tables it is of.
    pub table: u32,
    /// For what is kept by window, where that begins.
    pub window: Micros,
    /// Number of the block in its table.
    pub number: u32,
}

impl BlockId {
    /// Whether it says in which order keys stand, and holds no state.
    pub fn is_order(self) -> bool {
        self.table >= ORDER
    }
}

/// A part of a stage's state, as it was at the cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which.
    pub id: BlockId,
    /// Its rows: see [`rows`].
    pub bytes: Vec<u8>,
}

/// A row of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Number of the key while it was captured.
    pub id: KeyId,
    /// The key: see [`crate::key::encode_key`].
    pub key: &'a [u8],
    /// Its state, as the stage wrote it.
    pub state: &'a [u8],
}

/// Writes the rows of a block.
#[derive(Debug, Default)]
pub struct RowWriter {
    bytes: Vec<u8>,
}

impl RowWriter {
    /// Has room for so many bytes.
    fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Adds a row; `write` appends its state.
    pub fn row(&mut self, id: KeyId, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        put_u64(&mut self.bytes, u64::from(id));
        put_bytes(&mut self.bytes, key);
        // The length stands in front of the state, in one byte nearly always.
        let at = self.bytes.len();
        self.bytes.push(0);
        write(&mut self.bytes);
        let length = self.bytes.len() - at - 1;
        match u8::try_from(length) {
            Ok(length @ ..0x80) => self.bytes[at] = length,
            _ => {
                let mut longer = Vec::new();
                put_u64(&mut longer, length as u64);
                self.bytes.splice(at..=at, longer);
            }
        }
    }

    /// The block with these rows.
    pub fn into_block(self, id: BlockId) -> Block {
        let bytes = self.bytes;
        Block { id, bytes }
    }
}

/// The rows of a block.
///
/// # Errors
/// If the bytes are none.
pub fn rows(mut bytes: &[u8]) -> Result<Vec<Row<'_>>, CorruptState> {
    let corrupt = CorruptState { what: "a block" };
    let mut rows = Vec::with_capacity(KEYS as usize);
    while !bytes.is_empty() {
        let id = take_u64(&mut bytes, "a block").and_then(|id| KeyId::try_from(id).map_err(|_| corrupt.clone()))?;
        let key = take_bytes(&mut bytes, "a block")?;
        let state = take_bytes(&mut bytes, "a block")?;
        rows.push(Row { id, key, state });
    }
    Ok(rows)
}

/// Prepares `keys` for those of a block, which are taken back one after the other. Answers their hashes.
pub fn expect(keys: &mut KeyTable, block: BlockId, rows: &[Row<'_>]) -> Vec<u32> {
    // Other blocks of the table have about as many rows for here, and one of the highest numbers comes first.
    let n_keys = (block.number as usize).saturating_add(2).saturating_mul(rows.len());
    keys.expect(rows.iter().map(|row| row.key), n_keys)
}

/// Where the blocks of a table stand.
#[derive(Debug)]
pub struct Blocks {
    table: u32,
    states: Vec<State>,
    /// Blocks of the capture under way, the next at the end. Some may have been saved early.
    pending: Vec<u32>,
    /// Blocks that were saved early and not handed over.
    early: Vec<Block>,
    /// Bytes that a block may take.
    room: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// As it was in the last capture.
    Same,
    /// It changed since the cut of the last capture.
    Changed,
    /// Of the capture under way, and not saved.
    Pending,
}

impl Blocks {
    /// The blocks of a table without keys.
    pub fn new(table: u32) -> Self {
        Self {
            table,
            states: Vec::new(),
            pending: Vec::new(),
            early: Vec::new(),
            room: 0,
        }
    }

    /// Notes that a key is about to change. Answers whether its block must be saved first.
    #[inline]
    fn change(&mut self, id: KeyId) -> bool {
        let number = (id / KEYS) as usize;
        match self.states.get_mut(number) {
            Some(State::Changed) => false,
            Some(state) => std::mem::replace(state, State::Changed) == State::Pending,
            None => {
                self.states.resize(number, State::Same);
                self.states.push(State::Changed);
                false
            }
        }
    }

    /// Begins a capture of keys below `n_keys`. One that is under way is given up: then the whole must be captured.
    pub fn begin(&mut self, extent: Extent, n_keys: usize) {
        self.states.resize(n_keys.div_ceil(KEYS as usize), State::Same);
        self.early.clear();
        self.pending.clear();
        for (number, state) in self.states.iter_mut().enumerate().rev() {
            if extent == Extent::Whole || *state != State::Same {
                *state = State::Pending;
                self.pending.push(number as u32);
            }
        }
        // The last but one comes first: whoever takes the blocks back knows then for how many keys memory is needed.
        let n_pending = self.pending.len();
        self.pending.rotate_left(2 % n_pending.max(1));
    }

    fn next(&mut self) -> Option<u32> {
        while let Some(number) = self.pending.pop() {
            let state = &mut self.states[number as usize];
            if *state == State::Pending {
                *state = State::Same;
                return Some(number);
            }
        }
        None
    }

    fn id(&self, number: u32) -> BlockId {
        BlockId {
            table: self.table,
            window: 0,
            number,
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let early: usize = self.early.iter().map(|block| block.bytes.capacity()).sum();
        self.states.capacity() + self.pending.capacity() * size_of::<u32>() + early
    }
}

/// State by key that is captured in blocks.
pub trait Captured {
    /// Where its blocks stand.
    fn blocks(&mut self) -> &mut Blocks;

    /// Writes a row for each of these keys that has state. Those that are not live have none.
    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter);

    /// To be called before anything changes of a key that [`Captured::save_rows`] writes.
    #[inline]
    fn touch(&mut self, id: KeyId) {
        if self.blocks().change(id) {
            let block = self.block(id / KEYS);
            self.blocks().early.push(block);
        }
    }

    /// The next block of the capture under way; none when all are handed over.
    fn next_block(&mut self) -> Option<Block> {
        if let Some(block) = self.blocks().early.pop() {
            return Some(block);
        }
        let number = self.blocks().next()?;
        Some(self.block(number))
    }

    /// A block as it is now.
    fn block(&mut self, number: u32) -> Block {
        // Blocks of a table are about as large as one another.
        let mut rows = RowWriter::with_room(self.blocks().room);
        self.save_rows(number * KEYS..(number + 1).saturating_mul(KEYS), &mut rows);
        let blocks = self.blocks();
        blocks.room = rows.bytes.len() + rows.bytes.len() / 8;
        rows.into_block(blocks.id(number))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    struct Numbers {
        values: Vec<u64>,
        blocks: Blocks,
    }

    impl Captured for Numbers {
        fn blocks(&mut self) -> &mut Blocks {
            &mut self.blocks
        }

        fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
            for id in ids.filter(|id| self.values.get(*id as usize).is_some_and(|value| *value > 0)) {
                let value = self.values[id as usize];
                rows.row(id, &id.to_le_bytes(), |out| out.extend(value.to_le_bytes()));
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Action {
        Set(u16, u64),
        Begin(bool),
        Next,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            8 => (0u16..2000, 0u64..9).prop_map(|(id, value)| Action::Set(id, value)),
            1 => any::<bool>().prop_map(Action::Begin),
            3 => Just(Action::Next),
        ]
    }

    fn read(blocks: &BTreeMap<BlockId, Vec<u8>>) -> BTreeMap<KeyId, u64> {
        let all = blocks.values().flat_map(|bytes| rows(bytes).unwrap());
        all.map(|row| (row.id, u64::from_le_bytes(row.state.try_into().unwrap())))
            .collect()
    }

    proptest! {
        /// Whatever changes while a capture is under way, it holds what there was at its cut; and captures of changes, one
        /// over the other, hold as much as a whole one.
        #[test]
        fn a_capture_holds_the_state_at_its_cut(actions in prop::collection::vec(action(), 1..600)) {
            let mut numbers = Numbers { values: vec![0; 2000], blocks: Blocks::new(7) };
            let mut kept: BTreeMap<BlockId, Vec<u8>> = BTreeMap::new();
            let mut under_way: Option<BTreeMap<KeyId, u64>> = None;
            let mut first = true;
            for action in actions {
                match action {
                    Action::Set(id, value) => {
                        numbers.touch(u32::from(id));
                        numbers.values[usize::from(id)] = value;
                    }
                    Action::Begin(whole) if under_way.is_none() => {
                        let extent = if whole || first { Extent::Whole } else { Extent::Changes };
                        first = false;
                        if extent == Extent::Whole {
                            kept.clear();
                        }
                        numbers.blocks.begin(extent, numbers.values.len());
                        let now = numbers.values.iter().enumerate().filter(|(_, value)| **value > 0);
                        under_way = Some(now.map(|(id, value)| (id as u32, *value)).collect());
                    }
                    Action::Begin(_) => {}
                    Action::Next => match (numbers.next_block(), &under_way) {
                        (Some(block), Some(_)) => {
                            prop_assert_eq!(block.id.table, 7);
                            kept.insert(block.id, block.bytes);
                        }
                        (None, Some(expected)) => {
                            prop_assert_eq!(&read(&kept), expected);
                            under_way = None;
                        }
                        (block, None) => prop_assert_eq!(block, None),
                    },
                }
            }
        }

        #[test]
        fn any_bytes_are_rows_or_an_error(bytes: Vec<u8>) {
            if let Ok(rows) = rows(&bytes) {
                prop_assert!(rows.len() <= bytes.len());
            }
        }
    }
}
