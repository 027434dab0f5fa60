//! Fetches records: a thread a broker, each with one question out, and one thread that looks for leaders.
//!
//! The next question goes out as soon as an answer is in, before its records are processed. What a partition may have
//! waiting is bounded, so memory is, whatever producers do.

mod broker;
mod leaders;
mod shared;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use tocsin_worker_core::kafka::AbortedTransaction;
use tocsin_worker_core::kafka::fetching::{Fetching, Loss, Partition, Position, Settings};

use self::shared::Shared;
use super::cluster::{Cluster, TopicInfo};
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

/// Fetches records of some topics.
pub struct Fetcher {
    shared: Arc<Shared>,
    events: Receiver<Event>,
    leaders: Option<JoinHandle<()>>,
}

/// How many events wait; what they hold is bounded by [`Settings::buffered`].
const EVENTS: usize = 1024;

impl Fetcher {
    /// A fetcher for partitions of `topics`, which the cluster has just described; their numbers are those of
    /// [`Partition::topic`].
    pub fn start(cluster: Cluster, topics: Vec<TopicInfo>, settings: FetcherSettings) -> Self {
        let (sender, events) = crossbeam_channel::bounded(EVENTS);
        let shared = Arc::new(Shared::new(Fetching::new(settings.reading), topics, settings, sender));
        let leaders = leaders::start(Arc::clone(&shared), cluster);
        Self {
            shared,
            events,
            leaders: Some(leaders),
        }
    }

    /// What happened, in order for each partition.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Reads a partition from a position on. What answers the question with the number that this gives, or one before it,
    /// was fetched before.
    pub fn add(&self, partition: Partition, position: Position) -> u64 {
        self.shared.change(|fetching| {
            fetching.add(partition, position);
            fetching.newest_question()
        })
    }

    /// Reads a partition no more. Events that wait may still be of it.
    pub fn remove(&self, partition: Partition) {
        self.shared.change(|fetching| fetching.remove(partition));
    }

    /// [`Fetched::records`] of so many bytes were processed.
    pub fn processed(&self, partition: Partition, bytes: usize) {
        self.shared.change(|fetching| fetching.processed(partition, bytes));
    }

    /// A batch at `offset` is damaged, in front of which all is processed up to `position`: it is fetched again. Answers as
    /// [`Fetcher::add`].
    ///
    /// # Errors
    /// What ends the partition, if it came like that too often.
    pub fn damaged(&self, partition: Partition, position: Position, offset: i64) -> Result<u64, Loss> {
        let now = self.shared.now();
        self.shared.change(|fetching| {
            let loss = fetching.damaged(partition, position, offset, now);
            loss.map_or(Ok(fetching.newest_question()), Err)
        })
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.shared.stop();
        // A thread that waits to hand over an event is let go.
        while self.events.try_recv().is_ok() {}
        let (_, nobody) = crossbeam_channel::bounded(0);
        drop(std::mem::replace(&mut self.events, nobody));
        if let Some(leaders) = self.leaders.take() {
            // A thread that panicked has nothing to clean up.
            leaders.join().ok();
        }
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}
