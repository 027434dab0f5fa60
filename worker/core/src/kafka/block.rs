//! Records that are ready for a decoder.

use super::record::{self, OwnedHeaders, Record};
use crate::decode::{Cause, Records};
use crate::stream::Micros;

/// How records are cut into blocks.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many bytes a block has as a rule.
    pub block_bytes: usize,
    /// How large a record's value may be; a larger one is not kept.
    pub record_limit: usize,
    /// How much is kept of a record that is not.
    pub head_bytes: usize,
}

/// Records that stand in one piece of memory.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The values.
    pub records: Records<'a>,
    /// When Kafka got each record, by its timestamp; [`Micros::MAX`] if the record has none.
    pub arrived: &'a [Micros],
    /// Records without a value that could be read.
    pub unread: &'a [Unread],
    /// The offset behind the block: where reading goes on.
    pub next_offset: i64,
    /// Where each record begins, with its length.
    pub(super) frames: &'a [usize],
}

/// A record that has nothing to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its offset.
    pub offset: i64,
    /// Why.
    pub cause: Cause,
    /// Its key, if it has one and that could be read.
    pub key: Option<Vec<u8>>,
    /// Its headers; none where they could not be read.
    pub headers: OwnedHeaders,
    /// The beginning of its value.
    pub head: Vec<u8>,
}

impl<'a> Block<'a> {
    /// The record with number `i`, with its key and headers.
    pub fn record(&self, i: usize) -> Record<'a> {
        let bytes = self.frames.get(i).and_then(|at| self.records.bytes.get(*at..));
        let record = bytes.and_then(|mut bytes| record::take(&mut bytes));
        Record::parse(record.unwrap_or_default())
    }
}
