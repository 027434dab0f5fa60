//! Where results go: a file, standard output, memory, or nowhere.
//!
//! A sink writes rows that are already encoded, one JSON object each, in the order in which they come. It decides
//! nothing about them.

mod error;
mod file;
mod lines;
mod memory;
mod null;
mod stdout;

pub use self::error::SinkError;
pub use self::file::FileSink;
pub(crate) use self::lines::Lines;
pub use self::memory::{MemorySink, WrittenRows};
pub use self::null::NullSink;
pub use self::stdout::{SharedStdout, StdoutSink};

/// Rows of one stream: JSON objects behind each other, without line ends in or between them.
#[derive(Clone, Copy, Debug)]
pub struct EncodedRows<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// The rows' bytes.
    pub bytes: &'a [u8],
    /// Where each row ends: one behind its last byte. The first begins at 0, every other where the one before ends.
    pub ends: &'a [usize],
}

impl<'a> EncodedRows<'a> {
    /// The rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.ends.iter().scan(0, move |start, end| {
            let row = bytes.get(*start..*end).unwrap_or_default();
            *start = *end;
            Some(row)
        })
    }
}

/// Takes rows out.
pub trait Sink: Send {
    /// Takes rows. They may stay in memory until [`Sink::flush`].
    ///
    /// # Errors
    /// If they cannot be written; [`SinkError::Closed`] if nobody wants them any more.
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError>;

    /// Brings everything that was taken to its place.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn flush(&mut self) -> Result<(), SinkError>;

    /// Flushes and ends the sink. A compressed file is whole only after this.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn close(self: Box<Self>) -> Result<(), SinkError>;
}

#[cfg(test)]
mod tests;
