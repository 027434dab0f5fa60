//! Files of blocks: what a capture holds by key.
//!
//! A file is its magic number, how the keys of each stage find their partition, and then frames: length, packed length, and
//! blocks packed by LZ4. A block is its place and its rows. When the number of partitions changes a row finds its shard by
//! the hash that chose the partition of the records that it is made of: it is computed from the row's key when it is asked
//! for. Before manifests of format 7 they stood in front of a block's rows. The file's checksum stands in the manifest.

use lz4::block::CompressionMode;

use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{put_bytes, put_i64, put_u64, take_bytes, take_i64, take_slice, take_u64};
use crate::capture::{BlockId, Row, rows};
use crate::engine::PlacedBlock;
use crate::plan::placement::Placement;
use crate::state::{decode, encode};

const MAGIC: &[u8; 8] = b"tocsinB2";

/// That of files whose blocks have the hashes of their rows' keys.
const WITH_HASHES: &[u8; 8] = b"tocsinB1";

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
    /// Bytes in front of the first frame.
    n_heading: usize,
    frame: Vec<u8>,
    /// Takes what is packed.
    room: Vec<u8>,
}

impl BlockWriter {
    /// Begins a file. `placements` has for each stage how its keys find their partition, where that is known.
    pub fn new(placements: &[Option<Placement>]) -> Self {
        let mut bytes = MAGIC.to_vec();
        put_bytes(&mut bytes, &encode(&placements));
        Self {
            n_heading: bytes.len(),
            bytes,
            frame: Vec::with_capacity(FRAME),
            room: Vec::new(),
        }
    }

    /// Adds a block.
    pub fn add(&mut self, placed: &PlacedBlock) {
        let PlacedBlock { stage, step, block } = placed;
        let out = &mut self.frame;
        for number in [*stage, *step, block.id.table, block.id.number] {
            put_u64(out, u64::from(number));
        }
        put_i64(out, block.id.window);
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
        self.len() == self.n_heading
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
    hashes: Hashes<'a>,
}

/// Where the hashes of a block's keys come from.
#[derive(Clone, Debug)]
enum Hashes<'a> {
    /// From the keys; none where nobody knows how.
    OfKeys(Option<&'a Placement>),
    /// They stand in the block, four bytes each.
    Written(&'a [u8]),
}

impl ReadBlock<'_> {
    /// The hash of each row's key, as it chose the partition of the records that the row is made of; none where it is not known.
    pub fn hashes(&self) -> Option<Vec<u32>> {
        match &self.hashes {
            Hashes::OfKeys(placement) => Some((*placement)?.hashes(self.place.2.table, &self.rows)),
            Hashes::Written(hashes) => {
                let hashes = hashes.chunks_exact(4);
                Some(
                    hashes
                        .map(|hash| hash.try_into().map_or(0, u32::from_le_bytes))
                        .collect(),
                )
            }
        }
    }
}

/// Calls `visit` for each block of a file.
///
/// # Errors
/// If the bytes are none, or as `visit` has it.
pub fn read_blocks<E: From<CorruptState>>(
    file: &[u8],
    mut visit: impl FnMut(ReadBlock<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut rest, placements) = match file.strip_prefix(MAGIC) {
        Some(mut rest) => {
            let heading = take_bytes(&mut rest, CORRUPT.what)?;
            let placements: Vec<Option<Placement>> = decode(heading, CORRUPT.what)?;
            if !placements.iter().flatten().all(Placement::is_sound) {
                return Err(CORRUPT.into());
            }
            (rest, Some(placements))
        }
        None => (file.strip_prefix(WITH_HASHES).ok_or(CORRUPT)?, None),
    };
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
            visit(read_block(&mut frame, placements.as_deref())?)?;
        }
    }
    Ok(())
}

/// Reads a block; without `placements` it has the hashes of its keys.
fn read_block<'a>(
    bytes: &mut &'a [u8],
    placements: Option<&'a [Option<Placement>]>,
) -> Result<ReadBlock<'a>, CorruptState> {
    let mut number = || take_u64(bytes, CORRUPT.what).and_then(|number| u32::try_from(number).map_err(|_| CORRUPT));
    let (stage, step, table, number) = (number()?, number()?, number()?, number()?);
    let window = take_i64(bytes, CORRUPT.what)?;
    let written = match placements {
        Some(_) => &[],
        None => take_hashes(bytes)?,
    };
    let rows = rows(take_bytes(bytes, CORRUPT.what)?)?;
    let hashes = match placements {
        Some(placements) => Hashes::OfKeys(placements.get(stage as usize).and_then(Option::as_ref)),
        None if written.is_empty() && !rows.is_empty() => Hashes::OfKeys(None),
        None if written.len() == rows.len() * 4 => Hashes::Written(written),
        None => return Err(CORRUPT),
    };
    let id = BlockId { table, window, number };
    Ok(ReadBlock {
        place: (stage, step, id),
        rows,
        hashes,
    })
}

