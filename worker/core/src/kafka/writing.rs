//! Which batches are written next, and what an answer means: what [`fetching`](super::fetching) is for reading.
//!
//! Records are collected by partition. Each partition has one batch on the way at a time, which is sent, the same to the last
//! byte, until a broker has it: brokers know a batch by its producer, epoch and sequence, and take it once.

use std::collections::BTreeMap;

use bytes::Bytes;
use tocsin_contract::pipeline::source::Partitioner;

use super::batch_writer::{BatchWriter, Producer};
use super::error_code::{
    CONCURRENT_TRANSACTIONS, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, CORRUPT_MESSAGE,
    DUPLICATE_SEQUENCE_NUMBER, FENCED_LEADER_EPOCH, INVALID_RECORD, INVALID_TOPIC_EXCEPTION, KAFKA_STORAGE_ERROR,
    LEADER_NOT_AVAILABLE, MESSAGE_TOO_LARGE, NETWORK_EXCEPTION, NONE, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER_OR_FOLLOWER, RECORD_LIST_TOO_LARGE, REQUEST_TIMED_OUT,
    THROTTLING_QUOTA_EXCEEDED, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_LEADER_EPOCH, UNKNOWN_TOPIC_ID,
    UNKNOWN_TOPIC_OR_PARTITION,
};
use super::fetching::{Millis, Partition};
use super::partitioner;
use super::throttling::Throttling;

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A batch has at most so many bytes before it is compressed, or one record.
    pub batch_bytes: usize,
    /// A broker is sent at most so many bytes at a time, or one batch.
    pub request_bytes: usize,
    /// Time until a batch is sent again: at first, and at most.
    pub backoff: (Millis, Millis),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Below the 1,048,588 bytes that brokers take if nobody says otherwise, also if it gets no smaller.
            batch_bytes: 1_000_000,
            // Brokers take 100 MiB if nobody says otherwise.
            request_bytes: 16 << 20,
            backoff: (1, 100),
        }
    }
}

/// Memory of so many batches at most is kept for others.
const MOST_SPARE: usize = 8;

/// What an answer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The broker has the batch; where its last record stands, if the broker says so.
    Written(Option<i64>),
    /// It is sent again, perhaps in halves, perhaps elsewhere.
    Later,
    /// The topic takes such a record at no try.
    Refused,
    /// The producer cannot go on.
    Ended,
}

/// A batch to send.
#[derive(Clone, Debug)]
pub struct Due {
    /// The broker that leads the partition.
    pub broker: i32,
    /// The partition.
    pub partition: Partition,
    /// The batch.
    pub batch: Bytes,
}

/// Records that are being written.
#[derive(Debug)]
pub struct Writing {
    settings: Settings,
    producer: Producer,
    topics: Vec<Topic>,
    wants_leaders: bool,
    throttling: Throttling,
    /// Memory for batches to come.
    spare: Vec<BatchWriter>,
}

#[derive(Debug, Default)]
struct Topic {
    /// Of each partition, who leads it.
    leaders: Vec<Option<i32>>,
    queues: Vec<Queue>,
    /// Where records without a key go.
    keyless: u32,
}

/// What is to be written to a partition.
#[derive(Debug, Default)]
struct Queue {
    /// Full batches, the oldest last.
    full: Vec<BatchWriter>,
    /// Takes records.
    open: BatchWriter,
    /// The batch that is sent until it is written.
    first: Option<First>,
    /// Number of the next record.
    sequence: i32,
    not_before: Millis,
    backoff: Millis,
}

#[derive(Debug)]
struct First {
    records: BatchWriter,
    batch: Bytes,
    is_out: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.first.is_none() && self.full.is_empty() && self.open.is_empty()
    }

    fn wait(&mut self, settings: &Settings, now: Millis) {
        let (first, longest) = settings.backoff;
        self.backoff = (2 * self.backoff).clamp(first, longest);
        self.not_before = now + self.backoff;
    }
}

