//! LZ4 frames: read block by block into the caller's memory, so that a block is decompressed where its records will be
//! read; and written.
//!
//! Layout: magic number, flags, block size, optionally the content's size and a dictionary's id, checksum of these; then
//! blocks, each behind its length, until a length of 0; optionally a checksum of all. The batch's own CRC-32C covers
//! the bytes, so LZ4's checksums are passed over. Source: "LZ4 Frame Format Description", version 1.6.

use std::io;

use super::codec::invalid;
use super::scratch::Scratch;

const MAGIC: u32 = 0x184d_2204;

/// How far back a block may refer.
const WINDOW: usize = 64 << 10;

/// The head of frames that are written: version 1, blocks on their own, of at most 64 KiB, and the checksum of these two
/// bytes. Kafka reads no blocks that refer to one another.
const HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];

/// Rows look like those just before them: small blocks do, and their table fits a processor's nearest cache.
const BLOCK: usize = 64 << 10;

/// The most bytes that a block of `BLOCK` can get: `LZ4_compressBound`.
const LARGEST_PACKED: usize = BLOCK + BLOCK / 255 + 16;

/// The bit of a block's length that says that its bytes are as they were.
const IS_PLAIN: u32 = 0x8000_0000;

/// Writes a frame of `plain` behind what is there.
pub fn write(plain: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEAD);
    let mut room = vec![0; LARGEST_PACKED];
    for block in plain.chunks(BLOCK) {
        // Faster modes are none here: rows have matches everywhere, and only more bytes come of it.
        let packed = lz4::block::compress_to_buffer(block, None, false, &mut room).ok();
        let packed = packed
            .and_then(|n| room.get(..n))
            .filter(|packed| packed.len() < block.len());
        let (length, bytes) = match packed {
            Some(packed) => (packed.len() as u32, packed),
            None => (block.len() as u32 | IS_PLAIN, block),
        };
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&[0; 4]);
}

/// Frames behind each other.
pub struct Lz4Frames<'a> {
    rest: &'a [u8],
    frame: Option<Frame>,
    /// The end of what came before, where blocks refer to it.
    window: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Frame {
    largest_block: usize,
    /// Whether a block refers to those before it.
    is_linked: bool,
    has_block_checksums: bool,
    has_checksum: bool,
}

impl<'a> Lz4Frames<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            frame: None,
            window: Vec::new(),
        }
    }

    /// Appends blocks until there are about `room` bytes more, or none is left.
    pub fn append(&mut self, out: &mut Scratch, room: usize) -> io::Result<()> {
        let enough = out.filled().len().saturating_add(room);
        while out.filled().len() < enough && (self.frame.is_some() || !self.rest.is_empty()) {
            match self.frame {
                None => {
                    self.frame = Some(self.header()?);
                    self.window.clear();
                }
                Some(frame) => self.block(frame, out)?,
            }
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<Frame> {
        if self.int()? != MAGIC {
            return Err(invalid());
        }
        let [flags, sizes] = *self.take(2)? else {
            return Err(invalid());
        };
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let largest_block = match (sizes >> 4) & 0b111 {
            code @ 4..=7 => 1 << (8 + 2 * code),
            _ => return Err(invalid()),
        };
        let has_dictionary = flag(0);
        if flags >> 6 != 1 || has_dictionary {
            return Err(invalid());
        }
        let content_size = if flag(3) { 8 } else { 0 };
        self.take(content_size + 1)?;
        Ok(Frame {
            largest_block,
            is_linked: !flag(5),
            has_block_checksums: flag(4),
            has_checksum: flag(2),
        })
    }

    fn block(&mut self, frame: Frame, out: &mut Scratch) -> io::Result<()> {
        let length = self.int()?;
        if length == 0 {
            self.frame = None;
            return self.take(if frame.has_checksum { 4 } else { 0 }).map(drop);
        }
        let is_plain = length & IS_PLAIN != 0;
        let length = (length & !IS_PLAIN) as usize;
        if length > frame.largest_block {
            return Err(invalid());
        }
        let block = self.take(length)?;
        if frame.has_block_checksums {
            self.take(4)?;
        }
        let before = out.filled().len();
        if is_plain {
            out.extend(block);
        } else {
            let room = out.room(frame.largest_block);
            let n = if frame.is_linked {
                lz4_flex::block::decompress_into_with_dict(block, room, &self.window).map_err(|_| invalid())?
            } else {
                // LZ4's own library, half as fast again; it has no safe word for blocks that are linked.
                let most = i32::try_from(room.len()).map_err(|_| invalid())?;
                lz4::block::decompress_to_buffer(block, Some(most), room)?
            };
            out.advance(n);
        }
        if frame.is_linked {
            self.remember(&out.filled()[before..]);
        }
        Ok(())
    }

    fn remember(&mut self, block: &[u8]) {
        let kept = WINDOW.saturating_sub(block.len()).min(self.window.len());
        self.window.drain(..self.window.len() - kept);
        self.window
            .extend_from_slice(&block[block.len().saturating_sub(WINDOW)..]);
    }

    fn int(&mut self) -> io::Result<u32> {
        self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| invalid())
    }

    fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let (front, rest) = self.rest.split_at_checked(n).ok_or_else(invalid)?;
        self.rest = rest;
        Ok(front)
    }
}
