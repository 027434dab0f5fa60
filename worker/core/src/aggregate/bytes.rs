//! Numbers and texts as saved bytes: variable-length integers, least significant part first (LEB128).
//!
//! Reading is total: any bytes give a value or [`CorruptState`], never a panic, and never an allocation larger than the
//! bytes at hand. What the numbers mean is the business of the functions that save them.

use super::CorruptState;

/// Appends an unsigned number in 1 to 19 bytes, 7 bits each.
pub(crate) fn put_u128(out: &mut Vec<u8>, mut value: u128) {
    if let Ok(value) = u64::try_from(value) {
        return put_u64(out, value);
    }
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an unsigned number in 1 to 10 bytes.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number; small magnitudes are short (zigzag: 0, -1, 1, -2, ...).
pub(crate) fn put_i128(out: &mut Vec<u8>, value: i128) {
    put_u128(out, ((value << 1) ^ (value >> 127)) as u128);
}

/// Appends a signed number; small magnitudes are short.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_u64(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Takes one byte.
#[inline]
pub(crate) fn take_u8(bytes: &mut &[u8], what: &'static str) -> Result<u8, CorruptState> {
    let (&first, rest) = bytes.split_first().ok_or(CorruptState { what })?;
    *bytes = rest;
    Ok(first)
}

/// Takes what [`put_u128`] wrote.
#[inline]
pub(crate) fn take_u128(bytes: &mut &[u8], what: &'static str) -> Result<u128, CorruptState> {
    if let Some((value, length)) = short(bytes) {
        *bytes = &bytes[length..];
        return Ok(u128::from(value));
    }
    let mut value = 0u128;
    for shift in (0..128).step_by(7) {
        let byte = take_u8(bytes, what)?;
        let part = u128::from(byte & 0x7f);
        if (part << shift) >> shift != part {
            return Err(CorruptState { what });
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(CorruptState { what })
}

/// Takes what [`put_u64`] wrote.
#[inline]
pub(crate) fn take_u64(bytes: &mut &[u8], what: &'static str) -> Result<u64, CorruptState> {
    if let [byte @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*byte));
    }
    match short(bytes) {
        Some((value, length)) => {
            *bytes = &bytes[length..];
            Ok(value)
        }
        None => take_long(bytes, what),
    }
}

/// The number that the bytes begin with and how many of them it takes, if it ends within a word. The parts of seven bits
/// are joined two by two, then four by four, then all.
#[inline]
fn short(bytes: &[u8]) -> Option<(u64, usize)> {
    let (word, _) = bytes.split_first_chunk()?;
    let word = u64::from_le_bytes(*word);
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return None;
    }
    let bits = ends.trailing_zeros() + 1;
    let parts = word & (u64::MAX >> (64 - bits)) & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (parts & 0x007f_007f_007f_007f) | ((parts & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    let value = (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4);
    Some((value, bits as usize / 8))
}

fn take_long(bytes: &mut &[u8], what: &'static str) -> Result<u64, CorruptState> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        // Of the tenth byte only the lowest bit has a place.
        if i == 9 && part > 1 {
            break;
        }
        value |= part << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    Err(CorruptState { what })
}

/// Takes what [`put_i128`] wrote.
#[inline]
pub(crate) fn take_i128(bytes: &mut &[u8], what: &'static str) -> Result<i128, CorruptState> {
    let value = take_u128(bytes, what)?;
    Ok((value >> 1) as i128 ^ -((value & 1) as i128))
}

/// Takes what [`put_i64`] wrote.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8], what: &'static str) -> Result<i64, CorruptState> {
    let value = take_u64(bytes, what)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Takes a number of items of which each takes at least one of the bytes that follow.
#[inline]
pub(crate) fn take_count(bytes: &mut &[u8], what: &'static str) -> Result<usize, CorruptState> {
    let count = take_u64(bytes, what)?;
    match usize::try_from(count) {
        Ok(count) if count <= bytes.len() => Ok(count),
        _ => Err(CorruptState { what }),
    }
}

/// Takes `count` bytes.
#[inline]
pub(crate) fn take_slice<'a>(bytes: &mut &'a [u8], count: usize, what: &'static str) -> Result<&'a [u8], CorruptState> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(CorruptState { what })?;
    *bytes = rest;
    Ok(taken)
}

/// Takes what [`put_bytes`] wrote.
#[inline]
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], CorruptState> {
    let count = take_count(bytes, what)?;
    take_slice(bytes, count, what)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken_again(unsigned: u128, signed: i128, word: u64, small: i64, text: Vec<u8>) {
            let mut out = Vec::new();
            put_u128(&mut out, unsigned);
            put_i128(&mut out, signed);
            put_u64(&mut out, word);
            put_i64(&mut out, small);
            put_bytes(&mut out, &text);
            let bytes = &mut out.as_slice();
            prop_assert_eq!(take_u128(bytes, "a").unwrap(), unsigned);
            prop_assert_eq!(take_i128(bytes, "b").unwrap(), signed);
            prop_assert_eq!(take_u64(bytes, "c").unwrap(), word);
            prop_assert_eq!(take_i64(bytes, "d").unwrap(), small);
            prop_assert_eq!(take_bytes(bytes, "e").unwrap(), text.as_slice());
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn numbers_of_all_lengths_are_taken_again_whatever_stands_behind(word: u64, shift in 0u32..64, behind: Vec<u8>) {
            let mut out = Vec::new();
            put_u64(&mut out, word >> shift);
            put_i128(&mut out, i128::from(word as i64 >> shift));
            out.extend(&behind);
            let bytes = &mut out.as_slice();
            prop_assert_eq!(take_u64(bytes, "a").unwrap(), word >> shift);
            prop_assert_eq!(take_i128(bytes, "b").unwrap(), i128::from(word as i64 >> shift));
            prop_assert_eq!(*bytes, behind.as_slice());
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(input: Vec<u8>) {
            let bytes = &mut input.as_slice();
            while take_bytes(bytes, "x").is_ok() && take_i64(bytes, "y").is_ok() {}
            prop_assert!(bytes.len() <= input.len());
        }
    }

    #[test]
    fn a_number_too_wide_or_a_length_beyond_the_end_is_corrupt() {
        for bytes in [&[0xff; 19][..], &[0x80; 30], &[]] {
            assert_eq!(
                take_u128(&mut { bytes }, "number"),
                Err(CorruptState { what: "number" })
            );
        }
        assert_eq!(
            take_u64(&mut [0xff; 12].as_slice(), "word"),
            Err(CorruptState { what: "word" })
        );
        assert_eq!(
            take_bytes(&mut [5u8, 1, 2].as_slice(), "text"),
            Err(CorruptState { what: "text" })
        );
    }
}
