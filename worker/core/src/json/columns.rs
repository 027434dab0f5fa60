//! Builds Arrow columns from the values of the records that passed.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow_buffer::{Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer};
use arrow_schema::{DataType, Schema, SchemaRef};

use super::field::Field;
use super::scan::Input;
use super::slots::{Kind, Slot};
use super::value::Value;
use crate::decode::ColumnType;
use crate::decode::number::{DECIMAL_PRECISION, DECIMAL_SCALE};
use crate::encode::RECORD;

/// Time zone of all times.
const UTC: &str = "UTC";

/// A batch in the making.
#[derive(Debug)]
pub(super) struct Columns {
    schema: SchemaRef,
    builders: Vec<Builder>,
    record: Option<TextBuilder>,
    rows: usize,
    /// How many rows the last batch had: room for the next.
    last_rows: usize,
    /// Room for a text without its escapes.
    room: Vec<u8>,
}

#[derive(Debug)]
struct Builder {
    field: Field,
    values: Values,
    nulls: NullBufferBuilder,
    /// How many values were NULLed because they are not of the type; none if others count them.
    mismatches: Option<u64>,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanBufferBuilder),
    Int64(Vec<i64>),
    UInt64(Vec<u64>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>),
    Text(TextBuilder),
    Timestamp(Vec<i64>),
}

#[derive(Debug)]
struct TextBuilder {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Columns {
    /// Columns with these names, each with its rules and whether its mismatches are counted here.
    pub(super) fn new(columns: impl IntoIterator<Item = (String, Field, bool)>, whole_record: bool) -> Self {
        let mut fields = Vec::new();
        let mut builders = Vec::new();
        for (name, field, counts) in columns {
            fields.push(arrow_schema::Field::new(name, field.ty.data_type(), true));
            builders.push(Builder::new(field, counts));
        }
        if whole_record {
            fields.push(arrow_schema::Field::new(RECORD, DataType::Utf8, false));
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            builders,
            record: whole_record.then(|| TextBuilder::new(0, 0)),
            rows: 0,
            last_rows: 0,
            room: Vec::new(),
        }
    }

    /// Adds a row of what was found in a record. `record` are the bytes of the whole record.
    #[inline(always)]
    pub(super) fn push(&mut self, slots: &[Slot], input: Input<'_>, record: &[u8]) {
        for builder in &mut self.builders {
            builder.push(slots, input, &mut self.room);
        }
        if let Some(whole) = &mut self.record {
            whole.push(record);
        }
        self.rows += 1;
    }

    /// How many values of each column were NULLed because they are not of its type, since the last call.
    pub(super) fn take_mismatches(&mut self) -> impl Iterator<Item = (usize, u64)> {
        let counted = self.builders.iter_mut().map(|builder| {
            let count = builder.mismatches.as_mut().map_or(0, std::mem::take);
            (builder.field.column, count)
        });
        counted.filter(|(_, count)| *count > 0)
    }

    /// The batch of the rows so far; the next one begins.
    pub(super) fn finish(&mut self) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        let capacity = with_slack(rows.max(self.last_rows));
        self.last_rows = rows;
        let mut arrays: Vec<ArrayRef> = self
            .builders
            .iter_mut()
            .map(|builder| builder.finish(capacity))
            .collect();
        if let Some(whole) = &mut self.record {
            arrays.push(whole.finish(None, capacity));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        // Fails only if columns differ in length or type, and all were made here from the same rows and schema.
        debug_assert!(batch.is_ok(), "{batch:?}");
        batch.unwrap_or_else(|_| RecordBatch::new_empty(Arc::clone(&self.schema)))
    }
}

impl Builder {
    fn new(field: Field, counts: bool) -> Self {
        let values = match field.ty {
            ColumnType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            ColumnType::Int64 => Values::Int64(Vec::new()),
            ColumnType::UInt64 => Values::UInt64(Vec::new()),
            ColumnType::Float64 => Values::Float64(Vec::new()),
            ColumnType::Decimal => Values::Decimal(Vec::new()),
            ColumnType::Utf8 | ColumnType::Json => Values::Text(TextBuilder::new(0, 0)),
            ColumnType::Timestamp(_) => Values::Timestamp(Vec::new()),
        };
        Self {
            field,
            values,
            nulls: NullBufferBuilder::new(0),
            mismatches: counts.then_some(0),
        }
    }

