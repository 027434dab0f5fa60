//! Writes records that another client has unpacked as record batches again, so that they are read as all others are.

use super::batch::{CHECKED_FROM, FRONT_BYTES, HEADER_BYTES};
use super::fetching::Position;
use super::varint;

/// A record as another client gives it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpacked<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds since 1970; -1 if it has none.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values of the headers.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Batches that are being written: without compression, each with the offsets that the one before left.
#[derive(Debug)]
pub struct Framing {
    bytes: Vec<u8>,
    /// Where the first batch begins.
    from: Position,
    /// Where the open batch begins in `bytes`, and its first offset.
    at: usize,
    base: i64,
    base_timestamp: i64,
    n_records: i32,
    /// Behind the last record.
    next: i64,
    /// Of the last record.
    epoch: i32,
    record: Vec<u8>,
}

impl Framing {
    /// Batches from a position on.
    pub fn new(from: Position) -> Self {
        let mut framing = Self {
            bytes: Vec::new(),
            from,
            at: 0,
            base: from.offset,
            base_timestamp: 0,
            n_records: 0,
            next: from.offset,
            epoch: from.epoch,
            record: Vec::new(),
        };
        framing.open(from.offset);
        framing
    }

    /// Where they begin.
    pub fn from(&self) -> Position {
        self.from
    }

    /// Where they end, so far.
    pub fn next(&self) -> Position {
        Position {
            offset: self.next,
            epoch: self.epoch,
        }
    }

    /// Whether nothing was written, nor gone over.
    pub fn is_empty(&self) -> bool {
        self.next == self.from.offset
    }

    /// How many bytes they have.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes a record of a reign; -1 if that is not known. One in front of the position is left out.
    pub fn push(&mut self, record: &Unpacked<'_>, epoch: i32) {
        if record.offset < self.next {
            return;
        }
        if record.offset - self.base > i64::from(i32::MAX) {
            self.go_over(record.offset);
        }
        if self.n_records == 0 {
            self.base_timestamp = record.timestamp;
        }
        let mut body = std::mem::take(&mut self.record);
        body.clear();
        body.push(0);
        varint::put(&mut body, record.timestamp - self.base_timestamp);
        varint::put(&mut body, record.offset - self.base);
        put_part(&mut body, record.key);
        put_part(&mut body, record.value);
        varint::put(&mut body, record.headers.len() as i64);
        for (name, value) in record.headers {
            put_part(&mut body, Some(name));
            put_part(&mut body, *value);
        }
        varint::put(&mut self.bytes, body.len() as i64);
        self.bytes.extend_from_slice(&body);
        self.record = body;
        self.n_records += 1;
        self.next = record.offset + 1;
        self.epoch = epoch.max(self.epoch);
    }

    /// Goes over offsets that nobody may see: there is nothing in front of `next` that was not written.
    pub fn go_over(&mut self, next: i64) {
        while next > self.next {
            let step = next.min(self.base + i64::from(i32::MAX));
            self.next = step.max(self.next);
            if step < next {
                self.close();
                self.open(self.next);
            }
        }
    }

    /// The batches.
    pub fn finish(mut self) -> Vec<u8> {
        if self.next > self.base {
            self.close();
        } else {
            self.bytes.truncate(self.at);
        }
        self.bytes
    }

    fn open(&mut self, base: i64) {
        self.at = self.bytes.len();
        self.bytes.resize(self.at + HEADER_BYTES, 0);
        (self.base, self.n_records) = (base, 0);
    }

    fn close(&mut self) {
        let length = (self.bytes.len() - self.at - FRONT_BYTES) as i32;
        let batch = &mut self.bytes[self.at..];
        let mut put = |at: usize, bytes: &[u8]| batch[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.base.to_be_bytes());
        put(8, &length.to_be_bytes());
        put(12, &self.epoch.to_be_bytes());
        put(16, &[2]);
        put(23, &((self.next - 1 - self.base) as i32).to_be_bytes());
        put(27, &self.base_timestamp.to_be_bytes());
        put(35, &self.base_timestamp.to_be_bytes());
        // Nobody's producer, without a sequence.
        put(43, &(-1_i64).to_be_bytes());
        put(51, &(-1_i16).to_be_bytes());
        put(53, &(-1_i32).to_be_bytes());
        put(57, &self.n_records.to_be_bytes());
        let checksum = crc32c::crc32c(&batch[CHECKED_FROM..]);
        batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn put_part(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => varint::put(bytes, -1),
        Some(part) => {
            varint::put(bytes, part.len() as i64);
            bytes.extend_from_slice(part);
        }
    }
}
