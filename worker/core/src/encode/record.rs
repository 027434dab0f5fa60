//! A record as it came, with changed and added fields.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use arrow_array::RecordBatch;
use serde_json::value::RawValue;

use super::{cell, is_json, text};
use crate::json::{FieldText, FieldTexts};

/// The record with the changed columns. The texts of the other values are kept as they are: a number may have more digits
/// than a float.
pub(super) fn with_changes(
    record: &str,
    rows: &RecordBatch,
    changed: &[usize],
    row: usize,
    texts: &mut FieldTexts,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    if changed.is_empty() {
        out.extend_from_slice(record.as_bytes());
        in_one_line(&mut out[start..]);
    } else if let Some(fields) = texts.of(record) {
        let is_flat = patched(record, fields, rows, changed, row, out);
        if !is_flat {
            in_one_line(&mut out[start..]);
        }
    } else {
        let kept = raw_fields(record).unwrap_or_default();
        let kept = kept.iter().map(|(name, value)| (name.0.as_ref(), value.get()));
        replaced(kept, rows, changed, row, out);
        in_one_line(&mut out[start..]);
    }
}

/// Line breaks outside of strings are white space; inside they are escaped.
fn in_one_line(row: &mut [u8]) {
    let mut rest = row;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        rest[at] = b' ';
        rest = &mut rest[at + 1..];
    }
}

/// A record whose fields stand at these places and have no escapes in their names, with the changed columns in their place
/// or behind them. Fields between which nothing stands but a comma are copied together. Answers whether no value is an
/// object or an array, so that there is no white space.
fn patched(
    record: &str,
    fields: &[FieldText],
    rows: &RecordBatch,
    changed: &[usize],
    row: usize,
    out: &mut Vec<u8>,
) -> bool {
    let schema = rows.schema_ref();
    let mut is_flat = true;
    let part = |range: Range<usize>| record.get(range).unwrap_or_default();
    out.push(b'{');
    let start = out.len();
    let comma = |out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b',');
        }
    };
    let mut run = 0..0;
    for FieldText { name, value } in fields {
        // With its quotes.
        let quoted = name.start - 1..name.end + 1;
        let known = part(name.clone());
        is_flat &= !matches!(record.as_bytes().get(value.start), Some(b'{' | b'['));
        let change = changed.iter().copied().find(|&i| schema.field(i).name() == known);
        let is_close = change.is_none() && quoted.end + 1 == value.start;
        if is_close && !run.is_empty() && run.end + 1 == quoted.start {
            run.end = value.end;
            continue;
        }
        if !run.is_empty() {
            comma(out);
            out.extend_from_slice(part(run).as_bytes());
        }
        if is_close {
            run = quoted.start..value.end;
            continue;
        }
        run = 0..0;
        comma(out);
        out.extend_from_slice(part(quoted).as_bytes());
        out.push(b':');
        match change {
            Some(i) => {
                is_flat &= !is_json(schema.field(i));
                cell(rows.column(i), schema.field(i), row, out);
            }
            None => out.extend_from_slice(part(value.clone()).as_bytes()),
        }
    }
    if !run.is_empty() {
        comma(out);
        out.extend_from_slice(part(run).as_bytes());
    }
    for &i in changed {
        let name = schema.field(i).name();
        if fields.iter().all(|field| part(field.name.clone()) != name) {
            comma(out);
            text(name, out);
            out.push(b':');
            is_flat &= !is_json(schema.field(i));
            cell(rows.column(i), schema.field(i), row, out);
        }
    }
    out.push(b'}');
    is_flat
}

/// Fields, by name and text of the value, with the changed columns in their place or behind them.
fn replaced<'a>(
    kept: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    rows: &RecordBatch,
    changed: &[usize],
    row: usize,
    out: &mut Vec<u8>,
) {
    let schema = rows.schema_ref();
    let column = |name: &str| changed.iter().copied().find(|&i| schema.field(i).name() == name);
    out.push(b'{');
    let start = out.len();
    let begin = |name: &str, out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b',');
        }
        text(name, out);
        out.push(b':');
    };
    for (name, value) in kept.clone() {
        begin(name, out);
        match column(name) {
            Some(i) => cell(rows.column(i), schema.field(i), row, out),
            None => out.extend_from_slice(value.as_bytes()),
        }
    }
    for &i in changed {
        let name = schema.field(i).name();
        if kept.clone().all(|(known, _)| known != name) {
            begin(name, out);
            cell(rows.column(i), schema.field(i), row, out);
        }
    }
    out.push(b'}');
}

/// The fields of an object with the texts of their values; of a name that stands twice, the last.
fn raw_fields(record: &str) -> Result<Vec<(Name<'_>, &RawValue)>, serde_json::Error> {
    struct Fields;
    impl<'de> serde::de::Visitor<'de> for Fields {
        type Value = Vec<(Name<'de>, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Self::Value::with_capacity(16);
            let mut numbers: HashMap<Cow<'de, str>, usize> = HashMap::new();
            while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                let same = numbers.entry(name.0.clone()).or_insert(fields.len());
                match fields.get_mut(*same) {
                    Some((_, known)) => *known = value,
                    None => fields.push((name, value)),
                }
            }
            Ok(fields)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(record);
    serde::Deserializer::deserialize_map(&mut reader, Fields)
}

/// A field's name; a copy only where it is written with escapes.
#[derive(serde::Deserialize, PartialEq)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
