//! A set of values that knows how often each of them was added: a short list while it is small, then a hash table.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::HashMap;

use super::CorruptState;
use super::bytes::{put_bytes, put_i128, put_u64, take_bytes, take_i128, take_u64};
use super::exact_sum::ExactSums;
use super::values::Form;

/// How many values a list may have before it becomes a table.
const LIST: usize = 8;

/// Values with how often they occur.
///
/// The table's hash starts from a random state, so that nobody can choose values that collide. The order of its values
/// is therefore any; nothing may depend on it.
pub(super) enum DistinctSet<V> {
    List(Vec<(V, u64)>),
    Table(Box<HashMap<V, u64, foldhash::fast::RandomState>>),
}

impl<V> Default for DistinctSet<V> {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<V: DistinctValue> DistinctSet<V> {
    /// Adds a value `count` times.
    #[inline]
    pub(super) fn add(&mut self, value: &V::Borrowed, count: u64) {
        match self {
            Self::List(list) => {
                if let Some((_, held)) = list.iter_mut().find(|(held, _)| held.borrow() == value) {
                    *held = held.saturating_add(count);
                } else if list.len() < LIST {
                    list.push((V::own(value), count));
                } else {
                    let mut table = HashMap::with_capacity_and_hasher(2 * LIST, Default::default());
                    table.extend(list.drain(..));
                    table.insert(V::own(value), count);
                    *self = Self::Table(Box::new(table));
                }
            }
            Self::Table(table) => match table.get_mut(value) {
                Some(held) => *held = held.saturating_add(count),
                None => {
                    table.insert(V::own(value), count);
                }
            },
        }
    }

    /// Takes a value away `count` times.
    pub(super) fn remove(&mut self, value: &V::Borrowed, count: u64) {
        match self {
            Self::List(list) => {
                if let Some(at) = list.iter().position(|(held, _)| held.borrow() == value) {
                    list[at].1 = list[at].1.saturating_sub(count);
                    if list[at].1 == 0 {
                        list.swap_remove(at);
                    }
                }
            }
            Self::Table(table) => {
                if let Some(held) = table.get_mut(value) {
                    *held = held.saturating_sub(count);
                    if *held == 0 {
                        table.remove(value);
                    }
                }
                if table.len() <= LIST / 2 {
                    *self = Self::List(table.drain().collect());
                }
            }
        }
    }

    /// Whether the value is there.
    pub(super) fn contains(&self, value: &V::Borrowed) -> bool {
        match self {
            Self::List(list) => list.iter().any(|(held, _)| held.borrow() == value),
            Self::Table(table) => table.contains_key(value),
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Table(table) => table.len(),
        }
    }

    /// The values and how often each occurs, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&V, u64)> {
        let (list, table) = match self {
            Self::List(list) => (Some(list), None),
            Self::Table(table) => (None, Some(table)),
        };
        let list = list.into_iter().flatten().map(|(value, count)| (value, *count));
        list.chain(
            table
                .into_iter()
                .flat_map(|table| table.iter())
                .map(|(value, count)| (value, *count)),
        )
    }

    /// Bytes of memory held besides the set itself.
    pub(super) fn memory(&self) -> usize {
        let heap: usize = self.iter().map(|(value, _)| value.heap()).sum();
        heap + match self {
            Self::List(list) => list.capacity() * size_of::<(V, u64)>(),
            Self::Table(table) => size_of_val(&**table) + table.capacity() * (size_of::<(V, u64)>() + 1),
        }
    }
}

/// Values that a set can have. Each kind takes values of one form; the others are not offered to it.
pub(super) trait DistinctValue: Hash + Ord + Send + Borrow<Self::Borrowed> + 'static {
    /// The value by reference.
    type Borrowed: ?Sized + Hash + Eq;

    /// The value for keeps.
    fn own(value: &Self::Borrowed) -> Self;

    /// Adds a number, time or boolean.
    fn add_word(_set: &mut DistinctSet<Self>, _value: u64)
    where
        Self: Sized,
    {
    }

    /// Adds a decimal.
    fn add_decimal(_set: &mut DistinctSet<Self>, _value: i128)
    where
        Self: Sized,
    {
    }

    /// Adds a text.
    fn add_bytes(_set: &mut DistinctSet<Self>, _value: &[u8])
    where
        Self: Sized,
    {
    }

    /// Adds the value, which was of this form, to a sum.
    fn add_to(&self, sums: &mut ExactSums, key: u32, form: Form);

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes what [`DistinctValue::put`] wrote.
    fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState>
    where
        Self: Sized;

    /// Bytes that the value holds elsewhere.
    fn heap(&self) -> usize {
        0
    }
}

impl DistinctValue for u64 {
    type Borrowed = u64;

    fn own(value: &u64) -> Self {
        *value
    }

    #[inline]
    fn add_word(set: &mut DistinctSet<Self>, value: u64) {
        set.add(&value, 1);
    }

    fn add_to(&self, sums: &mut ExactSums, key: u32, form: Form) {
        match form {
            Form::Float64 => sums.float_adder()(key, f64::from_bits(*self)),
            Form::UInt64 => sums.unit_adder()(key, i128::from(*self)),
            _ => sums.unit_adder()(key, i128::from(*self as i64)),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, *self);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
        take_u64(bytes, "distinct value")
    }
}

impl DistinctValue for i128 {
    type Borrowed = i128;

    fn own(value: &i128) -> Self {
        *value
    }

    #[inline]
    fn add_decimal(set: &mut DistinctSet<Self>, value: i128) {
        set.add(&value, 1);
    }

    fn add_to(&self, sums: &mut ExactSums, key: u32, _form: Form) {
        sums.unit_adder()(key, *self);
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_i128(out, *self);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
        take_i128(bytes, "distinct value")
    }
}

impl DistinctValue for Box<[u8]> {
    type Borrowed = [u8];

    fn own(value: &[u8]) -> Self {
        value.into()
    }

    #[inline]
    fn add_bytes(set: &mut DistinctSet<Self>, value: &[u8]) {
        set.add(value, 1);
    }

    fn add_to(&self, _sums: &mut ExactSums, _key: u32, _form: Form) {}

    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
        Ok(take_bytes(bytes, "distinct value")?.into())
    }

    fn heap(&self) -> usize {
        self.len()
    }
}
