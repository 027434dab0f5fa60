//! Keys of stages: the values of the `by` columns as bytes, and a dense number for each.
//!
//! State is kept in columns indexed by that number. A number is used again after its key was released.

mod index;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow_array::{TimestampMicrosecondArray, new_null_array};
use arrow_schema::DataType;
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZero;

use self::index::Index;
use crate::top_keys::TopKeys;
use std::sync::Arc;

/// Number of a key among the live keys of a table.
pub type KeyId = u32;

/// Writes the key of row `row` behind `out`: for each column a 0 for NULL, or a 1 and the value.
pub fn encode_key(columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) {
    for column in columns {
        if column.is_null(row) {
            out.push(0);
            continue;
        }
        out.push(1);
        match column.data_type() {
            DataType::Utf8 => {
                let text = column.as_string::<i32>().value(row).as_bytes();
                // The length is not needed behind a single column, whose text ends with the key.
                if columns.len() > 1 {
                    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                }
                out.extend_from_slice(text);
            }
            DataType::Int64 => out.extend_from_slice(&column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
            DataType::UInt64 => out.extend_from_slice(&column.as_primitive::<UInt64Type>().value(row).to_le_bytes()),
            DataType::Float64 => {
                // -0.0 and 0.0 are one key.
                let value = column.as_primitive::<Float64Type>().value(row) + 0.0;
                out.extend_from_slice(&value.to_le_bytes());
            }
            DataType::Timestamp(..) => {
                out.extend_from_slice(
                    &column
                        .as_primitive::<TimestampMicrosecondType>()
                        .value(row)
                        .to_le_bytes(),
                );
            }
            DataType::Decimal128(..) => {
                out.extend_from_slice(&column.as_primitive::<Decimal128Type>().value(row).to_le_bytes());
            }
            DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
            // The compiler lets no other type be a key.
            _ => {}
        }
    }
}

/// The columns that `keys` were encoded from. A key that was not encoded from these types gives NULLs.
pub fn decode_keys<'a>(keys: impl Iterator<Item = &'a [u8]> + Clone, types: &[DataType]) -> Vec<ArrayRef> {
    let mut rest: Vec<&[u8]> = keys.collect();
    let single = types.len() == 1;
    types
        .iter()
        .map(|data_type| decode_column(&mut rest, data_type, single))
        .collect()
}

fn decode_column(rest: &mut [&[u8]], data_type: &DataType, single: bool) -> ArrayRef {
    let n_keys = rest.len();
    let present = |key: &mut &'_ [u8]| matches!(split(key, 1), Some([1]));
    macro_rules! fixed {
        ($array:ty, $from:expr, $size:expr) => {{
            let values = rest.iter_mut().map(|key| {
                if !present(key) {
                    return None;
                }
                split(key, $size).and_then(|bytes| bytes.try_into().ok()).map($from)
            });
            values.collect::<$array>()
        }};
    }
    match data_type {
        DataType::Utf8 => {
            let texts = rest.iter_mut().map(|key| {
                if !present(key) {
                    return None;
                }
                let length = if single {
                    key.len()
                } else {
                    split(key, 4).map(|n| le_u32(n) as usize)?
                };
                split(key, length).and_then(|text| std::str::from_utf8(text).ok())
            });
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Int64 => Arc::new(fixed!(Int64Array, i64::from_le_bytes, 8)),
        DataType::UInt64 => Arc::new(fixed!(UInt64Array, u64::from_le_bytes, 8)),
        DataType::Float64 => Arc::new(fixed!(Float64Array, f64::from_le_bytes, 8)),
        DataType::Timestamp(..) => {
            Arc::new(fixed!(TimestampMicrosecondArray, i64::from_le_bytes, 8).with_timezone("UTC"))
        }
        DataType::Decimal128(..) => {
            let values = fixed!(Decimal128Array, i128::from_le_bytes, 16);
            Arc::new(
                values
                    .with_precision_and_scale(38, 9)
                    .unwrap_or_else(|_| Decimal128Array::new_null(n_keys)),
            )
        }
        DataType::Boolean => Arc::new(fixed!(BooleanArray, |[byte]: [u8; 1]| byte != 0, 1)),
        other => new_null_array(other, n_keys),
    }
}

fn split<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (front, back) = bytes.split_at_checked(n)?;
    *bytes = back;
    Some(front)
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_le_bytes).unwrap_or_default()
}

