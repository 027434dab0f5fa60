//! Fetched records of one source of one shard that wait to be processed.

use std::collections::VecDeque;
use std::time::Instant;

use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::kafka::{CorruptBatch, PartitionReader};
use tocsin_worker_core::shard::Shard;

use crate::kafka::Fetched;

/// What waits of a source.
#[derive(Debug)]
pub struct Input {
    waiting: VecDeque<Fetched>,
    /// When records came last, or somebody looked in vain for a reason that is not silence.
    pub last_records: Instant,
    /// Whether all is read that there is.
    pub caught_up: bool,
    /// How many records are behind the position: the distance to the high watermark.
    pub lag: i64,
}

/// What became of waiting records.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many records; so many fetched bytes are done with.
    Some {
        /// The bytes.
        bytes: usize,
        /// The records.
        records: u64,
    },
    /// Nothing waits.
    Nothing,
}

impl Input {
    pub fn new(now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            last_records: now,
            caught_up: false,
            lag: 0,
        }
    }

    /// Takes what was fetched.
    pub fn add(&mut self, fetched: Fetched, now: Instant) {
        self.lag = fetched.high_watermark.saturating_sub(fetched.next.offset).max(0);
        self.caught_up = fetched.next.offset >= fetched.high_watermark;
        if !self.caught_up || fetched.next.offset > fetched.from.offset {
            self.last_records = now;
        }
        if fetched.next.offset > fetched.from.offset {
            self.waiting.push_back(fetched);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Brings the next part to the shard, up to an offset and not beyond.
    ///
    /// # Errors
    /// If a batch is damaged: with where the shard stands in front of it.
    pub fn take(
        &mut self,
        source: usize,
        shard: &mut Shard,
        reader: &mut PartitionReader,
        until: i64,
    ) -> Result<Taken, (Position, CorruptBatch)> {
        let (Some(fetched), Some(from)) = (self.waiting.front(), shard.positions()[source]) else {
            return Ok(Taken::Nothing);
        };
        let mut reading = reader.read_until(&fetched.records, &fetched.aborted, from.offset, until);
        let mut records = 0;
        loop {
            match reading.next_block() {
                Ok(Some(block)) => {
                    records += (block.records.spans.len() + block.unread.len()) as u64;
                    shard.take(source, &block, fetched.next.epoch);
                }
                Ok(None) => break,
                Err(corrupt) => {
                    let position = shard.positions()[source].unwrap_or(from);
                    self.waiting.clear();
                    return Err((position, corrupt));
                }
            }
        }
        let reached = shard.positions()[source].map_or(i64::MAX, |position| position.offset);
        if reached < fetched.next.offset {
            return Ok(Taken::Some { bytes: 0, records });
        }
        let bytes = fetched.records.len();
        self.waiting.pop_front();
        Ok(Taken::Some { bytes, records })
    }
}
