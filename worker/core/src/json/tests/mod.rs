//! Tests of the whole decoder: records in, rows, event times and dead records out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;
mod invariance;
mod mutation;
pub(super) mod oracle;
mod records;
mod syntax;
mod types;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tocsin_contract::pipeline::source::TimeUnit;

use super::JsonDecoder;
use crate::decode::predicate::Predicate;
use crate::decode::{Cause, ColumnSpec, ColumnType, Decoded, EventTimeSpec, Origin, RecordSchema, Records, Span};

/// A declared type; a missing value is NULL.
const DECLARED: Origin = Origin::Declared { required: false };

/// A declared type; a missing value is an error.
const REQUIRED: Origin = Origin::Declared { required: true };

/// How NULL is shown.
const NULL: &str = "NULL";

/// A schema with event time `ts` in milliseconds.
fn schema(columns: Vec<ColumnSpec>) -> RecordSchema {
    RecordSchema {
        columns,
        event_time: EventTimeSpec {
            path: keys("ts"),
            unit: TimeUnit::Milliseconds,
        },
        whole_record: false,
        strict: true,
        predicate: None,
    }
}

/// A column that is read. Its name is its path.
fn column(path: &str, ty: ColumnType, origin: Origin) -> ColumnSpec {
    ColumnSpec {
        name: path.to_owned(),
        path: keys(path),
        ty,
        origin,
        read: true,
    }
}

fn keys(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn not_strict(schema: RecordSchema) -> RecordSchema {
    RecordSchema {
        strict: false,
        ..schema
    }
}

fn with_filter(predicate: Predicate, schema: RecordSchema) -> RecordSchema {
    RecordSchema {
        predicate: Some(predicate),
        ..schema
    }
}

/// Decodes records that stand one behind the other, with `between` between them.
fn decode_between<R: AsRef<[u8]>>(decoder: &mut JsonDecoder, records: &[R], between: &str) -> Decoded {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for (offset, record) in (0..).zip(records) {
        let start = bytes.len();
        bytes.extend_from_slice(record.as_ref());
        spans.push(Span {
            start,
            end: bytes.len(),
            offset,
        });
        bytes.extend_from_slice(between.as_bytes());
    }
    decoder.decode(Records {
        bytes: &bytes,
        spans: &spans,
    })
}

fn decode<R: AsRef<[u8]>>(schema: RecordSchema, records: &[R]) -> Decoded {
    decode_between(&mut JsonDecoder::new(schema), records, "\n")
}

/// The rows as text, cell by cell.
fn rows(decoded: &Decoded) -> Vec<Vec<String>> {
    let columns = decoded.rows.columns();
    (0..decoded.rows.num_rows())
        .map(|row| columns.iter().map(|column| cell(column, row)).collect())
        .collect()
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return NULL.to_owned();
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(38, 9) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
        }
        other => panic!("no column may be {other}"),
    }
}

/// Decodes one record that must be good and pass, strictly and not, and compares its row.
fn check_row(columns: &[ColumnSpec], record: &str, expected: &[&str]) {
    for strict in [true, false] {
        let decoded = decode(
            RecordSchema {
                strict,
                ..schema(columns.to_vec())
            },
            &[record],
        );
        assert_eq!(decoded.dead, [], "{record}");
        assert_eq!(rows(&decoded), [expected], "{record}, strict: {strict}");
    }
}

/// The cause of death of a record, strictly read.
fn cause(columns: &[ColumnSpec], record: impl AsRef<[u8]>) -> Option<Cause> {
    let decoded = decode(schema(columns.to_vec()), &[record]);
    decoded.dead.into_iter().next().map(|dead| dead.cause)
}
