//! Delivers the rows of sinks outside of Kafka.
//!
//! The engine writes such a sink's rows into the sink's buffer topic, within its transaction. A deliverer reads that topic as a
//! consumer group of its own, hands each row to an [`ExternalSink`], and commits its place behind the delivery: each row goes
//! out at least once. A thread a sink; a slow receiver holds up neither the engine nor another sink. What is sent when, and
//! what an answer means, the core decides ([`tocsin_worker_core::delivery`]).

mod dead_letter;
mod deliverer;
mod error;
mod member;
mod metrics;
mod state;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};
use tocsin_contract::topics::InternalTopics;
use tocsin_worker_core::delivery::answer::Outcome;
use tocsin_worker_core::delivery::identity::Identity;
use tocsin_worker_core::delivery::queue::Row;
use tocsin_worker_core::delivery::shape::Shape;

pub use self::error::DeliveryError;
pub use self::metrics::DeliveryMetrics;
use crate::shards::Leaving;
use crate::source::Interrupt;
use tocsin_kafka::ClusterSettings;

/// A row on its way out.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// What rows of the sink are.
    pub shape: Arc<Shape>,
    /// The row.
    pub row: Arc<Row>,
    /// Its fields.
    pub fields: Map<String, Value>,
    /// By what the receiver knows it.
    pub identity: Identity,
}

/// What comes of sending a row.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A way to a receiver outside of Kafka.
///
/// It sends one row at a time and keeps nothing: order, repeats and rests are the deliverer's.
pub trait ExternalSink: Send + Sync + 'static {
    /// Sends a row, once. Nothing secret may be in what it says.
    fn send<'a>(&'a self, parcel: &'a Parcel) -> Sending<'a>;

    /// How long that may take.
    fn timeout(&self) -> Duration;
}

/// A sink whose rows are to be delivered.
pub struct Delivery {
    /// Name of the sink.
    pub name: String,
    /// What its rows are.
    pub shape: Shape,
    /// How long a row is sent again.
    pub retry_for: Duration,
    /// The way out.
    pub sink: Arc<dyn ExternalSink>,
}

/// How rows are delivered.
#[derive(Clone)]
pub struct DeliverySettings {
    /// The Kafka.
    pub cluster: ClusterSettings,
    /// Name of the pipeline's consumer group; each sink's is `<group>.sink.<name>`.
    pub group: String,
    /// The pipeline's own topics.
    pub topics: InternalTopics,
    /// Which worker this is.
    pub instance: String,
    /// Whether it leaves the sinks' groups when it ends.
    pub leaving: Arc<Leaving>,
    /// Is raised when a sink cannot be served: the run ends.
    pub interrupt: Interrupt,
}

/// Deliverers at work.
pub struct Deliveries {
    stop: Interrupt,
    deliverers: Vec<Deliverer>,
    /// Where requests run. Dropped behind the threads.
    _runtime: tokio::runtime::Runtime,
}

/// A deliverer at work.
struct Deliverer {
    name: String,
    metrics: Arc<DeliveryMetrics>,
    thread: JoinHandle<Result<(), DeliveryError>>,
}

impl Deliveries {
    /// Starts a deliverer for each sink. They wait for their topics.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(deliveries: Vec<Delivery>, settings: &DeliverySettings) -> Result<Self, DeliveryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("delivery")
            .enable_all()
            .build()
            .map_err(DeliveryError::Thread)?;
        let stop = Interrupt::default();
        let mut deliverers = Vec::new();
        for delivery in deliveries {
            let (name, metrics) = (delivery.name.clone(), Arc::new(DeliveryMetrics::default()));
            let work = deliverer::Work::new(delivery, settings.clone(), Arc::clone(&metrics), stop.clone(), &runtime);
            let interrupt = settings.interrupt.clone();
            let thread = std::thread::Builder::new().name(format!("sink {name}")).spawn(move || {
                let outcome = deliverer::run(&work);
                if outcome.is_err() {
                    interrupt.raise();
                }
                outcome
            });
            let thread = thread.map_err(DeliveryError::Thread)?;
            deliverers.push(Deliverer { name, metrics, thread });
        }
        Ok(Self {
            stop,
            deliverers,
            _runtime: runtime,
        })
    }

    /// The sinks, with what is counted of each.
    pub fn metrics(&self) -> Vec<(String, Arc<DeliveryMetrics>)> {
        let of = |deliverer: &Deliverer| (deliverer.name.clone(), Arc::clone(&deliverer.metrics));
        self.deliverers.iter().map(of).collect()
    }

    /// Waits for the answers to what is under way, commits, and ends. What is not delivered stays in its buffer.
    ///
    /// # Errors
    /// The first for which a deliverer ended.
    pub fn finish(mut self) -> Result<(), DeliveryError> {
        self.stop.raise();
        let mut outcome = Ok(());
        // Each is waited for, also behind one that failed.
        for deliverer in self.deliverers.drain(..) {
            outcome = outcome.and(deliverer.thread.join().unwrap_or(Err(DeliveryError::Panicked)));
        }
        outcome
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        // Of a run that ends by an error; nobody waits.
        self.stop.raise();
    }
}
