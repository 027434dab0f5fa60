//! Transitions of alarms to rows.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow_schema::DataType;
use arrow_select::concat::concat;

use super::AlarmPlan;
use super::baseline::Usual;
use super::keys::Held;
use super::level::Transition;
use crate::encode::{json_object, readable};
use crate::key::decode_keys;
use crate::stream::{Micros, record_batch};

/// A transition that is to be given out.
#[derive(Debug)]
pub(super) struct Row {
    key: Vec<u8>,
    rule: usize,
    pub transition: Transition,
    values: String,
    summary: Option<String>,
    pub watermark: Micros,
}

impl Row {
    pub fn new(key: &[u8], rule: usize, transition: Transition, held: &Held, watermark: Micros) -> Self {
        Self {
            key: key.to_vec(),
            rule,
            transition,
            values: held.values.clone(),
            summary: held.summary.clone(),
            watermark,
        }
    }
}

/// The rows of `ready`, in that order.
pub(super) fn rows(ready: &[Row], plan: &AlarmPlan, key_types: &[Vec<DataType>]) -> RecordBatch {
    let rule = |row: &Row| &plan.rules[row.rule];
    // Rules can have keys of their own behind the stage's columns, so each row is decoded by its rule.
    let keys: Vec<Vec<ArrayRef>> = ready
        .iter()
        .map(|row| decode_keys(std::iter::once(row.key.as_slice()), &key_types[row.rule]))
        .collect();
    let mut columns: Vec<ArrayRef> = (0..plan.n_by)
        .map(|i| {
            let parts: Vec<&dyn Array> = keys.iter().filter_map(|key| key.get(i).map(AsRef::as_ref)).collect();
            concat(&parts).unwrap_or_else(|_| new_null_array(plan.output.field(i).data_type(), ready.len()))
        })
        .collect();
    let texts =
        |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef { Arc::new(ready.iter().map(of).collect::<StringArray>()) };
    let times = |of: &dyn Fn(&Row) -> Micros| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(ready.iter().map(of)).with_timezone("UTC"))
    };
    columns.push(texts(&|row| {
        let since = row.transition.since.to_le_bytes();
        Some(crate::id::id(
            "alm",
            &[plan.stage.as_bytes(), rule(row).id.as_bytes(), &row.key, &since],
        ))
    }));
    columns.push(texts(&|row| Some(rule(row).id.clone())));
    columns.push(texts(&|row| {
        Some(if row.transition.firing { "firing" } else { "resolved" }.to_owned())
    }));
    columns.push(texts(&|row| Some(rule(row).severity.clone())));
    columns.push(times(&|row| row.transition.since));
    columns.push(times(&|row| row.transition.at));
    columns.push(texts(&|row| {
        row.summary.clone().or_else(|| Some(rule(row).condition.text()))
    }));
    columns.push(texts(&|row| Some(row.values.clone())));
    record_batch(&plan.output, columns, ready.len())
}

/// The shown columns of a row as a JSON object, and what it was compared with.
pub(super) fn values(rows: &RecordBatch, shown: &[usize], row: usize, usual: Option<Usual>) -> String {
    let mut object = json_object(rows, shown, row);
    if let Some(usual) = usual
        && object.ends_with('}')
    {
        object.pop();
        if object.len() > 1 {
            object.push(',');
        }
        let number = |value: f64| serde_json::Number::from_f64(value).map_or("null".to_owned(), |n| n.to_string());
        object.push_str(&format!(
            "\"baseline_average\":{},\"baseline_sigma\":{}}}",
            number(usual.average),
            number(usual.sigma)
        ));
    }
    object
}

/// `{column}` replaced by its value; what names no column stays as it is.
pub(super) fn fill_in(text: &str, rows: &RecordBatch, row: usize) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let value = behind.split_once('}').and_then(|(name, behind)| {
            let column = rows.column_by_name(name)?;
            Some((readable(column, row), behind))
        });
        match value {
            Some((value, behind)) => {
                filled.push_str(&value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = behind;
            }
        }
    }
    filled.push_str(rest);
    filled
}
