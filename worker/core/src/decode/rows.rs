//! Decodes records row by row, for formats that give a value when they are asked for it.
//!
//! What is common to them stands here: the event time is read of every record, the filter asked before the other columns
//! are read, and a row goes into the columns when the whole of it is good.

use arrow_schema::SchemaRef;

use super::columns::{Columns, arrow_schema};
use super::row_filter;
use super::value::{Fault, Value};
use super::{Arrived, Cause, DeadRecord, Decoded, Origin, RecordSchema, Records};
use crate::stream::Micros;

/// How records of a format are taken apart.
pub(crate) trait RowFormat: Send {
    /// Takes the next event of a record apart, from byte `at` on, and moves `at` behind it. The calls that follow are
    /// about this event. Nothing if the record holds no further event.
    fn next(&mut self, record: &[u8], arrived: Option<Micros>, at: &mut usize) -> Option<Result<(), Cause>>;

    /// The event time, or what is wrong with it.
    fn event_time(&self, record: &[u8]) -> Result<Micros, &'static str>;

    /// The value of a column of the schema.
    fn value<'a>(&'a self, record: &'a [u8], column: usize) -> Result<Value<'a>, Fault>;

    /// Writes the whole event as a JSON object.
    fn write_json(&self, record: &[u8], out: &mut String);

    /// The cause of a dead event, with its place in a record that holds several.
    fn placed(&self, _record: &[u8], cause: Cause) -> Cause {
        cause
    }
}

/// Decodes the records of a format.
#[derive(Debug)]
pub(crate) struct RowDecoder<F> {
    schema: RecordSchema,
    arrow: SchemaRef,
    /// Columns that are read of every event: those of the predicate, or all if `strict`.
    early: Vec<usize>,
    /// The other columns that are read, of events that pass.
    rest: Vec<usize>,
    format: F,
}

/// What becomes of one event.
struct Good<'a> {
    event_time: Micros,
    /// A value per column of the schema, if the event passed.
    values: Option<Vec<Value<'a>>>,
}

/// Whether a decoder has anything to do with a column: it is read, checked, or asked for by the predicate.
pub(crate) fn is_needed(schema: &RecordSchema, asked: &[usize], column: usize) -> bool {
    let spec = schema.columns.get(column);
    let is_checked = |origin| schema.strict && matches!(origin, Origin::Declared { .. });
    spec.is_some_and(|spec| spec.read || is_checked(spec.origin) || asked.contains(&column))
}

impl<F: RowFormat> RowDecoder<F> {
    /// A decoder for records of a schema.
    pub(crate) fn new(schema: RecordSchema, format: F) -> Self {
        let all = |_: usize| true;
        Self::with_columns(schema, format, all)
    }

    /// A decoder for an input that has these columns of the schema alone.
    pub(crate) fn with_columns(schema: RecordSchema, format: F, has: impl Fn(usize) -> bool) -> Self {
        let mut asked = Vec::new();
        if let Some(predicate) = &schema.predicate {
            row_filter::columns(predicate, &mut asked);
        }
        let needed = (0..schema.columns.len()).filter(|&column| has(column) && is_needed(&schema, &asked, column));
        let (early, rest) = needed.partition(|column| schema.strict || asked.contains(column));
        Self {
            arrow: arrow_schema(&schema),
            schema,
            early,
            rest,
            format,
        }
    }

    /// The columns of [`Decoded::rows`].
    pub(crate) fn arrow_schema(&self) -> SchemaRef {
        self.arrow.clone()
    }

    /// What takes the records apart.
    pub(crate) fn format_mut(&mut self) -> &mut F {
        &mut self.format
    }

    /// What takes the records apart.
    pub(crate) fn format(&self) -> &F {
        &self.format
    }

