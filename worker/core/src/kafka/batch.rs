//! Record batches: the header in front of records that were sent together.
//!
//! Layout, all numbers big-endian: base offset (8 bytes), length of what follows (4), leader epoch (4), magic (1),
//! CRC-32C of all behind it (4), attributes (2), last offset delta (4), base timestamp (8), largest timestamp (8),
//! producer id (8), producer epoch (2), base sequence (4), number of records (4), records.
//! Source: Kafka's documentation, "Record Batch".

use super::codec::Codec;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 61;

/// Bytes in front of those that the length counts.
pub const FRONT_BYTES: usize = 12;

/// From here on the checksum counts.
pub const CHECKED_FROM: usize = 21;

/// A batch whose checksum was right.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub base_offset: i64,
    pub last_offset: i64,
    pub codec: Codec,
    pub is_transactional: bool,
    pub is_control: bool,
    /// In milliseconds since 1970; that of the log's, if it sets them.
    pub base_timestamp: i64,
    /// The time at which the log took the batch, if the topic says that it counts.
    pub log_append_time: Option<i64>,
    pub producer_id: i64,
    pub n_records: usize,
    /// The records, compressed as `codec` says.
    pub records: &'a [u8],
}

/// A batch that cannot be read. It may be damaged on the way: the same bytes are asked for again before it is believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record batch at offset {offset} {fault}")]
pub struct CorruptBatch {
    /// The batch's first offset.
    pub offset: i64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It has another format.
    #[error("has message format {0}; Tocsin reads format 2, which Kafka has written since 0.11")]
    Format(i8),
    /// The bytes are not those that were written.
    #[error("has another checksum than its bytes")]
    Checksum,
    /// The header contradicts itself.
    #[error("has a header that contradicts itself")]
    Header,
    /// Nobody knows the codec.
    #[error("is compressed by a codec with the unknown number {0}")]
    Codec(u8),
    /// The compressed bytes are none.
    #[error("cannot be decompressed")]
    Compression,
    /// Its records are cut off or contradict themselves.
    #[error("has records that contradict themselves")]
    Records,
}

impl CorruptBatch {
    pub(super) fn new(offset: i64, fault: Fault) -> Self {
        Self { offset, fault }
    }
}

/// Takes the next batch from the front. Nothing is left when fewer bytes are there than the batch has: a broker cuts the
/// last one where the response is full.
pub fn take<'a>(bytes: &mut &'a [u8]) -> Result<Option<Batch<'a>>, CorruptBatch> {
    let Some(offset) = int(bytes, 0).map(i64::from_be_bytes) else {
        return Ok(None);
    };
    let corrupt = |fault| CorruptBatch::new(offset, fault);
    let (Some(length), Some(&magic)) = (int(bytes, 8).map(i32::from_be_bytes), bytes.get(16)) else {
        return Ok(None);
    };
    if magic != 2 {
        return Err(corrupt(Fault::Format(magic as i8)));
    }
    let length = usize::try_from(length).map_err(|_| corrupt(Fault::Header))?;
    if length < HEADER_BYTES - FRONT_BYTES {
        return Err(corrupt(Fault::Header));
    }
    let Some((batch, rest)) = bytes.split_at_checked(FRONT_BYTES + length) else {
        return Ok(None);
    };
    *bytes = rest;
    parse(batch, offset).map(Some)
}

