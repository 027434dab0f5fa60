//! Walks over the rows of a batch, shared by the functions: simple loops without a branch for each row if no value is
//! NULL.

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, Float64Array, PrimitiveArray, cast::AsArray, types::Float64Type,
};
use arrow_buffer::NullBuffer;
use std::sync::Arc;

/// How many keys a column needs for these ids.
pub(super) fn keys_needed(ids: &[u32]) -> usize {
    ids.iter().copied().max().map_or(0, |highest| highest as usize + 1)
}

/// Calls `f` with the key and the value of each row that is not NULL, in order.
#[inline]
pub(super) fn each_value<T: ArrowPrimitiveType>(
    ids: &[u32],
    array: &PrimitiveArray<T>,
    mut f: impl FnMut(u32, T::Native),
) {
    match nulls_of(array) {
        None => ids.iter().zip(array.values()).for_each(|(id, value)| f(*id, *value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| f(ids[row], array.value(row))),
    }
}

/// Calls `f` with the key and the index of each row that `nulls` leaves, in order.
#[inline]
pub(super) fn each_row(ids: &[u32], nulls: Option<&NullBuffer>, mut f: impl FnMut(u32, usize)) {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => ids.iter().enumerate().for_each(|(row, id)| f(*id, row)),
        Some(nulls) => nulls.valid_indices().for_each(|row| f(ids[row], row)),
    }
}

/// The rows in which all of `arrays` have a value.
pub(super) fn common_nulls(arrays: &[ArrayRef]) -> Option<NullBuffer> {
    let nulls = arrays.iter().map(|array| array.logical_nulls());
    nulls.reduce(|a, b| NullBuffer::union(a.as_ref(), b.as_ref())).flatten()
}

/// The array with NULL in place of NaN and the infinities, and 0.0 in place of -0.0, if it is one of doubles.
///
/// A value that is no number must not swallow a whole window, and two zeros that compare equal must not differ in a
/// result. Decoded records have no such values; divisions may.
pub(super) fn clean(array: &ArrayRef) -> ArrayRef {
    let Some(floats) = array.as_primitive_opt::<Float64Type>() else {
        return Arc::clone(array);
    };
    let is_clean = |value: &f64| value.is_finite() & (value.to_bits() != 1 << 63);
    if floats.values().iter().fold(true, |all, value| all & is_clean(value)) {
        return Arc::clone(array);
    }
    let cleaned = floats
        .iter()
        .map(|value| value.filter(|value| value.is_finite()).map(|value| value + 0.0));
    Arc::new(cleaned.collect::<Float64Array>())
}

fn nulls_of<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<&NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0)
}
