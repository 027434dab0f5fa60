//! Rows to JSON: what sinks write.
//!
//! A stream that keeps its records gives out the record as it came, with changed and added fields replaced. Any other
//! row is an object of its columns, in their order.

mod cells;
mod record;
mod rfc3339;

use std::cell::LazyCell;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};

use self::cells::{Cells, Member, object};
use self::record::WithChanges;
pub use self::rfc3339::rfc3339;

/// The column that holds the bytes of the whole record.
pub const RECORD: &str = "_record";

/// Key of a field's metadata; the value `json` says that the texts are JSON values.
pub const CONTENT: &str = "tocsin.content";

/// Whether the texts of a column are JSON values.
pub fn is_json(field: &Field) -> bool {
    field.metadata().get(CONTENT).is_some_and(|content| content == "json")
}

/// Marks a text column whose texts are JSON values.
pub fn json_field(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true).with_metadata([(CONTENT.to_owned(), "json".to_owned())].into())
}

/// Rows as JSON objects, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The objects, with nothing between them and no line break inside.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// The keys of the rows, if they were asked for.
    pub keys: Option<RecordKeys>,
}

/// Keys of records in Kafka, one a row: the text of one column, or a JSON array of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordKeys {
    bytes: Vec<u8>,
    /// Where each ends, and whether there is one: a key of NULLs is none.
    ends: Vec<(usize, bool)>,
}

impl RecordKeys {
    /// The keys of rows, of these columns.
    pub fn of(rows: &RecordBatch, columns: &[usize]) -> Self {
        let schema = rows.schema_ref();
        let cells: Vec<Cells<'_>> = columns
            .iter()
            .map(|&i| Cells::new(rows.column(i), schema.field(i)))
            .collect();
        let mut keys = Self::default();
        keys.ends.reserve(rows.num_rows());
        for row in 0..rows.num_rows() {
            let present = cells.iter().any(|cells| cells.is_valid(row));
            match cells.as_slice() {
                [cells] if present => cells.write_plain(row, &mut keys.bytes),
                _ if present => array(&cells, row, &mut keys.bytes),
                _ => {}
            }
            keys.ends.push((keys.bytes.len(), present));
        }
        keys
    }

    /// The key of a row.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let (end, present) = *self.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        present.then(|| &self.bytes[start..end])
    }
}

impl Encoded {
    /// The objects one by one.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let row = &self.bytes[start..end];
            start = end;
            row
        })
    }
}

/// Which of the columns `changed` replace fields of the record.
pub fn encode_rows(rows: &RecordBatch, changed: &[usize]) -> Encoded {
    let record = rows.schema_ref().index_of(RECORD).ok();
    let mut encoded = Encoded::default();
    encoded.bytes.reserve(about(rows, record, changed));
    encoded.ends.reserve(rows.num_rows());
    let records = record.map(|i| rows.column(i).as_string::<i32>());
    let mut changes = WithChanges::new(Member::all(rows, changed.iter().copied()));
    let members = LazyCell::new(|| Member::all(rows, 0..rows.num_columns()));
    for row in 0..rows.num_rows() {
        match records.filter(|records| records.is_valid(row)) {
            Some(records) => changes.write(records.value(row), row, &mut encoded.bytes),
            None => object(&members, row, &mut encoded.bytes),
        }
        encoded.ends.push(encoded.bytes.len());
    }
    encoded
}

/// How many bytes rows will have, about.
fn about(rows: &RecordBatch, record: Option<usize>, changed: &[usize]) -> usize {
    const CELL: usize = 32;
    match record.and_then(|i| rows.column(i).as_string_opt::<i32>()) {
        Some(records) => {
            let offsets = records.value_offsets();
            let of_records = offsets
                .last()
                .zip(offsets.first())
                .map_or(0, |(end, start)| end - start);
            of_records as usize + rows.num_rows() * changed.len() * CELL
        }
        None => rows.num_rows() * rows.num_columns() * CELL,
    }
}

/// A JSON object of some columns of a row.
pub fn json_object(rows: &RecordBatch, columns: &[usize], row: usize) -> String {
    let members = Member::all(rows, columns.iter().copied());
    in_memory(|out| object(&members, row, out))
}

