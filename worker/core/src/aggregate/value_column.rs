//! Columns that hold one value a key, in one of the forms of [`super::values`].

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray};
use arrow_schema::DataType;

use super::CorruptState;
use super::bytes::{put_bytes, take_bytes};
use super::values::{Number, check_bytes};
use crate::key::reserve;

/// A column of values, indexed by key id. Whether a key has a value is known elsewhere.
pub(super) trait ValueColumn: Default + Send + 'static {
    /// Arrays of the form.
    type Array: Array + 'static;

    /// The array in its form; `None` if it has another one.
    fn array(array: &ArrayRef) -> Option<&Self::Array>;

    /// Makes room for key ids below `n_keys`.
    fn grow(&mut self, n_keys: usize);

    /// Takes memory for key ids below `n_keys` at once, without touching it.
    fn reserve(&mut self, n_keys: usize);

    /// Sets the value of a key from a row that is not NULL.
    fn set(&mut self, id: u32, array: &Self::Array, row: usize);

    /// Sets the value of a key from the same key of another column.
    fn copy(&mut self, id: u32, other: &Self);

    /// Gives back the memory of a key's value.
    fn forget(&mut self, id: u32);

    /// The values of these keys; NULL for `None`.
    fn collect(&self, ids: impl Iterator<Item = Option<u32>>) -> ArrayRef;

    /// Appends the value of a key.
    fn put(&self, id: u32, out: &mut Vec<u8>);

    /// Takes what [`ValueColumn::put`] wrote for a value of `data_type`.
    fn take(&mut self, id: u32, bytes: &mut &[u8], data_type: &DataType) -> Result<(), CorruptState>;

    /// Bytes of memory held.
    fn memory(&self) -> usize;
}

/// Numbers and times.
pub(super) struct Numbers<T: ArrowPrimitiveType>(Vec<T::Native>);

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: ArrowPrimitiveType<Native: Number>> ValueColumn for Numbers<T> {
    type Array = PrimitiveArray<T>;

    fn array(array: &ArrayRef) -> Option<&Self::Array> {
        array.as_primitive_opt()
    }

    fn grow(&mut self, n_keys: usize) {
        self.0.resize(n_keys, T::Native::default());
    }

    fn reserve(&mut self, n_keys: usize) {
        reserve(&mut self.0, n_keys);
    }

    #[inline]
    fn set(&mut self, id: u32, array: &Self::Array, row: usize) {
        self.0[id as usize] = array.value(row);
    }

    fn copy(&mut self, id: u32, other: &Self) {
        self.0[id as usize] = other.0[id as usize];
    }

    fn forget(&mut self, _id: u32) {}

    fn collect(&self, ids: impl Iterator<Item = Option<u32>>) -> ArrayRef {
        Arc::new(ids.map(|id| Some(self.0[id? as usize])).collect::<PrimitiveArray<T>>())
    }

    fn put(&self, id: u32, out: &mut Vec<u8>) {
        self.0[id as usize].put(out);
    }

    fn take(&mut self, id: u32, bytes: &mut &[u8], _data_type: &DataType) -> Result<(), CorruptState> {
        self.0[id as usize] = T::Native::take(bytes)?;
        Ok(())
    }

    fn memory(&self) -> usize {
        self.0.capacity() * size_of::<T::Native>()
    }
}

/// Texts, bytes and encoded values: one behind the other, so that a key costs no allocation of its own. What is replaced
/// leaves its bytes behind; they are used again by what has room there, and given back once they are more than half of all.
#[derive(Default)]
pub(super) struct Texts {
    places: Vec<Place>,
    bytes: Vec<u8>,
    /// Bytes that no place has.
    n_left: usize,
}

/// Where a key's value stands.
#[derive(Clone, Copy, Default)]
struct Place {
    start: u64,
    length: u32,
    /// Bytes that the key has there.
    room: u32,
}

impl Place {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// Fewer bytes that are left behind are not worth a look.
const FEW: usize = 1 << 16;

impl Texts {
    fn get(&self, id: u32) -> &[u8] {
        &self.bytes[self.places[id as usize].range()]
    }

