//! Rows with their event time, and the watermark between them.
//!
//! A stream is a sequence of rows; between two rows the watermark may advance, never fall back. A watermark of `w` says
//! that no row with an event time below `w` is awaited. Each row carries the watermark that held just before it, so that
//! what a stage does at a row depends on the sequence alone and not on how it was cut into batches.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::filter::{filter, filter_record_batch};
use arrow_select::take::take;

/// Event times and watermarks: microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// The watermark of a stream that has not begun.
pub const NO_WATERMARK: Micros = i64::MIN;

/// The watermark of a stream that has ended.
pub const END: Micros = i64::MAX;

/// A part of a stream: rows, then the watermark behind them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The columns.
    pub rows: RecordBatch,
    /// Event time of each row.
    pub times: Vec<Micros>,
    /// The watermark just before each row; ascending.
    pub watermarks: Vec<Micros>,
    /// The watermark behind the last row; not below any of `watermarks`.
    pub watermark: Micros,
    /// At the end of the stream, how far event time came. The watermark is then [`END`]: windows close, but a timer
    /// that needs time to pass fires only if it is due by this time.
    pub ended: Option<Micros>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// See [`Batch::watermark`].
    pub watermark: Micros,
    /// See [`Batch::ended`].
    pub ended: Option<Micros>,
}

impl Batch {
    /// No rows, and a watermark.
    pub fn empty(schema: SchemaRef, watermark: Micros) -> Self {
        Self {
            rows: RecordBatch::new_empty(schema),
            times: Vec::new(),
            watermarks: Vec::new(),
            watermark,
            ended: None,
        }
    }

    /// How far the stream has come behind this part.
    pub fn progress(&self) -> Progress {
        Progress {
            watermark: self.watermark,
            ended: self.ended,
        }
    }

    /// How many rows.
    pub fn n_rows(&self) -> usize {
        self.times.len()
    }

    /// The rows for which `keep` is true. NULL is not true.
    #[must_use]
    pub fn filter(self, keep: &BooleanArray) -> Self {
        if keep.null_count() == 0 && !keep.has_false() {
            return self;
        }
        let kept = |i: &usize| keep.is_valid(*i) && keep.value(*i);
        let indices: Vec<usize> = (0..keep.len()).filter(kept).collect();
        Self {
            rows: filter_rows(&self.rows, keep),
            times: indices.iter().map(|&i| self.times[i]).collect(),
            watermarks: indices.iter().map(|&i| self.watermarks[i]).collect(),
            watermark: self.watermark,
            ended: self.ended,
        }
    }

    /// The rows at `indices`, in that order, which keeps the watermarks ascending.
    #[must_use]
    pub fn take(&self, indices: &[u32]) -> Self {
        Self {
            rows: take_rows(&self.rows, indices),
            times: indices.iter().map(|&i| self.times[i as usize]).collect(),
            watermarks: indices.iter().map(|&i| self.watermarks[i as usize]).collect(),
            watermark: self.watermark,
            ended: self.ended,
        }
    }

    /// The same times and watermarks with other columns, as many rows.
    #[must_use]
    pub fn with_rows(self, rows: RecordBatch) -> Self {
        debug_assert_eq!(rows.num_rows(), self.times.len());
        Self { rows, ..self }
    }

    /// The time that timers go by which need time to pass: the watermark, at the end how far event time came.
    pub fn elapsed(&self) -> Micros {
        self.ended.unwrap_or(self.watermark)
    }

    /// Puts batches of one schema behind one another; the watermark and the end are those of `progress`.
    pub fn concat(schema: &SchemaRef, mut batches: Vec<Self>, progress: &Progress) -> Self {
        let Progress { watermark, ended } = *progress;
        batches.retain(|batch| batch.n_rows() > 0);
        match batches.len() {
            0 => Self {
                ended,
                ..Self::empty(Arc::clone(schema), watermark)
            },
            1 => {
                let mut only = batches.swap_remove(0);
                only.watermark = watermark;
                only.ended = ended;
                only
            }
            _ => {
                let rows = concat_rows(schema, batches.iter().map(|batch| &batch.rows));
                let times = batches.iter().flat_map(|batch| batch.times.iter().copied()).collect();
                let watermarks = batches
                    .iter()
                    .flat_map(|batch| batch.watermarks.iter().copied())
                    .collect();
                Self {
                    rows,
                    times,
                    watermarks,
                    watermark,
                    ended,
                }
            }
        }
    }
}

/// A record batch of these columns. All have `n_rows` rows and the types of `schema`.
pub fn record_batch(schema: &SchemaRef, columns: Vec<ArrayRef>, n_rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    match RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options) {
        Ok(batch) => batch,
        // A programming error: the compiler made the schema and the columns. Losing the rows would hide it.
        Err(error) => unreachable!("columns do not fit their schema: {error}"),
    }
}

/// A record batch of these columns, which are as long as one another, under the names `0`, `1` and so on.
pub fn columns_batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let n_rows = columns.first().map_or(0, |column| column.len());
    let field = |(i, column): (usize, &ArrayRef)| Field::new(i.to_string(), column.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    record_batch(&Arc::new(Schema::new(fields)), columns, n_rows)
}

/// The rows at `indices`.
pub fn take_rows(rows: &RecordBatch, indices: &[u32]) -> RecordBatch {
    let positions = UInt32Array::from(indices.to_vec());
    let columns = rows
        .columns()
        .iter()
        .map(|column| take_column(column, &positions))
        .collect();
    record_batch(&rows.schema(), columns, indices.len())
}

/// The values at `positions`, which are all in range.
pub fn take_column(column: &ArrayRef, positions: &UInt32Array) -> ArrayRef {
    match take(column.as_ref(), positions, None) {
        Ok(taken) => taken,
        Err(error) => unreachable!("positions are within the column: {error}"),
    }
}

/// The values for which `keep` is true.
pub fn filter_column(column: &ArrayRef, keep: &BooleanArray) -> ArrayRef {
    match filter(column.as_ref(), keep) {
        Ok(kept) => kept,
        Err(error) => unreachable!("the condition has the length of the column: {error}"),
    }
}

fn filter_rows(rows: &RecordBatch, keep: &BooleanArray) -> RecordBatch {
    match filter_record_batch(rows, keep) {
        Ok(kept) => kept,
        Err(error) => unreachable!("the condition has the length of the batch: {error}"),
    }
}

/// Rows of one schema behind one another.
pub fn concat_rows<'a>(schema: &SchemaRef, parts: impl IntoIterator<Item = &'a RecordBatch>) -> RecordBatch {
    match concat_batches(schema, parts) {
        Ok(rows) => rows,
        Err(error) => unreachable!("all parts have one schema: {error}"),
    }
}
