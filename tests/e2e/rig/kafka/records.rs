//! Records: written with any codec, and read back to an end that is known.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Kafka;
use super::admin::PATIENCE;
use super::offsets::{ends, is_passing};
use super::options::Listener;
use crate::RigError;

/// A record, to be written or read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The key, or none.
    pub key: Option<Vec<u8>>,
    /// The value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970; none is the time of writing.
    pub timestamp: Option<i64>,
    /// Names and values.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Where it was read; a record to be written has 0.
    pub partition: i32,
    /// Where it was read; a record to be written has 0.
    pub offset: i64,
}

impl Record {
    /// A record without key, with this value.
    pub fn new(value: impl AsRef<[u8]>) -> Self {
        Self {
            value: Some(value.as_ref().to_owned()),
            ..Self::default()
        }
    }

    /// A record that deletes its key in a compacted topic.
    pub fn tombstone(key: impl AsRef<[u8]>) -> Self {
        Self {
            key: Some(key.as_ref().to_owned()),
            ..Self::default()
        }
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_owned());
        self
    }

    /// With a timestamp in milliseconds since 1970.
    #[must_use]
    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.map(<[u8]>::to_owned)));
        self
    }

    /// The value as text; empty if there is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    fn read(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            key: message.key().map(<[u8]>::to_owned),
            value: message.payload().map(<[u8]>::to_owned),
            timestamp: message.timestamp().to_millis(),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_owned)))
                .collect(),
            partition: message.partition(),
            offset: message.offset(),
        }
    }
}

/// How batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All but those of transactions that are open or were aborted.
    Committed,
    /// All.
    Uncommitted,
}

impl Isolation {
    /// Kafka's name, as in `isolation.level`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

impl Kafka {
    /// Writes records, uncompressed, and waits until all replicas that are in sync have them. Without a partition, each
    /// goes where its key says. Returns each record's partition and offset.
    ///
    /// # Errors
    /// When a record is not taken.
    pub fn produce(
        &self,
        topic: &str,
        partition: impl Into<Option<i32>>,
        records: &[Record],
    ) -> Result<Vec<(i32, i64)>, RigError> {
        self.produce_encoded(Codec::None, topic, partition, records)
    }

    /// As [`Kafka::produce`], with a codec.
    ///
    /// # Errors
    /// As [`Kafka::produce`].
    pub fn produce_encoded(
        &self,
        codec: Codec,
        topic: &str,
        partition: impl Into<Option<i32>>,
        records: &[Record],
    ) -> Result<Vec<(i32, i64)>, RigError> {
        let mut config = self.client(Listener::Plain)?;
        config.set("compression.type", codec.name());
        produce_with(config, topic, partition, records)
    }

    /// Every record that a committed reader may see now: up to the ends that partitions have at the call.
    ///
    /// # Errors
    /// When an end is not reached within 20 s.
    pub fn consume_committed(&self, topic: &str) -> Result<Vec<Record>, RigError> {
        self.consume(topic, Isolation::Committed)
    }

    /// Every record that is there now, by partition and offset.
    ///
    /// # Errors
    /// As [`Kafka::consume_committed`].
    pub fn consume(&self, topic: &str, isolation: Isolation) -> Result<Vec<Record>, RigError> {
        let what = format!("reading the topic {topic}");
        let consumer = self.reader("rig", isolation)?;
        // Partitions that are not at their end yet, each with the offset behind its last record.
        let mut open = BTreeMap::new();
        let mut assigned = TopicPartitionList::new();
        for partition in self.describe(topic)? {
            let number = partition.number;
            let (low, high) = ends(&consumer, topic, number)?;
            if low < high {
                open.insert(number, high);
                assigned
                    .add_partition_offset(topic, number, Offset::Offset(low))
                    .map_err(RigError::client(what.as_str()))?;
            }
        }
        consumer.assign(&assigned).map_err(RigError::client(what.as_str()))?;
        let deadline = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let end = open.get(&partition).copied().unwrap_or_default();
                    if offset < end {
                        records.push(Record::read(&message));
                    }
                    if offset + 1 >= end {
                        open.remove(&partition);
                    }
                }
                // Behind the last record may stand marks of transactions, which are no messages.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(RigError::client(what)(error)),
                None => {}
            }
            if Instant::now() > deadline {
                return Err(RigError::TimedOut {
                    what: format!("the end of {topic}, partitions {:?}", open.keys()),
                    within: PATIENCE,
                });
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }
}

/// As [`Kafka::produce`], by a client with settings of its own.
///
/// # Errors
/// When a record is not taken.
pub fn produce_with(
    mut config: ClientConfig,
    topic: &str,
    partition: impl Into<Option<i32>>,
    records: &[Record],
) -> Result<Vec<(i32, i64)>, RigError> {
    config.set("linger.ms", "1").set("acks", "all");
    let producer = producer(&config)?;
    let sent = send(&producer, topic, partition.into(), records)?;
    producer
        .flush(PATIENCE)
        .map_err(RigError::client(format!("writing to {topic}")))?;
    sent.places(&producer, topic)
}

/// A record's partition and offset, or why it has none.
type Delivered = Result<(i32, i64), KafkaError>;

/// Keeps what became of each record, by the number under which it was sent.
#[derive(Debug, Default)]
pub struct Deliveries {
    done: Mutex<BTreeMap<usize, Delivered>>,
}

impl ClientContext for Deliveries {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let place = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.done.lock().insert(*number, place);
    }
}

/// A producer that keeps what became of its records.
pub(crate) type Writing = BaseProducer<Deliveries>;

/// Records that were given to a producer.
#[derive(Debug)]
pub(crate) struct Sent {
    from: usize,
    count: usize,
}

impl Sent {
    /// Where they are. To be asked when the producer has flushed.
    pub fn places(&self, producer: &BaseProducer<Deliveries>, topic: &str) -> Result<Vec<(i32, i64)>, RigError> {
        let mut done = producer.context().done.lock();
        let mut places = Vec::new();
        for number in self.from..self.from + self.count {
            match done.remove(&number) {
                Some(place) => places.push(place.map_err(RigError::client(format!("writing to {topic}")))?),
                None => {
                    return Err(RigError::Misused(format!(
                        "record {number} of {topic} has no report yet"
                    )));
                }
            }
        }
        Ok(places)
    }
}

pub(crate) fn producer(config: &ClientConfig) -> Result<BaseProducer<Deliveries>, RigError> {
    config
        .create_with_context(Deliveries::default())
        .map_err(RigError::client("creating a producer"))
}

pub(crate) fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    partition: Option<i32>,
    records: &[Record],
) -> Result<Sent, RigError> {
    // Numbers go on where an earlier call ended; reports of that call may not have been asked for.
    let from = producer.context().done.lock().keys().last().map_or(0, |last| last + 1);
    for (index, record) in records.iter().enumerate() {
        let mut message: BaseRecord<'_, [u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(topic, Box::new(from + index));
        message.partition = partition;
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.timestamp = record.timestamp;
        if !record.headers.is_empty() {
            let headers = record
                .headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header {
                        key,
                        value: value.as_ref(),
                    })
                });
            message.headers = Some(headers);
        }
        loop {
            match producer.send(message) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    producer.poll(Duration::from_millis(100));
                    message = back;
                }
                Err((error, _)) => return Err(RigError::client(format!("writing to {topic}"))(error)),
            }
        }
    }
    Ok(Sent {
        from,
        count: records.len(),
    })
}