impl Writing {
    /// Nothing is to be written yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            producer: Producer::NOBODY,
            topics: Vec::new(),
            wants_leaders: false,
            throttling: Throttling::default(),
            spare: Vec::new(),
        }
    }

    /// From now on this producer writes. Brokers count anew.
    pub fn begin(&mut self, producer: Producer) {
        if producer != self.producer {
            self.producer = producer;
            for queue in self.topics.iter_mut().flat_map(|topic| &mut topic.queues) {
                queue.sequence = 0;
            }
        }
    }

    /// The producer that writes.
    pub fn producer(&self) -> Producer {
        self.producer
    }

    /// One more topic; answers its number.
    pub fn add_topic(&mut self) -> u32 {
        self.topics.push(Topic::default());
        self.wants_leaders = true;
        self.topics.len() as u32 - 1
    }

    /// Who leads the partitions of a topic; a topic without partitions is not there.
    pub fn led(&mut self, topic: u32, leaders: Vec<Option<i32>>) {
        let Some(topic) = self.topics.get_mut(topic as usize) else {
            return;
        };
        if topic.queues.len() < leaders.len() {
            topic.queues.resize_with(leaders.len(), Queue::default);
        }
        topic.leaders = leaders;
    }

    /// Whether leaders must be looked for; asking clears it.
    pub fn take_wants_leaders(&mut self) -> bool {
        std::mem::take(&mut self.wants_leaders)
    }

    /// Whether a topic has this partition, as far as is known.
    pub fn is_there(&self, topic: u32, partition: u32) -> bool {
        let topic = self.topics.get(topic as usize);
        topic.is_some_and(|topic| topic.leaders.len() > partition as usize)
    }

    /// Takes a record, for a partition or for that of its key. False if the topic, or the partition, is not there.
    pub fn push(
        &mut self,
        topic: u32,
        partition: Option<u32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<&[u8]>,
    ) -> bool {
        let Some(topic) = self.topics.get_mut(topic as usize) else {
            return false;
        };
        let n_partitions = topic.leaders.len() as u32;
        let partition = match (partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => {
                let hash = partitioner::hash(Partitioner::Murmur2, key);
                partitioner::partition(Partitioner::Murmur2, hash, n_partitions)
            }
            (None, None) => topic.keyless.checked_rem(n_partitions).unwrap_or_default(),
        };
        let Some(queue) = topic
            .queues
            .get_mut(partition as usize)
            .filter(|_| partition < n_partitions)
        else {
            return false;
        };
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if !queue.open.is_empty() && queue.open.n_bytes() + bytes > self.settings.batch_bytes {
            let next = self.spare.pop().unwrap_or_default();
            queue.full.insert(0, std::mem::replace(&mut queue.open, next));
        }
        queue.open.push(key, value, headers);
        true
    }

    /// Whether a broker has each record that was taken.
    pub fn is_done(&self) -> bool {
        self.queues().all(|(_, queue)| queue.is_empty())
    }

    /// Partitions with records that no broker has yet.
    pub fn open_partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.queues().filter(|(_, queue)| !queue.is_empty()).map(|(at, _)| at)
    }

    /// A broker is sent nothing until then: see [`Throttling`].
    pub fn throttled(&mut self, broker: i32, until: Millis) {
        self.throttling.note(broker, until);
    }

    /// When all brokers can be sent something again, if one cannot now.
    pub fn throttled_until(&self, now: Millis) -> Option<Millis> {
        self.throttling.latest(now)
    }

    /// Sends again to brokers that wanted to be left alone; answers which.
    pub fn forget_throttling(&mut self) -> Vec<i32> {
        self.throttling.forget()
    }

    /// What to send now; `millis` is the clock's time since 1970, for records.
    pub fn due(&mut self, now: Millis, millis: i64) -> Vec<Due> {
        let mut due = Vec::new();
        let mut bytes: BTreeMap<i32, usize> = BTreeMap::new();
        for (number, topic) in self.topics.iter_mut().enumerate() {
            let mut was_open = false;
            for (partition, queue) in topic.queues.iter_mut().enumerate() {
                was_open |= !queue.open.is_empty();
                if queue.is_empty() || queue.not_before > now || queue.first.as_ref().is_some_and(|first| first.is_out)
                {
                    continue;
                }
                let Some(broker) = topic.leaders.get(partition).copied().flatten() else {
                    self.wants_leaders = true;
                    queue.wait(&self.settings, now);
                    continue;
                };
                if self.throttling.until(broker, now).is_some() {
                    continue;
                }
                let of_broker = bytes.entry(broker).or_default();
                if *of_broker > self.settings.request_bytes {
                    continue;
                }
                let (full, open) = (&mut queue.full, &mut queue.open);
                let first = queue.first.get_or_insert_with(|| {
                    let records = full.pop().unwrap_or_else(|| std::mem::take(open));
                    First {
                        batch: records.batch(self.producer, queue.sequence, millis).into(),
                        records,
                        is_out: false,
                    }
                });
                first.is_out = true;
                *of_broker += first.batch.len();
                due.push(Due {
                    broker,
                    partition: Partition {
                        topic: number as u32,
                        partition: partition as u32,
                    },
                    batch: first.batch.clone(),
                });
            }
            topic.keyless = topic.keyless.wrapping_add(u32::from(was_open));
        }
        due
    }

    /// When something is due that is not now, if something waits and nothing is on the way for it.
    pub fn next_try(&self, now: Millis) -> Option<Millis> {
        let waiting = self
            .queues()
            .filter(|(_, queue)| !queue.is_empty() && queue.first.as_ref().is_none_or(|first| !first.is_out));
        let due = waiting.map(|(at, queue)| {
            let leaders = &self.topics[at.topic as usize].leaders;
            let leader = leaders.get(at.partition as usize).copied().flatten();
            let throttled = leader.and_then(|leader| self.throttling.until(leader, now));
            queue.not_before.max(throttled.unwrap_or_default())
        });
        due.min()
    }

    /// A broker answered for a partition.
    pub fn answered(&mut self, partition: Partition, code: i16, base_offset: i64, now: Millis) -> Verdict {
        let settings = self.settings;
        let Some(queue) = self.queue_mut(partition) else {
            return Verdict::Later;
        };
        let Some(mut first) = queue.first.take() else {
            return Verdict::Later;
        };
        match Meaning::of(code) {
            Meaning::Written => {
                let n_records = first.records.n_records();
                queue.sequence = queue.sequence.wrapping_add(n_records) & i32::MAX;
                (queue.not_before, queue.backoff) = (0, 0);
                // Its memory takes records to come. One record that was large is no reason to keep as much for good.
                if first.records.capacity() <= 2 * settings.batch_bytes {
                    first.records.clear();
                    if queue.open.is_empty() {
                        queue.open = first.records;
                    } else if self.spare.len() < MOST_SPARE {
                        self.spare.push(first.records);
                    }
                }
                Verdict::Written((base_offset >= 0).then(|| base_offset + i64::from(n_records) - 1))
            }
            Meaning::TooLarge => match first.records.halves() {
                Some((front, back)) => {
                    queue.full.push(back);
                    queue.full.push(front);
                    Verdict::Later
                }
                None => Verdict::Refused,
            },
            meaning @ (Meaning::Later { .. } | Meaning::Refused | Meaning::Ended) => {
                first.is_out = false;
                queue.first = Some(first);
                queue.wait(&settings, now);
                match meaning {
                    Meaning::Later { is_led } => {
                        self.wants_leaders |= !is_led;
                        Verdict::Later
                    }
                    Meaning::Refused => Verdict::Refused,
                    _ => Verdict::Ended,
                }
            }
        }
    }

    /// A broker did not answer for a partition, if it was asked at all: the batch is sent again, where the leader is then.
    pub fn unanswered(&mut self, partition: Partition, now: Millis) {
        let settings = self.settings;
        if let Some(queue) = self.queue_mut(partition)
            && let Some(first) = queue.first.as_mut().filter(|first| first.is_out)
        {
            first.is_out = false;
            queue.wait(&settings, now);
            self.wants_leaders = true;
        }
    }

    /// Gives up what is not written. Answers whether it is known what brokers have, so that the producer can go on in its epoch: a
    /// batch that was sent may be in a log whatever the answer was, since brokers judge also behind the append.
    pub fn give_up(&mut self) -> bool {
        let mut is_known = true;
        for queue in self.topics.iter_mut().flat_map(|topic| &mut topic.queues) {
            is_known &= queue.first.take().is_none();
            queue.full.clear();
            queue.open.clear();
            (queue.not_before, queue.backoff) = (0, 0);
        }
        is_known
    }

    fn queues(&self) -> impl Iterator<Item = (Partition, &Queue)> + '_ {
        self.topics.iter().enumerate().flat_map(|(topic, of_topic)| {
            let at = move |partition: usize| Partition {
                topic: topic as u32,
                partition: partition as u32,
            };
            let queues = of_topic.queues.iter().enumerate();
            queues.map(move |(partition, queue)| (at(partition), queue))
        })
    }

    fn queue_mut(&mut self, at: Partition) -> Option<&mut Queue> {
        let topic = self.topics.get_mut(at.topic as usize)?;
        topic.queues.get_mut(at.partition as usize)
    }
}

