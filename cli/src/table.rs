//! Rows on a terminal: a table for each run of rows of one sink, printed as they come.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tocsin_worker::sink::{EncodedRows, Sink, SinkError};

/// Widest column.
const WIDEST: usize = 44;

/// What all sinks of a run print to.
#[derive(Clone, Default)]
pub struct Tables(Arc<Mutex<Printed>>);

#[derive(Default)]
struct Printed {
    sink: String,
    columns: Vec<(String, usize)>,
}

/// A sink that prints to it.
pub struct TableSink(Tables);

impl TableSink {
    /// Tables on standard output.
    pub fn shared() -> Tables {
        Tables::default()
    }
}

impl Tables {
    /// A sink among the others.
    pub fn sink(&self) -> TableSink {
        TableSink(self.clone())
    }
}

impl Printed {
    fn lines(&mut self, rows: &EncodedRows<'_>) -> String {
        let mut out = String::new();
        for row in rows.iter() {
            let Ok(row) = serde_json::from_slice::<Map<String, Value>>(row) else {
                continue;
            };
            let same = self.sink == rows.stream && row.keys().eq(self.columns.iter().map(|(name, _)| name));
            if !same {
                self.begin(rows.stream, &row, &mut out);
            }
            for ((name, width), value) in self.columns.iter().zip(row.values()) {
                let text = fit(&plain(value), *width);
                let last = self.columns.last().is_some_and(|(last, _)| last == name);
                if last {
                    out.push_str(text.trim_end())
                } else {
                    out.push_str(&format!("{text}  "))
                }
            }
            out.push('\n');
        }
        out
    }

    /// A heading, with widths that suit the first row.
    fn begin(&mut self, sink: &str, row: &Map<String, Value>, out: &mut String) {
        sink.clone_into(&mut self.sink);
        self.columns = row
            .iter()
            .map(|(name, value)| {
                let width = name
                    .chars()
                    .count()
                    .max(plain(value).chars().count() + 2)
                    .clamp(4, WIDEST);
                (name.clone(), width)
            })
            .collect();
        out.push_str(&format!("\n{sink}\n"));
        for (name, width) in &self.columns {
            out.push_str(&format!("{}  ", fit(name, *width)));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
}

/// A value as a person reads it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    }
}

/// A text in so many characters.
fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length > width {
        return text.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    format!("{text}{}", " ".repeat(width - length))
}

impl Sink for TableSink {
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError> {
        let lines = self.0.0.lock().lines(rows);
        std::io::stdout()
            .write_all(lines.as_bytes())
            .map_err(|error| SinkError::writing("standard output", error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        std::io::stdout()
            .flush()
            .map_err(|error| SinkError::writing("standard output", error))
    }

    fn close(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }
}
