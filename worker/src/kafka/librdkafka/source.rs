//! Reads records by a consumer of librdkafka: the reference that our own Fetch path is held against, and the way for logins
//! that our own client cannot do.
//!
//! One thread owns the consumer. Records are framed as batches again, so that all behind it stays as it is. What librdkafka
//! does not tell (that nothing is there, how a log lost a position, that a topic is another one) is asked for beside it, twice a
//! second: a topic that was made again is found that much later than by our own path.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tocsin_worker_core::kafka::Framing;
use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position};

use super::client_config;
use super::look::{self, Found, Looked};
use super::queue::{Place, Queue, Said};
use crate::kafka::cluster::{Cluster, TopicInfo};
use crate::kafka::error::KafkaError;
use crate::kafka::fetcher::{Event, Fetched, FetcherSettings};
use crate::kafka::source::RecordSource;
use crate::kafka::tokens::TokenLogin;

/// How long the thread waits for an event.
const WAIT: Duration = Duration::from_millis(100);

/// So many events are taken before they are handed on.
const AT_ONCE: usize = 10_000;

/// Between two looks at the logs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The same trouble is told once in so long.
const BETWEEN_WORDS: Duration = Duration::from_secs(1);

/// The largest answer that is taken.
const LARGEST_ANSWER: &str = "1000000000";

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

/// Says nothing of itself: events are read from the queue.
pub struct Quiet {
    login: TokenLogin,
}

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }

    fn error(&self, _: ClientError, _: &str) {}
}

impl ConsumerContext for Quiet {}

/// A consumer of librdkafka that partitions are given to by hand.
pub struct LibrdkafkaSource {
    commands: Sender<Command>,
    events: Receiver<Event>,
    numbers: AtomicU64,
    queue: Arc<Queue<Quiet>>,
    thread: Option<JoinHandle<()>>,
}