/// A JSON array of the values of a row.
fn array(columns: &[Cells<'_>], row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for (n, cells) in columns.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        cells.write(row, out);
    }
    out.push(b']');
}

/// One value as plain text; numbers as JSON writes them, times as RFC 3339. Nothing for NULL.
pub fn cell_text(column: &ArrayRef, row: usize) -> String {
    let field = Field::new("", column.data_type().clone(), true);
    in_memory(|out| Cells::new(column, &field).write_plain(row, out))
}

/// What `write` writes, as text.
fn in_memory(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// One value for a sentence: as [`cell_text`], a number with at most six significant digits.
pub fn readable(column: &ArrayRef, row: usize) -> String {
    if column.data_type() != &DataType::Float64 || column.is_null(row) {
        return cell_text(column, row);
    }
    let value = column.as_primitive::<Float64Type>().value(row);
    let n_whole = if value.abs() < 1.0 {
        1
    } else {
        libm::log10(value.abs()).floor() as i32 + 1
    };
    let n_decimals = usize::try_from(6 - n_whole).unwrap_or(0);
    let text = format!("{value:.n_decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow_array::{Float64Array, StringArray};
    use arrow_schema::Schema;

    use super::*;

    #[test]
    fn a_key_is_the_text_of_one_column_or_an_array_of_several() {
        let schema = Schema::new(vec![
            Field::new("service", DataType::Utf8, true),
            Field::new("load", DataType::Float64, true),
        ]);
        let services: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"b"), None, None]));
        let loads: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), Some(2.0), None]));
        let rows = RecordBatch::try_new(Arc::new(schema), vec![services, loads]).unwrap();
        let keys = |columns: &[usize]| {
            let keys = RecordKeys::of(&rows, columns);
            let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
            (0..3).map(|row| keys.get(row).map(text)).collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(keys(&[0]), [some("a\"b"), None, None]);
        assert_eq!(keys(&[1]), [some("1.5"), some("2.0"), None]);
        assert_eq!(keys(&[0, 1]), [some("[\"a\\\"b\",1.5]"), some("[null,2.0]"), None]);
    }

    fn check(record: &str, expected: &str) {
        let schema = Schema::new(vec![
            Field::new("severity", DataType::Utf8, true),
            Field::new("score", DataType::Float64, true),
            Field::new(RECORD, DataType::Utf8, true),
        ]);
        let rows = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(StringArray::from(vec!["ESCALATED"])),
                Arc::new(Float64Array::from(vec![0.5])),
                Arc::new(StringArray::from(vec![record])),
            ],
        );
        let encoded = encode_rows(&rows.unwrap(), &[0, 1]);
        assert_eq!(String::from_utf8(encoded.bytes).unwrap(), expected);
    }

    #[test]
    fn a_kept_record_has_its_changed_fields_replaced_and_the_others_as_they_were() {
        check(
            r#"{"n":123456789012345678901,"severity":"CRITICAL"}"#,
            r#"{"n":123456789012345678901,"severity":"ESCALATED","score":0.5}"#,
        );
        check(r#"{}"#, r#"{"severity":"ESCALATED","score":0.5}"#);
        check(
            "{ \"a\" : [1,\n 2] }",
            r#"{"a":[1,  2],"severity":"ESCALATED","score":0.5}"#,
        );
        check(r#"{"a":1,"a":2}"#, r#"{"a":2,"severity":"ESCALATED","score":0.5}"#);
        // Fields that stand close to each other, and such that do not.
        check(
            r#"{"a":1,"b":[2],"score":1,"c":"3","d":{"e": 4} ,"f":5, "g":6,"h": 7,"i":8}"#,
            r#"{"a":1,"b":[2],"score":0.5,"c":"3","d":{"e": 4},"f":5,"g":6,"h":7,"i":8,"severity":"ESCALATED"}"#,
        );
        check(
            r#"{"a":1,"b":2,"a":3,"c":4,"severity":"CRITICAL","score":1}"#,
            r#"{"a":3,"b":2,"c":4,"severity":"ESCALATED","score":0.5}"#,
        );
        // Names may be written with escapes; texts are, where they must be.
        check(
            r#"{"sever\u0069ty":1,"\n":"\t"}"#,
            r#"{"severity":"ESCALATED","\n":"\t","score":0.5}"#,
        );
    }
}
