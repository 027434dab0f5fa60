//! Exact numbers of any size, for the last step of a result: products and differences of exact sums, and one division
//! rounded once to the nearest double, ties to even.
//!
//! Nothing here is stored or runs for each row.

use std::cmp::Ordering;

/// An exact number: `±magnitude * 2^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Big {
    negative: bool,
    /// Limbs, least significant first; without zero limbs at the end, so zero has none.
    magnitude: Vec<u64>,
    exponent: i32,
}

impl Big {
    /// `value * 2^exponent`
    pub(super) fn from_i128(value: i128, exponent: i32) -> Self {
        let magnitude = value.unsigned_abs();
        Self::new(value < 0, vec![magnitude as u64, (magnitude >> 64) as u64], exponent)
    }

    /// A number in two's complement, least significant limb first, times `2^exponent`.
    pub(super) fn from_twos_complement(limbs: &[u64], exponent: i32) -> Self {
        let negative = limbs.last().is_some_and(|limb| *limb >> 63 == 1);
        let mut magnitude = limbs.to_vec();
        if negative {
            let mut carry = true;
            for limb in &mut magnitude {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        Self::new(negative, magnitude, exponent)
    }

    fn new(negative: bool, magnitude: Vec<u64>, exponent: i32) -> Self {
        let mut big = Self {
            negative,
            magnitude,
            exponent,
        };
        while big.magnitude.last() == Some(&0) {
            big.magnitude.pop();
        }
        // Limbs of zeros at the low end only cost time in products.
        let zeros = big.magnitude.iter().take_while(|limb| **limb == 0).count();
        big.magnitude.drain(..zeros);
        big.exponent += 64 * zeros as i32;
        big
    }

    /// Whether the number is zero.
    pub(super) fn is_zero(&self) -> bool {
        self.magnitude.is_empty()
    }

    /// 1.0 or -1.0 by the sign, 0.0 for zero.
    pub(super) fn signum(&self) -> f64 {
        match (self.is_zero(), self.negative) {
            (true, _) => 0.0,
            (false, true) => -1.0,
            (false, false) => 1.0,
        }
    }

    /// The number as an integer; `None` if it is none or is outside of i128.
    pub(super) fn to_i128(&self) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        let bits = 64 * self.magnitude.len() as i32 - self.magnitude.last()?.leading_zeros() as i32;
        let zeros = self.magnitude.first()?.trailing_zeros() as i32;
        if bits + self.exponent > 128 || zeros + self.exponent < 0 {
            return None;
        }
        let shifted = shift_left(&self.magnitude, 64 + self.exponent.rem_euclid(64) as usize);
        // The bits of the integer begin at bit 64 + (exponent mod 64) - exponent.
        let skip = 1 - self.exponent.div_euclid(64);
        let limb = |index: i32| {
            usize::try_from(index)
                .ok()
                .and_then(|i| shifted.get(i))
                .copied()
                .unwrap_or(0)
        };
        let magnitude = u128::from(limb(skip)) | u128::from(limb(skip + 1)) << 64;
        match self.negative {
            true if magnitude <= 1 << 127 => Some((magnitude as i128).wrapping_neg()),
            true => None,
            false => i128::try_from(magnitude).ok(),
        }
    }

    /// The product.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = vec![0u64; self.magnitude.len() + other.magnitude.len()];
        for (i, a) in self.magnitude.iter().enumerate() {
            let mut carry = 0u128;
            for (j, b) in other.magnitude.iter().enumerate() {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(product[i + j]) + carry;
                product[i + j] = sum as u64;
                carry = sum >> 64;
            }
            product[i + other.magnitude.len()] = carry as u64;
        }
        Self::new(self.negative != other.negative, product, self.exponent + other.exponent)
    }

    /// The sum.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let a = shift_left(&self.magnitude, (self.exponent - exponent) as usize);
        let b = shift_left(&other.magnitude, (other.exponent - exponent) as usize);
        if self.negative == other.negative {
            return Self::new(self.negative, add(&a, &b), exponent);
        }
        match compare(&a, &b) {
            Ordering::Less => Self::new(other.negative, subtract(&b, &a), exponent),
            _ => Self::new(self.negative, subtract(&a, &b), exponent),
        }
    }

    /// The difference.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut negated = other.clone();
        negated.negative = !negated.negative;
        self.plus(&negated)
    }

    /// `self / divisor`, rounded once to the nearest double, ties to even. `None` if the divisor is zero or the result
    /// is beyond the range of doubles.
    pub(super) fn divided_by(&self, divisor: &Self) -> Option<f64> {
        if divisor.is_zero() {
            return None;
        }
        if self.is_zero() {
            return Some(0.0);
        }
        let negative = self.negative != divisor.negative;
        let (quotient, exponent) = match divisor.magnitude[..] {
            [divisor] => divide_short(&self.magnitude, divisor),
            _ => divide_long(&self.magnitude, &divisor.magnitude),
        };
        round(negative, quotient, exponent + self.exponent - divisor.exponent)
    }

    /// The nearest double, ties to even; `None` beyond the range of doubles.
    pub(super) fn to_f64(&self) -> Option<f64> {
        self.divided_by(&Self::from_i128(1, 0))
    }
}

