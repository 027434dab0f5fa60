//! Exact sums of products of two doubles, a column of them by key id: what variances and covariances are made of.
//!
//! As [`super::exact_sum`], with twice the width: a product of two doubles has up to 106 bits. It does not count its
//! values; that is done by the sum of doubles beside it.
//!
//! A key takes 32 bytes; a spilled one some 600 more.

use std::hint::select_unpredictable;

use super::CorruptState;
use super::big::Big;
use super::bytes::{take_slice, take_u8};
use super::exact_sum::decompose;
use super::wide::{PRODUCT_LIMBS, Spilled, Wide};

/// Exponent of the lowest bit. Squares of doubles from 2^-23 (1e-7) to 2^52 (4e15) fit with all their bits.
const UNIT: i32 = -150;

/// A column of exact sums of products.
pub(super) struct ProductSums {
    /// In two's complement, least significant limb first.
    cells: Vec<[u64; 4]>,
    spilled: Spilled<PRODUCT_LIMBS>,
}

impl ProductSums {
    /// No keys.
    pub(super) fn new() -> Self {
        Self {
            cells: Vec::new(),
            spilled: Spilled::new(),
        }
    }

    /// Makes room for key ids below `n_keys`.
    pub(super) fn grow(&mut self, n_keys: usize) {
        if n_keys > self.cells.len() {
            self.cells.resize(n_keys, [0; 4]);
        }
    }

    /// What adds `a * b` to a key; both are finite.
    #[inline]
    pub(super) fn adder(&mut self) -> impl FnMut(u32, f64, f64) {
        let (cells, spilled) = (self.cells.as_mut_slice(), &mut self.spilled);
        |id, a, b| add_product(&mut cells[id as usize], spilled, id, a, b)
    }

    /// Reads the cells of keys that will be added to, so that the processor fetches many of them at a time.
    pub(super) fn touch(&self, ids: &[u32]) {
        std::hint::black_box(ids.iter().fold(0, |all, id| {
            let [low, .., high] = &self.cells[*id as usize];
            all ^ low ^ high
        }));
    }

    /// Adds the sum of key `id` in `other`, or takes it away.
    pub(super) fn combine(&mut self, id: u32, other: &Self, away: bool) {
        let Some(part) = other.cells.get(id as usize) else {
            return;
        };
        self.grow(id as usize + 1);
        add_units(&mut self.cells[id as usize], &mut self.spilled, id, *part, away);
        if let Some(wide) = other.spilled.get(id) {
            self.spilled.entry(id).add_wide(wide, away);
        }
        if away && !self.spilled.is_empty() {
            self.unspill(id);
        }
    }

    /// Moves a spilled sum back if it fits its cell.
    fn unspill(&mut self, id: u32) {
        if let Some(fixed) = self.spilled_total(id).and_then(|total| total.narrow::<4>(UNIT)) {
            self.cells[id as usize] = fixed;
            self.spilled.remove(id);
        }
    }

    /// The whole sum of a key that has spilled.
    fn spilled_total(&self, id: u32) -> Option<Wide<PRODUCT_LIMBS>> {
        let mut total = self.spilled.get(id)?.clone();
        let cell = self.cells.get(id as usize)?;
        for (limb, exponent) in cell.iter().zip((UNIT..).step_by(64)) {
            total.add(false, u128::from(*limb), exponent);
        }
        if cell[3] >> 63 == 1 {
            total.add(true, 1 << 127, UNIT + 129);
        }
        Some(total)
    }

    /// The exact sum of a key.
    pub(super) fn total(&self, id: u32) -> Big {
        match self.spilled_total(id) {
            Some(total) => total.to_big(),
            None => Big::from_twos_complement(self.cells.get(id as usize).unwrap_or(&[0; 4]), UNIT),
        }
    }

    /// Forgets the sum of a key.
    pub(super) fn clear(&mut self, id: u32) {
        if let Some(cell) = self.cells.get_mut(id as usize) {
            *cell = [0; 4];
        }
        self.spilled.remove(id);
    }

    /// Appends the sum of a key: which of the 32 bytes are not zero, and these; or the spilled number.
    pub(super) fn save(&self, id: u32, out: &mut Vec<u8>) {
        let total = self.spilled_total(id);
        let fixed = match &total {
            Some(total) => total.narrow::<4>(UNIT),
            None => Some(self.cells.get(id as usize).copied().unwrap_or([0; 4])),
        };
        match (fixed, total) {
            (Some(limbs), _) => {
                let bytes: [u8; 32] = std::array::from_fn(|i| (limbs[i / 8] >> (8 * (i % 8))) as u8);
                let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                out.extend_from_slice(&[first as u8, end as u8]);
                out.extend_from_slice(&bytes[first..end]);
            }
            (None, Some(total)) => {
                out.push(SPILLED);
                total.save(out);
            }
            (None, None) => {}
        }
    }

