//! Sends results ahead of their transaction, where they may repeat (`delivery: AtLeastOnce`).
//!
//! Results leave as soon as the engine gives them out, by a producer of their own that has no transaction; the transaction of
//! their cut holds the journal and the offsets, and is committed only when the brokers have acknowledged them all. Which
//! results these are, the core says (`Shard::take_ahead`).
//!
//! The producer keeps the order of a partition and tries for as long as it takes. Where it cannot go on, it is given up, and
//! the shards that have moved since their last cut are recovered: what they led to is sent again from there, in order.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext, PurgeConfig};

use super::ShardsError;
use super::producer::{LARGEST_MESSAGE, is_never_taken, send};
use super::transaction::Out;
use crate::kafka::{ClusterSettings, TokenLogin, client_config};
use crate::metrics::Arrivals;

/// With more on the way than this nothing is added.
const MOST_ON_THE_WAY: u64 = 16 << 20;

/// Results that were sent together.
#[derive(Default)]
struct Sent {
    /// How many are not acknowledged.
    open: AtomicU64,
    /// The first that will not be.
    failed: Mutex<Option<(String, ClientError)>>,
}

impl Sent {
    fn is_acknowledged(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && self.failure().is_none()
    }

    fn failure(&self) -> Option<(String, ClientError)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hears what became of results.
#[derive(Default)]
struct Deliveries {
    login: TokenLogin,
    /// Bytes that are on the way.
    bytes: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Arc<Sent>) {
        let record = match result {
            Ok(record) => record,
            Err((error, record)) => {
                let mut failed = sent.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| (record.topic().to_owned(), error.clone()));
                record
            }
        };
        let bytes = record.payload().map_or(0, <[u8]>::len) as u64;
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        sent.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What became of the results of a transaction.
pub enum Settled {
    /// The brokers have them.
    Acknowledged,
    /// Some are on the way.
    Open,
    /// A topic will never take one.
    Refused(String, ClientError),
    /// The producer cannot go on.
    Failed(ClientError),
}

/// The results that went ahead of a transaction.
pub struct Awaited {
    producer: Arc<BaseProducer<Deliveries>>,
    sent: Vec<Arc<Sent>>,
}

impl Awaited {
    /// How they stand.
    pub fn settled(&mut self) -> Settled {
        self.producer.poll(Duration::ZERO);
        self.sent.retain(|sent| !sent.is_acknowledged());
        match self.sent.iter().find_map(|sent| sent.failure()) {
            None if self.sent.is_empty() => Settled::Acknowledged,
            None => Settled::Open,
            Some((topic, error)) if is_never_taken(&error) => Settled::Refused(topic, error),
            Some((_, error)) => Settled::Failed(error),
        }
    }
}

/// Sends results ahead.
pub struct Ahead {
    settings: ClusterSettings,
    producer: Arc<BaseProducer<Deliveries>>,
    bytes: Arc<AtomicU64>,
    /// What is not acknowledged, in order, with when the records came that led to it.
    open: VecDeque<(Arc<Sent>, Arrivals)>,
    /// What was sent since the last cut, if it is not acknowledged.
    of_cut: Vec<Arc<Sent>>,
}

impl Ahead {
    /// A new producer.
    pub fn begin(settings: ClusterSettings) -> Result<Self, ShardsError> {
        let (producer, bytes) = producer(&settings)?;
        Ok(Self {
            settings,
            producer,
            bytes,
            open: VecDeque::new(),
            of_cut: Vec::new(),
        })
    }

    /// Sends results; `arrivals` says when the records came that led to them.
    pub fn send(&mut self, results: &[Out], arrivals: Arrivals) {
        let sent = Arc::new(Sent::default());
        for result in results {
            let bytes = result.value.len() as u64;
            sent.open.fetch_add(1, Ordering::AcqRel);
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
            if let Err((topic, error)) = send(&self.producer, result, Arc::clone(&sent)) {
                let mut failed = sent.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert((topic, error));
                drop(failed);
                self.bytes.fetch_sub(bytes, Ordering::AcqRel);
                sent.open.fetch_sub(1, Ordering::AcqRel);
            }
        }
        self.of_cut.push(Arc::clone(&sent));
        self.open.push_back((sent, arrivals));
    }

    /// Hears what became of results: when the records came that led to those that are acknowledged by now.
    pub fn acknowledged(&mut self) -> Arrivals {
        let mut arrivals = Arrivals::new();
        if self.open.is_empty() {
            return arrivals;
        }
        self.producer.poll(Duration::ZERO);
        while let Some((_, of_sent)) = self.open.pop_front_if(|(sent, _)| sent.is_acknowledged()) {
            arrivals.extend(of_sent);
        }
        self.of_cut.retain(|sent| !sent.is_acknowledged());
        arrivals
    }

    /// What the transaction of a cut must wait for: all that was sent since the cut before.
    pub fn cut(&mut self) -> Awaited {
        Awaited {
            producer: Arc::clone(&self.producer),
            sent: std::mem::take(&mut self.of_cut),
        }
    }

    /// Whether something is on the way.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether as much is on the way as may be.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > MOST_ON_THE_WAY
    }

    /// Gives up what is on the way, and the producer with it: nothing of it is tried again.
    pub fn begin_anew(&mut self) -> Result<(), ShardsError> {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        *self = Self::begin(self.settings.clone())?;
        Ok(())
    }
}

fn producer(settings: &ClusterSettings) -> Result<(Arc<BaseProducer<Deliveries>>, Arc<AtomicU64>), ShardsError> {
    let deliveries = Deliveries {
        login: settings.token_login(),
        ..Deliveries::default()
    };
    let bytes = Arc::clone(&deliveries.bytes);
    let mut config = client_config(settings);
    config
        .set("enable.idempotence", "true")
        // A broker that is away is waited for; what is lost with its shard is given up by hand.
        .set("message.timeout.ms", "0")
        .set("retry.backoff.ms", "1")
        .set("retry.backoff.max.ms", "100")
        .set("linger.ms", "1")
        .set("message.max.bytes", LARGEST_MESSAGE)
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "262144")
        .set("partitioner", "murmur2_random");
    let producer = config.create_with_context(deliveries);
    let producer = producer.map_err(|source| ShardsError::Client {
        what: "sending results",
        source,
    })?;
    Ok((Arc::new(producer), bytes))
}
