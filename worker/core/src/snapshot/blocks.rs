//! Files of blocks: what a capture holds by key.
//!
//! A file is its magic number and then frames: length, packed length, and blocks packed by LZ4. A block is its place, the
//! hashes of its rows' keys, and its rows. The hash is that which chose the partition of the records that the row is made
//! of: by it a row finds its shard when the number of partitions changes. The file's checksum stands in the manifest.

use lz4::block::CompressionMode;

use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{put_bytes, put_i64, put_u64, take_bytes, take_i64, take_slice, take_u64};
use crate::capture::{BlockId, Row, rows};
use crate::engine::PlacedBlock;

const MAGIC: &[u8; 8] = b"tocsinB1";

/// Bytes of a frame, before it is packed.
const FRAME: usize = 1 << 20;

/// Rows are alike: looked at less closely they take 0.2% more.
const PACKING: CompressionMode = CompressionMode::FAST(4);

/// A frame that claims to be larger is none: a block may be as large as the state of 128 keys.
const LARGEST_FRAME: usize = 1 << 30;

const CORRUPT: CorruptState = CorruptState {
    what: "a file of blocks",
};

/// Writes a file of blocks.
#[derive(Debug)]
pub struct BlockWriter {
    bytes: Vec<u8>,
    frame: Vec<u8>,
    /// Takes what is packed.
    room: Vec<u8>,
}

impl Default for BlockWriter {
    fn default() -> Self {
        Self {
            bytes: MAGIC.to_vec(),
            frame: Vec::with_capacity(FRAME),
            room: Vec::new(),
        }
    }
}

