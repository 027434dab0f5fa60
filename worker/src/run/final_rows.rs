//! Only the last row of each key, at the end: `--final`.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::sink::{EncodedRows, Sink, SinkError};

/// Holds rows back until the end, and gives out the last of each key, in the order in which the keys first came.
pub struct FinalRows {
    inner: Box<dyn Sink>,
    key: Vec<String>,
    stream: String,
    rows: Vec<Vec<u8>>,
    by_key: HashMap<Vec<String>, usize>,
}

impl FinalRows {
    /// For rows with this key. Without a key there is nothing to replace, and rows pass as they come.
    pub fn new(inner: Box<dyn Sink>, key: Vec<String>) -> Self {
        Self {
            inner,
            key,
            stream: String::new(),
            rows: Vec::new(),
            by_key: HashMap::new(),
        }
    }

    fn key_of(&self, row: &[u8]) -> Option<Vec<String>> {
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_slice(row).ok()?;
        self.key
            .iter()
            .map(|name| Some(fields.get(name)?.get().to_owned()))
            .collect()
    }
}

impl Sink for FinalRows {
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError> {
        if self.key.is_empty() {
            return self.inner.write(rows);
        }
        rows.stream.clone_into(&mut self.stream);
        for row in rows.iter() {
            // A row without its key cannot replace another.
            let known = self
                .key_of(row)
                .map(|key| *self.by_key.entry(key).or_insert(self.rows.len()));
            match known.and_then(|at| self.rows.get_mut(at)) {
                Some(older) => row.clone_into(older),
                None => self.rows.push(row.to_vec()),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.inner.flush()
    }

    fn close(mut self: Box<Self>) -> Result<(), SinkError> {
        let bytes = self.rows.concat();
        let ends: Vec<usize> = self
            .rows
            .iter()
            .scan(0, |end, row| {
                *end += row.len();
                Some(*end)
            })
            .collect();
        let rows = EncodedRows {
            stream: &self.stream,
            bytes: &bytes,
            ends: &ends,
        };
        let written = if ends.is_empty() {
            Ok(())
        } else {
            self.inner.write(&rows)
        };
        // What could be written is kept, also where the rest could not.
        let closed = self.inner.close();
        written.and(closed)
    }
}
