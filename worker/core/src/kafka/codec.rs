//! The codecs of record batches, and how a batch's records come out of them piece by piece.

use std::io::{self, Read};

use super::lz4::Lz4Frames;
use super::scratch::Scratch;
use super::snappy::Snappy;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy, in one piece or in the pieces of Kafka's Java client.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// The codec with this number in a batch's attributes.
    pub fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }
}

/// Decompresses a batch's records. Gives them out in pieces, so that a batch that grows a thousandfold takes no more memory
/// than one that does not.
pub enum Decompress<'a> {
    /// gzip.
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    /// Snappy.
    Snappy(Snappy<'a>),
    /// LZ4.
    Lz4(Lz4Frames<'a>),
    /// Zstandard.
    Zstd(Box<zstd::Decoder<'static, &'a [u8]>>),
}

impl<'a> Decompress<'a> {
    /// Of these bytes; nothing where the codec leaves them as they are.
    pub fn new(codec: Codec, bytes: &'a [u8]) -> io::Result<Option<Self>> {
        Ok(Some(match codec {
            Codec::None => return Ok(None),
            Codec::Gzip => Self::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(bytes))),
            Codec::Snappy => Self::Snappy(Snappy::new(bytes)),
            Codec::Lz4 => Self::Lz4(Lz4Frames::new(bytes)),
            Codec::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(bytes)?;
                decoder.window_log_max(LARGEST_ZSTD_WINDOW)?;
                Self::Zstd(Box::new(decoder))
            }
        }))
    }

    /// Appends the next piece to `out`, about `room` bytes; answers whether there was one.
    pub fn append(&mut self, out: &mut Scratch, room: usize) -> io::Result<bool> {
        let before = out.filled().len();
        match self {
            Self::Gzip(reader) => append(reader, out, room)?,
            Self::Snappy(snappy) => snappy.append(out)?,
            Self::Lz4(frames) => frames.append(out, room)?,
            Self::Zstd(reader) => append(reader, out, room)?,
        }
        Ok(out.filled().len() > before)
    }
}

/// As the zstd program has it by default: 128 MiB, so that a batch cannot ask for more.
const LARGEST_ZSTD_WINDOW: u32 = 27;

fn append(reader: &mut impl Read, out: &mut Scratch, room: usize) -> io::Result<()> {
    let mut left = room;
    while left > 0 {
        match reader.read(out.room(left)) {
            Ok(0) => break,
            Ok(n) => {
                out.advance(n);
                left -= n;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The error of compressed bytes that are none.
pub fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
