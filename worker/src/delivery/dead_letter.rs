//! Writes rows that cannot be delivered to the pipeline's dead letters, before their place is committed.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use tocsin_worker_core::delivery::queue::Row;

use tocsin_kafka::{ClusterSettings, PlainProducer, ProduceError};

/// How long the brokers may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The dead-letter topic.
pub struct DeadLetters {
    topic: String,
    producer: PlainProducer,
}

impl DeadLetters {
    /// A producer for it. Nothing is connected to before the first dead letter.
    pub fn new(settings: &ClusterSettings, topic: String) -> Result<Self, ProduceError> {
        let producer = PlainProducer::new(settings, "lz4")?;
        Ok(Self { topic, producer })
    }

    /// Writes a row, and waits until the brokers have it.
    pub fn write(&self, row: &Row, headers: &[(&'static str, String)]) -> Result<(), ProduceError> {
        let mut with = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            let value = Some(value);
            with = with.insert(Header { key, value });
        }
        self.producer
            .send_with(&self.topic, row.key.as_deref(), &row.value, Some(with))?;
        self.producer.finish(&self.topic, PATIENCE)
    }
}
