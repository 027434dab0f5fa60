//! What stages do to streams, one file a kind.

pub mod aggregate;
pub mod alarm;
pub mod escalate;
pub mod filter;
pub mod incident;
pub mod project;

use crate::aggregate::CorruptState;
use crate::stream::Batch;

/// A running stage: a part of its input in, a part of its output out.
///
/// A stage MUST give the same output rows whatever the parts its input is cut into, and whether or not its state was
/// saved and loaded between two parts.
pub trait Stage: Send {
    /// Takes the next part of the input.
    fn process(&mut self, input: Batch) -> Output;

    /// The state as bytes. A stage without state saves nothing.
    fn save(&self) -> Vec<u8>;

    /// Takes back what [`Stage::save`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState>;

    /// How many keys have state.
    fn n_keys(&self) -> usize {
        0
    }

    /// Bytes of memory that the state holds, about.
    fn memory(&self) -> usize {
        0
    }

    /// Operations of expressions that failed and gave NULL.
    fn n_failures(&self) -> u64 {
        0
    }
}

/// What a stage gives out.
#[derive(Debug)]
pub struct Output {
    /// The stream with the stage's name.
    pub main: Batch,
    /// The stream `<stage>.late`: rows of the input that came too late to count.
    pub late: Option<Batch>,
}

impl Output {
    /// Rows, and none late.
    pub fn of(main: Batch) -> Self {
        Self { main, late: None }
    }
}

/// Rows that are too late to count, by number; in order.
pub(crate) fn late_part(input: &Batch, late: &[u32]) -> Option<Batch> {
    (!late.is_empty()).then(|| input.take(late))
}