/// What an error of Kafka means for a batch. Source: `org.apache.kafka.common.protocol.Errors`, and KIP-890 for what transactions
/// add.
enum Meaning {
    Written,
    /// It is sent again; whether the broker leads the partition.
    Later {
        is_led: bool,
    },
    TooLarge,
    Refused,
    Ended,
}

impl Meaning {
    fn of(code: i16) -> Self {
        match code {
            // A batch that is there twice was taken before.
            NONE | DUPLICATE_SEQUENCE_NUMBER => Self::Written,
            UNKNOWN_TOPIC_OR_PARTITION
            | LEADER_NOT_AVAILABLE
            | NOT_LEADER_OR_FOLLOWER
            | NETWORK_EXCEPTION
            | KAFKA_STORAGE_ERROR
            | FENCED_LEADER_EPOCH
            | UNKNOWN_LEADER_EPOCH
            | UNKNOWN_TOPIC_ID => Self::Later { is_led: false },
            REQUEST_TIMED_OUT
            | COORDINATOR_LOAD_IN_PROGRESS
            | COORDINATOR_NOT_AVAILABLE
            | NOT_COORDINATOR
            | NOT_ENOUGH_REPLICAS
            | NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | CONCURRENT_TRANSACTIONS
            | THROTTLING_QUOTA_EXCEEDED => Self::Later { is_led: true },
            MESSAGE_TOO_LARGE | RECORD_LIST_TOO_LARGE => Self::TooLarge,
            CORRUPT_MESSAGE | INVALID_TOPIC_EXCEPTION | TOPIC_AUTHORIZATION_FAILED | INVALID_RECORD => Self::Refused,
            _ => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests;
