//! `min(x)` and `max(x)` of every type with an order: numbers, texts (by bytes), booleans, dates and times.
//!
//! 8 bytes a key for numbers and times (16 for decimals). Not invertible: a value that leaves may have hidden others.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray};
use arrow_schema::DataType;
use hashbrown::HashSet;

use super::bytes::{put_bytes, take_bytes, take_u8};
use super::rows::{each_row, each_value, keys_needed};
use super::values::{Form, Number, check_bytes, lower, raise};
use super::{Accumulators, CorruptState};
use crate::key::reserve;

/// A column of least values (of greatest if `MAX`) of a type that has an order.
pub(super) fn extremes<const MAX: bool>(data_type: &DataType) -> Box<dyn Accumulators> {
    let form = Form::of(data_type);
    let data_type = data_type.clone();
    match form {
        Form::Int64 => Box::new(Numbers::<Int64Type, MAX>::new(form, data_type)),
        Form::UInt64 => Box::new(Numbers::<UInt64Type, MAX>::new(form, data_type)),
        Form::Float64 => Box::new(Numbers::<Float64Type, MAX>::new(form, data_type)),
        Form::Decimal => Box::new(Numbers::<Decimal128Type, MAX>::new(form, data_type)),
        Form::Bytes | Form::Encoded => Box::new(Texts::<MAX> {
            values: Vec::new(),
            data_type,
        }),
    }
}

struct Numbers<T: ArrowPrimitiveType, const MAX: bool> {
    /// The value that every other one beats stands for none, so that a key needs no flag.
    values: Vec<T::Native>,
    /// Keys for which that value was really seen.
    seen_limit: HashSet<u32, foldhash::fast::FixedState>,
    form: Form,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType<Native: Number>, const MAX: bool> Numbers<T, MAX> {
    const LIMIT: T::Native = if MAX { T::Native::LOWEST } else { T::Native::HIGHEST };

    fn new(form: Form, data_type: DataType) -> Self {
        let seen_limit = HashSet::with_hasher(foldhash::fast::FixedState::default());
        Self {
            values: Vec::new(),
            seen_limit,
            form,
            data_type,
        }
    }

    fn get(&self, id: u32) -> Option<T::Native> {
        let value = self.values.get(id as usize).copied()?;
        (value != Self::LIMIT || self.seen_limit.contains(&id)).then_some(value)
    }

    #[inline]
    fn offer(&mut self, id: u32, value: T::Native) {
        let held = &mut self.values[id as usize];
        if if MAX { value > *held } else { value < *held } {
            *held = value;
        } else if value == Self::LIMIT {
            self.seen_limit.insert(id);
        }
    }
}

impl<T: ArrowPrimitiveType<Native: Number>, const MAX: bool> Accumulators for Numbers<T, MAX> {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.values.len() {
            self.values.resize(n_keys, Self::LIMIT);
        }
    }

    fn reserve(&mut self, n_keys: usize) {
        reserve(&mut self.values, n_keys);
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let array = args.first().map(|array| lower(array, self.form));
        let Some(array) = array.as_ref().and_then(|array| array.as_primitive_opt::<T>()) else {
            return;
        };
        self.grow(keys_needed(ids));
        each_value(ids, array, |id, value| self.offer(id, value));
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(value) = other.as_any().downcast_ref::<Self>().and_then(|other| other.get(id)) {
            self.grow(id as usize + 1);
            self.offer(id, value);
        }
    }

    fn retract(&mut self, _id: u32, _other: &dyn Accumulators) {}

    fn invertible(&self) -> bool {
        false
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        let values: PrimitiveArray<T> = ids.iter().map(|id| self.get(*id)).collect();
        raise(Arc::new(values), &self.data_type)
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn clear(&mut self, id: u32) {
        if let Some(value) = self.values.get_mut(id as usize) {
            *value = Self::LIMIT;
        }
        self.seen_limit.remove(&id);
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        let value = self.get(id);
        out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            value.put(out);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        self.grow(id as usize + 1);
        self.clear(id);
        match take_u8(bytes, "extreme value")? {
            0 => {}
            1 => self.offer(id, T::Native::take(bytes)?),
            _ => return Err(CorruptState { what: "extreme value" }),
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.seen_limit.capacity() * (size_of::<u32>() + 1)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Texts<const MAX: bool> {
    values: Vec<Option<Box<[u8]>>>,
    data_type: DataType,
}

impl<const MAX: bool> Texts<MAX> {
    fn get(&self, id: u32) -> Option<&[u8]> {
        self.values.get(id as usize)?.as_deref()
    }

    #[inline]
    fn offer(&mut self, id: u32, value: &[u8]) {
        let held = &mut self.values[id as usize];
        let better = match held {
            Some(held) if MAX => value > &**held,
            Some(held) => value < &**held,
            None => true,
        };
        if better {
            *held = Some(value.into());
        }
    }
}

impl<const MAX: bool> Accumulators for Texts<MAX> {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.values.len() {
            self.values.resize(n_keys, None);
        }
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let array = args.first().map(|array| lower(array, Form::Bytes));
        let Some(array) = array.as_ref().and_then(|array| array.as_binary_opt::<i32>()) else {
            return;
        };
        self.grow(keys_needed(ids));
        each_row(ids, array.nulls(), |id, row| self.offer(id, array.value(row)));
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(value) = other.as_any().downcast_ref::<Self>().and_then(|other| other.get(id)) {
            self.grow(id as usize + 1);
            self.offer(id, value);
        }
    }

    fn retract(&mut self, _id: u32, _other: &dyn Accumulators) {}

    fn invertible(&self) -> bool {
        false
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        let values: BinaryArray = ids.iter().map(|id| self.get(*id)).collect();
        raise(Arc::new(values), &self.data_type)
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn clear(&mut self, id: u32) {
        if let Some(value) = self.values.get_mut(id as usize) {
            *value = None;
        }
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        let value = self.get(id);
        out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            put_bytes(out, value);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let what = "extreme text";
        let value = match take_u8(bytes, what)? {
            0 => None,
            1 => Some(take_bytes(bytes, what)?),
            _ => return Err(CorruptState { what }),
        };
        value.map_or(Ok(()), |value| check_bytes(value, &self.data_type))?;
        self.grow(id as usize + 1);
        self.values[id as usize] = value.map(Into::into);
        Ok(())
    }

    fn memory(&self) -> usize {
        let texts: usize = self.values.iter().flatten().map(|value| value.len()).sum();
        self.values.capacity() * size_of::<Option<Box<[u8]>>>() + texts
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
