//! Exact arithmetic on big integers, to compare with: independent of the product's own.

use std::sync::LazyLock;

use num_bigint::BigInt;

/// Doubles are whole multiples of 2^-1074, products of two of them of 2^-2148.
pub(super) const UNIT: usize = 1074;

/// A finite double in units of 2^-1074.
pub(super) fn exact(value: f64) -> BigInt {
    let bits = value.to_bits();
    let field = (bits >> 52 & 0x7ff) as usize;
    let mantissa = bits & ((1 << 52) - 1) | u64::from(field != 0) << 52;
    let magnitude = BigInt::from(mantissa) << (field.max(1) - 1);
    if value.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    }
}

/// The sum of doubles in units of 2^-1074.
pub(super) fn sum(values: &[f64]) -> BigInt {
    values.iter().map(|value| exact(*value)).sum()
}

/// The double nearest to a number of units; `None` beyond the range of doubles. Rust's parser of decimal numbers rounds
/// correctly, and every multiple of 2^-1074 is a decimal number.
pub(super) fn nearest(units: &BigInt) -> Option<f64> {
    static SCALE: LazyLock<BigInt> = LazyLock::new(|| BigInt::from(5).pow(UNIT as u32));
    let text = format!("{}e-{UNIT}", units * &*SCALE);
    Some(text.parse::<f64>().unwrap()).filter(|value| value.is_finite())
}

/// Whether `value` is a double nearest to `dividend / divisor`, the dividend in units of 2^-2148.
pub(super) fn is_nearest_quotient(value: f64, dividend: &BigInt, divisor: &BigInt) -> bool {
    let distance = |value: f64| {
        let off = (exact(value) << UNIT) * divisor - dividend;
        if off.sign() == num_bigint::Sign::Minus {
            -off
        } else {
            off
        }
    };
    let neighbours = [value.next_up(), value.next_down()];
    neighbours
        .iter()
        .filter(|near| near.is_finite())
        .all(|near| distance(value) <= distance(*near))
}
