//! Exact sums of doubles and of integers, a column of them by key id.
//!
//! A sum does not depend on the order of its values, and what was added can be taken away again without a trace. It is
//! kept as a 128-bit fixed-point number. Values that do not fit one exactly, and sums that outgrow it, spill into
//! [`super::wide`], so every finite double counts to its last bit; a result is rounded once, at the end.
//!
//! A key takes 24 bytes; a spilled one some 300 more.

use std::hint::select_unpredictable;

use super::CorruptState;
use super::big::{Big, round};
use super::bytes::{put_i128, put_u128, take_i128, take_u8, take_u128};
use super::wide::{SUM_LIMBS, Spilled, Wide};

/// Exponent of the lowest bit of a sum of doubles. Doubles from 2^-24 (6e-8) to 2^50 (1e15) fit with all their bits, and
/// so do smaller ones with fewer digits.
const FLOAT_UNIT: i32 = -76;

/// A column of exact sums.
pub(super) struct ExactSums {
    cells: Vec<Cell>,
    spilled: Spilled<SUM_LIMBS>,
    /// Exponent of the lowest bit of the cells' sums.
    unit: i32,
}

/// The sum of a key, without its spilled part, and how many values there are in both.
#[derive(Clone, Copy, Default)]
struct Cell {
    /// Lower and upper half of the sum: as halves, a cell needs no padding.
    low: u64,
    high: u64,
    count: u64,
}

impl Cell {
    #[inline]
    fn sum(&self) -> i128 {
        (u128::from(self.high) << 64 | u128::from(self.low)) as i128
    }

    #[inline]
    fn set_sum(&mut self, sum: i128) {
        self.low = sum as u64;
        self.high = (sum >> 64) as u64;
    }
}

impl ExactSums {
    /// For doubles.
    pub(super) fn of_floats() -> Self {
        Self {
            cells: Vec::new(),
            spilled: Spilled::new(),
            unit: FLOAT_UNIT,
        }
    }

    /// For integers.
    pub(super) fn of_integers() -> Self {
        Self {
            cells: Vec::new(),
            spilled: Spilled::new(),
            unit: 0,
        }
    }

    /// Makes room for key ids below `n_keys`.
    pub(super) fn grow(&mut self, n_keys: usize) {
        if n_keys > self.cells.len() {
            self.cells.resize(n_keys, Cell::default());
        }
    }

    /// What adds a double to a key; NaN and the infinities are no values and are passed over. Only for a column of doubles.
    #[inline]
    pub(super) fn float_adder(&mut self) -> impl FnMut(u32, f64) {
        let (cells, spilled) = (self.cells.as_mut_slice(), &mut self.spilled);
        |id, value| add_float(&mut cells[id as usize], spilled, id, value)
    }

    /// What adds a number of the column's units to a key.
    #[inline]
    pub(super) fn unit_adder(&mut self) -> impl FnMut(u32, i128) {
        let (cells, spilled, unit) = (self.cells.as_mut_slice(), &mut self.spilled, self.unit);
        move |id, value| add_units(&mut cells[id as usize], spilled, id, value, unit)
    }

    /// Reads the cells of keys that will be added to, so that the processor fetches many of them at a time.
    pub(super) fn touch(&self, ids: &[u32]) {
        std::hint::black_box(ids.iter().fold(0, |all, id| {
            let cell = &self.cells[*id as usize];
            all ^ cell.low ^ cell.count
        }));
    }