    fn assign(&mut self, id: u32, value: &[u8]) {
        let place = &mut self.places[id as usize];
        // A column of Arrow, which values come from and go to, holds 2 GiB.
        let length = value.len() as u32;
        // One long value must not hold its memory for good.
        let is_wasteful = place.room > 1024 && place.room / 8 > length;
        if length > place.room || is_wasteful {
            self.n_left += place.room as usize;
            (place.start, place.room) = (self.bytes.len() as u64, length);
            self.bytes.extend_from_slice(value);
        } else {
            let start = place.start as usize;
            self.bytes[start..start + value.len()].copy_from_slice(value);
        }
        place.length = length;
        self.pack_if_due();
    }

    fn is_packing_due(&self) -> bool {
        // All places are looked at for it, also those of keys that are long gone.
        let least = FEW.max(self.places.len() * size_of::<Place>());
        self.n_left >= least && self.n_left * 2 >= self.bytes.len()
    }

    /// Moves the values together if that gives back more than half of the memory.
    fn pack_if_due(&mut self) {
        if !self.is_packing_due() {
            return;
        }
        let mut packed = Vec::with_capacity(self.bytes.len() - self.n_left);
        for place in &mut self.places {
            let start = packed.len() as u64;
            packed.extend_from_slice(&self.bytes[place.range()]);
            (place.start, place.room) = (start, place.length);
        }
        (self.bytes, self.n_left) = (packed, 0);
    }
}

impl ValueColumn for Texts {
    type Array = BinaryArray;

    fn array(array: &ArrayRef) -> Option<&Self::Array> {
        array.as_binary_opt()
    }

    fn grow(&mut self, n_keys: usize) {
        self.places.resize(n_keys, Place::default());
    }

    fn reserve(&mut self, n_keys: usize) {
        reserve(&mut self.places, n_keys);
    }

    fn set(&mut self, id: u32, array: &Self::Array, row: usize) {
        self.assign(id, array.value(row));
    }

    fn copy(&mut self, id: u32, other: &Self) {
        self.assign(id, other.get(id));
    }

    fn forget(&mut self, id: u32) {
        let place = std::mem::take(&mut self.places[id as usize]);
        self.n_left += place.room as usize;
        self.pack_if_due();
    }

    fn collect(&self, ids: impl Iterator<Item = Option<u32>>) -> ArrayRef {
        Arc::new(ids.map(|id| Some(self.get(id?))).collect::<BinaryArray>())
    }

    fn put(&self, id: u32, out: &mut Vec<u8>) {
        put_bytes(out, self.get(id));
    }

    fn take(&mut self, id: u32, bytes: &mut &[u8], data_type: &DataType) -> Result<(), CorruptState> {
        let value = take_bytes(bytes, "text")?;
        check_bytes(value, data_type)?;
        self.assign(id, value);
        Ok(())
    }

    fn memory(&self) -> usize {
        self.places.capacity() * size_of::<Place>() + self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is set, replaced and forgotten, each key has what it was given last, and memory is given back.
        #[test]
        fn texts_are_those_of_their_keys(steps in prop::collection::vec((0u32..20, prop::option::of(0usize..9_000)), 1..200)) {
            let (mut texts, mut model) = (Texts::default(), vec![Vec::new(); 20]);
            texts.grow(20);
            for (id, length) in steps {
                match length {
                    None => texts.forget(id),
                    Some(length) => texts.assign(id, &vec![(id as usize + length) as u8; length]),
                }
                model[id as usize] = {
                    let length = length.unwrap_or_default();
                    vec![(id as usize + length) as u8; length]
                };
                for (id, expected) in (0u32..).zip(&model) {
                    prop_assert_eq!(texts.get(id), expected.as_slice());
                }
                let held: usize = texts.places.iter().map(|place| place.room as usize).sum();
                prop_assert_eq!(texts.bytes.len(), held + texts.n_left);
                prop_assert!(!texts.is_packing_due());
            }
        }
    }
}
