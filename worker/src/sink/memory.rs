//! Rows kept in memory, for tests and for those who show them.

use std::sync::Arc;

use parking_lot::Mutex;

use super::error::SinkError;
use super::{EncodedRows, Sink};

/// Keeps rows.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    rows: WrittenRows,
}

/// The rows that a [`MemorySink`] keeps; a clone sees the same rows.
#[derive(Clone, Debug, Default)]
pub struct WrittenRows(Arc<Mutex<Vec<(String, String)>>>);

impl MemorySink {
    /// The rows that it keeps, now and later.
    pub fn rows(&self) -> WrittenRows {
        self.rows.clone()
    }
}

impl WrittenRows {
    /// Takes all rows out: each with the name of its stream.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Sink for MemorySink {
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError> {
        let new = rows
            .iter()
            .map(|row| (rows.stream.to_owned(), String::from_utf8_lossy(row).into_owned()));
        self.rows.0.lock().extend(new);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}
