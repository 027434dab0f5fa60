//! Snappy: one block (librdkafka), or blocks behind a header (Kafka's Java client, after the library snappy-java).

use std::io;

use super::codec::invalid;
use super::scratch::Scratch;

/// In front of the blocks of snappy-java; two version numbers of four bytes follow.
const JAVA_MAGIC: &[u8] = b"\x82SNAPPY\0";
const JAVA_HEADER_BYTES: usize = 16;

/// What one byte of Snappy becomes at most: a copy of 64 bytes takes three. A block that claims more is none.
const MOST_GROWTH: usize = 22;

/// A batch's records.
pub struct Snappy<'a> {
    rest: &'a [u8],
    in_blocks: bool,
}

impl<'a> Snappy<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let in_blocks = bytes.starts_with(JAVA_MAGIC) && bytes.len() >= JAVA_HEADER_BYTES;
        let rest = if in_blocks { &bytes[JAVA_HEADER_BYTES..] } else { bytes };
        Self { rest, in_blocks }
    }

    /// Appends the next block that is not empty, if one is left.
    pub fn append(&mut self, out: &mut Scratch) -> io::Result<()> {
        let before = out.filled().len();
        while !self.rest.is_empty() && out.filled().len() == before {
            let block = self.next_block()?;
            let size = snap::raw::decompress_len(block).map_err(|_| invalid())?;
            if size > block.len().saturating_mul(MOST_GROWTH) {
                return Err(invalid());
            }
            let n = snap::raw::Decoder::new().decompress(block, out.room(size));
            out.advance(n.map_err(|_| invalid())?);
        }
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<&'a [u8]> {
        if !self.in_blocks {
            return Ok(std::mem::take(&mut self.rest));
        }
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or_else(invalid)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, rest) = rest.split_at_checked(length).ok_or_else(invalid)?;
        self.rest = rest;
        Ok(block)
    }
}