    /// Adds the sum of key `id` in `other`, or takes it away. Both columns have the same unit.
    pub(super) fn combine(&mut self, id: u32, other: &Self, away: bool) {
        let Some(part) = other.cells.get(id as usize).filter(|cell| cell.count > 0) else {
            return;
        };
        self.grow(id as usize + 1);
        let cell = &mut self.cells[id as usize];
        let count = if away {
            cell.count.wrapping_sub(part.count)
        } else {
            cell.count.wrapping_add(part.count)
        };
        let step = if away {
            i128::overflowing_sub
        } else {
            i128::overflowing_add
        };
        let (sum, overflow) = step(cell.sum(), part.sum());
        cell.set_sum(sum);
        cell.count = count;
        if overflow {
            spill_overflow(cell, &mut self.spilled, id, self.unit);
        }
        if let Some(wide) = other.spilled.get(id) {
            self.spilled.entry(id).add_wide(wide, away);
        }
        if count == 0 {
            self.clear(id);
        } else if away && !self.spilled.is_empty() {
            self.unspill(id);
        }
    }

    /// Moves a spilled sum back if it fits its cell.
    fn unspill(&mut self, id: u32) {
        if let Some(fixed) = self.spilled_total(id).and_then(|total| total.narrow::<2>(self.unit)) {
            let cell = &mut self.cells[id as usize];
            (cell.low, cell.high) = (fixed[0], fixed[1]);
            self.spilled.remove(id);
        }
    }

    /// The whole sum of a key that has spilled.
    fn spilled_total(&self, id: u32) -> Option<Wide<SUM_LIMBS>> {
        let mut total = self.spilled.get(id)?.clone();
        total.add_i128(self.cells.get(id as usize)?.sum(), self.unit);
        Some(total)
    }

    /// How many values the sum of a key has.
    pub(super) fn count(&self, id: u32) -> u64 {
        self.cells.get(id as usize).map_or(0, |cell| cell.count)
    }

    /// The exact sum of a key.
    pub(super) fn total(&self, id: u32) -> Big {
        match self.spilled_total(id) {
            Some(total) => total.to_big(),
            None => Big::from_i128(self.cells.get(id as usize).map_or(0, Cell::sum), self.unit),
        }
    }

    /// The sum as a double; `None` if there are no values, or if the sum is beyond the range of doubles.
    pub(super) fn sum_f64(&self, id: u32) -> Option<f64> {
        let cell = self.cells.get(id as usize).filter(|cell| cell.count > 0)?;
        if !self.spilled.is_empty() && self.spilled.get(id).is_some() {
            return self.total(id).to_f64();
        }
        round(cell.sum() < 0, cell.sum().unsigned_abs(), self.unit)
    }

    /// The sum of integers; `None` if there are no values, or if the sum is outside of i128.
    pub(super) fn sum_i128(&self, id: u32) -> Option<i128> {
        let cell = self.cells.get(id as usize).filter(|cell| cell.count > 0)?;
        if !self.spilled.is_empty() && self.spilled.get(id).is_some() {
            return self.total(id).to_i128();
        }
        Some(cell.sum())
    }

    /// The mean as a double, rounded once; `None` if there are no values.
    pub(super) fn mean_f64(&self, id: u32) -> Option<f64> {
        self.total(id)
            .divided_by(&Big::from_i128(i128::from(self.count(id)), 0))
    }

    /// Forgets the sum of a key.
    pub(super) fn clear(&mut self, id: u32) {
        if let Some(cell) = self.cells.get_mut(id as usize) {
            *cell = Cell::default();
        }
        self.spilled.remove(id);
    }

    /// Appends count and sum of a key.
    pub(super) fn save(&self, id: u32, out: &mut Vec<u8>) {
        let count = self.count(id);
        let total = self.spilled_total(id);
        let fixed = match &total {
            Some(total) => total
                .narrow::<2>(self.unit)
                .map(|[low, high]| Cell { low, high, count }.sum()),
            None => self.cells.get(id as usize).map(Cell::sum),
        };
        let wide = fixed.is_none() && total.is_some();
        put_u128(out, u128::from(count) << 1 | u128::from(wide));
        match (count, fixed, total) {
            (0, ..) => {}
            // Decimal numbers of few digits and integers have many zeros at the low end.
            (_, Some(sum), _) => {
                let zeros = if sum == 0 { 0 } else { sum.trailing_zeros() };
                out.push(zeros as u8);
                put_i128(out, sum >> zeros);
            }
            (_, None, Some(total)) => total.save(out),
            (_, None, None) => {}
        }
    }

