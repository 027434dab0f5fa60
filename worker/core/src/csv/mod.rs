//! CSV records to columns, under the same contract as JSON records.
//!
//! The source frames records (a quoted cell may hold line ends) and hands over the header; this module splits a record
//! into cells and reads those that the plan needs. Comma, double quote, UTF-8. Every record has as many cells as the
//! header; any other is dead, for nobody can say which cell is missing.

mod cells;
mod header;
mod record_json;
pub mod scan;

use arrow_schema::SchemaRef;

use self::cells::{Cells, SplitError};
use self::header::Places;
pub use self::header::{HeaderError, MissingColumns};
use self::record_json::RowWriter;
pub use self::record_json::records_as_json;
use crate::decode::rows::{RowDecoder, RowFormat};
use crate::decode::value::{Fault, Value};
use crate::decode::{Arrived, Cause, ColumnType, Decoded, Decoder, RecordSchema, Records, plain_text, row_filter};
use crate::stream::Micros;

/// Decodes the records of one CSV input.
#[derive(Debug)]
pub struct CsvDecoder {
    rows: RowDecoder<Csv>,
}

/// Takes records apart by the header.
#[derive(Debug)]
struct Csv {
    schema: RecordSchema,
    /// How many columns the header has.
    n_names: usize,
    places: Places,
    cells: Cells,
    writer: RowWriter,
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
            row_filter::columns(predicate, &mut asked);
        }
        let places = header::places(&schema, &asked, &names)?;
        let found = places.columns.clone();
        let csv = Csv {
            schema: schema.clone(),
            n_names: names.len(),
            places,
            cells: Cells::default(),
            writer: RowWriter::new(&names),
        };
        let has = |column: usize| found.get(column).is_some_and(Option::is_some);
        Ok(Self {
            rows: RowDecoder::with_columns(schema, csv, has),
        })
    }

    /// The columns of [`Decoded::rows`].
    pub fn arrow_schema(&self) -> SchemaRef {
        self.rows.arrow_schema()
    }

    /// Decodes records. What becomes of a record does not depend on those beside it.
    pub fn decode(&mut self, records: Records<'_>) -> Decoded {
        self.rows.decode(records, Arrived::Unknown)
    }
}

impl RowFormat for Csv {
    fn next(&mut self, record: &[u8], _: Option<Micros>, at: &mut usize) -> Option<Result<(), Cause>> {
        (std::mem::replace(at, usize::MAX) == 0).then(|| self.split(record))
    }

    fn event_time(&self, _: &[u8]) -> Result<Micros, &'static str> {
        match self.cells.get(self.places.event_time).trim_ascii() {
            "" => Err("missing"),
            text => plain_text::timestamp(text, self.schema.event_time.unit).map_err(|error| match error {
                Fault::WrongType { .. } => "neither a number nor a time like 2026-01-31T12:00:00Z",
                Fault::OutOfRange => "out of range",
            }),
        }
    }

    fn value<'a>(&'a self, _: &'a [u8], column: usize) -> Result<Value<'a>, Fault> {
        let place = self.places.columns.get(column).copied().flatten();
        let cell = self.cells.get(place.unwrap_or(usize::MAX));
        match self.schema.columns[column].ty {
            ColumnType::Json if !cell.is_empty() => Ok(Value::Text(record_json::cell(cell))),
            ty => plain_text::read(cell, ty),
        }
    }

    fn write_json(&self, _: &[u8], out: &mut String) {
        self.writer.write(&self.cells, out);
    }
}

impl Csv {
    fn split(&mut self, record: &[u8]) -> Result<(), Cause> {
        let text = std::str::from_utf8(record).map_err(|error| Cause::InvalidUtf8 {
            at: error.valid_up_to(),
        })?;
        let syntax = |what| Cause::Syntax { at: record.len(), what };
        let n_cells = self.cells.split(text, self.n_names).map_err(|error| match error {
            SplitError::OpenQuote => syntax("a quote is not closed"),
            SplitError::LineEnd => syntax("a line ends inside of the record"),
            SplitError::TooMany => syntax("more cells than the header has columns"),
        })?;
        if n_cells < self.n_names {
            Err(syntax("fewer cells than the header has columns"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
