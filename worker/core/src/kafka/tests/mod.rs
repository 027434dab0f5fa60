//! Fetch responses are written by another implementation of the format, and read by ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damaged;
mod framed;
mod large;
mod records;
mod transactions;

use std::io::Write;

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record as Written, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::*;
use crate::stream::Micros;

const SETTINGS: Settings = Settings {
    block_bytes: 1 << 20,
    record_limit: 1 << 20,
    head_bytes: 16,
};

/// Offset delta, key, value.
type SentRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// A batch as a producer sends it.
#[derive(Clone, Debug)]
struct Sent {
    codec: Codec,
    /// In the form of librdkafka: Snappy in one piece, LZ4 blocks that refer to those before.
    other_form: bool,
    producer: i64,
    transactional: bool,
    control: bool,
    base: i64,
    /// Key and value by offset delta; deltas ascend.
    records: Vec<SentRecord>,
    /// Delta of the last record before the log was compacted.
    last_delta: i64,
    timestamp: i64,
}

impl Sent {
    /// A batch of plain records with these values.
    fn of(codec: Codec, base: i64, values: &[&[u8]]) -> Self {
        let record = |(delta, value): (usize, &&[u8])| (delta as i64, None, Some(value.to_vec()));
        Self {
            codec,
            other_form: false,
            producer: -1,
            transactional: false,
            control: false,
            base,
            records: values.iter().enumerate().map(record).collect(),
            last_delta: values.len() as i64 - 1,
            timestamp: 1_700_000_000_000,
        }
    }

    fn next_offset(&self) -> i64 {
        self.base + self.last_delta + 1
    }

    fn bytes(&self) -> Vec<u8> {
        let record = |(delta, key, value): &SentRecord| Written {
            transactional: self.transactional,
            control: self.control,
            partition_leader_epoch: 3,
            producer_id: self.producer,
            producer_epoch: 0,
            delete_horizon: false,
            timestamp_type: TimestampType::Creation,
            offset: self.base + delta,
            sequence: *delta as i32,
            timestamp: self.timestamp + delta,
            key: key.clone().map(Bytes::from),
            value: value.clone().map(Bytes::from),
            headers: IndexMap::from([(StrBytes::from_static_str("trace"), Some(Bytes::from_static(b"7")))]),
        };
        let records: Vec<Written> = self.records.iter().map(record).collect();
        let options = RecordEncodeOptions {
            version: 2,
            compression: match self.codec {
                Codec::None => Compression::None,
                Codec::Gzip => Compression::Gzip,
                Codec::Snappy => Compression::Snappy,
                Codec::Lz4 => Compression::Lz4,
                Codec::Zstd => Compression::Zstd,
            },
        };
        let mut out = BytesMut::new();
        let compress = |plain: &mut BytesMut, out: &mut BytesMut, _| {
            out.extend_from_slice(&compress(self.codec, self.other_form, plain));
            Ok(())
        };
        RecordBatchEncoder::encode_with_custom_compression(&mut out, &records, &options, Some(compress)).unwrap();
        let mut out = out.to_vec();
        out[23..27].copy_from_slice(&(self.last_delta as i32).to_be_bytes());
        // Sequences that ascend with gaps are split by the writer; a compacted batch keeps its first.
        seal(&mut out);
        out
    }
}

/// Sets the checksum right.
fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn compress(codec: Codec, other_form: bool, plain: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => plain.to_vec(),
        Codec::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        }
        Codec::Zstd => zstd::encode_all(plain, 1).unwrap(),
        Codec::Lz4 => {
            use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
            let mode = if other_form {
                BlockMode::Linked
            } else {
                BlockMode::Independent
            };
            let info = FrameInfo::new()
                .block_mode(mode)
                .content_checksum(other_form)
                .block_checksums(other_form);
            let mut writer = FrameEncoder::with_frame_info(info, Vec::new());
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        }
        Codec::Snappy if other_form => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
        Codec::Snappy => {
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for piece in plain.chunks(32 << 10) {
                let piece = snap::raw::Encoder::new().compress_vec(piece).unwrap();
                out.extend_from_slice(&(piece.len() as u32).to_be_bytes());
                out.extend_from_slice(&piece);
            }
            out
        }
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq)]
struct Got {
    offset: i64,
    key: Option<Vec<u8>>,
    /// Of a record that was not taken: the cause.
    value: Result<Vec<u8>, crate::decode::Cause>,
    arrived: Option<Micros>,
}

/// Everything that is read, the position behind it, and the fault that ended it.
type Outcome = (Vec<Got>, i64, Option<CorruptBatch>);

fn read(response: &[u8], aborted: &[AbortedTransaction], from: i64, settings: Settings) -> Outcome {
    let mut reader = PartitionReader::new(settings);
    let mut reading = reader.read(response, aborted, from);
    let mut got = Vec::new();
    let mut position = from;
    loop {
        match reading.next_block() {
            Ok(Some(block)) => {
                assert!(block.next_offset > position, "reading goes on");
                position = block.next_offset;
                take(&block, &mut got);
            }
            Ok(None) => break,
            Err(fault) => {
                assert_eq!(reading.next_block().unwrap_err(), fault, "a fault stays");
                assert_eq!(reading.behind(), position);
                return (got, position, Some(fault));
            }
        }
    }
    assert_eq!(reading.behind(), position);
    (got, position, None)
}

fn take(block: &Block<'_>, got: &mut Vec<Got>) {
    let mut here: Vec<Got> = Vec::new();
    for (i, span) in block.records.spans.iter().enumerate() {
        let record = block.record(i);
        let value = &block.records.bytes[span.start..span.end];
        assert_eq!(record.value, Some(value));
        assert_eq!(record.headers.len(), 1);
        here.push(Got {
            offset: span.offset as i64,
            key: record.key.map(<[u8]>::to_vec),
            value: Ok(value.to_vec()),
            arrived: Some(block.arrived[i]),
        });
    }
    here.extend(block.unread.iter().map(|unread| Got {
        offset: unread.offset,
        key: None,
        value: Err(unread.cause.clone()),
        arrived: None,
    }));
    here.sort_by_key(|got| got.offset);
    got.extend(here);
}

/// Offsets of what is read, without a fault.
fn offsets(response: &[u8], aborted: &[AbortedTransaction], from: i64) -> (Vec<i64>, i64) {
    let (got, position, fault) = read(response, aborted, from, SETTINGS);
    assert_eq!(fault, None);
    (got.iter().map(|got| got.offset).collect(), position)
}

fn response(batches: &[Sent]) -> Vec<u8> {
    batches.iter().flat_map(Sent::bytes).collect()
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
