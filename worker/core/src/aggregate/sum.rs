//! `sum(x)` and `avg(x)` of doubles, integers, decimals and durations. 24 bytes a key.
//!
//! Sums are exact; see [`super::exact_sum`]. A result is rounded once: that of doubles to the nearest double, a mean of
//! decimals or durations to the nearest unit, halves away from zero. A result that its type cannot hold is NULL, and so
//! is one without values.

use std::any::Any;
use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;

use super::exact_sum::ExactSums;
use super::rows::{each_value, keys_needed, parts};
use super::values::{Form, lower, raise};
use super::{Accumulators, CorruptState};

/// A column of sums or means.
pub(super) struct Sums {
    sums: ExactSums,
    /// What the arguments look like.
    form: Form,
    finish: Finish,
    /// Type of the results.
    data_type: DataType,
}

/// What becomes of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// `sum`
    Sum,
    /// `avg`; the result has so many more decimals than the argument.
    Mean {
        /// Additional decimals of the result.
        decimals: u32,
    },
}

impl Sums {
    /// Of arguments of the type `argument`, with results of `data_type`.
    pub(super) fn new(argument: &DataType, finish: Finish, data_type: DataType) -> Self {
        let form = Form::of(argument);
        let sums = if form == Form::Float64 {
            ExactSums::of_floats()
        } else {
            ExactSums::of_integers()
        };
        Self {
            sums,
            form,
            finish,
            data_type,
        }
    }

    /// The exact sums, to be added to without a batch.
    pub(super) fn exact(&mut self) -> &mut ExactSums {
        &mut self.sums
    }

    fn add(&mut self, ids: &[u32], array: &ArrayRef) {
        if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            each_value(ids, array, self.sums.float_adder());
        } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            let mut add = self.sums.unit_adder();
            each_value(ids, array, |id, value| add(id, i128::from(value)));
        } else if let Some(array) = array.as_primitive_opt::<UInt64Type>() {
            let mut add = self.sums.unit_adder();
            each_value(ids, array, |id, value| add(id, i128::from(value)));
        } else if let Some(array) = array.as_primitive_opt::<Decimal128Type>() {
            each_value(ids, array, self.sums.unit_adder());
        }
    }

    /// The results for `ids` as another call would have them.
    pub(super) fn finished(&self, ids: &[u32], finish: Finish, data_type: &DataType) -> ArrayRef {
        let results = match (self.form, data_type) {
            (Form::Float64, _) => Arc::new(ids.iter().map(|id| self.float(*id, finish)).collect::<Float64Array>()),
            (_, DataType::Decimal128(precision, _)) => {
                let limit = 10i128.checked_pow(u32::from(*precision)).unwrap_or(i128::MAX);
                self.integers::<Decimal128Type>(ids, finish, |value| (value.abs() < limit).then_some(value))
            }
            (Form::UInt64, _) => self.integers::<UInt64Type>(ids, finish, |value| u64::try_from(value).ok()),
            _ => self.integers::<Int64Type>(ids, finish, |value| i64::try_from(value).ok()),
        };
        raise(results, data_type)
    }

    fn float(&self, id: u32, finish: Finish) -> Option<f64> {
        match finish {
            Finish::Sum => self.sums.sum_f64(id),
            Finish::Mean { .. } => self.sums.mean_f64(id),
        }
    }

    fn integer(&self, id: u32, finish: Finish) -> Option<i128> {
        let sum = self.sums.sum_i128(id)?;
        let Finish::Mean { decimals } = finish else {
            return Some(sum);
        };
        let count = i128::from(self.sums.count(id));
        let unit = 10i128.checked_pow(decimals)?;
        let (whole, rest) = (sum / count, sum % count);
        let scaled = rest * unit;
        let (part, rest) = (scaled / count, scaled % count);
        let up = if 2 * rest.abs() >= count { rest.signum() } else { 0 };
        whole.checked_mul(unit)?.checked_add(part + up)
    }

    fn integers<T: ArrowPrimitiveType>(
        &self,
        ids: &[u32],
        finish: Finish,
        fit: impl Fn(i128) -> Option<T::Native>,
    ) -> ArrayRef {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(ids.len());
        ids.iter()
            .for_each(|id| builder.append_option(self.integer(*id, finish).and_then(&fit)));
        Arc::new(builder.finish())
    }
}

impl Accumulators for Sums {
    fn grow(&mut self, n_keys: usize) {
        self.sums.grow(n_keys);
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let Some(array) = args.first() else {
            return;
        };
        self.grow(keys_needed(ids));
        // Sums of doubles pass over NaN and the infinities by themselves.
        let array = if array.data_type() == &DataType::Float64 {
            Arc::clone(array)
        } else {
            lower(array, self.form)
        };
        let (parts, large) = parts(ids.len(), self.sums.memory());
        for part in parts {
            let (ids, array) = (&ids[part.clone()], array.slice(part.start, part.len()));
            if large {
                self.sums.touch(ids);
            }
            self.add(ids, &array);
        }
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.sums.combine(id, &other.sums, false);
        }
    }

    fn retract(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.sums.combine(id, &other.sums, true);
        }
    }

    fn invertible(&self) -> bool {
        true
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        self.finished(ids, self.finish, &self.data_type)
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn clear(&mut self, id: u32) {
        self.sums.clear(id);
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        self.sums.save(id, out);
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        self.sums.load(id, bytes)
    }

    fn memory(&self) -> usize {
        self.sums.memory()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