/// `±magnitude * 2^exponent` as the nearest double, ties to even; `None` beyond the range of doubles. The lowest bit of
/// `magnitude` may stand for any non-zero rest below it if the magnitude has at least 55 bits.
pub(super) fn round(negative: bool, magnitude: u128, exponent: i32) -> Option<f64> {
    if magnitude == 0 {
        return Some(0.0);
    }
    let length = 128 - magnitude.leading_zeros() as i32;
    let top = length - 1 + exponent;
    // Doubles have 53 bits, of which the lowest is worth at least 2^-1074.
    let dropped = (length - 53).max(-1074 - exponent);
    let (mut kept, lowest) = if dropped <= 0 {
        ((magnitude << -dropped) as u64, exponent + dropped)
    } else if dropped > 128 {
        (0, -1074)
    } else {
        let kept = if dropped == 128 { 0 } else { magnitude >> dropped };
        let rest = magnitude << (128 - dropped);
        let half = 1u128 << 127;
        let up = rest > half || (rest == half && kept & 1 == 1);
        (kept as u64 + u64::from(up), exponent + dropped)
    };
    if top > 1023 {
        return None;
    }
    let mut biased = lowest + 1075;
    if kept == 1 << 53 {
        kept >>= 1;
        biased += 1;
    }
    if biased > 2046 {
        return None;
    }
    if kept == 0 {
        return Some(0.0);
    }
    // Below 2^52 (only at the lowest exponent) the number is subnormal and its exponent field is 0.
    let bits = if kept >> 52 == 0 {
        kept
    } else {
        (biased as u64) << 52 | (kept & ((1 << 52) - 1))
    };
    Some(f64::from_bits(bits | u64::from(negative) << 63))
}

/// The quotient by one limb as at least 64 significant bits, with its exponent; a rest sets the lowest bit.
fn divide_short(magnitude: &[u64], divisor: u64) -> (u128, i32) {
    let limb = |back: usize| magnitude.len().checked_sub(back).map_or(0, |i| magnitude[i]);
    let zeros = limb(1).leading_zeros();
    let mut high = u128::from(limb(1)) << 64 | u128::from(limb(2));
    let mut rest = magnitude.len() > 3 && magnitude[..magnitude.len() - 3].iter().any(|limb| *limb != 0);
    if zeros > 0 {
        high = high << zeros | u128::from(limb(3) >> (64 - zeros));
    }
    rest |= limb(3) << zeros != 0;
    let quotient = high / u128::from(divisor);
    rest |= !high.is_multiple_of(u128::from(divisor));
    (
        quotient | u128::from(rest),
        64 * (magnitude.len() as i32 - 2) - zeros as i32,
    )
}

/// The quotient as 66 to 67 bits, by subtraction bit for bit, with its exponent; a rest sets the lowest bit.
fn divide_long(magnitude: &[u64], divisor: &[u64]) -> (u128, i32) {
    const BITS: usize = 66;
    let length = |limbs: &[u64]| 64 * limbs.len() - limbs.last().map_or(0, |limb| limb.leading_zeros() as usize);
    let (a, b) = (length(magnitude), length(divisor));
    // Dividend and divisor begin at the same bit, so that the first subtraction is the quotient's highest bit or the one
    // before it. Both get a limb more than they need, for the dividend to be shifted into.
    let (mut rest, mut divisor) = (
        shift_left(magnitude, b.saturating_sub(a)),
        shift_left(divisor, a.saturating_sub(b)),
    );
    let limbs = rest.len().max(divisor.len()) + 1;
    rest.resize(limbs, 0);
    divisor.resize(limbs, 0);
    let mut quotient = 0u128;
    for bit in 0..=BITS {
        quotient <<= 1;
        if compare(&rest, &divisor) != Ordering::Less {
            let mut borrow = false;
            for (limb, part) in rest.iter_mut().zip(&divisor) {
                let (value, first) = limb.overflowing_sub(*part);
                let (value, second) = value.overflowing_sub(u64::from(borrow));
                *limb = value;
                borrow = first | second;
            }
            quotient |= 1;
        }
        if bit < BITS {
            let mut carry = 0;
            for limb in &mut rest {
                (*limb, carry) = (*limb << 1 | carry, *limb >> 63);
            }
        }
    }
    let inexact = rest.iter().any(|limb| *limb != 0);
    (quotient | u128::from(inexact), a as i32 - b as i32 - BITS as i32)
}

fn shift_left(limbs: &[u64], bits: usize) -> Vec<u64> {
    let shift = bits % 64;
    let mut shifted = vec![0; bits / 64];
    let mut carry = 0;
    for limb in limbs {
        shifted.push(limb << shift | carry);
        carry = if shift == 0 { 0 } else { limb >> (64 - shift) };
    }
    shifted.push(carry);
    shifted
}

fn add(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut carry = false;
    let mut sum = Vec::with_capacity(a.len().max(b.len()) + 1);
    for i in 0..a.len().max(b.len()) {
        let (x, first) = a
            .get(i)
            .copied()
            .unwrap_or(0)
            .overflowing_add(b.get(i).copied().unwrap_or(0));
        let (x, second) = x.overflowing_add(u64::from(carry));
        sum.push(x);
        carry = first | second;
    }
    sum.push(u64::from(carry));
    sum
}

/// `a - b`, where a is not below b.
fn subtract(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut borrow = false;
    let mut difference = Vec::with_capacity(a.len());
    for (i, limb) in a.iter().enumerate() {
        let (x, first) = limb.overflowing_sub(b.get(i).copied().unwrap_or(0));
        let (x, second) = x.overflowing_sub(u64::from(borrow));
        difference.push(x);
        borrow = first | second;
    }
    difference
}

fn compare(a: &[u64], b: &[u64]) -> Ordering {
    let limb = |limbs: &[u64], i: usize| limbs.get(i).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .rev()
        .map(|i| limb(a, i).cmp(&limb(b, i)))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}
