//! What an incident stage reads: the reports of all its inputs in one shape.
//!
//! The compiler puts a projection before each input: the key, then `severity`, `cause`, `alarm`, `state`, `summary`.
//! `alarm` and `state` are NULL for inputs that are no alarms.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::severity;
use crate::stream::{Batch, record_batch};

/// Names of the columns behind the key.
const COLUMNS: [&str; 5] = ["severity", "cause", "alarm", "state", "summary"];

/// The shape of reports with this key.
pub fn schema(key: &[(String, DataType)]) -> SchemaRef {
    let key = key
        .iter()
        .map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    let rest = COLUMNS.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    Arc::new(Schema::new(key.chain(rest).collect::<Vec<_>>()))
}

/// How the rows of one input become reports.
#[derive(Clone, Debug)]
pub struct Reporting {
    /// Name of the input.
    pub stage: String,
    /// Columns of the input that make the key.
    pub by: Vec<usize>,
    /// The column with the severity, if it has one.
    pub severity: Option<usize>,
    /// The column with a summary or message, if it has one.
    pub summary: Option<usize>,
    /// Columns `rule`, `alarm`, `status`, if the input is an alarm stage.
    pub alarm: Option<[usize; 3]>,
    /// The column `_rev`, if the input has one: only first results count.
    pub first_only: Option<usize>,
    /// The shape of reports.
    pub schema: SchemaRef,
}

impl Reporting {
    /// The rows as reports.
    pub fn project(&self, input: Batch) -> Batch {
        let input = match self.first_only {
            Some(revision) => {
                let revisions = input.rows.column(revision).as_primitive::<Int64Type>();
                let first: BooleanArray = revisions.iter().map(|revision| Some(revision == Some(0))).collect();
                input.filter(&first)
            }
            None => input,
        };
        let n_rows = input.n_rows();
        let column = |i: usize| Arc::clone(input.rows.column(i));
        let optional = |i: Option<usize>| i.map_or_else(|| new_null_array(&DataType::Utf8, n_rows), column);
        let mut columns: Vec<ArrayRef> = self.by.iter().map(|&i| column(i)).collect();
        columns.push(optional(self.severity));
        match self.alarm {
            Some([rule, alarm, status]) => columns.extend([rule, alarm, status].map(column)),
            None => {
                columns.push(Arc::new(StringArray::from(vec![self.stage.as_str(); n_rows])));
                columns.extend([None, None].map(optional));
            }
        }
        columns.push(optional(self.summary));
        let rows = record_batch(&self.schema, columns, n_rows);
        input.with_rows(rows)
    }
}

/// One report.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// How bad it is.
    pub severity: &'a str,
    /// The stage or rule that reports.
    pub cause: &'a str,
    /// Id of the alarm, or nothing.
    pub alarm: &'a str,
    /// An alarm begins to fire.
    pub fires: bool,
    /// An alarm is over.
    pub resolves: bool,
    /// What happened, in words.
    pub summary: &'a str,
}

/// The reports of a batch.
pub(super) struct Signals<'a> {
    columns: [&'a StringArray; 5],
}

impl<'a> Signals<'a> {
    pub fn new(rows: &'a RecordBatch, n_by: usize) -> Self {
        Self {
            columns: [0, 1, 2, 3, 4].map(|i| rows.column(n_by + i).as_string::<i32>()),
        }
    }

    pub fn report(&self, row: usize) -> Report<'a> {
        let [given, cause, alarm, state, summary] = self
            .columns
            .map(|column| if column.is_null(row) { "" } else { column.value(row) });
        Report {
            severity: if given.is_empty() { severity::DEFAULT } else { given },
            cause,
            alarm,
            fires: state == "firing",
            resolves: state == "resolved",
            summary,
        }
    }
}
