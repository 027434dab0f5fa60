//! Columns that hold one value a key, in one of the forms of [`super::values`].

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray};
use arrow_schema::DataType;

use super::CorruptState;
use super::bytes::{put_bytes, take_bytes};
use super::values::{Number, check_bytes};

/// A column of values, indexed by key id. Whether a key has a value is known elsewhere.
pub(super) trait ValueColumn: Default + Send + 'static {
    /// Arrays of the form.
    type Array: Array + 'static;

    /// The array in its form; `None` if it has another one.
    fn array(array: &ArrayRef) -> Option<&Self::Array>;

    /// Makes room for key ids below `n_keys`.
    fn grow(&mut self, n_keys: usize);

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

/// Texts, bytes and encoded values. A key's buffer is used again, so that a key that changes with each record does not
/// allocate each time.
#[derive(Default)]
pub(super) struct Texts(Vec<Vec<u8>>);

impl Texts {
    fn assign(&mut self, id: u32, value: &[u8]) {
        let buffer = &mut self.0[id as usize];
        // One long value must not hold its memory for good.
        if buffer.capacity() > 1024 && buffer.capacity() / 8 > value.len() {
            *buffer = Vec::new();
        }
        buffer.clear();
        buffer.extend_from_slice(value);
    }
}

impl ValueColumn for Texts {
    type Array = BinaryArray;

    fn array(array: &ArrayRef) -> Option<&Self::Array> {
        array.as_binary_opt()
    }

    fn grow(&mut self, n_keys: usize) {
        self.0.resize(n_keys, Vec::new());
    }

    fn set(&mut self, id: u32, array: &Self::Array, row: usize) {
        self.assign(id, array.value(row));
    }

    fn copy(&mut self, id: u32, other: &Self) {
        self.assign(id, &other.0[id as usize]);
    }

    fn forget(&mut self, id: u32) {
        self.0[id as usize] = Vec::new();
    }

    fn collect(&self, ids: impl Iterator<Item = Option<u32>>) -> ArrayRef {
        Arc::new(ids.map(|id| Some(&self.0[id? as usize])).collect::<BinaryArray>())
    }

    fn put(&self, id: u32, out: &mut Vec<u8>) {
        put_bytes(out, &self.0[id as usize]);
    }

    fn take(&mut self, id: u32, bytes: &mut &[u8], data_type: &DataType) -> Result<(), CorruptState> {
        let value = take_bytes(bytes, "text")?;
        check_bytes(value, data_type)?;
        self.assign(id, value);
        Ok(())
    }

    fn memory(&self) -> usize {
        let texts: usize = self.0.iter().map(Vec::capacity).sum();
        self.0.capacity() * size_of::<Vec<u8>>() + texts
    }
}
