//! Records on their way to the leaders of their partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use tocsin_worker_core::kafka::error_code::MESSAGE_TOO_LARGE;
use tocsin_worker_core::kafka::fetching::{Millis, Partition};
use tocsin_worker_core::kafka::writing::{Due, Settings, Verdict, Writing};
use tocsin_worker_core::kafka::{Producer, encode_headers};

use super::patience::Trouble;
use super::{INIT_PRODUCER_ID, LastOffsets, NewRecords, Patience, WriteError};
use crate::cluster::{Cluster, topic_name};
use crate::connection::{Connection, Sent};
use crate::error::KafkaError;
use crate::throttled::Throttled;

const WHAT: &str = "Produce";

/// Produce: 12 adds partitions to transactions by itself; 13 names topics by their ids.
const PRODUCE: i16 = 12;
const PRODUCE_BEFORE: i16 = 11;

/// The part of the time for an answer that replicas have: brokers say it when they have not taken a batch in time.
const REPLICAS_SHARE: f64 = 0.8;

/// A record may not be larger; what is smaller brokers judge.
const LARGEST_RECORD: usize = 64 << 20;

/// All replicas that are in sync must have a batch.
const ALL_IN_SYNC: i16 = -1;

/// A topic that is not there for so long is believed to be none: brokers that have just begun know theirs sooner.
const LONGEST_MISSING: Duration = Duration::from_secs(6);

/// After so long it is asked again which partitions there are: a topic may have got more.
const LONGEST_BELIEVED: Duration = Duration::from_secs(300);

/// What is waited at most before another look.
const LONGEST_PAUSE: Millis = 100;

/// Writes records to the leaders of their partitions.
pub struct RecordWriter {
    cluster: Cluster,
    writing: Writing,
    /// By their numbers.
    topics: Vec<Arc<str>>,
    transactional_id: Option<TransactionalId>,
    /// Whether brokers add partitions to the transaction by themselves.
    adds_partitions: bool,
    /// Since when topics are missing, by their numbers.
    missing: BTreeMap<u32, Instant>,
    /// When leaders were looked for last.
    looked: Instant,
    /// What goes wrong with what is being written.
    trouble: Trouble,
    throttled: Throttled,
    started: Instant,
}

impl RecordWriter {
    /// Writes as nobody yet ([`RecordWriter::begin`]).
    pub fn new(cluster: Cluster, transactional_id: Option<&str>) -> Self {
        Self {
            cluster,
            writing: Writing::new(Settings::default()),
            topics: Vec::new(),
            transactional_id: transactional_id.map(|id| TransactionalId(StrBytes::from_string(id.to_owned()))),
            adds_partitions: false,
            missing: BTreeMap::new(),
            looked: Instant::now(),
            trouble: Trouble::default(),
            throttled: Throttled::writing(),
            started: Instant::now(),
        }
    }

    /// From now on this producer writes; `adds_partitions` says whether brokers add partitions to its transactions.
    pub fn begin(&mut self, producer: Producer, adds_partitions: bool) {
        self.writing.begin(producer);
        self.adds_partitions = adds_partitions;
    }

