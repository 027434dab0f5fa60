//! Standard output, shared by all sinks that print there, so that rows stay in the order in which they came.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::SinkError;
use super::lines::Lines;
use super::{EncodedRows, Sink};

/// Name of the field that tells the rows of several sinks apart.
const SINK_FIELD: &str = "_sink";

/// Standard output, or another writer in its place.
#[derive(Clone)]
pub struct SharedStdout(Arc<Mutex<Lines<Box<dyn Write + Send>>>>);

/// Prints rows, a line each.
pub struct StdoutSink {
    out: SharedStdout,
    /// `"_sink":"NAME"` if rows are to carry the sink's name.
    label: Option<String>,
}

impl Default for SharedStdout {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedStdout {
    /// The process's standard output.
    pub fn new() -> Self {
        Self::of_writer(io::stdout())
    }

    /// Another writer.
    pub fn of_writer(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Lines::new(Box::new(writer)))))
    }

    /// A sink that prints rows as they are.
    pub fn sink(&self) -> StdoutSink {
        StdoutSink {
            out: self.clone(),
            label: None,
        }
    }

    /// A sink that gives each row a first field `_sink` with this name.
    pub fn named_sink(&self, name: &str) -> StdoutSink {
        let label = format!("\"{SINK_FIELD}\":{}", serde_json::Value::from(name));
        StdoutSink {
            out: self.clone(),
            label: Some(label),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Lines<Box<dyn Write + Send>>) -> io::Result<T>) -> Result<T, SinkError> {
        let mut lines = self.0.lock();
        act(&mut lines).map_err(|error| SinkError::writing("standard output", error))
    }
}

impl Sink for StdoutSink {
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError> {
        self.out.with(|lines| {
            rows.iter().try_for_each(|row| match (&self.label, row) {
                (Some(label), [b'{', b'}']) => lines.push(&[b"{", label.as_bytes(), b"}"]),
                (Some(label), [b'{', rest @ ..]) => lines.push(&[b"{", label.as_bytes(), b",", rest]),
                _ => lines.push(&[row]),
            })
        })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.out.with(Lines::flush)
    }

    fn close(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }
}
