//! `distinct(x, ...)`, which is `count(DISTINCT x, ...)`, and `sum` and `avg` of distinct values.
//!
//! Exact: a key keeps each of its values and how often it occurs, so that values can be taken away again. That is 16
//! bytes a value for numbers, 24 and the bytes for texts; `approx_distinct` is the one for millions of values.
//! A row in which an argument is NULL has no value.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array};
use arrow_schema::DataType;

use super::bytes::{put_u64, take_count, take_u64};
use super::distinct_set::{DistinctSet, DistinctValue};
use super::rows::{each_row, each_value, keys_needed};
use super::sum::{Finish, Sums};
use super::values::{Form, lower};
use super::{Accumulators, CorruptState};

/// What becomes of the distinct values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Their number.
    Count,
    /// Their sum or mean, with results of this type.
    Sum(Finish, DataType),
}

/// A column of sets of distinct values of arguments of these types.
pub(super) fn distinct(arguments: &[DataType], of: Of) -> Box<dyn Accumulators> {
    let form = match arguments {
        [one] => Form::of(one),
        _ => Form::Encoded,
    };
    let arguments = arguments.to_vec();
    match form {
        Form::Int64 | Form::UInt64 | Form::Float64 => Box::new(Distinct::<u64>::new(form, arguments, of)),
        Form::Decimal => Box::new(Distinct::<i128>::new(form, arguments, of)),
        Form::Bytes | Form::Encoded => Box::new(Distinct::<Box<[u8]>>::new(form, arguments, of)),
    }
}

struct Distinct<V> {
    sets: Vec<DistinctSet<V>>,
    form: Form,
    arguments: Vec<DataType>,
    of: Of,
}

impl<V: DistinctValue> Distinct<V> {
    fn new(form: Form, arguments: Vec<DataType>, of: Of) -> Self {
        Self {
            sets: Vec::new(),
            form,
            arguments,
            of,
        }
    }

    /// The arguments as one array of values in the form.
    fn values(&self, args: &[ArrayRef]) -> Option<ArrayRef> {
        let [one] = args.get(..self.arguments.len())? else {
            let columns: Vec<ArrayRef> = args.iter().map(|array| lower(array, Form::Encoded)).collect();
            let columns: Vec<&BinaryArray> = columns.iter().filter_map(|array| array.as_binary_opt()).collect();
            let rows = columns.first()?.len();
            let tuples = (0..rows).map(|row| {
                let valid = columns.iter().all(|column| column.is_valid(row));
                valid.then(|| {
                    columns
                        .iter()
                        .map(|column| column.value(row))
                        .collect::<Vec<_>>()
                        .concat()
                })
            });
            return Some(Arc::new(tuples.collect::<BinaryArray>()));
        };
        Some(lower(one, self.form))
    }

    fn sum(&self, ids: &[u32], finish: Finish, data_type: &DataType) -> ArrayRef {
        let argument = self.arguments.first().unwrap_or(&DataType::Null);
        let mut sums = Sums::new(argument, finish, data_type.clone());
        let keys: Vec<u32> = (0..ids.len() as u32).collect();
        sums.grow(ids.len());
        for (key, id) in keys.iter().zip(ids) {
            let values = self.sets.get(*id as usize).into_iter().flat_map(DistinctSet::iter);
            values.for_each(|(value, _)| value.add_to(sums.exact(), *key, self.form));
        }
        sums.results(&keys)
    }
}

impl<V: DistinctValue> Accumulators for Distinct<V> {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.sets.len() {
            self.sets.resize_with(n_keys, DistinctSet::default);
        }
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let Some(array) = self.values(args) else {
            return;
        };
        self.grow(keys_needed(ids));
        let sets = self.sets.as_mut_slice();
        if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            each_value(ids, array, |id, value| {
                V::add_word(&mut sets[id as usize], value as u64)
            });
        } else if let Some(array) = array.as_primitive_opt::<UInt64Type>() {
            each_value(ids, array, |id, value| V::add_word(&mut sets[id as usize], value));
        } else if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            each_value(ids, array, |id, value| {
                V::add_word(&mut sets[id as usize], value.to_bits())
            });
        } else if let Some(array) = array.as_primitive_opt::<Decimal128Type>() {
            each_value(ids, array, |id, value| V::add_decimal(&mut sets[id as usize], value));
        } else if let Some(array) = array.as_binary_opt::<i32>() {
            each_row(ids, array.nulls(), |id, row| {
                V::add_bytes(&mut sets[id as usize], array.value(row))
            });
        }
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        let other = other.as_any().downcast_ref::<Self>();
        if let Some(other) = other.and_then(|other| other.sets.get(id as usize)) {
            self.grow(id as usize + 1);
            let set = &mut self.sets[id as usize];
            other.iter().for_each(|(value, count)| set.add(value.borrow(), count));
        }
    }

    fn retract(&mut self, id: u32, other: &dyn Accumulators) {
        let other = other.as_any().downcast_ref::<Self>();
        if let (Some(set), Some(other)) = (
            self.sets.get_mut(id as usize),
            other.and_then(|other| other.sets.get(id as usize)),
        ) {
            other
                .iter()
                .for_each(|(value, count)| set.remove(value.borrow(), count));
        }
    }

    fn invertible(&self) -> bool {
        true
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        match &self.of {
            Of::Count => {
                let counts = ids
                    .iter()
                    .map(|id| self.sets.get(*id as usize).map_or(0, |set| set.len() as i64));
                Arc::new(Int64Array::from_iter_values(counts))
            }
            Of::Sum(finish, data_type) => self.sum(ids, *finish, data_type),
        }
    }

    fn data_type(&self) -> DataType {
        match &self.of {
            Of::Count => DataType::Int64,
            Of::Sum(_, data_type) => data_type.clone(),
        }
    }

    fn clear(&mut self, id: u32) {
        if let Some(set) = self.sets.get_mut(id as usize) {
            *set = DistinctSet::default();
        }
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        let mut values: Vec<_> = self
            .sets
            .get(id as usize)
            .into_iter()
            .flat_map(DistinctSet::iter)
            .collect();
        values.sort_unstable();
        put_u64(out, values.len() as u64);
        for (value, count) in values {
            value.put(out);
            put_u64(out, count);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let what = "distinct values";
        let values = take_count(bytes, what)?;
        let mut set = DistinctSet::default();
        for _ in 0..values {
            let value = V::take(bytes)?;
            let count = take_u64(bytes, what)?;
            if count == 0 || set.contains(value.borrow()) {
                return Err(CorruptState { what });
            }
            set.add(value.borrow(), count);
        }
        self.grow(id as usize + 1);
        self.sets[id as usize] = set;
        Ok(())
    }

    fn memory(&self) -> usize {
        let sets: usize = self.sets.iter().map(DistinctSet::memory).sum();
        self.sets.capacity() * size_of::<DistinctSet<V>>() + sets
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
