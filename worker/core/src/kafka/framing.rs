//! Writes records that another client has unpacked as record batches again, so that they are read as all others are.

use super::batch::{self, Fields, HEADER_BYTES};
use super::fetching::Position;
use super::record;

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
        let framed = record::Frame {
            timestamp_delta: record.timestamp - self.base_timestamp,
            offset_delta: record.offset - self.base,
            key: record.key,
            value: record.value,
            headers: &record::encode_headers(record.headers.iter().copied()),
        };
        record::put(&mut self.bytes, &framed);
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
        let fields = Fields {
            base_offset: self.base,
            leader_epoch: self.epoch,
            attributes: 0,
            last_delta: (self.next - 1 - self.base) as i32,
            timestamp: self.base_timestamp,
            // Nobody's producer, without a sequence.
            producer_id: -1,
            producer_epoch: -1,
            sequence: -1,
            n_records: self.n_records,
        };
        batch::put_header(&mut self.bytes[self.at..], &fields);
    }
}
