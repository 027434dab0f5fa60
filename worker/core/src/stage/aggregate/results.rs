//! States to rows: evaluates the selected expressions over keys, window bounds and results of calls.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, TimestampMicrosecondArray};

use super::{AggregatePlan, CallPlan, key_types};
use crate::aggregate::Accumulators;
use crate::key::{KeyId, KeyTable, decode_keys};
use crate::stream::{Batch, Micros, Progress, filter_column, record_batch};

/// The rows that a stage has ready.
pub(super) struct Results {
    plan: Arc<AggregatePlan>,
    ready: Vec<Batch>,
}

/// A part of the results: keys of one window, given out at one place of the stream.
pub(super) struct Part<'a> {
    /// Start and end of the window.
    pub window: Option<(Micros, Micros)>,
    /// The watermark at the place; not below that of the part before.
    pub watermark: Micros,
    /// Event time of the rows.
    pub time: Micros,
    /// The keys, by the number of their states.
    pub ids: &'a [KeyId],
    /// Which revision each row is, from 0.
    pub revisions: Vec<i64>,
    /// Whether no revision can follow; without a window, whether the key is gone.
    pub last: bool,
}

impl Results {
    pub fn new(plan: Arc<AggregatePlan>) -> Self {
        Self {
            plan,
            ready: Vec::new(),
        }
    }

    /// Adds rows for the keys of `part`, with the states in `accumulators`.
    pub fn push(&mut self, keys: &KeyTable, accumulators: &[Box<dyn Accumulators>], part: Part<'_>) {
        let names = part.ids.iter().map(|id| keys.key(*id));
        self.push_named(names, accumulators, part);
    }

    /// The same where the states do not go by the number of the key: `keys` names the key of each of `part.ids`.
    pub fn push_named<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        accumulators: &[Box<dyn Accumulators>],
        part: Part<'_>,
    ) {
        let n_rows = part.ids.len();
        if n_rows == 0 {
            return;
        }
        let plan = &self.plan;
        let mut columns = decode_keys(keys, &key_types(plan));
        if let Some((start, end)) = part.window {
            columns.push(times(start, n_rows));
            columns.push(times(end, n_rows));
        }
        let call = |call: &CallPlan| call.function.results(accumulators[call.state].as_ref(), part.ids);
        columns.extend(plan.calls.iter().map(call));
        let all = record_batch(&plan.results, columns, n_rows);
        let mut selected: Vec<ArrayRef> = plan.select.iter().map(|(_, column)| column.evaluate(&all)).collect();
        selected.push(Arc::new(Int64Array::from(part.revisions)));
        selected.push(Arc::new(BooleanArray::from(vec![part.last; n_rows])));
        let n_kept = match &plan.having {
            None => n_rows,
            Some(having) => {
                let keep = having.evaluate_condition(&all);
                for column in &mut selected {
                    *column = filter_column(column, &keep);
                }
                keep.iter().filter(|kept| *kept == Some(true)).count()
            }
        };
        if n_kept == 0 {
            return;
        }
        self.ready.push(Batch {
            rows: record_batch(&plan.output, selected, n_kept),
            times: vec![part.time; n_kept],
            watermarks: vec![part.watermark; n_kept],
            watermark: part.watermark,
            ended: None,
        });
    }

    /// The rows so far.
    pub fn take(&mut self, progress: &Progress) -> Batch {
        Batch::concat(&self.plan.output, std::mem::take(&mut self.ready), progress)
    }
}

fn times(time: Micros, n_rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![time; n_rows]).with_timezone("UTC"))
}

/// The place of a row that a timer gives out: the last moment before the timer is due.
pub(super) fn before(due: Micros) -> Micros {
    due.saturating_sub(1)
}