    /// Begins as a producer without transactions, as which brokers count what is written.
    ///
    /// # Errors
    /// If no broker takes us as one in time.
    pub fn introduce(&mut self, patience: Patience<'_>, pause: Duration) -> Result<(), KafkaError> {
        let what = "InitProducerId";
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX);
        loop {
            patience.check(what, &self.cluster)?;
            let answer = self.cluster.any().and_then(|connection| {
                let response = connection.call(what, &request, INIT_PRODUCER_ID)?;
                connection.check(what, response.error_code)?;
                Ok(response)
            });
            match answer {
                Ok(response) => {
                    let producer = Producer {
                        id: response.producer_id.0,
                        epoch: response.producer_epoch,
                        is_transactional: false,
                    };
                    self.begin(producer, false);
                    return Ok(());
                }
                Err(error) if error.may_pass() => {
                    tracing::warn!(%error, "the brokers do not let results be written yet");
                    self.cluster.forget_any();
                }
                Err(error) => return Err(error),
            }
            std::thread::park_timeout(pause);
        }
    }

    /// The producer that writes.
    pub fn producer(&self) -> Producer {
        self.writing.producer()
    }

    /// Takes records. Nothing is sent yet.
    ///
    /// # Errors
    /// If a topic, or a partition, is not there, or brokers do not say so in time.
    pub fn take(&mut self, records: &NewRecords, patience: Patience<'_>) -> Result<(), WriteError> {
        if self.looked.elapsed() > LONGEST_BELIEVED {
            self.look_for_leaders()?;
        }
        let mut last: Option<(&Arc<str>, u32)> = None;
        for record in records.iter() {
            // Most come in runs of one topic.
            let topic = match last {
                Some((name, number)) if Arc::ptr_eq(name, record.topic) => number,
                _ => self.number(record.topic),
            };
            last = Some((record.topic, topic));
            if record.value.len() > LARGEST_RECORD {
                let topic = record.topic.to_string();
                let brokers = self.cluster.settings().brokers.to_string();
                Connection::answer(&brokers, WHAT, MESSAGE_TOO_LARGE)
                    .map_err(|source| WriteError::Refused { topic, source })?;
            }
            let headers = record.headers.map(|headers| {
                let parts = headers.iter();
                encode_headers(parts.map(|(name, value)| (name.as_slice(), value.as_deref())))
            });
            let push = |writing: &mut Writing| {
                writing.push(
                    topic,
                    record.partition,
                    record.key,
                    Some(record.value),
                    headers.as_deref(),
                )
            };
            if !push(&mut self.writing) {
                self.wait_for_topic(topic, record.partition, patience)?;
                push(&mut self.writing);
            }
        }
        Ok(())
    }

    /// Sends what was taken, until brokers have it.
    ///
    /// # Errors
    /// If that cannot be, or not in time: then some of it may be written.
    pub fn flush(&mut self, patience: Patience<'_>) -> Result<LastOffsets, WriteError> {
        let mut last_offsets = LastOffsets::new();
        self.trouble = Trouble::default();
        while !self.writing.is_done() {
            self.trouble.or_too_late(patience.check(WHAT, &self.cluster))?;
            if self.writing.take_wants_leaders() {
                self.look_for_leaders()?;
            }
            let now = self.now();
            let due = self.writing.due(now, clock());
            if due.is_empty() {
                // What was begun must not outlast its time. They do not listen to the connection, but they do to another one.
                if self.throttled_for().is_some_and(|wait| !patience.has_time_for(wait)) {
                    let brokers = self.writing.forget_throttling();
                    brokers.iter().for_each(|broker| self.cluster.disconnect(*broker));
                    continue;
                }
                let wait = self
                    .writing
                    .next_try(now)
                    .map_or(LONGEST_PAUSE, |at| at.saturating_sub(now));
                std::thread::park_timeout(Duration::from_millis(wait.clamp(1, LONGEST_PAUSE)));
                continue;
            }
            self.send(due, &mut last_offsets)?;
        }
        Ok(last_offsets)
    }

    /// How long brokers want to be left alone, if they do.
    pub fn throttled_for(&self) -> Option<Duration> {
        let now = self.now();
        let until = self.writing.throttled_until(now)?;
        Some(Duration::from_millis(until.saturating_sub(now)))
    }

    /// Partitions of what was taken and is not written, by topic.
    pub(super) fn open_partitions(&self) -> BTreeMap<Arc<str>, BTreeSet<u32>> {
        let mut open: BTreeMap<Arc<str>, BTreeSet<u32>> = BTreeMap::new();
        for at in self.writing.open_partitions() {
            let topic = Arc::clone(&self.topics[at.topic as usize]);
            open.entry(topic).or_default().insert(at.partition);
        }
        open
    }

    /// Gives up what is not written. Answers whether it is known what brokers have.
    pub fn give_up(&mut self) -> bool {
        self.writing.give_up()
    }

    fn number(&mut self, name: &Arc<str>) -> u32 {
        match self.topics.iter().position(|known| known == name) {
            Some(number) => number as u32,
            None => {
                self.topics.push(Arc::clone(name));
                self.writing.add_topic()
            }
        }
    }

    fn wait_for_topic(&mut self, topic: u32, partition: Option<u32>, patience: Patience<'_>) -> Result<(), WriteError> {
        loop {
            self.look_for_leaders()?;
            if self.writing.is_there(topic, partition.unwrap_or_default()) {
                return Ok(());
            }
            patience.check("Metadata", &self.cluster)?;
            // Another broker may know more.
            self.cluster.forget_any();
            std::thread::park_timeout(Duration::from_millis(LONGEST_PAUSE));
        }
    }

    /// Asks who leads the partitions. An error that passes is none: it is asked again before long.
    fn look_for_leaders(&mut self) -> Result<(), WriteError> {
        let names: Vec<&str> = self.topics.iter().map(AsRef::as_ref).collect();
        let found = match self.cluster.topics(&names) {
            Ok(found) => found,
            Err(error) if error.is_about_a_topic() => return Err(self.refused_topic(error)),
            Err(error) if error.may_pass() => {
                self.trouble.note(error);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.looked = Instant::now();
        for (number, name) in self.topics.iter().enumerate() {
            let info = found.iter().find(|info| *info.name == **name);
            let partitions = info.map(|info| info.partitions.as_slice()).unwrap_or_default();
            let leaders = partitions.iter().map(|partition| Some(partition.leader?.broker));
            self.writing.led(number as u32, leaders.collect());
            if info.is_some() {
                self.missing.remove(&(number as u32));
            } else if self.missing.entry(number as u32).or_insert_with(Instant::now).elapsed() > LONGEST_MISSING {
                let topic = name.to_string();
                let source = KafkaError::UnknownTopic(topic.clone());
                return Err(WriteError::Refused { topic, source });
            }
        }
        Ok(())
    }

    /// The topic that an error is about.
    fn refused_topic(&mut self, error: KafkaError) -> WriteError {
        let is_it =
            |cluster: &mut Cluster, name: &str| cluster.topics(&[name]).is_err_and(|error| error.is_about_a_topic());
        let topic = self.topics.iter().find(|name| is_it(&mut self.cluster, name));
        WriteError::Refused {
            topic: topic.map_or_else(String::new, ToString::to_string),
            source: error,
        }
    }

    /// Sends batches to their leaders, all at once, and hears what became of them.
    fn send(&mut self, due: Vec<Due>, last_offsets: &mut LastOffsets) -> Result<(), WriteError> {
        let mut by_broker: BTreeMap<i32, Vec<Due>> = BTreeMap::new();
        for due in due {
            by_broker.entry(due.broker).or_default().push(due);
        }
        let mut asked = Vec::new();
        let mut outcome = Ok(());
        for (broker, batches) in by_broker {
            let partitions: Vec<Partition> = batches.iter().map(|due| due.partition).collect();
            match self.ask(broker, batches) {
                Ok(sent) => asked.push((broker, sent, partitions)),
                Err(error) => outcome = outcome.and(self.unanswered(broker, &partitions, error)),
            }
        }
        // Every answer is heard, also behind an error: it says what brokers have.
        for (broker, sent, partitions) in asked {
            let answer = match self.cluster.connected(broker) {
                Some(connection) => connection.receive::<ProduceRequest>(sent, Duration::ZERO),
                None => Err(KafkaError::Stopped),
            };
            let judged = match answer {
                Ok(response) => self.judge(broker, &partitions, response, last_offsets),
                Err(error) => self.unanswered(broker, &partitions, error),
            };
            outcome = outcome.and(judged);
        }
        outcome
    }

    fn ask(&mut self, broker: i32, batches: Vec<Due>) -> Result<Sent, KafkaError> {
        let newest = if self.adds_partitions { PRODUCE } else { PRODUCE_BEFORE };
        let request = self.request(batches);
        let connection = self.cluster.connection(broker)?;
        let version = connection.version_of::<ProduceRequest>(WHAT, newest)?;
        connection.send(WHAT, &request, version)
    }

    fn request(&self, batches: Vec<Due>) -> ProduceRequest {
        let mut topics: BTreeMap<u32, Vec<PartitionProduceData>> = BTreeMap::new();
        for due in batches {
            let data = PartitionProduceData::default()
                .with_index(due.partition.partition as i32)
                .with_records(Some(due.batch));
            topics.entry(due.partition.topic).or_default().push(data);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            TopicProduceData::default()
                .with_name(topic_name(&self.topics[topic as usize]))
                .with_partition_data(partitions)
        });
        ProduceRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_acks(ALL_IN_SYNC)
            .with_timeout_ms(
                self.cluster
                    .settings()
                    .request_timeout
                    .mul_f64(REPLICAS_SHARE)
                    .as_millis() as i32,
            )
            .with_topic_data(topics.collect())
    }

    /// Nobody knows what became of batches. They are sent again, unless the broker does not let us in.
    fn unanswered(&mut self, broker: i32, partitions: &[Partition], error: KafkaError) -> Result<(), WriteError> {
        self.cluster.disconnect(broker);
        let now = self.now();
        for partition in partitions {
            self.writing.unanswered(*partition, now);
        }
        if error.may_pass() {
            self.trouble.note(error);
            return Ok(());
        }
        Err(error.into())
    }

    fn judge(
        &mut self,
        broker: i32,
        asked: &[Partition],
        response: ProduceResponse,
        last_offsets: &mut LastOffsets,
    ) -> Result<(), WriteError> {
        let now = self.now();
        if let Ok(millis @ 1..) = u64::try_from(response.throttle_time_ms) {
            self.writing.throttled(broker, now + millis);
            self.throttled.note(broker, millis);
        }
        let mut left: BTreeSet<Partition> = asked.iter().copied().collect();
        let mut outcome = Ok(());
        for topic in &response.responses {
            let Some(number) = self.topics.iter().position(|name| **name == *topic.name.0) else {
                continue;
            };
            for answer in &topic.partition_responses {
                let at = Partition {
                    topic: number as u32,
                    partition: answer.index as u32,
                };
                if !left.remove(&at) {
                    continue;
                }
                let error = || -> Result<(), KafkaError> {
                    let address = self.cluster.address(broker).unwrap_or_default();
                    Connection::answer(address, WHAT, answer.error_code).map_err(|error| error.of_topic(&topic.name.0))
                };
                let judged = match self.writing.answered(at, answer.error_code, answer.base_offset, now) {
                    Verdict::Later => {
                        error().unwrap_or_else(|error| self.trouble.note(error));
                        Ok(())
                    }
                    Verdict::Written(offset) => {
                        if let Some(offset) = offset {
                            last_offsets.insert((Arc::clone(&self.topics[number]), at.partition), offset);
                        }
                        Ok(())
                    }
                    Verdict::Refused => error().map_err(|source| WriteError::Refused {
                        topic: topic.name.0.to_string(),
                        source,
                    }),
                    Verdict::Ended => error().map_err(WriteError::Broker),
                };
                outcome = outcome.and(judged);
            }
        }
        for forgotten in left {
            self.writing.unanswered(forgotten, now);
        }
        outcome
    }

    /// The time that the core goes by.
    fn now(&self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }
}

impl std::fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWriter").finish_non_exhaustive()
    }
}

/// Milliseconds since 1970, for records.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}
