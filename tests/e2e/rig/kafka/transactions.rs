//! A producer whose records are seen together or not at all.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::Kafka;
use super::admin::PATIENCE;
use super::options::Listener;
use super::records::{Deliveries, Record, producer, send};
use crate::RigError;

/// A producer with a transactional id.
pub struct Transactional {
    producer: BaseProducer<Deliveries>,
}

impl Kafka {
    /// A transactional producer that comes through a listener, ready to begin.
    ///
    /// # Errors
    /// When the coordinator does not give it a place within 20 s.
    pub fn transactional(&self, id: &str, listener: Listener) -> Result<Transactional, RigError> {
        Transactional::new(self.client(listener)?, id)
    }
}

impl Transactional {
    /// A producer with a client's settings. Fences off whoever wrote under the same id.
    ///
    /// # Errors
    /// As [`Kafka::transactional`].
    pub fn new(mut config: ClientConfig, id: &str) -> Result<Self, RigError> {
        config
            .set("transactional.id", id)
            .set("linger.ms", "1")
            // The default of 100 ms is paid in nearly every cycle, as the coordinator is still at work.
            .set("retry.backoff.ms", "1");
        let producer = producer(&config)?;
        producer
            .init_transactions(PATIENCE)
            .map_err(RigError::client(format!("starting transactions as {id}")))?;
        Ok(Self { producer })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When one is open, or another producer took the id.
    pub fn begin(&self) -> Result<(), RigError> {
        self.producer
            .begin_transaction()
            .map_err(RigError::client("beginning a transaction"))
    }

    /// Writes records and waits until brokers have them; nobody sees them yet. Returns their places.
    ///
    /// # Errors
    /// When a record is not taken.
    pub fn produce(
        &self,
        topic: &str,
        partition: impl Into<Option<i32>>,
        records: &[Record],
    ) -> Result<Vec<(i32, i64)>, RigError> {
        let sent = send(&self.producer, topic, partition.into(), records)?;
        self.producer
            .flush(PATIENCE)
            .map_err(RigError::client(format!("writing to {topic}")))?;
        sent.places(&self.producer, topic)
    }

    /// Commits a group's offsets with the transaction.
    ///
    /// # Errors
    /// When the group's coordinator refuses.
    pub fn send_offsets(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<(), RigError> {
        let sent = self.producer.send_offsets_to_transaction(offsets, group, PATIENCE);
        sent.map_err(RigError::client("sending offsets to a transaction"))
    }

    /// Commits; all at once can be seen.
    ///
    /// # Errors
    /// When the coordinator refuses or does not answer within 20 s.
    pub fn commit(&self) -> Result<(), RigError> {
        self.try_commit(PATIENCE)
            .map_err(RigError::client("committing a transaction"))
    }

    /// Commits, with librdkafka's own error.
    ///
    /// # Errors
    /// As librdkafka has it.
    pub fn try_commit(&self, within: Duration) -> Result<(), KafkaError> {
        self.producer.commit_transaction(within)
    }

    /// Aborts; nobody will see what was written.
    ///
    /// # Errors
    /// When the coordinator refuses or does not answer within 20 s.
    pub fn abort(&self) -> Result<(), RigError> {
        self.producer
            .abort_transaction(PATIENCE)
            .map_err(RigError::client("aborting a transaction"))
    }
}
