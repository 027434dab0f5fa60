//! Short numbers in JSON, many digits at once. Others are read by [`crate::decode::number`].

use super::scan::{Input, WIDTH};

/// The whole number that stands between two places without fraction and exponent, if it has at most 18 digits.
#[inline(always)]
pub(super) fn short_integer(input: Input<'_>, start: usize, end: usize) -> Option<i64> {
    let negative = input.byte(start) == b'-';
    let magnitude = up_to_18_digits(input, start + usize::from(negative), end)? as i64;
    Some(if negative { -magnitude } else { magnitude })
}

/// At most 18 digits as a number.
#[inline(always)]
fn up_to_18_digits(input: Input<'_>, start: usize, end: usize) -> Option<u64> {
    let length = end - start;
    if length <= WIDTH {
        return Some(up_to_16_digits(input, start, length));
    }
    let low = end - WIDTH;
    (length <= 18)
        .then(|| up_to_16_digits(input, start, low - start) * 10_u64.pow(16) + up_to_16_digits(input, low, WIDTH))
}

/// At most 16 digits as a number; what stands behind them does not matter.
#[inline(always)]
fn up_to_16_digits(input: Input<'_>, start: usize, length: usize) -> u64 {
    if length == 0 {
        return 0;
    }
    // The first byte is in the lowest bits. The digits go up, and zeros come in front of them.
    let digits = input.chunk(start).bits() << (u8::BITS as usize * (WIDTH - length));
    eight_digits(digits as u64) * 100_000_000 + eight_digits((digits >> 64) as u64)
}

/// Eight digits at once: neighbours are joined to numbers of two, four and eight digits.
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let ones = digits & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
}

/// Powers of ten. `f64` holds all of them exactly.
const POWERS: [u64; 16] = {
    let mut powers = [1; 16];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The number that stands between two places as `f64`, if it has at most 15 digits and no exponent. Its digits and the
/// power of ten are exact as `f64`, so that the quotient is rounded once, and right (Clinger, "How to Read Floating Point
/// Numbers Accurately", 1990).
#[inline(always)]
pub(super) fn short_float(input: Input<'_>, start: usize, end: usize) -> Option<f64> {
    let negative = input.byte(start) == b'-';
    let first = start + usize::from(negative);
    let length = end - first;
    if length > WIDTH {
        return None;
    }
    let marks = input.chunk(first).number();
    let whole = ((!marks.digits).trailing_zeros() as usize).min(length);
    let fraction = length.saturating_sub(whole + 1);
    let point = first + whole;
    let is_plain = whole == length || (marks.points >> whole & 1 == 1 && marks.exponents & low(length) == 0);
    if !is_plain || whole + fraction > 15 {
        return None;
    }
    let power = *POWERS.get(fraction)?;
    let digits = up_to_16_digits(input, first, whole) * power + up_to_16_digits(input, point + 1, fraction);
    let magnitude = digits as f64 / power as f64;
    // -0 is 0, as in `crate::decode::number`.
    Some(if negative { 0.0 - magnitude } else { magnitude })
}

/// So many lowest bits.
#[inline(always)]
fn low(bits: usize) -> u32 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{short_float, short_integer};
    use crate::decode::number::tests::number;
    use crate::json::scan::{Input, WIDTH};

    /// The number between other bytes, as it stands in a record.
    fn short<T>(text: &str, read: impl Fn(Input<'_>, usize, usize) -> Option<T>) -> Option<T> {
        let bytes = format!("{{{text},\"9.9e9\":1{}", "8".repeat(WIDTH));
        read(Input::new(bytes.as_bytes()).unwrap(), 1, 1 + text.len())
    }

    #[test]
    fn minus_zero_is_zero() {
        assert!(short("-0", short_float).unwrap().is_sign_positive());
        assert!(short("-0.00", short_float).unwrap().is_sign_positive());
    }

    proptest! {
        #[test]
        fn short_floats_are_the_nearest(text in number()) {
            if let Some(number) = short(&text, short_float) {
                prop_assert_eq!(number.to_bits(), (text.parse::<f64>().unwrap() + 0.0).to_bits());
            }
        }

        #[test]
        fn short_numbers_take_the_short_way(whole in 0_u64..1_000_000_000, places in 0_usize..6, negative in any::<bool>()) {
            let sign = if negative { "-" } else { "" };
            let text = format!("{sign}{}.{:0places$}", whole, 7, places = places + 1);
            prop_assert_eq!(short(&text, short_float), Some(text.parse::<f64>().unwrap()));
        }

        #[test]
        fn short_integers_agree_with_their_text(text in "-?(0|[1-9][0-9]{0,19})") {
            let digits = text.trim_start_matches('-').len();
            let expected = text.parse::<i64>().ok().filter(|_| digits <= 18);
            prop_assert_eq!(short(&text, short_integer), expected);
        }
    }
}
