//! Writes records without transactions: for tools and undeliverable rows, not for results.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::config::client_config;
use crate::settings::ClusterSettings;
use crate::tokens::TokenLogin;

/// A producer that keeps the order of its records and repeats none.
pub struct PlainProducer(BaseProducer<Deliveries>);

/// Records that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The client cannot be made.
    #[error("the producer cannot be set up: {0}")]
    Setup(ClientError),
    /// A record was refused.
    #[error("{topic} does not take a record: {source}")]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        source: ClientError,
    },
    /// Not all are known to be written.
    #[error("after {seconds} s {unknown} records are not known to be written")]
    Unknown {
        /// How long was waited.
        seconds: u64,
        /// How many.
        unknown: i32,
    },
}

#[derive(Default)]
struct Deliveries {
    login: TokenLogin,
    delivered: AtomicU64,
    failed: Mutex<Option<ClientError>>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                let mut failed = self.failed.lock();
                failed.get_or_insert_with(|| error.clone());
            }
        }
    }
}

impl PlainProducer {
    /// A producer that partitions as Kafka's Java client does.
    ///
    /// # Errors
    /// If the settings are invalid.
    pub fn new(settings: &ClusterSettings, compression: &str) -> Result<Self, ProduceError> {
        let mut config = client_config(settings);
        config
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", compression)
            .set("linger.ms", "5")
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "200000");
        let deliveries = Deliveries {
            login: settings.token_login(),
            ..Deliveries::default()
        };
        BaseProducer::from_config_and_context(&config, deliveries)
            .map(Self)
            .map_err(ProduceError::Setup)
    }

    /// Takes a record; waits while too many are under way.
    ///
    /// # Errors
    /// If this one, or one before, was refused.
    pub fn send(&self, topic: &str, key: Option<&[u8]>, value: &[u8]) -> Result<(), ProduceError> {
        self.send_with(topic, key, value, None)
    }

    /// The same, with headers.
    ///
    /// # Errors
    /// As [`PlainProducer::send`].
    pub fn send_with(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        headers: Option<OwnedHeaders>,
    ) -> Result<(), ProduceError> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(value);
        record.key = key;
        record.headers = headers;
        let mut unsent = Some(record);
        while let Some(record) = unsent.take() {
            match self.0.send(record) {
                Ok(()) => {}
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    self.0.poll(Duration::from_millis(10));
                    self.check(topic)?;
                    unsent = Some(record);
                }
                Err((source, _)) => {
                    let topic = topic.to_owned();
                    return Err(ProduceError::Refused { topic, source });
                }
            }
        }
        Ok(())
    }

    /// Hears what became of records.
    ///
    /// # Errors
    /// If one was refused.
    pub fn check(&self, topic: &str) -> Result<(), ProduceError> {
        self.0.poll(Duration::ZERO);
        let mut failed = self.0.context().failed.lock();
        match failed.take() {
            None => Ok(()),
            Some(source) => Err(ProduceError::Refused {
                topic: topic.to_owned(),
                source,
            }),
        }
    }

    /// How many are written.
    pub fn delivered(&self) -> u64 {
        self.0.context().delivered.load(Ordering::Relaxed)
    }

    /// Waits until all are written.
    ///
    /// # Errors
    /// If one was refused, or the time is over.
    pub fn finish(&self, topic: &str, within: Duration) -> Result<(), ProduceError> {
        let until = Instant::now() + within;
        while self.0.in_flight_count() > 0 {
            self.0.poll(Duration::from_millis(20));
            self.check(topic)?;
            if Instant::now() > until {
                return Err(ProduceError::Unknown {
                    seconds: within.as_secs(),
                    unknown: self.0.in_flight_count(),
                });
            }
        }
        self.check(topic)
    }
}

impl std::fmt::Debug for PlainProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainProducer").finish_non_exhaustive()
    }
}
