//! A slow decoder by serde_json, to hold the engine against. Knows what the tests need and no more.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde_json::Value;
use tocsin_worker_core::decode::predicate::{CompareOp, Literal, Predicate};
use tocsin_worker_core::decode::{
    Cause, ColumnSpec, ColumnType, DeadRecord, Decoded, Decoder, Origin, RecordSchema, Records,
};

/// The decoder.
pub struct Reference {
    schema: RecordSchema,
}

impl Reference {
    /// A decoder for this schema.
    pub fn new(schema: RecordSchema) -> Self {
        Self { schema }
    }
}

impl Decoder for Reference {
    fn decode(&mut self, records: Records<'_>) -> Decoded {
        let (mut event_times, mut spans, mut row_records, mut dead) = (vec![], vec![], vec![], vec![]);
        let mut rows: Vec<(Value, String)> = Vec::new();
        for (i, span) in records.spans.iter().enumerate() {
            let bytes = &records.bytes[span.start..span.end];
            let record = serde_json::from_slice::<Value>(bytes).ok();
            let time = record
                .as_ref()
                .and_then(|record| record[&self.schema.event_time.path[0]].as_f64());
            let (Some(record), Some(time)) = (record, time) else {
                dead.push(DeadRecord {
                    span: i as u32,
                    cause: Cause::Syntax {
                        at: 0,
                        what: "no record",
                    },
                });
                continue;
            };
            let passes = self
                .schema
                .predicate
                .as_ref()
                .is_none_or(|predicate| holds(predicate, &record, &self.schema));
            if passes {
                row_records.push(event_times.len() as u32);
                rows.push((record, String::from_utf8(bytes.to_vec()).unwrap()));
            }
            event_times.push((time * 1e6).round() as i64);
            spans.push(i as u32);
        }
        let read: Vec<&ColumnSpec> = self.schema.columns.iter().filter(|column| column.read).collect();
        let mut columns: Vec<ArrayRef> = read.iter().map(|column| array(column, &rows)).collect();
        let mut fields: Vec<Field> = read
            .iter()
            .zip(&columns)
            .map(|(c, a)| Field::new(&c.name, a.data_type().clone(), true))
            .collect();
        if self.schema.whole_record {
            columns.push(Arc::new(StringArray::from_iter_values(
                rows.iter().map(|(_, text)| text),
            )));
            fields.push(Field::new("_record", DataType::Utf8, true));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap();
        Decoded {
            event_times,
            spans,
            rows,
            row_records,
            dead,
            mismatches: vec![],
        }
    }
}

fn array(column: &ColumnSpec, rows: &[(Value, String)]) -> ArrayRef {
    let values = rows.iter().map(|(record, _)| &record[&column.path[0]]);
    match column.ty {
        ColumnType::Float64 => Arc::new(values.map(Value::as_f64).collect::<Float64Array>()),
        ColumnType::Boolean => Arc::new(values.map(Value::as_bool).collect::<BooleanArray>()),
        ColumnType::Json => Arc::new(
            values
                .map(|v| (!v.is_null()).then(|| v.to_string()))
                .collect::<StringArray>(),
        ),
        _ => Arc::new(values.map(|value| text(value, column.origin)).collect::<StringArray>()),
    }
}

fn text(value: &Value, origin: Origin) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Object(_) | Value::Array(_) => None,
        other => (origin == Origin::Key).then(|| other.to_string()),
    }
}

fn holds(predicate: &Predicate, record: &Value, schema: &RecordSchema) -> bool {
    match predicate {
        Predicate::And(all) => all.iter().all(|one| holds(one, record, schema)),
        Predicate::Or(any) => any.iter().any(|one| holds(one, record, schema)),
        Predicate::IsNull { column, negated } => record[&schema.columns[*column].path[0]].is_null() != *negated,
        Predicate::Compare { column, op, literal } => {
            let value = &record[&schema.columns[*column].path[0]];
            let ordering = match literal {
                Literal::Utf8(literal) => value.as_str().map(|value| value.cmp(literal.as_str())),
                Literal::Float64(literal) => value.as_f64().and_then(|value| value.partial_cmp(literal)),
                Literal::Int64(literal) => value.as_i64().map(|value| value.cmp(literal)),
                Literal::Boolean(literal) => value.as_bool().map(|value| value.cmp(literal)),
            };
            ordering.is_some_and(|ordering| match op {
                CompareOp::Eq => ordering.is_eq(),
                CompareOp::NotEq => ordering.is_ne(),
                CompareOp::Lt => ordering.is_lt(),
                CompareOp::LtEq => ordering.is_le(),
                CompareOp::Gt => ordering.is_gt(),
                CompareOp::GtEq => ordering.is_ge(),
            })
        }
    }
}