    /// Takes what [`ExactSums::save`] wrote.
    pub(super) fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let what = "sum";
        let head = take_u128(bytes, what)?;
        let count = u64::try_from(head >> 1).map_err(|_| CorruptState { what })?;
        self.grow(id as usize + 1);
        self.clear(id);
        if head == 1 {
            return Err(CorruptState { what });
        }
        if count == 0 {
            return Ok(());
        }
        if head & 1 == 1 {
            *self.spilled.entry(id) = Wide::load(bytes)?;
        } else {
            let zeros = u32::from(take_u8(bytes, what)?);
            let sum = take_i128(bytes, what)?;
            let shifted = sum.checked_shl(zeros).filter(|shifted| shifted >> zeros == sum);
            self.cells[id as usize].set_sum(shifted.ok_or(CorruptState { what })?);
        }
        self.cells[id as usize].count = count;
        Ok(())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>() + self.spilled.memory()
    }
}

#[inline]
fn add_float(cell: &mut Cell, spilled: &mut Spilled<SUM_LIMBS>, id: u32, value: f64) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    // Zero fits whatever its exponent is. Records have many, so this is no branch.
    let shift = select_unpredictable(bits << 1 == 0, 0, exponent - 1075 - FLOAT_UNIT);
    // A mantissa of 53 bits moved up by at most 73 stays below 2^126.
    if shift as u32 <= 73 {
        let hidden = u64::from(exponent != 0) << 52;
        let magnitude = i128::from(bits & ((1 << 52) - 1) | hidden) << shift;
        let sign = i128::from(bits as i64 >> 63);
        add_units(cell, spilled, id, (magnitude ^ sign) - sign, FLOAT_UNIT);
    } else if value.is_finite() {
        add_unfit(cell, spilled, id, value);
    }
}

#[inline]
fn add_units(cell: &mut Cell, spilled: &mut Spilled<SUM_LIMBS>, id: u32, value: i128, unit: i32) {
    let (sum, overflow) = cell.sum().overflowing_add(value);
    cell.set_sum(sum);
    cell.count = cell.count.wrapping_add(1);
    if overflow {
        spill_overflow(cell, spilled, id, unit);
    }
}

/// Adds a double that has bits outside of the cell's range, or is saved by zeros at its low end.
#[cold]
fn add_unfit(cell: &mut Cell, spilled: &mut Spilled<SUM_LIMBS>, id: u32, value: f64) {
    let (negative, magnitude, exponent) = decompose(value);
    let low = FLOAT_UNIT - exponent;
    if (1..=magnitude.trailing_zeros() as i32).contains(&low) {
        let fixed = i128::from(magnitude >> low);
        add_units(cell, spilled, id, if negative { -fixed } else { fixed }, FLOAT_UNIT);
    } else {
        cell.count = cell.count.wrapping_add(1);
        spilled.entry(id).add(negative, u128::from(magnitude), exponent);
    }
}

/// Moves a sum that has wrapped around to the spilled part.
#[cold]
fn spill_overflow(cell: &mut Cell, spilled: &mut Spilled<SUM_LIMBS>, id: u32, unit: i32) {
    let wrapped = cell.sum();
    cell.set_sum(0);
    let part = spilled.entry(id);
    part.add_i128(wrapped, unit);
    // It wrapped downwards if it is negative now: the true sum is 2^128 higher.
    part.add(wrapped >= 0, 1 << 127, unit + 1);
}

/// Sign, mantissa and exponent of a finite double: `±mantissa * 2^exponent`.
#[inline]
pub(super) fn decompose(value: f64) -> (bool, u64, i32) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let hidden = u64::from(exponent != 0) << 52;
    (bits >> 63 == 1, bits & ((1 << 52) - 1) | hidden, exponent.max(1) - 1075)
}