impl BlockWriter {
    /// Adds a block. `hashes` has one for each row, or is empty if none is known.
    pub fn add(&mut self, placed: &PlacedBlock, hashes: &[u32]) {
        let PlacedBlock { stage, step, block } = placed;
        let out = &mut self.frame;
        for number in [*stage, *step, block.id.table, block.id.number] {
            put_u64(out, u64::from(number));
        }
        put_i64(out, block.id.window);
        put_u64(out, hashes.len() as u64);
        hashes.iter().for_each(|hash| out.extend(hash.to_le_bytes()));
        put_bytes(out, &block.bytes);
        if out.len() >= FRAME {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let most = self.frame.len() + self.frame.len() / 255 + 16;
        if self.room.len() < most {
            self.room.resize(most, 0);
        }
        // LZ4's own library packs faster, and fails for nothing that a frame can be.
        let packed = lz4::block::compress_to_buffer(&self.frame, Some(PACKING), false, &mut self.room);
        let other = match packed {
            Ok(_) => Vec::new(),
            Err(_) => lz4_flex::block::compress(&self.frame),
        };
        let packed = packed.ok().and_then(|length| self.room.get(..length)).unwrap_or(&other);
        for length in [self.frame.len(), packed.len()] {
            self.bytes.extend((length as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(packed);
        self.frame.clear();
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.frame.len()
    }

    /// Whether it holds no block.
    pub fn is_empty(&self) -> bool {
        self.len() == MAGIC.len()
    }

    /// The file.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.frame.is_empty() {
            self.pack();
        }
        self.bytes
    }
}

/// A block of a file.
#[derive(Clone, Debug)]
pub struct ReadBlock<'a> {
    /// Number of the stage and of its step, and which block it is.
    pub place: (u32, u32, BlockId),
    /// Its rows.
    pub rows: Vec<Row<'a>>,
    /// The hash of each row's key; none where it is not known.
    pub hashes: Option<Vec<u32>>,
}

/// Calls `visit` for each block of a file.
///
/// # Errors
/// If the bytes are none, or as `visit` has it.
pub fn read_blocks<E: From<CorruptState>>(
    file: &[u8],
    mut visit: impl FnMut(ReadBlock<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = file.strip_prefix(MAGIC).ok_or(CORRUPT)?;
    let mut room = Vec::new();
    while !rest.is_empty() {
        let mut length = || -> Result<usize, CorruptState> {
            let bytes = take_slice(&mut rest, 4, CORRUPT.what)?;
            Ok(bytes.try_into().map_or(0, u32::from_le_bytes) as usize)
        };
        let (raw, packed) = (length()?, length()?);
        if raw > LARGEST_FRAME {
            return Err(CORRUPT.into());
        }
        let packed = take_slice(&mut rest, packed, CORRUPT.what)?;
        if room.len() < raw {
            room.resize(raw, 0);
        }
        let unpacked = lz4::block::decompress_to_buffer(packed, i32::try_from(raw).ok(), &mut room);
        let mut frame = room
            .get(..raw)
            .filter(|_| unpacked.is_ok_and(|n| n == raw))
            .ok_or(CORRUPT)?;
        while !frame.is_empty() {
            visit(read_block(&mut frame)?)?;
        }
    }
    Ok(())
}

fn read_block<'a>(bytes: &mut &'a [u8]) -> Result<ReadBlock<'a>, CorruptState> {
    let mut number = || take_u64(bytes, CORRUPT.what).and_then(|number| u32::try_from(number).map_err(|_| CORRUPT));
    let (stage, step, table, number) = (number()?, number()?, number()?, number()?);
    let window = take_i64(bytes, CORRUPT.what)?;
    let n_hashes = take_u64(bytes, CORRUPT.what)?;
    let size = usize::try_from(n_hashes).ok().and_then(|n| n.checked_mul(4));
    let hashes = take_slice(bytes, size.ok_or(CORRUPT)?, CORRUPT.what)?;
    let hashes: Vec<u32> = hashes
        .chunks_exact(4)
        .map(|hash| hash.try_into().map_or(0, u32::from_le_bytes))
        .collect();
    let rows = rows(take_bytes(bytes, CORRUPT.what)?)?;
    if !hashes.is_empty() && hashes.len() != rows.len() {
        return Err(CORRUPT);
    }
    let id = BlockId { table, window, number };
    Ok(ReadBlock {
        place: (stage, step, id),
        hashes: (hashes.len() == rows.len()).then_some(hashes),
        rows,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::capture::{Block, RowWriter};

    fn block(number: u32, keys: &[(u32, Vec<u8>)]) -> PlacedBlock {
        let mut rows = RowWriter::default();
        for (id, key) in keys {
            rows.row(*id, key, |out| out.extend(id.to_le_bytes()));
        }
        let block = rows.into_block(BlockId {
            table: 1,
            window: -7,
            number,
        });
        PlacedBlock {
            stage: 3,
            step: 1,
            block,
        }
    }

    type Hashed = (PlacedBlock, Option<Vec<u32>>);

    fn read(file: &[u8]) -> Result<Vec<Hashed>, CorruptState> {
        let mut blocks = Vec::new();
        read_blocks(file, |read| {
            let (stage, step, id) = read.place;
            let mut rows = RowWriter::default();
            for row in &read.rows {
                rows.row(row.id, row.key, |out| out.extend(row.state));
            }
            let block: Block = rows.into_block(id);
            blocks.push((PlacedBlock { stage, step, block }, read.hashes));
            Ok::<_, CorruptState>(())
        })?;
        Ok(blocks)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(blocks in prop::collection::vec(
            (prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 1..200), any::<bool>()), 0..60
        )) {
            let mut writer = BlockWriter::default();
            let mut expected = Vec::new();
            for (number, (keys, hashed)) in blocks.iter().enumerate() {
                let placed = block(number as u32, keys);
                let hashes: Vec<u32> = if *hashed { keys.iter().map(|(id, _)| id ^ 5).collect() } else { Vec::new() };
                writer.add(&placed, &hashes);
                expected.push((placed, hashed.then_some(hashes)));
            }
            prop_assert_eq!(read(&writer.finish()).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_blocks_or_an_error(bytes: Vec<u8>, magic: bool) {
            let file = if magic { [MAGIC.as_slice(), &bytes].concat() } else { bytes };
            let _ = read(&file);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let mut writer = BlockWriter::default();
        writer.add(&block(0, &[(1, b"a".to_vec()), (2, b"b".to_vec())]), &[]);
        let file = writer.finish();
        for end in 0..file.len() {
            // Only behind the magic number, where no frame has begun, is nothing missing.
            assert_eq!(read(&file[..end]).is_ok(), end == MAGIC.len(), "{end}");
        }
    }
}
