//! `count(*)` and `count(x, ...)`: rows, or rows in which no argument is NULL. 8 bytes a key.

use std::any::Any;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::DataType;

use super::bytes::{put_u64, take_u64};
use super::rows::{clean, common_nulls, each_row, keys_needed};
use super::{Accumulators, CorruptState};
use crate::key::reserve;

/// A column of counts.
pub(super) struct Counts {
    counts: Vec<u64>,
    /// Counts all rows and looks at no argument.
    rows: bool,
}

impl Counts {
    /// Of all rows, or of those in which no argument is NULL.
    pub(super) fn new(rows: bool) -> Self {
        Self {
            counts: Vec::new(),
            rows,
        }
    }
}

impl Accumulators for Counts {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.counts.len() {
            self.counts.resize(n_keys, 0);
        }
    }

    fn reserve(&mut self, n_keys: usize) {
        reserve(&mut self.counts, n_keys);
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        self.grow(keys_needed(ids));
        let counts = self.counts.as_mut_slice();
        let nulls = match (self.rows, args) {
            (true, _) => None,
            (false, [one]) => clean(one).logical_nulls(),
            (false, several) => common_nulls(&several.iter().map(clean).collect::<Vec<_>>()),
        };
        each_row(ids, nulls.as_ref(), |id, _| {
            let count = &mut counts[id as usize];
            *count = count.wrapping_add(1);
        });
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.grow(id as usize + 1);
            let count = &mut self.counts[id as usize];
            *count = count.saturating_add(other.count(id));
        }
    }

    fn retract(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.grow(id as usize + 1);
            let count = &mut self.counts[id as usize];
            *count = count.saturating_sub(other.count(id));
        }
    }

    fn invertible(&self) -> bool {
        true
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        let counts = ids.iter().map(|id| i64::try_from(self.count(*id)).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter_values(counts))
    }

    fn data_type(&self) -> DataType {
        DataType::Int64
    }

    fn clear(&mut self, id: u32) {
        if let Some(count) = self.counts.get_mut(id as usize) {
            *count = 0;
        }
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        put_u64(out, self.count(id));
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        self.grow(id as usize + 1);
        self.counts[id as usize] = take_u64(bytes, "count")?;
        Ok(())
    }

    fn memory(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Counts {
    fn count(&self, id: u32) -> u64 {
        self.counts.get(id as usize).copied().unwrap_or(0)
    }
}
