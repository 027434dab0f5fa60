//! `var(x)` and `stddev(x)`, of a sample or of a population. 56 bytes a key.
//!
//! From the exact sums of x and of x², so nothing cancels, however large the mean is against the spread:
//! `(n * Σx² - (Σx)²) / (n * (n - 1))`, with `n * n` for a population, rounded once. NULL without values, for a sample
//! also of one value, and if a variance is beyond the range of doubles.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;

use super::big::Big;
use super::exact_product::ProductSums;
use super::exact_sum::ExactSums;
use super::rows::{each_value, keys_needed, parts};
use super::values::{Form, lower};
use super::{Accumulators, CorruptState};

/// What is asked of the values' spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// Of a population, else of a sample.
    pub(super) population: bool,
    /// The standard deviation, else its square.
    pub(super) root: bool,
}

/// A column of variances or standard deviations.
pub(super) struct Variances {
    sums: ExactSums,
    squares: ProductSums,
    spread: Spread,
}

impl Variances {
    /// No keys.
    pub(super) fn new(spread: Spread) -> Self {
        Self {
            sums: ExactSums::of_floats(),
            squares: ProductSums::new(),
            spread,
        }
    }

    /// The results for `ids` of this kind.
    pub(super) fn spread(&self, ids: &[u32], spread: Spread) -> ArrayRef {
        Arc::new(ids.iter().map(|id| self.result(*id, spread)).collect::<Float64Array>())
    }

    fn result(&self, id: u32, kind: Spread) -> Option<f64> {
        let count = i128::from(self.sums.count(id));
        let n = Big::from_i128(count, 0);
        let divisor = Big::from_i128(if kind.population { count } else { count - 1 }, 0).times(&n);
        let sum = self.sums.total(id);
        let spread = n.times(&self.squares.total(id)).minus(&sum.times(&sum));
        let variance = spread.divided_by(&divisor).filter(|variance| *variance >= 0.0)?;
        Some(if kind.root { variance.sqrt() } else { variance })
    }
}

impl Accumulators for Variances {
    fn grow(&mut self, n_keys: usize) {
        self.sums.grow(n_keys);
        self.squares.grow(n_keys);
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let array = args.first().map(|array| lower(array, Form::Float64));
        let Some(array) = array.as_ref().and_then(|array| array.as_primitive_opt::<Float64Type>()) else {
            return;
        };
        self.grow(keys_needed(ids));
        let (parts, large) = parts(ids.len(), self.memory());
        for part in parts {
            let (ids, array) = (&ids[part.clone()], array.slice(part.start, part.len()));
            if large {
                self.sums.touch(ids);
                self.squares.touch(ids);
            }
            each_value(ids, &array, self.sums.float_adder());
            let mut add = self.squares.adder();
            each_value(ids, &array, |id, value| add(id, value, value));
        }
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.sums.combine(id, &other.sums, false);
            self.squares.combine(id, &other.squares, false);
        }
    }

    fn retract(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.sums.combine(id, &other.sums, true);
            self.squares.combine(id, &other.squares, true);
        }
    }

    fn invertible(&self) -> bool {
        true
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        self.spread(ids, self.spread)
    }

    fn data_type(&self) -> DataType {
        DataType::Float64
    }

    fn clear(&mut self, id: u32) {
        self.sums.clear(id);
        self.squares.clear(id);
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        self.sums.save(id, out);
        if self.sums.count(id) > 0 {
            self.squares.save(id, out);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        self.grow(id as usize + 1);
        self.clear(id);
        self.sums.load(id, bytes)?;
        if self.sums.count(id) > 0 {
            self.squares.load(id, bytes)?;
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.sums.memory() + self.squares.memory()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
