//! Record batches as a producer makes them: format 2, LZ4.

use super::batch::{self, Fields, HEADER_BYTES};
use super::lz4;
use super::record::{self, Frame};

/// Fewer bytes than this are not worth a frame.
const LEAST_COMPRESSED: usize = 256;

/// Attributes of a batch: LZ4, and that it belongs to a transaction.
const LZ4: i16 = 3;
const TRANSACTIONAL: i16 = 0b1_0000;

/// Headers of a record that has none.
const NO_HEADERS: &[u8] = &[0];

/// Who writes, as brokers count what a producer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its number; -1 if nothing is counted.
    pub id: i64,
    /// Which of the producers that had this number it is.
    pub epoch: i16,
    /// Whether what it writes belongs to its transaction.
    pub is_transactional: bool,
}

impl Producer {
    /// A producer that brokers do not count; its batches have the sequence -1.
    pub const NOBODY: Self = Self {
        id: -1,
        epoch: -1,
        is_transactional: false,
    };
}

/// Records that are collected for a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchWriter {
    /// As they stand in a batch that is not compressed.
    records: Vec<u8>,
    n_records: i32,
}

impl BatchWriter {
    /// Adds a record; `headers` are their count and each of them, as they stand in a record
    /// ([`encode_headers`](super::encode_headers)).
    pub fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, headers: Option<&[u8]>) {
        let framed = Frame {
            timestamp_delta: 0,
            offset_delta: i64::from(self.n_records),
            key,
            value,
            headers: headers.unwrap_or(NO_HEADERS),
        };
        record::put(&mut self.records, &framed);
        self.n_records += 1;
    }

    /// How many records there are.
    pub fn n_records(&self) -> i32 {
        self.n_records
    }

    /// Bytes of the records, before they are compressed.
    pub fn n_bytes(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.n_records == 0
    }

    /// The batch, compressed if that makes it smaller. `sequence` is the number of its first record among all that the producer
    /// has written to the partition in its epoch; `millis` the time of all, in milliseconds since 1970.
    pub fn batch(&self, producer: Producer, sequence: i32, millis: i64) -> Vec<u8> {
        // Room for what rows come to.
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.records.len() / 2);
        bytes.resize(HEADER_BYTES, 0);
        let mut is_compressed = self.records.len() >= LEAST_COMPRESSED;
        if is_compressed {
            lz4::write(&self.records, &mut bytes);
            is_compressed = bytes.len() < HEADER_BYTES + self.records.len();
        }
        if !is_compressed {
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&self.records);
        }
        let transactional = if producer.is_transactional { TRANSACTIONAL } else { 0 };
        let fields = Fields {
            base_offset: 0,
            leader_epoch: -1,
            attributes: transactional | if is_compressed { LZ4 } else { 0 },
            last_delta: self.n_records - 1,
            timestamp: millis,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            sequence,
            n_records: self.n_records,
        };
        batch::put_header(&mut bytes, &fields);
        bytes
    }

    /// Its halves; nothing if it is one record.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let (mut first, mut second) = (Self::default(), Self::default());
        let mut rest = self.records.as_slice();
        while let Some(frame) = record::take(&mut rest).and_then(record::parse) {
            let is_full = first.n_records >= self.n_records / 2;
            let half = if is_full { &mut second } else { &mut first };
            half.push(frame.key, frame.value, Some(frame.headers));
        }
        (!first.is_empty() && !second.is_empty()).then_some((first, second))
    }

    /// How much memory it keeps, in bytes.
    pub fn capacity(&self) -> usize {
        self.records.capacity()
    }

    /// Forgets the records, and keeps their memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.n_records = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::io::Read as _;

    use bytes::Bytes;
    use kafka_protocol::records::{Compression, Record, RecordBatchDecoder};
    use lz4_flex::frame::FrameDecoder;

    use super::*;

    const PRODUCER: Producer = Producer {
        id: 7,
        epoch: 3,
        is_transactional: true,
    };

    /// Another implementation of the format reads a batch.
    fn read(batch: Vec<u8>) -> Vec<Record> {
        let unpack = |packed: &mut Bytes, codec| {
            let mut plain = Vec::new();
            match codec {
                Compression::None => plain.extend_from_slice(packed),
                Compression::Lz4 => drop(FrameDecoder::new(&packed[..]).read_to_end(&mut plain)?),
                other => panic!("{other:?}"),
            }
            Ok(Bytes::from(plain))
        };
        let decoded = RecordBatchDecoder::decode_with_custom_compression(&mut Bytes::from(batch), Some(unpack));
        decoded.unwrap().records
    }

    fn check(values: &[&[u8]], is_compressed: bool) {
        let mut writer = BatchWriter::default();
        let headers = record::encode_headers([(b"h".as_slice(), Some(b"1".as_slice())), (b"none", None)].into_iter());
        for (i, value) in values.iter().enumerate() {
            match i % 3 {
                0 => writer.push(None, Some(value), None),
                1 => writer.push(Some(b"key"), Some(value), Some(&headers)),
                _ => writer.push(Some(b""), None, None),
            }
        }
        let batch = writer.batch(PRODUCER, 41, 1_767_225_600_000);
        assert_eq!(batch[22] & 7 == 3, is_compressed);
        let records = read(batch);
        assert_eq!(records.len(), values.len());
        for (i, (record, value)) in records.iter().zip(values).enumerate() {
            let (key, value, n_headers) = match i % 3 {
                0 => (None, Some(*value), 0),
                1 => (Some(b"key".as_slice()), Some(*value), 2),
                _ => (Some(b"".as_slice()), None, 0),
            };
            assert_eq!((record.key.as_deref(), record.value.as_deref()), (key, value));
            assert_eq!(record.headers.len(), n_headers);
            assert_eq!((record.offset, record.sequence), (i as i64, 41 + i as i32));
            assert_eq!((record.producer_id, record.producer_epoch), (7, 3));
            assert!(record.transactional && !record.control);
            assert_eq!(record.timestamp, 1_767_225_600_000);
        }
    }

    #[test]
    fn what_is_written_another_reader_reads() {
        check(&[b"one"], false);
        check(&[b"", b"two", b"three", b"four"], false);
        let alike = [[b'x'; 300].as_slice(); 1_000];
        check(&alike, true);
        // Noise gets no smaller.
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..150_000).map(|_| next()).collect();
        check(&[&noise[..600]], false);
        // Some blocks do, and others do not.
        check(&[[b'x'; 200_000].as_slice(), &noise, &[b'y'; 100_000]], true);
    }

    #[test]
    fn a_batch_falls_into_halves_until_it_is_one_record() {
        let mut writer = BatchWriter::default();
        for i in 0..5_u8 {
            writer.push(Some(&[i]), Some(&[i; 3]), None);
        }
        let (first, second) = writer.halves().unwrap();
        assert_eq!((first.n_records(), second.n_records()), (2, 3));
        let batch = second.batch(PRODUCER, 0, 0);
        let records = read(batch);
        let keys: Vec<u8> = records.iter().map(|record| record.key.as_deref().unwrap()[0]).collect();
        assert_eq!(keys, [2, 3, 4]);
        assert_eq!(records[2].offset, 2);
        let (one, _) = first.halves().unwrap();
        assert!(one.halves().is_none());
    }
}