    /// Decodes records. What becomes of a record does not depend on those beside it.
    pub(crate) fn decode(&mut self, records: Records<'_>, arrived: Arrived<'_>) -> Decoded {
        let mut columns = Columns::new(&self.schema, self.arrow.clone());
        let mut mismatches = vec![0u64; self.schema.columns.len()];
        let mut whole = String::new();
        let (mut event_times, mut spans, mut row_records, mut dead) = (vec![], vec![], vec![], vec![]);
        for (index, span) in (0u32..).zip(records.spans) {
            let record = records.bytes.get(span.start..span.end).unwrap_or_default();
            let arrived = arrived.of(index as usize);
            let mut at = 0;
            while let Some(taken) = self.format.next(record, arrived, &mut at) {
                let read = taken.and_then(|()| self.read(record, &mut mismatches));
                let pushed = read.and_then(|good| {
                    let is_row = good.values.is_some();
                    if let Some(values) = good.values {
                        self.push(record, values, &mut whole, &mut columns)?;
                    }
                    Ok((good.event_time, is_row))
                });
                match pushed {
                    Ok((event_time, is_row)) => {
                        if is_row {
                            row_records.push(event_times.len() as u32);
                        }
                        event_times.push(event_time);
                        spans.push(index);
                    }
                    Err(cause) => dead.push(DeadRecord {
                        span: index,
                        cause: self.format.placed(record, cause),
                    }),
                }
            }
        }
        let counts = mismatches.into_iter().enumerate();
        Decoded {
            event_times,
            spans,
            rows: columns.finish(),
            row_records,
            dead,
            mismatches: counts.filter(|(_, count)| *count > 0).collect(),
        }
    }

    fn push(
        &self,
        record: &[u8],
        values: Vec<Value<'_>>,
        whole: &mut String,
        columns: &mut Columns,
    ) -> Result<(), Cause> {
        whole.clear();
        if self.schema.whole_record {
            self.format.write_json(record, whole);
        }
        let bytes = values
            .iter()
            .map(Value::n_bytes)
            .sum::<usize>()
            .saturating_add(whole.len());
        if bytes > columns.room() {
            let limit = columns.room();
            return Err(Cause::TooLong { bytes, limit });
        }
        let read = self.schema.columns.iter().zip(values).filter(|(column, _)| column.read);
        let record = self.schema.whole_record.then(|| Value::Text(whole.as_str().into()));
        columns.push(read.map(|(_, value)| value).chain(record));
        Ok(())
    }

    fn read<'a>(&'a self, record: &'a [u8], mismatches: &mut [u64]) -> Result<Good<'a>, Cause> {
        let event_time = self.format.event_time(record).map_err(|what| Cause::EventTime {
            path: self.schema.event_time.path.join("."),
            what,
        })?;
        let mut values = vec![Value::Null; self.schema.columns.len()];
        let mut mismatched = Vec::new();
        for column in &self.early {
            values[*column] = self.value(*column, record, &mut mismatched)?;
        }
        let predicate = self.schema.predicate.as_ref();
        let passes = predicate.is_none_or(|predicate| row_filter::passes(predicate, &values));
        if passes {
            for column in &self.rest {
                values[*column] = self.value(*column, record, &mut mismatched)?;
            }
        }
        // Counted only now: a dead record has no mismatches.
        for column in mismatched {
            mismatches[column] += 1;
        }
        Ok(Good {
            event_time,
            values: passes.then_some(values),
        })
    }

    fn value<'a>(&'a self, column: usize, record: &'a [u8], mismatched: &mut Vec<usize>) -> Result<Value<'a>, Cause> {
        let spec = &self.schema.columns[column];
        let path = || spec.path.join(".");
        let expected = spec.ty.name();
        match (self.format.value(record, column), spec.origin) {
            (Ok(Value::Null), Origin::Declared { required: true }) => Err(Cause::Missing { path: path() }),
            (Ok(value), _) => Ok(value),
            (Err(Fault::WrongType { found }), Origin::Declared { .. }) => Err(Cause::WrongType {
                path: path(),
                expected,
                found,
            }),
            (Err(Fault::OutOfRange), Origin::Declared { .. }) => Err(Cause::OutOfRange { path: path(), expected }),
            (Err(_), Origin::Used | Origin::Key | Origin::IfPresent) => {
                mismatched.push(column);
                Ok(Value::Null)
            }
        }
    }
}
