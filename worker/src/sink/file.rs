//! A file of JSON lines; by its name `.gz` or `.zst` compressed.
//!
//! The file is emptied at the start and grows while results come, so that it can be followed as it grows. It is not
//! put in place at the end: after a crash it holds what was flushed.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::error::SinkError;
use super::lines::Lines;
use super::{EncodedRows, Sink};

/// Writes rows to a file.
pub struct FileSink {
    target: String,
    lines: Lines<Encoder>,
}

/// What stands between the lines and the file.
enum Encoder {
    Plain(File),
    Gzip(flate2::write::GzEncoder<File>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
}

impl FileSink {
    /// Makes the file, or empties it if it exists.
    ///
    /// # Errors
    /// If its folder does not exist, or it may not be written.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let file = File::create(path).map_err(|error| SinkError::creating(path, error))?;
        let target = path.display().to_string();
        let encoder = match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Encoder::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::default())),
            Some("zst") => {
                let encoder = zstd::stream::write::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL);
                Encoder::Zstd(encoder.map_err(|error| SinkError::writing(&target, error))?)
            }
            _ => Encoder::Plain(file),
        };
        Ok(Self {
            target,
            lines: Lines::new(encoder),
        })
    }
}

impl Sink for FileSink {
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError> {
        rows.iter()
            .try_for_each(|row| self.lines.push(&[row]))
            .map_err(|error| SinkError::writing(&self.target, error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.lines
            .flush()
            .map_err(|error| SinkError::writing(&self.target, error))
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        let Self { target, lines } = *self;
        lines
            .into_writer()
            .and_then(Encoder::finish)
            .map_err(|error| SinkError::writing(&target, error))
    }
}

impl Encoder {
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Gzip(encoder) => encoder.finish()?.flush(),
            Self::Zstd(encoder) => encoder.finish()?.flush(),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
