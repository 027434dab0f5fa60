//! Lines to a writer through a buffer that is handed on in whole lines.

use std::io::{self, Write};

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 << 10;

/// Gathers lines. What reaches the writer ends with a line end, except after an error of the writer.
pub(crate) struct Lines<W> {
    writer: W,
    buffer: Vec<u8>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self {
            writer,
            buffer: Vec::with_capacity(BUFFER_BYTES + 4096),
        }
    }

    /// Adds a line of these parts and a line end.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES {
            self.hand_on()
        } else {
            Ok(())
        }
    }

    /// Writes what is gathered and flushes the writer.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.writer.flush()
    }

    /// The writer, after everything was written to it.
    pub(crate) fn into_writer(mut self) -> io::Result<W> {
        self.hand_on()?;
        Ok(self.writer)
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let result = self.writer.write_all(&self.buffer);
        // After an error nobody knows how much was written: the same bytes must not come twice.
        self.buffer.clear();
        result
    }
}
