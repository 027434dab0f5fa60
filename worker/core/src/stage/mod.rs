//! What stages do to streams, one file a kind.

pub mod aggregate;
pub mod alarm;
pub mod escalate;
pub mod filter;
pub mod incident;
pub mod lateness;
pub mod project;

use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row};
use crate::key::KeyTable;
use crate::stream::{Batch, Micros};

/// A running stage: a part of its input in, a part of its output out.
///
/// A stage MUST give the same output rows whatever the parts its input is cut into, and whether or not its state was
/// captured and restored between two parts.
pub trait Stage: Send {
    /// Takes the next part of the input.
    fn process(&mut self, input: Batch) -> Output;

    /// Begins a capture of the state as it is now. Answers what is not kept by key; the rest comes by
    /// [`Stage::next_block`]. A stage without state has neither.
    fn begin_capture(&mut self, _extent: Extent) -> Vec<u8> {
        Vec::new()
    }

    /// The next block of the capture under way, with the state as it was when it began; none when it is done.
    fn next_block(&mut self) -> Option<Block> {
        None
    }

    /// Takes back what [`Stage::begin_capture`] answered, in place of all state: of one, or of several that have come to the
    /// same watermark, have no key in common, and may be joined.
    ///
    /// # Errors
    /// If the bytes are something else.
    fn begin_restore(&mut self, _heads: &[&[u8]]) -> Result<(), CorruptState> {
        Ok(())
    }

    /// Takes back rows of a block of the stage with number `from` among those that come together.
    ///
    /// # Errors
    /// If they are something else.
    fn restore_rows(&mut self, _from: usize, _block: BlockId, _rows: &[Row<'_>]) -> Result<(), CorruptState> {
        Ok(())
    }

    /// All is taken back.
    ///
    /// # Errors
    /// If something is missing.
    fn end_restore(&mut self) -> Result<(), CorruptState> {
        Ok(())
    }

    /// Whether, at this watermark, it can be joined with others of other keys and none of them would give out anything else
    /// than alone.
    fn may_join(&self, _watermark: Micros) -> bool {
        true
    }

    /// The keys that have state, by table: see [`BlockId::table`].
    fn key_tables(&self) -> Vec<&KeyTable> {
        Vec::new()
    }

    /// Bytes of memory that the state holds, about.
    fn memory(&self) -> usize {
        0
    }

    /// The watermark at which it does something next though no row comes: a window closes, an alarm fires, a key is
    /// forgotten. For people: it may turn out that nothing is to be done.
    fn next_timer(&self) -> Option<Micros> {
        None
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
