//! `first(x)` and `last(x)`: the value of the earliest or latest record by event time, of any type.
//!
//! Of records with the same time, `first` takes the earlier record, `last` the later one; of two states that are merged,
//! the records of the own one count as earlier. NULL is no value, so `last(status)` is the last known status, unless the
//! query says RESPECT NULLS. 17 bytes a key for numbers and times; texts take their bytes besides.

use std::any::Any;

use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::bytes::{put_i64, take_i64, take_u8};
use super::rows::{each_row, keys_needed, parts};
use super::value_column::{Numbers, Texts, ValueColumn};
use super::values::{Form, lower, raise};
use super::{Accumulators, CorruptState};
use crate::key::reserve;

/// A column of first values (of last ones if `LAST`).
pub(super) fn first_last<const LAST: bool>(data_type: &DataType, respect_nulls: bool) -> Box<dyn Accumulators> {
    let form = Form::of(data_type);
    match form {
        Form::Int64 => Box::new(FirstLast::<Numbers<Int64Type>, LAST>::new(
            form,
            data_type,
            respect_nulls,
        )),
        Form::UInt64 => Box::new(FirstLast::<Numbers<UInt64Type>, LAST>::new(
            form,
            data_type,
            respect_nulls,
        )),
        Form::Float64 => Box::new(FirstLast::<Numbers<Float64Type>, LAST>::new(
            form,
            data_type,
            respect_nulls,
        )),
        Form::Decimal => Box::new(FirstLast::<Numbers<Decimal128Type>, LAST>::new(
            form,
            data_type,
            respect_nulls,
        )),
        Form::Bytes | Form::Encoded => Box::new(FirstLast::<Texts, LAST>::new(form, data_type, respect_nulls)),
    }
}

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Null,
    Value,
}

struct FirstLast<C, const LAST: bool> {
    held: Vec<Held>,
    /// Event times of the records that the values are from, in microseconds.
    times: Vec<i64>,
    values: C,
    form: Form,
    data_type: DataType,
    respect_nulls: bool,
}

impl<C: ValueColumn, const LAST: bool> FirstLast<C, LAST> {
    fn new(form: Form, data_type: &DataType, respect_nulls: bool) -> Self {
        let (held, times, values) = (Vec::new(), Vec::new(), C::default());
        Self {
            held,
            times,
            values,
            form,
            data_type: data_type.clone(),
            respect_nulls,
        }
    }

    /// Whether a record of this time, later than all before it in the order of records, replaces what is held.
    #[inline]
    fn accepts(&self, id: u32, time: i64) -> bool {
        let held_time = self.times[id as usize];
        let better = if LAST { time >= held_time } else { time < held_time };
        better || self.held[id as usize] == Held::Nothing
    }

    #[inline]
    fn hold(&mut self, id: u32, time: i64, held: Held) {
        self.times[id as usize] = time;
        self.held[id as usize] = held;
    }

    fn accept_rows(&mut self, ids: &[u32], times: &[i64], array: &ArrayRef) {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let Some(array) = C::array(array) else {
            return;
        };
        if let Some(nulls) = nulls.filter(|_| self.respect_nulls) {
            for (row, (id, time)) in ids.iter().zip(times).enumerate() {
                if self.accepts(*id, *time) {
                    let held = if nulls.is_valid(row) { Held::Value } else { Held::Null };
                    self.hold(*id, *time, held);
                    if held == Held::Value {
                        self.values.set(*id, array, row);
                    }
                }
            }
        } else {
            each_row(ids, nulls, |id, row| {
                if self.accepts(id, times[row]) {
                    self.hold(id, times[row], Held::Value);
                    self.values.set(id, array, row);
                }
            });
        }
    }

    /// Reads what is known of keys, so that the processor fetches many of them at a time.
    fn touch(&self, ids: &[u32]) {
        std::hint::black_box(ids.iter().fold(0, |all, id| {
            all ^ self.times[*id as usize] ^ self.held[*id as usize] as i64
        }));
    }

    fn memory_of_keys(&self) -> usize {
        self.held.capacity() + self.times.capacity() * size_of::<i64>()
    }

    fn get(&self, id: u32) -> Held {
        self.held.get(id as usize).copied().unwrap_or(Held::Nothing)
    }
}

impl<C: ValueColumn, const LAST: bool> Accumulators for FirstLast<C, LAST> {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.held.len() {
            self.held.resize(n_keys, Held::Nothing);
            self.times.resize(n_keys, 0);
            self.values.grow(n_keys);
        }
    }

    fn reserve(&mut self, n_keys: usize) {
        reserve(&mut self.held, n_keys);
        reserve(&mut self.times, n_keys);
        self.values.reserve(n_keys);
    }

    fn update(&mut self, ids: &[u32], times: &[i64], args: &[ArrayRef]) {
        let Some(array) = args.first().map(|array| lower(array, self.form)) else {
            return;
        };
        self.grow(keys_needed(ids));
        let (parts, large) = parts(ids.len(), self.memory_of_keys());
        for part in parts {
            if large {
                self.touch(&ids[part.clone()]);
            }
            self.accept_rows(
                &ids[part.clone()],
                &times[part.clone()],
                &array.slice(part.start, part.len()),
            );
        }
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        let Some(other) = other
            .as_any()
            .downcast_ref::<Self>()
            .filter(|other| other.get(id) != Held::Nothing)
        else {
            return;
        };
        self.grow(id as usize + 1);
        let time = other.times[id as usize];
        if self.accepts(id, time) {
            self.hold(id, time, other.get(id));
            self.values.copy(id, &other.values);
        }
    }

    fn retract(&mut self, _id: u32, _other: &dyn Accumulators) {}

    fn invertible(&self) -> bool {
        false
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        let held = ids.iter().map(|id| (self.get(*id) == Held::Value).then_some(*id));
        raise(self.values.collect(held), &self.data_type)
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn clear(&mut self, id: u32) {
        if self.get(id) != Held::Nothing {
            self.hold(id, 0, Held::Nothing);
            self.values.forget(id);
        }
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        let held = self.get(id);
        out.push(held as u8);
        if held != Held::Nothing {
            put_i64(out, self.times[id as usize]);
        }
        if held == Held::Value {
            self.values.put(id, out);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let what = "first or last value";
        self.grow(id as usize + 1);
        self.clear(id);
        let held = match take_u8(bytes, what)? {
            0 => return Ok(()),
            1 => Held::Null,
            2 => Held::Value,
            _ => return Err(CorruptState { what }),
        };
        let time = take_i64(bytes, what)?;
        if held == Held::Value {
            self.values.take(id, bytes, &self.data_type)?;
        }
        self.hold(id, time, held);
        Ok(())
    }

    fn memory(&self) -> usize {
        self.memory_of_keys() + self.values.memory()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