/// Keys with their numbers.
#[derive(Debug, Default)]
pub struct KeyTable {
    index: Index,
    /// Where each key begins in `bytes`; the length stands in front of it.
    starts: Vec<u64>,
    bytes: Vec<u8>,
    free: Vec<KeyId>,
    /// Bytes of released keys.
    dead_bytes: usize,
    n_expected: usize,
    top: TopKeys,
}

const NOT_LIVE: u64 = u64::MAX;

/// So many keys take little memory.
const FEW: usize = 1 << 14;

/// Takes memory for `n` values at once, which is not touched before they come. Where there is not so much it is taken as they come.
pub(crate) fn reserve<T>(column: &mut Vec<T>, n: usize) {
    let _ = column.try_reserve(n.saturating_sub(column.len()));
}

impl KeyTable {
    /// The number of `key`, and whether it is new.
    pub fn intern(&mut self, key: &[u8]) -> (KeyId, bool) {
        self.top.note(key);
        self.take_back(key, hash(key))
    }

    /// The same for a key that no row asks for, with its hash.
    #[inline]
    pub fn take_back(&mut self, key: &[u8], hash: u32) -> (KeyId, bool) {
        self.index.make_room();
        let free = match self.index.find_or_free(hash, |id| self.key(id) == key) {
            Ok(id) => return (id, false),
            Err(free) => free,
        };
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(key);
        let id = match self.free.pop() {
            Some(id) => {
                self.starts[id as usize] = start;
                id
            }
            None => {
                self.starts.push(start);
                (self.starts.len() - 1) as KeyId
            }
        };
        self.index.insert(free, hash, id);
        (id, true)
    }

    /// Prepares for keys that are taken back one after the other, of some `n_keys` in all: their places are fetched from
    /// memory together. Answers their hashes.
    pub fn expect<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>, n_keys: usize) -> Vec<u32> {
        let mut n_bytes = 0;
        let of_key = |key: &'a [u8]| {
            n_bytes += key.len() + 4;
            hash(key)
        };
        let hashes: Vec<u32> = keys.map(of_key).collect();
        if n_keys > self.n_expected && !hashes.is_empty() {
            self.n_expected = n_keys;
            reserve(&mut self.starts, n_keys);
            reserve(&mut self.bytes, n_bytes.div_ceil(hashes.len()).saturating_mul(n_keys));
        }
        // Of what is written to at once nobody's word is taken for much more than there is.
        self.index.grow(self.n_expected.min(self.len().max(FEW) * 8));
        self.index.touch(&hashes);
        hashes
    }

    /// How many keys are to be taken back in all, as far as that is known.
    pub fn n_expected(&self) -> usize {
        self.n_expected
    }

    /// The number of `key`, if it is there.
    pub fn find(&self, key: &[u8]) -> Option<KeyId> {
        self.index.find(hash(key), |id| self.key(id) == key)
    }

    /// The key with this number.
    pub fn key(&self, id: KeyId) -> &[u8] {
        let Some(start) = self.starts.get(id as usize).filter(|start| **start != NOT_LIVE) else {
            return &[];
        };
        let start = *start as usize;
        let length = le_u32(&self.bytes[start..start + 4]) as usize;
        &self.bytes[start + 4..start + 4 + length]
    }

    /// Forgets a key. Its number will be used again.
    pub fn release(&mut self, id: KeyId) {
        let key = self.key(id);
        let (hash, length) = (hash(key), key.len() + 4);
        if self.index.remove(hash, id) {
            self.starts[id as usize] = NOT_LIVE;
            self.free.push(id);
            self.dead_bytes += length;
            if self.dead_bytes > (1 << 16) && self.dead_bytes * 2 > self.bytes.len() {
                self.compact();
            }
        }
    }

    fn compact(&mut self) {
        let mut packed = Vec::with_capacity(self.bytes.len() - self.dead_bytes);
        for start in self.starts.iter_mut().filter(|start| **start != NOT_LIVE) {
            let at = *start as usize;
            let length = 4 + le_u32(&self.bytes[at..at + 4]) as usize;
            *start = packed.len() as u64;
            packed.extend_from_slice(&self.bytes[at..at + length]);
        }
        self.bytes = packed;
        self.dead_bytes = 0;
    }

    /// The keys that were asked for most.
    pub fn top(&self) -> &TopKeys {
        &self.top
    }

    /// One more than the largest number in use so far.
    pub fn capacity(&self) -> usize {
        self.starts.len()
    }

    /// How many keys are there.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no key is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.index.memory() + self.starts.capacity() * 8 + self.bytes.capacity() + self.free.capacity() * 4
    }
}

