//! Where exact sums spill that do not fit their column: fixed-point numbers wide enough for every finite double.
//!
//! A key spills only when its values are very large or very small, so a spilled number may cost some hundred bytes.

use hashbrown::HashMap;

use super::CorruptState;
use super::big::Big;
use super::bytes::{put_u64, take_count, take_slice, take_u8, take_u64};

/// Limbs for sums of doubles: bits from 2^-1088 to 2^1088. The lowest double is 2^-1074, the highest below 2^1024, which
/// leaves room for 2^63 of them.
pub(super) const SUM_LIMBS: usize = 34;

/// Limbs for sums of products of two doubles: bits from 2^-2176 to 2^2176.
pub(super) const PRODUCT_LIMBS: usize = 68;

/// The spilled parts of a column, by key id.
pub(super) struct Spilled<const LIMBS: usize> {
    parts: HashMap<u32, Box<Wide<LIMBS>>, foldhash::fast::FixedState>,
}

impl<const LIMBS: usize> Spilled<LIMBS> {
    /// Nothing spilled.
    pub(super) fn new() -> Self {
        Self {
            parts: HashMap::with_hasher(foldhash::fast::FixedState::default()),
        }
    }

    /// Whether nothing has spilled.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The spilled part of a key.
    pub(super) fn get(&self, id: u32) -> Option<&Wide<LIMBS>> {
        self.parts.get(&id).map(|part| &**part)
    }

    /// The part of a key, to be added to.
    pub(super) fn entry(&mut self, id: u32) -> &mut Wide<LIMBS> {
        self.parts.entry(id).or_insert_with(|| Box::new(Wide::zero()))
    }

    /// Forgets the part of a key.
    pub(super) fn remove(&mut self, id: u32) {
        if !self.parts.is_empty() {
            self.parts.remove(&id);
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.parts.capacity() * (size_of::<(u32, Box<Wide<LIMBS>>)>() + 1) + self.parts.len() * LIMBS * 8
    }
}

/// A signed fixed-point number in two's complement, least significant limb first; its unit is 2^-(32 * LIMBS).
#[derive(Clone)]
pub(super) struct Wide<const LIMBS: usize> {
    limbs: [u64; LIMBS],
}

impl<const LIMBS: usize> Wide<LIMBS> {
    /// Exponent of the lowest bit.
    const UNIT: i32 = -32 * LIMBS as i32;

    /// Zero.
    pub(super) fn zero() -> Self {
        Self { limbs: [0; LIMBS] }
    }

    /// Adds `±magnitude * 2^exponent`, where the exponent is not below the unit's.
    pub(super) fn add(&mut self, negative: bool, magnitude: u128, exponent: i32) {
        let bit = (exponent - Self::UNIT) as usize;
        let (first, shift) = (bit / 64, bit % 64);
        let low = magnitude << shift;
        let high = if shift == 0 {
            0
        } else {
            (magnitude >> (128 - shift)) as u64
        };
        let parts = [low as u64, (low >> 64) as u64, high];
        let mut carry = false;
        for (i, limb) in self.limbs.iter_mut().skip(first).enumerate() {
            if i >= 3 && !carry {
                break;
            }
            let part = parts.get(i).copied().unwrap_or(0);
            let step = if negative {
                u64::overflowing_sub
            } else {
                u64::overflowing_add
            };
            let (value, first) = step(*limb, part);
            let (value, second) = step(value, u64::from(carry));
            *limb = value;
            carry = first | second;
        }
    }

    /// Adds `value * 2^exponent`.
    pub(super) fn add_i128(&mut self, value: i128, exponent: i32) {
        self.add(value < 0, value.unsigned_abs(), exponent);
    }

    /// Adds a number, or takes it away.
    pub(super) fn add_wide(&mut self, other: &Self, away: bool) {
        let mut carry = away;
        for (limb, part) in self.limbs.iter_mut().zip(other.limbs) {
            let (value, first) = limb.overflowing_add(if away { !part } else { part });
            let (value, second) = value.overflowing_add(u64::from(carry));
            *limb = value;
            carry = first | second;
        }
    }

    /// The number with the unit `2^exponent` in two's complement of `N` limbs; `None` if it does not fit.
    pub(super) fn narrow<const N: usize>(&self, exponent: i32) -> Option<[u64; N]> {
        let bit = (exponent - Self::UNIT) as usize;
        let (first, shift) = (bit / 64, bit % 64);
        let limb = |i: usize| self.limbs.get(i).copied().unwrap_or(self.sign());
        if self.limbs[..first.min(LIMBS)].iter().any(|limb| *limb != 0) || limb(first) & ((1 << shift) - 1) != 0 {
            return None;
        }
        let narrow = std::array::from_fn(|i| {
            let low = limb(first + i) >> shift;
            if shift == 0 {
                low
            } else {
                low | limb(first + i + 1) << (64 - shift)
            }
        });
        let sign = narrow.last().map_or(0, |limb: &u64| (*limb as i64 >> 63) as u64);
        // All bits above must repeat the sign.
        let above = limb(first + N) >> shift | if shift == 0 { 0 } else { sign << (64 - shift) };
        let repeats = above == sign && (first + N + 1..LIMBS).all(|i| limb(i) == sign);
        (repeats && sign == self.sign()).then_some(narrow)
    }

    fn sign(&self) -> u64 {
        self.limbs.last().map_or(0, |limb| (*limb as i64 >> 63) as u64)
    }

    /// The number, exactly.
    pub(super) fn to_big(&self) -> Big {
        Big::from_twos_complement(&self.limbs, Self::UNIT)
    }

    /// Appends the number: where its first limb that is not zero stands, and the limbs up to where only the sign repeats.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let sign = self.sign();
        let first = self.limbs.iter().position(|limb| *limb != 0).unwrap_or(LIMBS);
        let end = self
            .limbs
            .iter()
            .rposition(|limb| *limb != sign)
            .map_or(first, |last| (last + 1).max(first));
        out.push(sign as u8 & 1);
        put_u64(out, first as u64);
        put_u64(out, (end - first) as u64);
        for limb in &self.limbs[first..end] {
            out.extend_from_slice(&limb.to_le_bytes());
        }
    }

    /// Takes what [`Wide::save`] wrote.
    pub(super) fn load(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
        let what = "wide sum";
        let sign = match take_u8(bytes, what)? {
            0 => 0,
            1 => u64::MAX,
            _ => return Err(CorruptState { what }),
        };
        let first = usize::try_from(take_u64(bytes, what)?).map_err(|_| CorruptState { what })?;
        let count = take_count(bytes, what)?;
        if first > LIMBS || count > LIMBS - first {
            return Err(CorruptState { what });
        }
        let mut wide = Self::zero();
        for (i, limb) in wide.limbs.iter_mut().enumerate().skip(first) {
            *limb = if i < first + count {
                let mut word = [0; 8];
                word.copy_from_slice(take_slice(bytes, 8, what)?);
                u64::from_le_bytes(word)
            } else {
                sign
            };
        }
        if wide.sign() == sign {
            Ok(wide)
        } else {
            Err(CorruptState { what })
        }
    }
}
