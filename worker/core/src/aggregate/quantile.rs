//! Percentiles: `approx_percentile_cont(x, q)`, `percentile(x, q)`, `median(x)`, `p50(x)` to `p99(x)`.
//!
//! Read from a [`super::quantile_sketch`]: at most 0.4% off, relative to the exact percentile. 8 bytes a key, and for a
//! key with values 8 bytes for each of its buckets while they are few, about 4 kB for a thousand latencies.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;

use super::quantile_sketch::Sketch;
use super::rows::{each_value, keys_needed};
use super::values::{Form, lower};
use super::{Accumulators, CorruptState};

/// A column of distributions.
pub(super) struct Quantiles {
    sketches: Vec<Option<Box<Sketch>>>,
    q: f64,
}

impl Quantiles {
    /// With results at the quantile `q`, from 0 to 1.
    pub(super) fn new(q: f64) -> Self {
        Self {
            sketches: Vec::new(),
            q,
        }
    }

    /// The results for `ids` at the quantile `q`.
    pub(super) fn at(&self, ids: &[u32], q: f64) -> ArrayRef {
        let results = ids.iter().map(|id| self.get(*id).and_then(|sketch| sketch.quantile(q)));
        Arc::new(results.collect::<Float64Array>())
    }

    fn get(&self, id: u32) -> Option<&Sketch> {
        self.sketches.get(id as usize)?.as_deref()
    }
}

impl Accumulators for Quantiles {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.sketches.len() {
            self.sketches.resize(n_keys, None);
        }
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let array = args.first().map(|array| lower(array, Form::Float64));
        let Some(array) = array.as_ref().and_then(|array| array.as_primitive_opt::<Float64Type>()) else {
            return;
        };
        self.grow(keys_needed(ids));
        each_value(ids, array, |id, value| {
            self.sketches[id as usize].get_or_insert_default().add(value);
        });
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>().and_then(|other| other.get(id)) {
            self.grow(id as usize + 1);
            match &mut self.sketches[id as usize] {
                Some(sketch) => sketch.merge(other),
                empty => *empty = Some(Box::new(other.clone())),
            }
        }
    }

    fn retract(&mut self, id: u32, other: &dyn Accumulators) {
        if let Some(other) = other.as_any().downcast_ref::<Self>().and_then(|other| other.get(id))
            && let Some(Some(sketch)) = self.sketches.get_mut(id as usize)
        {
            sketch.retract(other);
            if sketch.total() == 0 {
                self.clear(id);
            }
        }
    }

    fn invertible(&self) -> bool {
        true
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        self.at(ids, self.q)
    }

    fn data_type(&self) -> DataType {
        DataType::Float64
    }

    fn clear(&mut self, id: u32) {
        if let Some(sketch) = self.sketches.get_mut(id as usize) {
            *sketch = None;
        }
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        match self.get(id) {
            Some(sketch) => sketch.save(out),
            None => out.push(0),
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let sketch = Sketch::load(bytes)?;
        self.grow(id as usize + 1);
        self.sketches[id as usize] = (sketch.total() > 0).then(|| Box::new(sketch));
        Ok(())
    }

    fn memory(&self) -> usize {
        let sketches = self
            .sketches
            .iter()
            .flatten()
            .map(|sketch| size_of::<Sketch>() + sketch.memory());
        self.sketches.capacity() * size_of::<Option<Box<Sketch>>>() + sketches.sum::<usize>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