/// New numbers of keys that are taken back, by where they come from and their numbers there: of each page, those of its keys.
#[derive(Debug, Default)]
pub struct Renumbered(Vec<Vec<Option<Box<Page>>>>);

/// Keys of a page: numbers are dense, and come by blocks.
const PAGE: KeyId = 1024;

type Page = [Option<NonZero<KeyId>>; PAGE as usize];

impl Renumbered {
    /// Notes the new number of a key.
    pub fn insert(&mut self, from: usize, old: KeyId, new: KeyId) {
        if self.0.len() <= from {
            self.0.resize_with(from + 1, Vec::new);
        }
        let (pages, number) = (&mut self.0[from], (old / PAGE) as usize);
        if pages.len() <= number {
            pages.resize_with(number + 1, || None);
        }
        let page = pages[number].get_or_insert_with(|| Box::new([None; PAGE as usize]));
        // No table has so many keys that one has the last number.
        page[(old % PAGE) as usize] = NonZero::new(new.wrapping_add(1));
    }

    /// The new number of a key, if it came here.
    pub fn get(&self, from: usize, old: KeyId) -> Option<KeyId> {
        let page = self.0.get(from)?.get((old / PAGE) as usize)?.as_ref()?;
        page[(old % PAGE) as usize].map(|next| next.get() - 1)
    }
}

/// Keys in the order in which they came, each once.
#[derive(Debug, Default)]
pub struct KeySet {
    order: Vec<KeyId>,
    /// A bit a key: whether it is in `order`.
    present: Vec<u64>,
}

impl KeySet {
    /// Adds a key; answers whether it is new.
    pub fn insert(&mut self, id: KeyId) -> bool {
        let (word, bit) = (id as usize / 64, 1u64 << (id % 64));
        if self.present.len() <= word {
            self.present.resize(word + 1, 0);
        }
        let new = self.present[word] & bit == 0;
        if new {
            self.present[word] |= bit;
            self.order.push(id);
        }
        new
    }

    /// Whether a key is there.
    pub fn contains(&self, id: KeyId) -> bool {
        let word = self.present.get(id as usize / 64);
        word.is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    /// The keys, in the order in which they came.
    pub fn as_slice(&self) -> &[KeyId] {
        &self.order
    }

    /// All keys here are below this.
    pub fn bound(&self) -> usize {
        self.present.len() * 64
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.order.capacity() * size_of::<KeyId>() + self.present.capacity() * size_of::<u64>()
    }
}

/// A fixed seed: the order of keys never depends on the hash, and a table is private to its pipeline's shard.
fn hash(key: &[u8]) -> u32 {
    let mut hasher = FixedState::with_seed(0x746f_6373_696e).build_hasher();
    hasher.write(key);
    (hasher.finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_all_types_come_back() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("api"), None, Some("")])),
            Arc::new(Int64Array::from(vec![Some(-1), Some(7), None])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)])),
            Arc::new(Float64Array::from(vec![Some(0.5), Some(-1e300), None])),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(5), None, Some(-5)]).with_timezone("UTC")),
        ];
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        let keys: Vec<Vec<u8>> = (0..3)
            .map(|row| {
                let mut key = Vec::new();
                encode_key(&columns, row, &mut key);
                key
            })
            .collect();
        assert_eq!(decode_keys(keys.iter().map(Vec::as_slice), &types), columns);
    }

    proptest! {
        #[test]
        fn a_table_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0u16..300), 1..2000)) {
            let mut table = KeyTable::default();
            let mut model: HashMap<Vec<u8>, KeyId> = HashMap::new();
            for (intern, n) in steps {
                let key = format!("key-{n}").repeat(1 + usize::from(n) % 40).into_bytes();
                if intern {
                    let (id, new) = table.intern(&key);
                    prop_assert_eq!(new, !model.contains_key(&key));
                    prop_assert_eq!(*model.entry(key).or_insert(id), id);
                } else if let Some(id) = model.remove(&key) {
                    table.release(id);
                }
            }
            prop_assert_eq!(table.len(), model.len());
            for (key, id) in model {
                prop_assert_eq!(table.find(&key), Some(id));
                prop_assert_eq!(table.key(id), key.as_slice());
            }
        }
    }
}
