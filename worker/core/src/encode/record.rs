//! A record as it came, with changed and added fields.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

use super::cells::{Member, text};
use crate::json::{FieldText, FieldTexts, FieldsFound};

/// Writes records with the changed columns. The texts of the other values are kept as they are: a number may have more
/// digits than a float.
#[derive(Debug)]
pub(super) struct WithChanges<'a> {
    changed: Vec<Member<'a>>,
    texts: FieldTexts,
    /// What the record before was made of. The next one is made of the same, if it has the same fields.
    parts: Vec<Part>,
}

/// A part of a row; between parts there are commas.
#[derive(Clone, Debug)]
enum Part {
    /// Fields between which nothing stands but a comma.
    Together(Range<usize>),
    /// A field with white space behind its colon.
    Apart(usize),
    /// A changed column.
    Changed(usize),
}

impl<'a> WithChanges<'a> {
    pub(super) fn new(changed: Vec<Member<'a>>) -> Self {
        Self {
            changed,
            texts: FieldTexts::default(),
            parts: Vec::new(),
        }
    }

    /// Writes a record, in which fields are replaced by those of a row.
    pub(super) fn write(&mut self, record: &str, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        if self.changed.is_empty() {
            out.extend_from_slice(record.as_bytes());
            in_one_line(&mut out[start..]);
        } else if let Some(found) = self.texts.of(record) {
            let FieldsFound { fields, is_flat, .. } = found;
            if !found.is_as_before {
                self.parts = parts(record, fields, &self.changed);
            }
            patched(record, fields, &self.parts, &self.changed, row, out);
            if !is_flat || self.changed.iter().any(|member| member.cells.is_json()) {
                in_one_line(&mut out[start..]);
            }
        } else {
            let kept = raw_fields(record).unwrap_or_default();
            let kept = kept.iter().map(|(name, value)| (name.0.as_ref(), value.get()));
            replaced(kept, &self.changed, row, out);
            in_one_line(&mut out[start..]);
        }
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

/// What a record with changed columns is made of: its fields, with changed ones in their place or behind them.
fn parts(record: &str, fields: &[FieldText], changed: &[Member<'_>]) -> Vec<Part> {
    let named = |name: &Range<usize>| {
        let known = record.get(name.clone()).unwrap_or_default();
        changed.iter().position(|member| member.name == known)
    };
    let mut parts = Vec::with_capacity(fields.len() + changed.len());
    let mut in_place = vec![false; changed.len()];
    // Where the last part ends, if it can go on.
    let mut open = None;
    for (n, FieldText { name, value }) in fields.iter().enumerate() {
        if let Some(column) = named(name) {
            in_place[column] = true;
            parts.push(Part::Changed(column));
            open = None;
        } else if name.end + 2 != value.start {
            parts.push(Part::Apart(n));
            open = None;
        } else {
            match parts.last_mut() {
                Some(Part::Together(range)) if open.is_some_and(|end: usize| end + 2 == name.start) => {
                    range.end = n + 1;
                }
                _ => parts.push(Part::Together(n..n + 1)),
            }
            open = Some(value.end);
        }
    }
    let behind = (0..changed.len()).filter(|column| !in_place[*column]);
    parts.extend(behind.map(Part::Changed));
    parts
}

/// Writes the parts of a record whose fields stand at these places and have no escapes in their names.
fn patched(record: &str, fields: &[FieldText], parts: &[Part], changed: &[Member<'_>], row: usize, out: &mut Vec<u8>) {
    // From the name of a field, with its quote, to the value of another.
    let kept = |first: Option<&FieldText>, last: Option<&FieldText>| {
        let range = first
            .zip(last)
            .map(|(first, last)| first.name.start - 1..last.value.end);
        range.and_then(|range| record.get(range)).unwrap_or_default()
    };
    let mut separator = b'{';
    for part in parts {
        out.push(separator);
        separator = b',';
        match part {
            Part::Together(range) => {
                let fields = fields.get(range.clone()).unwrap_or_default();
                out.extend_from_slice(kept(fields.first(), fields.last()).as_bytes());
            }
            Part::Apart(n) => {
                let Some(FieldText { name, value }) = fields.get(*n) else {
                    continue;
                };
                out.extend_from_slice(record.get(name.start - 1..name.end + 1).unwrap_or_default().as_bytes());
                out.push(b':');
                out.extend_from_slice(record.get(value.clone()).unwrap_or_default().as_bytes());
            }
            Part::Changed(column) => changed
                .iter()
                .skip(*column)
                .take(1)
                .for_each(|member| member.write(row, out)),
        }
    }
    out.push(b'}');
}

/// Fields, by name and text of the value, with the changed columns in their place or behind them.
fn replaced<'a>(
    kept: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    changed: &[Member<'_>],
    row: usize,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let start = out.len();
    let comma = |out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b',');
        }
    };
    for (name, value) in kept.clone() {
        comma(out);
        match changed.iter().find(|member| member.name == name) {
            Some(member) => member.write(row, out),
            None => {
                text(name, out);
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
    for member in changed {
        if kept.clone().all(|(known, _)| known != member.name) {
            comma(out);
            member.write(row, out);
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
