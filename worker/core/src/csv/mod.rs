//! CSV records to columns, under the same contract as JSON records.
//!
//! The source frames records (a quoted cell may hold line ends) and hands over the header; this module splits a record
//! into cells and reads those that the plan needs. Comma, double quote, UTF-8. Every record has as many cells as the
//! header; any other is dead, for nobody can say which cell is missing.

mod cells;
mod columns;
mod header;
mod number;
mod predicate;
mod record_json;
pub mod scan;
mod value;

use arrow_schema::SchemaRef;

use self::cells::{Cells, SplitError};
use self::columns::{Columns, arrow_schema};
use self::header::Places;
pub use self::header::{HeaderError, MissingColumns};
use self::record_json::RowWriter;
pub use self::record_json::records_as_json;
use self::value::{Fault, Value};
use crate::decode::{Cause, DeadRecord, Decoded, Decoder, Origin, RecordSchema, Records};

/// Decodes the records of one CSV input.
#[derive(Debug)]
pub struct CsvDecoder {
    schema: RecordSchema,
    arrow: SchemaRef,
    names: Vec<String>,
    places: Places,
    /// Columns that are read of every record: those of the predicate, or all if `strict`.
    early: Vec<usize>,
    /// The other columns that are read, of records that pass.
    rest: Vec<usize>,
    cells: Cells,
    rows: RowWriter,
}

/// What becomes of one record.
struct Good<'a> {
    event_time: i64,
    /// A value per column of the schema, if the record passed.
    values: Option<Vec<Value<'a>>>,
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, records: Records<'_>) -> Decoded {
        CsvDecoder::decode(self, records)
    }
}

impl CsvDecoder {
    /// A decoder for an input with this header line (with or without its line end).
    ///
    /// # Errors
    /// If the header is malformed, or has no column for one that the plan reads.
    pub fn new(schema: RecordSchema, header: &[u8]) -> Result<Self, HeaderError> {
        let names = header::names(header)?;
        let mut asked = Vec::new();
        if let Some(predicate) = &schema.predicate {
            predicate::columns(predicate, &mut asked);
        }
        let places = header::places(&schema, &asked, &names)?;
        let is_early = |column: &usize| schema.strict || asked.contains(column);
        let needed = (0..schema.columns.len()).filter(|column| places.columns[*column].is_some());
        let (early, rest) = needed.partition(is_early);
        let rows = RowWriter::new(&names);
        Ok(Self {
            arrow: arrow_schema(&schema),
            schema,
            names,
            places,
            early,
            rest,
            cells: Cells::default(),
            rows,
        })
    }

    /// The columns of [`Decoded::rows`].
    pub fn arrow_schema(&self) -> SchemaRef {
        self.arrow.clone()
    }

    /// Decodes records. What becomes of a record does not depend on those beside it.
    pub fn decode(&mut self, records: Records<'_>) -> Decoded {
        let mut columns = Columns::new(&self.schema, self.arrow.clone());
        let mut mismatches = vec![0u64; self.schema.columns.len()];
        let mut cells = std::mem::take(&mut self.cells);
        let mut whole = String::new();
        let (mut event_times, mut spans, mut row_records, mut dead) = (vec![], vec![], vec![], vec![]);
        for (index, span) in (0u32..).zip(records.spans) {
            let record = records.bytes.get(span.start..span.end).unwrap_or_default();
            let split = self.split(record, &mut cells);
            match split.and_then(|()| self.read(&cells, &mut mismatches)) {
                Ok(good) => {
                    if let Some(values) = good.values {
                        row_records.push(event_times.len() as u32);
                        let read = self.schema.columns.iter().zip(values).filter(|(column, _)| column.read);
                        let row = read.map(|(_, value)| value);
                        if self.schema.whole_record {
                            self.rows.write(&cells, &mut whole);
                            columns.push(row.chain([Value::Text(&whole)]));
                        } else {
                            columns.push(row);
                        }
                    }
                    event_times.push(good.event_time);
                    spans.push(index);
                }
                Err(cause) => dead.push(DeadRecord { span: index, cause }),
            }
        }
        self.cells = cells;
        let mismatches = mismatches
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .collect();
        Decoded {
            event_times,
            spans,
            rows: columns.finish(),
            row_records,
            dead,
            mismatches,
        }
    }

    fn split(&self, record: &[u8], cells: &mut Cells) -> Result<(), Cause> {
        let text = std::str::from_utf8(record).map_err(|error| Cause::InvalidUtf8 {
            at: error.valid_up_to(),
        })?;
        let syntax = |what| Cause::Syntax { at: record.len(), what };
        let n_cells = cells.split(text, self.names.len()).map_err(|error| match error {
            SplitError::OpenQuote => syntax("a quote is not closed"),
            SplitError::LineEnd => syntax("a line ends inside of the record"),
            SplitError::TooMany => syntax("more cells than the header has columns"),
        })?;
        if n_cells < self.names.len() {
            Err(syntax("fewer cells than the header has columns"))
        } else {
            Ok(())
        }
    }

    fn read<'a>(&self, cells: &'a Cells, mismatches: &mut [u64]) -> Result<Good<'a>, Cause> {
        let event_time = self.event_time(cells)?;
        let mut values = vec![Value::Null; self.schema.columns.len()];
        let mut mismatched = Vec::new();
        for column in &self.early {
            values[*column] = self.value(*column, cells, &mut mismatched)?;
        }
        let passes = match &self.schema.predicate {
            Some(filter) => predicate::passes(filter, &|column| values.get(column).copied().unwrap_or(Value::Null)),
            None => true,
        };
        if passes {
            for column in &self.rest {
                values[*column] = self.value(*column, cells, &mut mismatched)?;
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

    fn event_time(&self, cells: &Cells) -> Result<i64, Cause> {
        let spec = &self.schema.event_time;
        let fault = |what| Cause::EventTime {
            path: spec.path.join("."),
            what,
        };
        match cells.get(self.places.event_time).trim_ascii() {
            "" => Err(fault("missing")),
            text => value::timestamp(text, spec.unit).map_err(|error| match error {
                Fault::WrongType { .. } => fault("neither a number nor a time like 2026-01-31T12:00:00Z"),
                Fault::OutOfRange => fault("out of range"),
            }),
        }
    }

    fn value<'a>(&self, column: usize, cells: &'a Cells, mismatched: &mut Vec<usize>) -> Result<Value<'a>, Cause> {
        let spec = &self.schema.columns[column];
        let place = self.places.columns[column].unwrap_or(usize::MAX);
        let path = || spec.path.join(".");
        let expected = spec.ty.name();
        match (value::read(cells.get(place), spec.ty), spec.origin) {
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

#[cfg(test)]
mod tests;
