//! What is fetched, and how; and our own way to do it.

mod broker;
mod leaders;
mod own;
mod shared;

use std::time::{Duration, Instant};

use bytes::Bytes;
use tocsin_worker_core::kafka::AbortedTransaction;
use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position, Settings};

pub use self::own::OwnSource;
use super::error::KafkaError;

/// How records are fetched.
#[derive(Clone, Copy, Debug)]
pub struct FetcherSettings {
    /// Whether only records of committed transactions are wanted.
    pub committed: bool,
    /// The least bytes for which a broker answers before `max_wait` is over.
    pub min_bytes: u32,
    /// How long a broker waits for records.
    pub max_wait: Duration,
    /// The most bytes of an answer; a larger batch still comes alone.
    pub max_bytes: u32,
    /// The most bytes of a partition in an answer.
    pub partition_bytes: u32,
    /// How partitions are read.
    pub reading: Settings,
}

impl Default for FetcherSettings {
    fn default() -> Self {
        Self {
            committed: true,
            min_bytes: 1,
            max_wait: Duration::from_millis(100),
            max_bytes: 8 << 20,
            partition_bytes: 2 << 20,
            reading: Settings::default(),
        }
    }
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A partition was read; perhaps nothing was there.
    Fetched(Fetched),
    /// A partition is not read any more.
    Lost(Partition, Loss),
    /// A broker cannot be used; another try follows.
    Trouble(KafkaError),
    /// A broker cannot be used, and another try would not do.
    Failed(KafkaError),
}

/// A part of a partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The partition.
    pub partition: Partition,
    /// Where it was read from.
    pub from: Position,
    /// Where reading goes on.
    pub next: Position,
    /// The batches, the last perhaps cut.
    pub records: Bytes,
    /// Transactions to pass over.
    pub aborted: Vec<AbortedTransaction>,
    /// Offset behind the last record that all replicas have.
    pub high_watermark: i64,
    /// Offset behind the last record that is neither of an open transaction nor behind one.
    pub last_stable: i64,
    /// The question that it answers.
    pub number: u64,
    /// When the answer came.
    pub at: Instant,
}
