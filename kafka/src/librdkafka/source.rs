//! Reads records by a consumer of librdkafka: the reference that our own Fetch path is held against, and the way for logins
//! that our own client cannot do.
//!
//! One thread owns the consumer. Records are framed as batches again, so that all behind it stays as it is. What librdkafka
//! does not tell (that nothing is there, how a log lost a position, that a topic is another one) is asked for beside it, twice a
//! second: a topic that was made again is found that much later than by our own path.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position};

use super::consumer::{Quiet, consumer};
use super::look::{self, Looked};
use super::queue::Queue;
use super::reading::Reading;
use crate::cluster::{Cluster, TopicInfo};
use crate::error::KafkaError;
use crate::fetcher::{Event, FetcherSettings};
use crate::source::RecordSource;

/// How many events and commands wait. The thread always takes commands: who gives them takes the events.
const EVENTS: usize = 1024;
const COMMANDS: usize = 1024;

/// What the thread is told.
pub enum Command {
    Add {
        partition: Partition,
        position: Position,
        number: u64,
    },
    Remove(Partition),
    Processed(Partition, usize),
    Looked(Looked),
    Stop,
}

/// A consumer of librdkafka that partitions are given to by hand.
pub struct LibrdkafkaSource {
    commands: Sender<Command>,
    events: Receiver<Event>,
    numbers: AtomicU64,
    queue: Arc<Queue<Quiet>>,
    thread: Option<JoinHandle<()>>,
}

impl LibrdkafkaSource {
    /// As [`Fetcher::start`](crate::Fetcher::start).
    pub fn start(cluster: Cluster, topics: Vec<TopicInfo>, settings: FetcherSettings) -> Result<Self, KafkaError> {
        let brokers = cluster.settings().brokers.to_string();
        let failed = |error: &dyn std::fmt::Display| KafkaError::Client {
            brokers: brokers.clone(),
            reason: error.to_string(),
            is_final: true,
        };
        let consumer = consumer(&cluster, &settings).map_err(|error| failed(&error))?;
        let consumer = Arc::new(consumer);
        let queue = Queue::of(Arc::clone(&consumer)).ok_or_else(|| failed(&"the consumer has no queue"))?;
        let queue = Arc::new(queue);
        let topics = Arc::new(topics);
        let (command, commands) = crossbeam_channel::bounded(COMMANDS);
        let (event, events) = crossbeam_channel::bounded(EVENTS);
        let (question, questions) = crossbeam_channel::bounded(1);
        let waking = Arc::clone(&queue);
        let looking = look::start(cluster, Arc::clone(&topics), questions, command.clone(), move || {
            waking.wake();
        });
        let mut reading = Reading {
            consumer,
            queue: Arc::clone(&queue),
            topics,
            settings,
            brokers,
            commands,
            events: event,
            unsaid: VecDeque::new(),
            questions: question,
            looked: Instant::now(),
            is_looking: false,
            parts: BTreeMap::new(),
            told: None,
        };
        let thread = std::thread::spawn(move || {
            while reading.turn() {}
            drop(reading);
            // A thread that panicked has nothing to clean up.
            looking.join().ok();
        });
        Ok(Self {
            commands: command,
            events,
            numbers: AtomicU64::new(0),
            queue,
            thread: Some(thread),
        })
    }

    fn tell(&self, command: Command) {
        // The thread ends only when it is told to.
        self.commands.send(command).ok();
        self.queue.wake();
    }
}

impl RecordSource for LibrdkafkaSource {
    fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    fn add(&self, partition: Partition, position: Position) -> u64 {
        let before = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.tell(Command::Add {
            partition,
            position,
            number: before + 1,
        });
        before
    }

    fn remove(&self, partition: Partition) {
        self.tell(Command::Remove(partition));
    }

    fn processed(&self, partition: Partition, bytes: usize) {
        self.tell(Command::Processed(partition, bytes));
    }

    fn damaged(&self, _: Partition, _: Position, offset: i64) -> Result<u64, Loss> {
        // The checksums of the log were right: another try would give the same.
        Err(Loss::Corrupt { offset })
    }
}

impl Drop for LibrdkafkaSource {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
