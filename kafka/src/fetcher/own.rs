//! Our own Fetch path: a thread a broker, each with one question out, and one thread that looks for leaders.
//!
//! The next question goes out as soon as an answer is in, before its records are processed. What a partition may have
//! waiting is bounded, so memory is, whatever producers do.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;
use tocsin_worker_core::kafka::fetching::{Fetching, Loss, Partition, Position};

use super::leaders;
use super::shared::Shared;
use super::{Event, FetcherSettings};
use crate::cluster::{Cluster, TopicInfo};
use crate::source::RecordSource;

/// Fetches records of some topics.
pub struct OwnSource {
    shared: Arc<Shared>,
    events: Receiver<Event>,
    leaders: Option<JoinHandle<()>>,
}

/// How many events wait; what they hold is bounded by [`Settings::buffered`](super::Settings::buffered).
const EVENTS: usize = 1024;

impl OwnSource {
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
}

impl RecordSource for OwnSource {
    fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    fn add(&self, partition: Partition, position: Position) -> u64 {
        self.shared.change(|fetching| {
            fetching.add(partition, position);
            fetching.newest_question()
        })
    }

    fn remove(&self, partition: Partition) {
        self.shared.change(|fetching| fetching.remove(partition));
    }

    fn processed(&self, partition: Partition, bytes: usize) {
        self.shared.change(|fetching| fetching.processed(partition, bytes));
    }

    fn damaged(&self, partition: Partition, position: Position, offset: i64) -> Result<u64, Loss> {
        let now = self.shared.now();
        self.shared.change(|fetching| {
            let loss = fetching.damaged(partition, position, offset, now);
            loss.map_or(Ok(fetching.newest_question()), Err)
        })
    }
}

impl Drop for OwnSource {
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
