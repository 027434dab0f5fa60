//! Record batches, as a producer makes them: format 2, lz4.
//!
//! The layout stands in `worker/core/src/kafka/batch.rs`, which reads it.

use std::io::Write as _;

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

/// Where the checksum is, and the first byte that it counts.
const CHECKSUM: usize = 17;
const CHECKED_FROM: usize = 21;

/// Where the time of the first record stands, and behind it that of the last.
const BASE_TIMESTAMP: usize = 27;
const LARGEST_TIMESTAMP: usize = 35;

/// Number of lz4 among codecs.
const LZ4: i16 = 3;

/// Records of a batch that is being made. All have the time of the batch.
#[derive(Debug, Default)]
pub struct Builder {
    records: Vec<u8>,
    record: Vec<u8>,
    n_records: i32,
}

impl Builder {
    /// Adds a record.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.record.clear();
        // Attributes, and how far the time is behind that of the batch.
        self.record.extend_from_slice(&[0, 0]);
        varint(&mut self.record, i64::from(self.n_records));
        for part in [key, value] {
            varint(&mut self.record, part.len() as i64);
            self.record.extend_from_slice(part);
        }
        // No headers.
        self.record.push(0);
        varint(&mut self.records, self.record.len() as i64);
        self.records.extend_from_slice(&self.record);
        self.n_records += 1;
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.n_records == 0
    }

    /// The batch, and an empty builder. Its time has yet to be set.
    pub fn finish(&mut self, is_compressed: bool) -> anyhow::Result<Vec<u8>> {
        let mut batch = Vec::with_capacity(self.records.len() / 2 + 64);
        batch.extend_from_slice(&0_i64.to_be_bytes());
        // The length is set below.
        batch.extend_from_slice(&0_i32.to_be_bytes());
        batch.extend_from_slice(&(-1_i32).to_be_bytes());
        batch.push(2);
        // The checksum too.
        batch.extend_from_slice(&0_u32.to_be_bytes());
        batch.extend_from_slice(&(if is_compressed { LZ4 } else { 0 }).to_be_bytes());
        batch.extend_from_slice(&(self.n_records - 1).to_be_bytes());
        batch.extend_from_slice(&[0; 16]);
        // No producer that counts its batches: id, epoch, sequence.
        batch.extend_from_slice(&(-1_i64).to_be_bytes());
        batch.extend_from_slice(&(-1_i16).to_be_bytes());
        batch.extend_from_slice(&(-1_i32).to_be_bytes());
        batch.extend_from_slice(&self.n_records.to_be_bytes());
        if is_compressed {
            let info = FrameInfo::new().block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, batch);
            encoder.write_all(&self.records)?;
            batch = encoder.finish()?;
        } else {
            batch.extend_from_slice(&self.records);
        }
        let length = i32::try_from(batch.len() - 12)?;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        self.records.clear();
        self.n_records = 0;
        Ok(batch)
    }
}

/// Sets the time of all records of a batch, in milliseconds since 1970, and its checksum.
pub fn set_time(batch: &mut [u8], millis: i64) {
    for at in [BASE_TIMESTAMP, LARGEST_TIMESTAMP] {
        batch[at..at + 8].copy_from_slice(&millis.to_be_bytes());
    }
    let checksum = crc32c::crc32c(&batch[CHECKED_FROM..]);
    batch[CHECKSUM..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
}

/// A number of variable length, as Kafka has it: zigzag, least bits first.
fn varint(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_batch_has_the_checksum_and_the_length_that_readers_expect() {
        for is_compressed in [false, true] {
            let mut builder = Builder::default();
            builder.push(b"key", b"value");
            builder.push(b"", &[7; 300]);
            let mut batch = builder.finish(is_compressed).unwrap();
            set_time(&mut batch, 1_767_225_600_000);
            let checksum = u32::from_be_bytes(batch[CHECKSUM..CHECKED_FROM].try_into().unwrap());
            assert_eq!(checksum, crc32c::crc32c(&batch[CHECKED_FROM..]));
            let length = i32::from_be_bytes(batch[8..12].try_into().unwrap());
            assert_eq!(length as usize, batch.len() - 12);
            let mut records = Vec::new();
            if is_compressed {
                let mut decoder = lz4_flex::frame::FrameDecoder::new(&batch[61..]);
                decoder.read_to_end(&mut records).unwrap();
            } else {
                records.extend_from_slice(&batch[61..]);
            }
            // Length 14, attributes, time, offset 0, key of 3 bytes, value of 5 bytes, no headers.
            assert_eq!(&records[..15], b"\x1c\0\0\0\x06key\x0avalue\0", "{records:?}");
            assert!(builder.is_empty());
        }
    }
}
