//! Columns whose values are written as JSON.

use std::io::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field};

use super::is_json;
use super::rfc3339::write_rfc3339;

/// A column, and how its values are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    column: &'a ArrayRef,
    values: Values<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    /// Texts that are JSON.
    Json(&'a StringArray),
    Text(&'a StringArray),
    Boolean(&'a BooleanArray),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>),
    Time(&'a PrimitiveArray<TimestampMicrosecondType>),
    /// Of a type that no column has.
    Other,
}

impl<'a> Cells<'a> {
    /// The values of a column.
    pub(super) fn new(column: &'a ArrayRef, field: &Field) -> Self {
        let values = match column.data_type() {
            DataType::Utf8 if is_json(field) => Values::Json(column.as_string()),
            DataType::Utf8 => Values::Text(column.as_string()),
            DataType::Boolean => Values::Boolean(column.as_boolean()),
            DataType::Int64 => Values::Int64(column.as_primitive()),
            DataType::UInt64 => Values::UInt64(column.as_primitive()),
            DataType::Float64 => Values::Float64(column.as_primitive()),
            DataType::Decimal128(..) => Values::Decimal(column.as_primitive()),
            DataType::Timestamp(..) => Values::Time(column.as_primitive()),
            _ => Values::Other,
        };
        Self { column, values }
    }

    /// Whether there is a value in a row.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        self.column.is_valid(row)
    }

    /// Whether values may be objects and arrays.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.values, Values::Json(_))
    }

    /// Writes a value as JSON.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.column.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self.values {
            Values::Text(texts) => text(texts.value(row), out),
            Values::Time(_) => {
                out.push(b'"');
                self.write_plain(row, out);
                out.push(b'"');
            }
            _ => self.write_plain(row, out),
        }
    }

    /// Writes a value without quotes: texts as they are, numbers as JSON writes them, times as RFC 3339. Nothing for NULL.
    pub(super) fn write_plain(&self, row: usize, out: &mut Vec<u8>) {
        if self.column.is_null(row) {
            return;
        }
        // Writing to memory does not fail.
        let _ = match self.values {
            Values::Json(texts) | Values::Text(texts) => out.write_all(texts.value(row).as_bytes()),
            Values::Boolean(values) => write!(out, "{}", values.value(row)),
            Values::Int64(values) => integer(values.value(row), out),
            Values::UInt64(values) => integer(values.value(row), out),
            // The shortest decimal that reads back as the same number. Columns hold no infinities and no NaN.
            Values::Float64(values) => serde_json::to_writer(&mut *out, &values.value(row)).map_err(Into::into),
            Values::Decimal(values) => write!(out, "{}", values.value_as_string(row)),
            Values::Time(values) => {
                write_rfc3339(values.value(row), out);
                Ok(())
            }
            Values::Other => Ok(()),
        };
    }
}

/// A field of the objects that are written.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// The name as JSON, and a colon.
    head: Vec<u8>,
    pub(super) cells: Cells<'a>,
}

impl<'a> Member<'a> {
    /// Some columns of rows.
    pub(super) fn all(rows: &'a RecordBatch, columns: impl Iterator<Item = usize>) -> Vec<Self> {
        let schema = rows.schema_ref();
        let member = |i| {
            let field = schema.field(i);
            let mut head = Vec::with_capacity(field.name().len() + 3);
            text(field.name(), &mut head);
            head.push(b':');
            Self {
                name: field.name(),
                head,
                cells: Cells::new(rows.column(i), field),
            }
        };
        columns.map(member).collect()
    }

    /// Writes name and value.
    #[inline]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        self.cells.write(row, out);
    }
}

/// An object of some columns of a row.
pub(super) fn object(members: &[Member<'_>], row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for (n, member) in members.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        member.write(row, out);
    }
    out.push(b'}');
}

fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.write_all(itoa::Buffer::new().format(value).as_bytes())
}

/// Writes a text as JSON.
pub(super) fn text(value: &str, out: &mut Vec<u8>) {
    // All bytes are looked at, so that the compiler can do so with many at once.
    let escapes = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if value.bytes().fold(false, |any, byte| any | escapes(byte)) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, value);
    } else {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
}
