//! What ends the delivery of a sink's rows.

use tocsin_kafka::{KafkaError, ProduceError};

/// What ends the delivery of a sink's rows: each needs a person. A receiver that is away is none: it is waited for.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A broker cannot be used.
    #[error("sink {sink}: {source}")]
    Kafka {
        /// The sink.
        sink: String,
        /// Why not.
        source: KafkaError,
    },
    /// librdkafka cannot go on.
    #[error("sink {sink}: {what}: {source}; the pipeline's Kafka user needs to read topic {topic} as group {group}")]
    Client {
        /// The sink.
        sink: String,
        /// What was tried.
        what: &'static str,
        /// Its buffer.
        topic: String,
        /// Its consumer group.
        group: String,
        /// Why not.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// The producer of dead letters cannot be made.
    #[error("sink {sink}: {source}")]
    DeadLetters {
        /// The sink.
        sink: String,
        /// Why not.
        source: Box<ProduceError>,
    },
    /// Another worker took this one's name.
    #[error("another worker runs under the name {0}: this one ends")]
    Fenced(String),
    /// The system gives no thread.
    #[error("the deliverers cannot be started: {0}")]
    Thread(std::io::Error),
    /// A thread ended in a way that was not foreseen.
    #[error("a deliverer ended unexpectedly")]
    Panicked,
}
