//! Plain, gzip or zstd: told apart by the first bytes, never by a name.
//!
//! Several gzip members or zstd frames behind each other are one stream. Formats that are not read (xz, zip, UTF-16, …)
//! are recognised, so that they give one error instead of a dead letter per line.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Compression;

/// How much is read from the system at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A stream of plain bytes.
pub(super) enum Stream<R: Read> {
    /// Not compressed.
    Plain(Plain<R>),
    /// Compressed.
    Compressed(Compression, Box<dyn Read + Send>),
}

/// Why a stream of bytes is not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// In a format that is not read: what it is, and what to do.
    Format(&'static str, &'static str),
    /// Reading failed.
    Io(io::Error),
}

/// What the first bytes of a stream say.
#[derive(Clone, Copy)]
enum Format {
    /// It is read.
    Read(Compression),
    /// It is not read: what it is, and what to do.
    NotRead(&'static str, &'static str),
}

/// First bytes of what is compressed, and of what is not read.
const MAGICS: [(&[u8], Format); 8] = [
    (&[0x1f, 0x8b], Format::Read(Compression::Gzip)),
    (&[0x28, 0xb5, 0x2f, 0xfd], Format::Read(Compression::Zstd)),
    (b"\xfd7zXZ\0", Format::NotRead("compressed with xz", UNPACK)),
    (b"PK\x03\x04", Format::NotRead("a zip archive", UNPACK)),
    (b"\x04\x22\x4d\x18", Format::NotRead("compressed with lz4", UNPACK)),
    (
        b"PAR1",
        Format::NotRead("a Parquet file", "export it as JSON lines or CSV first"),
    ),
    (
        b"\xff\xfe",
        Format::NotRead("text in UTF-16", "convert it to UTF-8 first"),
    ),
    (
        b"\xfe\xff",
        Format::NotRead("text in UTF-16", "convert it to UTF-8 first"),
    ),
];

const UNPACK: &str = "unpack it first (gzip, zstd and plain files are read)";

/// Behind its first byte (0x50 to 0x5f), the magic of a skippable frame, which may stand in front of zstd's first one.
const SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

/// The format that these first bytes belong to.
fn format_of(first: &[u8]) -> Option<Format> {
    match first {
        [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPABLE) => Some(Format::Read(Compression::Zstd)),
        _ => MAGICS
            .iter()
            .find(|(magic, _)| first.starts_with(magic))
            .map(|(_, format)| *format),
    }
}

/// Whether these bytes are the beginning of a magic.
fn may_become_magic(first: &[u8]) -> bool {
    let is_skippable = match first {
        [0x50..=0x5f, rest @ ..] => rest.len() < SKIPPABLE.len() && SKIPPABLE.starts_with(rest),
        _ => false,
    };
    is_skippable
        || MAGICS
            .iter()
            .any(|(magic, _)| magic.len() > first.len() && magic.starts_with(first))
}

/// Reads the first bytes and finds out what the stream is. The counter shows how many bytes were taken from `inner`.
pub(super) fn open<R: Read + Send + 'static>(mut inner: R, taken: Arc<AtomicU64>) -> Result<Stream<R>, NotTaken> {
    let first = first_bytes(&mut inner).map_err(NotTaken::Io)?;
    let compression = match format_of(&first) {
        Some(Format::NotRead(found, advice)) => return Err(NotTaken::Format(found, advice)),
        Some(Format::Read(compression)) => compression,
        None => {
            return Ok(Stream::Plain(Plain {
                first: io::Cursor::new(first),
                inner,
                taken,
            }));
        }
    };
    // Counted behind the buffer, so that the count is the decompressor's exact place.
    let buffered = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(first).chain(inner));
    let counted = Counted { inner: buffered, taken };
    let plain: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(counted).map_err(NotTaken::Io)?),
    };
    Ok(Stream::Compressed(compression, plain))
}

/// Reads on while the bytes could still become a magic; the end may come before.
fn first_bytes(inner: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(8);
    while may_become_magic(&first) {
        let mut byte = [0];
        match inner.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => first.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(first)
}

impl<R: Read> Stream<R> {
    /// How the stream is compressed, if it is.
    pub(super) fn compression(&self) -> Option<Compression> {
        match self {
            Self::Plain(_) => None,
            Self::Compressed(compression, _) => Some(*compression),
        }
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(out),
            Self::Compressed(_, inner) => inner.read(out),
        }
    }
}

/// A reader whose first bytes were looked at.
pub(super) struct Plain<R> {
    first: io::Cursor<Vec<u8>>,
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Plain<R> {
    /// Appends up to `limit` bytes. The reader itself sees the room behind the bytes, so that a file is read there
    /// without anything being written before.
    pub(super) fn append(&mut self, bytes: &mut Vec<u8>, limit: u64) -> io::Result<usize> {
        let n = (&mut self.first).take(limit).read_to_end(bytes)?;
        let n = n + (&mut self.inner).take(limit - n as u64).read_to_end(bytes)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = match self.first.read(out)? {
            0 => self.inner.read(out)?,
            n => n,
        };
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Counts the bytes that are taken out of a reader.
pub(super) struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        self.inner.consume(n);
    }
}