fn parse(batch: &[u8], base_offset: i64) -> Result<Batch<'_>, CorruptBatch> {
    let corrupt = |fault| CorruptBatch::new(base_offset, fault);
    let header = || corrupt(Fault::Header);
    let crc = int(batch, 17).map(u32::from_be_bytes).ok_or_else(header)?;
    if crc32c::crc32c(&batch[CHECKED_FROM..]) != crc {
        return Err(corrupt(Fault::Checksum));
    }
    let attributes = int(batch, 21).map(i16::from_be_bytes).ok_or_else(header)?;
    let last_delta = int(batch, 23).map(i32::from_be_bytes).ok_or_else(header)?;
    let base_timestamp = int(batch, 27).map(i64::from_be_bytes).ok_or_else(header)?;
    let max_timestamp = int(batch, 35).map(i64::from_be_bytes).ok_or_else(header)?;
    let producer_id = int(batch, 43).map(i64::from_be_bytes).ok_or_else(header)?;
    let n_records = int(batch, 57).map(i32::from_be_bytes).ok_or_else(header)?;
    let last_offset = base_offset.checked_add(i64::from(last_delta)).ok_or_else(header)?;
    if last_delta < 0 || base_offset < 0 {
        return Err(header());
    }
    let codec = (attributes & 0b111) as u8;
    Ok(Batch {
        base_offset,
        last_offset,
        codec: Codec::of(codec).ok_or_else(|| corrupt(Fault::Codec(codec)))?,
        is_transactional: attributes & 0b1_0000 != 0,
        is_control: attributes & 0b10_0000 != 0,
        base_timestamp,
        log_append_time: (attributes & 0b1000 != 0).then_some(max_timestamp),
        producer_id,
        n_records: usize::try_from(n_records).map_err(|_| header())?,
        records: &batch[HEADER_BYTES..],
    })
}

/// What stands in the header of a batch that is written, besides its length and its checksum.
pub struct Fields {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_delta: i32,
    /// Of the first record, and taken for that of the last.
    pub timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub sequence: i32,
    pub n_records: i32,
}

/// Writes the header of a batch, whose records stand behind it.
pub fn put_header(batch: &mut [u8], fields: &Fields) {
    let length = (batch.len() - FRONT_BYTES) as i32;
    let mut at = 0;
    let mut put = |field: &[u8]| {
        batch[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(&fields.base_offset.to_be_bytes());
    put(&length.to_be_bytes());
    put(&fields.leader_epoch.to_be_bytes());
    put(&[2]);
    // The checksum, which is known below.
    put(&[0; 4]);
    put(&fields.attributes.to_be_bytes());
    put(&fields.last_delta.to_be_bytes());
    put(&fields.timestamp.to_be_bytes());
    put(&fields.timestamp.to_be_bytes());
    put(&fields.producer_id.to_be_bytes());
    put(&fields.producer_epoch.to_be_bytes());
    put(&fields.sequence.to_be_bytes());
    put(&fields.n_records.to_be_bytes());
    set_checksum(batch);
}

/// Sets the time of all records of a batch, in milliseconds since 1970.
pub fn set_time(batch: &mut [u8], millis: i64) {
    for at in [27, 35] {
        batch[at..at + 8].copy_from_slice(&millis.to_be_bytes());
    }
    set_checksum(batch);
}

fn set_checksum(batch: &mut [u8]) {
    let checksum = crc32c::crc32c(&batch[CHECKED_FROM..]);
    batch[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
}

fn int<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Passes over the next batch without a look at its records: its last offset and the reign in which it was written. A last
/// offset below 0 says that it is damaged.
pub fn pass(bytes: &mut &[u8]) -> Option<(i64, i32)> {
    let base_offset = int(bytes, 0).map(i64::from_be_bytes)?;
    let length = int(bytes, 8).map(i32::from_be_bytes)?;
    let epoch = int(bytes, 12).map(i32::from_be_bytes)?;
    let last_delta = int(bytes, 23).map(i32::from_be_bytes)?;
    let damaged = length < (HEADER_BYTES - FRONT_BYTES) as i32 || last_delta < 0 || base_offset < 0;
    if damaged {
        *bytes = &[];
        return Some((-1, epoch));
    }
    let (_, rest) = bytes.split_at_checked(FRONT_BYTES + length as usize)?;
    *bytes = rest;
    Some((base_offset.saturating_add(i64::from(last_delta)), epoch))
}