impl LibrdkafkaSource {
    /// As [`Fetcher::start`](crate::kafka::Fetcher::start).
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
        let (command, commands) = crossbeam_channel::unbounded();
        // What waits is bounded by what partitions may have waiting.
        let (event, events) = crossbeam_channel::unbounded();
        let (question, questions) = crossbeam_channel::unbounded();
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

fn consumer(cluster: &Cluster, settings: &FetcherSettings) -> Result<BaseConsumer<Quiet>, ClientError> {
    let isolation = if settings.committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    let mut config = client_config(cluster.settings());
    config
        // It is never joined, but partitions cannot be given out without a name.
        .set("group.id", &cluster.settings().client_id)
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("check.crcs", "true")
        .set("fetch.min.bytes", settings.min_bytes.to_string())
        .set("fetch.wait.max.ms", settings.max_wait.as_millis().to_string())
        .set("fetch.max.bytes", settings.max_bytes.to_string())
        .set("fetch.message.max.bytes", settings.partition_bytes.to_string())
        .set("receive.message.max.bytes", LARGEST_ANSWER)
        .set("message.max.bytes", settings.max_bytes.to_string())
        .set("queued.min.messages", "100000")
        .set(
            "queued.max.messages.kbytes",
            (settings.reading.buffered >> 10).max(1).to_string(),
        )
        .set("fetch.error.backoff.ms", settings.reading.backoff.to_string())
        .set(
            "socket.timeout.ms",
            cluster.settings().request_timeout.as_millis().to_string(),
        )
        .set("reconnect.backoff.max.ms", "500");
    config.create_with_context(Quiet {
        login: cluster.settings().token_login(),
    })
}

/// A partition that is read.
struct Part {
    number: u64,
    /// Behind what was handed on.
    position: Position,
    /// What was read since.
    framing: Option<Framing>,
    /// Bytes that wait to be processed.
    buffered: usize,
    is_paused: bool,
    /// Whether it was read to its end.
    is_at_end: bool,
    /// Whether librdkafka has given up on the position, and whether because the log was cut.
    lost: Option<bool>,
    missing_since: Option<Instant>,
}

/// What the thread has.
struct Reading {
    consumer: Arc<BaseConsumer<Quiet>>,
    queue: Arc<Queue<Quiet>>,
    topics: Arc<Vec<TopicInfo>>,
    settings: FetcherSettings,
    brokers: String,
    commands: Receiver<Command>,
    events: Sender<Event>,
    questions: Sender<Vec<Partition>>,
    looked: Instant,
    is_looking: bool,
    parts: BTreeMap<Partition, Part>,
    told: Option<(String, Instant)>,
}

impl Reading {
    /// False when it is told to end.
    fn turn(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Stop => return false,
                other => self.obey(other),
            }
        }
        let queue = Arc::clone(&self.queue);
        let mut wait = WAIT;
        for _ in 0..AT_ONCE {
            if !queue.poll(wait, |said| self.hear(said)) {
                break;
            }
            wait = Duration::ZERO;
        }
        self.hand_on();
        let wants_look = self.parts.values().any(|part| part.is_at_end || part.lost.is_some());
        let is_due = self.looked.elapsed() >= BETWEEN_LOOKS;
        if is_due && !self.is_looking && (wants_look || !self.parts.is_empty()) {
            (self.looked, self.is_looking) = (Instant::now(), true);
            self.questions.send(self.parts.keys().copied().collect()).ok();
        }
        true
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add {
                partition,
                position,
                number,
            } => {
                self.remove(partition);
                let part = Part {
                    number,
                    position,
                    framing: None,
                    buffered: 0,
                    is_paused: false,
                    is_at_end: false,
                    lost: None,
                    missing_since: None,
                };
                self.parts.insert(partition, part);
                self.assign(partition, position.offset);
            }
            Command::Remove(partition) => self.remove(partition),
            Command::Processed(partition, bytes) => {
                if let Some(part) = self.parts.get_mut(&partition) {
                    part.buffered = part.buffered.saturating_sub(bytes);
                    if part.is_paused && part.buffered < self.settings.reading.buffered {
                        part.is_paused = false;
                        let outcome = self.consumer.resume(&self.list(partition, None));
                        self.tried(outcome);
                    }
                }
            }
            Command::Looked(looked) => self.learn(looked),
            Command::Stop => {}
        }
    }

    fn list(&self, partition: Partition, offset: Option<i64>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        if let Some(topic) = self.topics.get(partition.topic as usize) {
            let mut element = list.add_partition(&topic.name, partition.partition as i32);
            if let Some(offset) = offset {
                // An offset of a log is one.
                element.set_offset(Offset::Offset(offset)).ok();
            }
        }
        list
    }

    fn assign(&mut self, partition: Partition, offset: i64) {
        let outcome = self.consumer.incremental_assign(&self.list(partition, Some(offset)));
        self.tried(outcome);
    }

    fn remove(&mut self, partition: Partition) {
        if self.parts.remove(&partition).is_some() {
            let outcome = self.consumer.incremental_unassign(&self.list(partition, None));
            self.tried(outcome);
        }
    }

    fn tried(&mut self, outcome: Result<(), ClientError>) {
        if let Err(error) = outcome {
            self.trouble(error.to_string(), false);
        }
    }

    fn trouble(&mut self, reason: String, is_final: bool) {
        let is_new = self
            .told
            .as_ref()
            .is_none_or(|(told, at)| *told != reason || at.elapsed() > BETWEEN_WORDS);
        if !is_new {
            return;
        }
        self.told = Some((reason.clone(), Instant::now()));
        let error = KafkaError::Client {
            brokers: self.brokers.clone(),
            reason,
            is_final,
        };
        let event = if is_final { Event::Failed } else { Event::Trouble };
        self.events.send(event(error)).ok();
    }

    fn lose(&mut self, partition: Partition, loss: Loss) {
        self.remove(partition);
        self.events.send(Event::Lost(partition, loss)).ok();
    }

    fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        let number = self.topics.iter().position(|known| known.name == topic)?;
        Some(Partition {
            topic: number as u32,
            partition: u32::try_from(partition).ok()?,
        })
    }

    fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Record {
                topic,
                partition,
                record,
                epoch,
            } => {
                let place = self.partition(topic, partition);
                if let Some(part) = place.and_then(|place| self.parts.get_mut(&place)) {
                    part.is_at_end = false;
                    let framing = part.framing.get_or_insert_with(|| Framing::new(part.position));
                    framing.push(&record, epoch);
                }
            }
            Said::End(place) => {
                let partition = self.partition(&place.topic, place.partition);
                if let Some(part) = partition.and_then(|partition| self.parts.get_mut(&partition)) {
                    part.is_at_end = true;
                    let framing = part.framing.get_or_insert_with(|| Framing::new(part.position));
                    framing.go_over(place.offset);
                }
            }
            Said::Error { place, code, text } => self.failed(place.as_ref(), code, text),
            Said::Token => self.queue.answer_token(),
        }
    }

    fn failed(&mut self, place: Option<&Place>, code: Code, text: String) {
        let partition = place.and_then(|place| Some((self.partition(&place.topic, place.partition)?, place.offset)));
        let partition = partition.filter(|(partition, _)| self.parts.contains_key(partition));
        match (partition, code) {
            (Some((partition, _)), Code::AutoOffsetReset) => {
                if let Some(part) = self.parts.get_mut(&partition) {
                    part.lost = Some(text.contains("truncat"));
                }
            }
            (Some((partition, _)), Code::TopicAuthorizationFailed) => self.lose(partition, Loss::NotAllowed),
            // librdkafka would go on behind it.
            (Some((partition, offset)), Code::BadMessage | Code::BadCompression | Code::NotImplemented) => {
                self.lose(partition, Loss::Corrupt { offset });
            }
            // Whether the topic is there is looked for.
            (_, Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic) => {}
            // The group is never joined.
            (_, Code::GroupAuthorizationFailed) => {}
            (_, Code::Authentication | Code::SSL) => self.trouble(text, true),
            (_, _) => self.trouble(text, false),
        }
    }

    /// Hands on what was read.
    fn hand_on(&mut self) {
        let mut full = Vec::new();
        for (&partition, part) in &mut self.parts {
            let Some(framing) = part.framing.take().filter(|framing| !framing.is_empty()) else {
                continue;
            };
            let (from, next) = (framing.from(), framing.next());
            let records = Bytes::from(framing.finish());
            part.buffered += records.len();
            part.position = next;
            if part.buffered >= self.settings.reading.buffered && !part.is_paused {
                part.is_paused = true;
                full.push(partition);
            }
            let fetched = Fetched {
                partition,
                from,
                next,
                records,
                aborted: Vec::new(),
                high_watermark: -1,
                last_stable: -1,
                number: part.number,
                at: Instant::now(),
            };
            self.events.send(Event::Fetched(fetched)).ok();
        }
        for partition in full {
            let outcome = self.consumer.pause(&self.list(partition, None));
            self.tried(outcome);
        }
    }

    /// Takes what a look at the logs found.
    fn learn(&mut self, looked: Looked) {
        self.is_looking = false;
        let found = match looked.found {
            Ok(found) => found,
            Err(error) => {
                let is_final = !error.may_pass();
                self.trouble(error.to_string(), is_final);
                return;
            }
        };
        for (partition, found) in found {
            let patience = Duration::from_millis(self.settings.reading.patience);
            let Some(part) = self.parts.get_mut(&partition) else {
                continue;
            };
            let position = part.position;
            match found {
                Found::Recreated => self.lose(partition, Loss::TopicRecreated),
                Found::Missing => {
                    if part.missing_since.get_or_insert(looked.at).elapsed() > patience {
                        self.lose(partition, Loss::UnknownTopic);
                    }
                }
                Found::Log { begins, end, stable } => {
                    part.missing_since = None;
                    let (wanted, read) = (position.offset, position.offset);
                    match part.lost.take() {
                        Some(_) if wanted < begins => self.lose(partition, Loss::ReplayGap { wanted, begins }),
                        Some(is_cut) if is_cut || read > end => {
                            self.lose(partition, Loss::LogTruncated { end, read });
                        }
                        Some(_) => {
                            let outcome = self.consumer.incremental_unassign(&self.list(partition, None));
                            self.tried(outcome);
                            self.assign(partition, wanted);
                        }
                        None if part.is_at_end && part.framing.is_none() => {
                            let fetched = Fetched {
                                partition,
                                from: position,
                                next: position,
                                records: Bytes::new(),
                                aborted: Vec::new(),
                                high_watermark: end,
                                last_stable: stable,
                                number: part.number,
                                at: looked.at,
                            };
                            self.events.send(Event::Fetched(fetched)).ok();
                        }
                        None => {}
                    }
                }
            }
        }
    }
}