fn take_hashes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], CorruptState> {
    let n_hashes = take_u64(bytes, CORRUPT.what)?;
    let size = usize::try_from(n_hashes).ok().and_then(|n| n.checked_mul(4));
    take_slice(bytes, size.ok_or(CORRUPT)?, CORRUPT.what)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use tocsin_contract::pipeline::source::Partitioner;

    use super::*;
    use crate::capture::{Block, RowWriter};
    use crate::kafka::partitioner;

    /// Keys of stage 3's second table are texts of records that Kafka's own partitioner dealt out; those of its third have two
    /// columns.
    fn placements() -> Vec<Option<Placement>> {
        let table = |data_type| (vec![data_type], vec![0usize]);
        let of_two = (vec!["String", "Int64"], vec![1, 0]);
        let placement = encode(&(Partitioner::Murmur2, vec![table("Boolean"), table("String"), of_two]));
        vec![None, None, None, Some(decode(&placement, "a placement").unwrap())]
    }

    fn block(stage: u32, number: u32, keys: &[(u32, Vec<u8>)]) -> PlacedBlock {
        let mut rows = RowWriter::default();
        for (id, text) in keys {
            rows.row(*id, &[&[1], text.as_slice()].concat(), |out| {
                out.extend(id.to_le_bytes())
            });
        }
        let block = rows.into_block(BlockId {
            table: 1,
            window: -7,
            number,
        });
        PlacedBlock { stage, step: 1, block }
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
            blocks.push((PlacedBlock { stage, step, block }, read.hashes()));
            Ok::<_, CorruptState>(())
        })?;
        Ok(blocks)
    }

    /// A file as it was with hashes, of one frame.
    fn with_hashes(blocks: &[Hashed]) -> Vec<u8> {
        let mut frame = Vec::new();
        for (PlacedBlock { stage, step, block }, hashes) in blocks {
            for number in [*stage, *step, block.id.table, block.id.number] {
                put_u64(&mut frame, u64::from(number));
            }
            put_i64(&mut frame, block.id.window);
            let hashes = hashes.iter().flatten();
            put_u64(&mut frame, hashes.clone().count() as u64);
            hashes.for_each(|hash| frame.extend(hash.to_le_bytes()));
            put_bytes(&mut frame, &block.bytes);
        }
        let packed = lz4_flex::block::compress(&frame);
        let lengths = [frame.len(), packed.len()].map(|length| (length as u32).to_le_bytes());
        [WITH_HASHES.as_slice(), &lengths.concat(), &packed].concat()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(blocks in prop::collection::vec(
            (prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 1..200), 2u32..5), 0..60
        )) {
            let mut writer = BlockWriter::new(&placements());
            let mut expected = Vec::new();
            for (number, (keys, stage)) in blocks.iter().enumerate() {
                let placed = block(*stage, number as u32, keys);
                writer.add(&placed);
                let hashes = keys.iter().map(|(_, text)| partitioner::hash(Partitioner::Murmur2, text));
                expected.push((placed, (*stage == 3).then(|| hashes.collect())));
            }
            prop_assert_eq!(writer.is_empty(), blocks.is_empty());
            prop_assert_eq!(read(&writer.finish()).unwrap(), expected);
        }

        #[test]
        fn what_was_written_with_hashes_is_read(blocks in prop::collection::vec(
            (prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 1..200), any::<bool>()), 1..9
        )) {
            type Keys = (Vec<(u32, Vec<u8>)>, bool);
            let hashed = |(number, (keys, is_hashed)): (usize, &Keys)| {
                let hashes = keys.iter().map(|(id, _)| id ^ 5).collect();
                (block(3, number as u32, keys), is_hashed.then_some(hashes))
            };
            let blocks: Vec<Hashed> = blocks.iter().enumerate().map(hashed).collect();
            prop_assert_eq!(read(&with_hashes(&blocks)).unwrap(), blocks);
        }

        #[test]
        fn any_bytes_are_blocks_or_an_error(bytes: Vec<u8>, magic in 0..3) {
            let file = match magic {
                0 => [MAGIC.as_slice(), &bytes].concat(),
                1 => [WITH_HASHES.as_slice(), &bytes].concat(),
                _ => bytes,
            };
            let _ = read(&file);
        }

        /// Only their checksums say that they are others.
        #[test]
        fn blocks_with_other_bytes_in_them_are_blocks_or_an_error(at: prop::sample::Index, byte: u8, table in 0u32..4) {
            let mut writer = BlockWriter::new(&placements());
            let mut placed = block(3, 0, &[(1, b"a".to_vec()), (2, b"b".to_vec())]);
            placed.block.id.table = table;
            writer.add(&placed);
            let mut file = writer.finish();
            let at = at.index(file.len());
            file[at] = byte;
            let _ = read(&file);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let mut writer = BlockWriter::new(&placements());
        let empty = writer.len();
        writer.add(&block(0, 0, &[(1, b"a".to_vec()), (2, b"b".to_vec())]));
        let file = writer.finish();
        for end in 0..file.len() {
            // Only behind the heading, where no frame has begun, is nothing missing.
            assert_eq!(read(&file[..end]).is_ok(), end == empty, "{end}");
        }
    }
}
