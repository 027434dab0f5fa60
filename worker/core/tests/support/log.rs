//! The log of a partition of Kafka, in memory.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

/// When all records arrived, in milliseconds: late enough for none to be too early.
pub const ARRIVED: i64 = 10_000_000_000;

/// The log of a partition, in batches of some records.
pub fn log(records: &[String], batch: usize) -> Vec<u8> {
    let mut log = Vec::new();
    for (number, chunk) in records.chunks(batch).enumerate() {
        let chunk = chunk.iter().map(|value| value.as_bytes());
        append(&mut log, (number * batch) as i64, chunk);
    }
    log
}

/// Appends a batch of records, the first of which has this offset.
pub fn append<'a>(log: &mut Vec<u8>, first: i64, values: impl Iterator<Item = &'a [u8]>) {
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let record = |(i, value): (i64, &[u8])| Record {
        transactional: false,
        control: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        delete_horizon: false,
        timestamp_type: TimestampType::Creation,
        offset: first + i,
        sequence: i as i32,
        timestamp: ARRIVED,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: IndexMap::new(),
    };
    let records: Vec<Record> = (0..).zip(values).map(record).collect();
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    log.extend_from_slice(&bytes);
}
