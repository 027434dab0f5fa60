//! Walks over the rows of a batch, shared by the functions: simple loops without a branch for each row if no value is
//! NULL.

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, Float64Array, PrimitiveArray, cast::AsArray, types::Float64Type,
};
use arrow_buffer::NullBuffer;
use std::ops::Range;
use std::sync::Arc;

/// How many keys a column needs for these ids.
pub(super) fn keys_needed(ids: &[u32]) -> usize {
    ids.iter().copied().max().map_or(0, |highest| highest as usize + 1)
}

/// Ranges of rows to be worked on one after the other: all rows at once, or a few hundred each if the column's `bytes` are
/// more than a processor's caches hold, so that the cells of a range can be fetched together before they are changed.
pub(super) fn parts(rows: usize, bytes: usize) -> (impl Iterator<Item = Range<usize>>, bool) {
    let large = bytes > LARGE;
    let step = if large { 256 } else { rows.max(1) };
    (
        (0..rows).step_by(step).map(move |start| start..rows.min(start + step)),
        large,
    )
}

/// Bytes of a column above which its cells are fetched before they are changed.
const LARGE: usize = 1 << 22;

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
    if !floats
        .values()
        .iter()
        .fold(0, |all, value| all | unclean(value.to_bits()))
        >> 63
        == 1
    {
        return Arc::clone(array);
    }
    let cleaned = floats
        .iter()
        .map(|value| value.filter(|value| value.is_finite()).map(|value| value + 0.0));
    Arc::new(cleaned.collect::<Float64Array>())
}

/// Sets the highest bit for NaN, the infinities and -0.0, by arithmetic that every processor has for vectors.
fn unclean(bits: u64) -> u64 {
    let exponent = bits & 0x7ff << 52;
    let from_zero = bits ^ 1 << 63;
    // The highest exponent carries into the sign; only zero borrows from it.
    exponent.wrapping_add(1 << 52) | (from_zero.wrapping_sub(1) & !from_zero)
}

fn nulls_of<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<&NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0)
}

#[cfg(test)]
mod tests {
    use super::unclean;

    #[test]
    fn numbers_that_need_cleaning_are_told_from_those_that_do_not() {
        let unclean = |value: f64| unclean(value.to_bits()) >> 63 == 1;
        for value in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
            assert!(unclean(value), "{value}");
        }
        for value in [
            0.0,
            1.0,
            -1.0,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            -f64::MIN_POSITIVE,
            f64::from_bits(1),
        ] {
            assert!(!unclean(value), "{value}");
        }
    }
}
