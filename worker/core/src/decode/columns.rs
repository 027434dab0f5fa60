//! Rows into Arrow columns.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
    UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::value::Value;
use super::{ColumnType, RecordSchema};
use crate::encode::RECORD;

/// Builds the batch of the rows that passed.
#[derive(Debug)]
pub(crate) struct Columns {
    schema: SchemaRef,
    builders: Vec<Builder>,
    n_rows: usize,
    /// Bytes of text in all columns.
    n_bytes: usize,
}

#[derive(Debug)]
enum Builder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    UInt64(UInt64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Utf8(StringBuilder),
}

/// The columns of a decoder's batches: those that are read, and the whole record if wanted.
pub(crate) fn arrow_schema(schema: &RecordSchema) -> SchemaRef {
    let read = schema.columns.iter().filter(|column| column.read);
    let mut fields: Vec<Field> = read
        .map(|column| Field::new(&column.name, column.ty.data_type(), true))
        .collect();
    if schema.whole_record {
        fields.push(Field::new(RECORD, DataType::Utf8, true));
    }
    Arc::new(Schema::new(fields))
}

impl Columns {
    /// Columns without rows, for a decoder's schema and its Arrow schema.
    pub(crate) fn new(schema: &RecordSchema, arrow: SchemaRef) -> Self {
        let read = schema.columns.iter().filter(|column| column.read);
        let mut builders: Vec<Builder> = read.map(|column| Builder::new(column.ty)).collect();
        if schema.whole_record {
            builders.push(Builder::new(ColumnType::Utf8));
        }
        Self {
            schema: arrow,
            builders,
            n_rows: 0,
            n_bytes: 0,
        }
    }

    /// How many bytes of text are still taken: Arrow counts those of a column in 31 bits.
    pub(crate) fn room(&self) -> usize {
        (i32::MAX as usize).saturating_sub(self.n_bytes)
    }

    /// Appends a row: a value per column, in order; too few are filled with NULL. Its texts have at most
    /// [`room`](Self::room) bytes.
    pub(crate) fn push<'a>(&mut self, mut values: impl Iterator<Item = Value<'a>>) {
        for builder in &mut self.builders {
            let value = values.next().unwrap_or(Value::Null);
            self.n_bytes = self.n_bytes.saturating_add(value.n_bytes());
            builder.push(value);
        }
        self.n_rows += 1;
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> RecordBatch {
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows));
        match RecordBatch::try_new_with_options(self.schema, columns, &options) {
            Ok(batch) => batch,
            Err(error) => unreachable!("builders and fields are made from one schema, row by row: {error}"),
        }
    }
}

impl Builder {
    fn new(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::UInt64 => Self::UInt64(UInt64Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Decimal => Self::Decimal(Decimal128Builder::new().with_data_type(ty.data_type())),
            ColumnType::Timestamp(_) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ty.data_type()))
            }
            ColumnType::Utf8 | ColumnType::Json => Self::Utf8(StringBuilder::new()),
        }
    }

    /// Appends a value of the builder's type; any other is NULL.
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Boolean(builder), Value::Boolean(value)) => builder.append_value(value),
            (Self::Int64(builder), Value::Int64(value)) => builder.append_value(value),
            (Self::UInt64(builder), Value::UInt64(value)) => builder.append_value(value),
            (Self::Float64(builder), Value::Float64(value)) => builder.append_value(value),
            (Self::Decimal(builder), Value::Decimal(value)) => builder.append_value(value),
            (Self::Timestamp(builder), Value::Timestamp(value)) => builder.append_value(value),
            (Self::Utf8(builder), Value::Text(value)) => builder.append_value(value),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Int64(builder), _) => builder.append_null(),
            (Self::UInt64(builder), _) => builder.append_null(),
            (Self::Float64(builder), _) => builder.append_null(),
            (Self::Decimal(builder), _) => builder.append_null(),
            (Self::Timestamp(builder), _) => builder.append_null(),
            (Self::Utf8(builder), _) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::UInt64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Utf8(builder) => Arc::new(builder.finish()),
        }
    }
}
