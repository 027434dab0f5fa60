//! Aggregate functions of our own: exact, deterministic, one state per key as plain columns.
//!
//! A column of states belongs to one pane of a window. Keys are dense ids, so a state is found by index.
//! The result never depends on how records were batched, in which order partial results were merged, or on whether a
//! pane was saved and loaded in between.
//!
//! NULL is no value: all functions but `count(*)` (and `first`, `last`, `array_agg` when told so) pass over it. So do
//! they over NaN and the infinities, and -0.0 counts as 0.0.

mod allowed;
mod big;
pub(crate) mod bytes;
mod count;
mod covariance;
mod datafusion;
mod distinct;
mod distinct_set;
mod error;
mod exact_product;
mod exact_sum;
mod first_last;
mod function;
mod min_max;
mod planning;
mod quantile;
mod quantile_sketch;
mod registry;
mod rows;
mod scalar_codec;
mod sum;
#[cfg(test)]
mod tests;
mod value_column;
mod values;
mod variance;
mod wide;

pub use self::error::AggregateError;
pub use self::function::Aggregate;
pub use self::planning::planning_functions;
pub use self::registry::{Call, Order, build, resolve};

use arrow_array::ArrayRef;
use arrow_schema::DataType;

/// A column of aggregate states, indexed by key id.
///
/// An id that was never updated, or was cleared, has the state of an aggregate over no rows.
pub trait Accumulators: Send {
    /// Makes room for key ids below `n_keys`.
    fn grow(&mut self, n_keys: usize);

    /// Takes memory for key ids below `n_keys` at once, without touching it, where values stand side by side.
    fn reserve(&mut self, _n_keys: usize) {}

    /// Adds row i of `args` to the state of key `ids[i]`, row by row in order. `times[i]` is the row's event time in
    /// microseconds (for `first` and `last`). `ids`, `times` and each array have the same length.
    fn update(&mut self, ids: &[u32], times: &[i64], args: &[ArrayRef]);

    /// Adds the state of key `id` in `other` (a column of the same function) to the own state of key `id`.
    fn merge(&mut self, id: u32, other: &dyn Accumulators);

    /// Takes the state of key `id` in `other` away again, exactly. Called only if [`Accumulators::invertible`].
    fn retract(&mut self, id: u32, other: &dyn Accumulators);

    /// Whether [`Accumulators::retract`] works.
    fn invertible(&self) -> bool;

    /// The results of `ids`, in that order, as an array of the function's type.
    fn results(&self, ids: &[u32]) -> ArrayRef;

    /// Type of the results.
    fn data_type(&self) -> DataType;

    /// Forgets the state of key `id`.
    fn clear(&mut self, id: u32);

    /// Appends the state of key `id` to `out`.
    fn save(&self, id: u32, out: &mut Vec<u8>);

    /// Sets the state of key `id` from the front of `bytes`, and moves `bytes` behind it.
    ///
    /// # Errors
    /// When the bytes are not what [`Accumulators::save`] wrote.
    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState>;

    /// Bytes of memory held, for figures and limits.
    fn memory(&self) -> usize;

    /// For downcasts in `merge` and `retract`.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Aggregates of DataFusion that are not offered, each with the reason.
pub fn not_offered() -> impl Iterator<Item = (&'static str, &'static str)> {
    allowed::REFUSED.into_iter().chain(allowed::NO_COLUMN)
}

/// Saved state that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("saved state is corrupt: {what}")]
pub struct CorruptState {
    /// What was being read.
    pub what: &'static str,
}