    /// Takes what [`ProductSums::save`] wrote.
    pub(super) fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let what = "sum of products";
        self.grow(id as usize + 1);
        self.clear(id);
        let first = take_u8(bytes, what)?;
        if first == SPILLED {
            *self.spilled.entry(id) = Wide::load(bytes)?;
            return Ok(());
        }
        let (first, end) = (usize::from(first), usize::from(take_u8(bytes, what)?));
        if first > end || end > 32 {
            return Err(CorruptState { what });
        }
        let cell = &mut self.cells[id as usize];
        for (i, byte) in (first..end).zip(take_slice(bytes, end - first, what)?) {
            cell[i / 8] |= u64::from(*byte) << (8 * (i % 8));
        }
        Ok(())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.cells.capacity() * size_of::<[u64; 4]>() + self.spilled.memory()
    }
}

#[inline]
fn add_product(cell: &mut [u64; 4], spilled: &mut Spilled<PRODUCT_LIMBS>, id: u32, a: f64, b: f64) {
    let (a_negative, a, a_exponent) = decompose(a);
    let (b_negative, b, b_exponent) = decompose(b);
    let negative = a_negative != b_negative;
    let product = u128::from(a) * u128::from(b);
    let exponent = a_exponent + b_exponent;
    // Zero fits whatever its exponent is.
    let shift = select_unpredictable(product == 0, 0, exponent - UNIT);
    // 106 bits moved up by at most 148 stay below 2^254.
    if shift as u32 <= 148 {
        let (first, shift) = (shift as usize / 64, shift % 64);
        let low = product << shift;
        let high = (product >> 1 >> (127 - shift)) as u64;
        let mut addend = [0; 5];
        addend[first] = low as u64;
        addend[first + 1] = (low >> 64) as u64;
        addend[first + 2] = high;
        let [w0, w1, w2, w3, _] = addend;
        add_units(cell, spilled, id, [w0, w1, w2, w3], negative);
    } else {
        add_unfit(cell, spilled, id, negative, product, exponent);
    }
}

/// Adds a number of units, or takes it away.
#[inline]
fn add_units(cell: &mut [u64; 4], spilled: &mut Spilled<PRODUCT_LIMBS>, id: u32, addend: [u64; 4], away: bool) {
    let flip = if away { u64::MAX } else { 0 };
    let before = cell[3];
    let mut carry = away;
    for (limb, part) in cell.iter_mut().zip(addend) {
        let (value, first) = limb.overflowing_add(part ^ flip);
        let (value, second) = value.overflowing_add(u64::from(carry));
        *limb = value;
        carry = first | second;
    }
    // Signed overflow: both had one sign, the sum has the other.
    let overflow = (before ^ cell[3]) & (addend[3] ^ flip ^ cell[3]);
    if overflow >> 63 == 1 {
        spill_overflow(cell, spilled, id);
    }
}

/// Adds a product that has bits outside of the cell's range, or is saved by zeros at its low end.
#[cold]
fn add_unfit(
    cell: &mut [u64; 4],
    spilled: &mut Spilled<PRODUCT_LIMBS>,
    id: u32,
    negative: bool,
    product: u128,
    exponent: i32,
) {
    let low = UNIT - exponent;
    if (1..=product.trailing_zeros() as i32).contains(&low) {
        let fixed = product >> low;
        add_units(cell, spilled, id, [fixed as u64, (fixed >> 64) as u64, 0, 0], negative);
    } else {
        spilled.entry(id).add(negative, product, exponent);
    }
}

/// Moves a sum that has wrapped around to the spilled part.
#[cold]
fn spill_overflow(cell: &mut [u64; 4], spilled: &mut Spilled<PRODUCT_LIMBS>, id: u32) {
    let wrapped_down = cell[3] >> 63 == 1;
    let part = spilled.entry(id);
    for (limb, exponent) in cell.iter().zip((UNIT..).step_by(64)) {
        part.add(false, u128::from(*limb), exponent);
    }
    // As a number without sign the cell is right if it wrapped downwards, else 2^256 too high.
    if !wrapped_down {
        part.add(true, 1 << 127, UNIT + 129);
    }
    *cell = [0; 4];
}

/// In place of the first byte's position: a spilled number follows.
const SPILLED: u8 = u8::MAX;