    /// Adds what was found. A value of another type is NULL: if the type is declared, the record was refused before.
    #[inline(always)]
    fn push(&mut self, slots: &[Slot], input: Input<'_>, room: &mut Vec<u8>) {
        let slot = self.field.slot(slots);
        if slot.kind == Kind::Text
            && self.field.ty == ColumnType::Utf8
            && let Values::Text(builder) = &mut self.values
        {
            builder.push(slot.content(input));
            self.nulls.append_non_null();
            return;
        }
        self.push_value(slot, input, room);
    }

    fn push_value(&mut self, slot: &Slot, input: Input<'_>, room: &mut Vec<u8>) {
        let value = self.field.value(slot, input, room).unwrap_or_else(|_| {
            self.mismatches.iter_mut().for_each(|count| *count += 1);
            Value::Null
        });
        self.values.push(value);
        if value == Value::Null {
            self.nulls.append_null();
        } else {
            self.nulls.append_non_null();
        }
    }

    fn finish(&mut self, capacity: usize) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(builder) => Arc::new(BooleanArray::new(builder.finish(), nulls)),
            Values::Int64(values) => Arc::new(Int64Array::new(take(values, capacity).into(), nulls)),
            Values::UInt64(values) => Arc::new(UInt64Array::new(take(values, capacity).into(), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(take(values, capacity).into(), nulls)),
            Values::Decimal(values) => {
                let array = Decimal128Array::new(take(values, capacity).into(), nulls);
                Arc::new(array.with_data_type(DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)))
            }
            Values::Text(builder) => builder.finish(nulls, capacity),
            Values::Timestamp(values) => {
                Arc::new(TimestampMicrosecondArray::new(take(values, capacity).into(), nulls).with_timezone(UTC))
            }
        }
    }
}

impl Values {
    /// Adds a value. Conversion made it of the column's type; anything else is the value that stands for NULL.
    #[inline(always)]
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Boolean(builder), value) => builder.append(value == Value::Boolean(true)),
            (Self::Int64(values) | Self::Timestamp(values), Value::Int64(value)) => values.push(value),
            (Self::UInt64(values), Value::UInt64(value)) => values.push(value),
            (Self::Float64(values), Value::Float64(value)) => values.push(value),
            (Self::Decimal(values), Value::Decimal(value)) => values.push(value),
            (Self::Text(builder), Value::Text(text)) => builder.push(text),
            (Self::Int64(values) | Self::Timestamp(values), _) => values.push(0),
            (Self::UInt64(values), _) => values.push(0),
            (Self::Float64(values), _) => values.push(0.0),
            (Self::Decimal(values), _) => values.push(0),
            (Self::Text(builder), _) => builder.push(&[]),
        }
    }
}

impl TextBuilder {
    fn new(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            offsets,
            bytes: Vec::with_capacity(bytes),
        }
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        // The decoder takes no records behind byte `i32::MAX` of a buffer, and no text is longer than its source.
        self.offsets.push(self.bytes.len() as i32);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, capacity: usize) -> ArrayRef {
        let bytes = self.bytes.len();
        let Self { offsets, bytes } = std::mem::replace(self, Self::new(capacity, with_slack(bytes)));
        let rows = offsets.len() - 1;
        let array = StringArray::try_new(OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes), nulls);
        // Fails only if the text is not UTF-8, and the walk has checked all that is kept.
        debug_assert!(array.is_ok(), "{array:?}");
        Arc::new(array.unwrap_or_else(|_| StringArray::new_null(rows)))
    }
}

/// Room for a batch that is like one of this size: a little more of it would have all of it moved.
fn with_slack(size: usize) -> usize {
    size + size / 8
}

fn take<T>(values: &mut Vec<T>, capacity: usize) -> Vec<T> {
    std::mem::replace(values, Vec::with_capacity(capacity))
}
