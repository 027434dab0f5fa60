//! The thread of a sink: reads its buffer, and commits behind its deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as ClientError;

use super::member::{Complaints, Member, join};
use super::state::State;
use super::{Delivery, DeliveryError, DeliveryMetrics, DeliverySettings};
use crate::source::Interrupt;
use tocsin_kafka::{BEFORE_JOINING, Cluster};

/// How long a poll waits, and while answers are awaited.
const POLL: Duration = Duration::from_millis(20);
const POLL_BUSY: Duration = Duration::from_millis(5);

/// Time between two commits.
const BETWEEN_COMMITS: Duration = Duration::from_millis(100);

/// Time between two looks for a topic that is not there yet: the engine makes it.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What a deliverer works with.
pub struct Work {
    pub delivery: Delivery,
    pub settings: DeliverySettings,
    /// Its buffer.
    pub topic: String,
    /// Its consumer group, and its name within.
    pub group: String,
    pub instance: String,
    pub metrics: Arc<DeliveryMetrics>,
    pub stop: Interrupt,
    pub runtime: tokio::runtime::Handle,
}

impl Work {
    pub fn new(
        delivery: Delivery,
        settings: DeliverySettings,
        metrics: Arc<DeliveryMetrics>,
        stop: Interrupt,
        runtime: &tokio::runtime::Runtime,
    ) -> Self {
        let group = format!("{}.sink.{}", settings.group, delivery.name);
        Self {
            topic: settings.topics.buffer(&delivery.name).as_str().to_owned(),
            instance: format!("{group}.{}", settings.instance),
            group,
            delivery,
            settings,
            metrics,
            stop,
            runtime: runtime.handle().clone(),
        }
    }

    /// An error of librdkafka's.
    pub fn failed(&self, what: &'static str) -> impl FnOnce(ClientError) -> DeliveryError {
        let (sink, topic, group) = (self.delivery.name.clone(), self.topic.clone(), self.group.clone());
        move |source| DeliveryError::Client {
            sink,
            what,
            topic,
            group,
            source: Box::new(source),
        }
    }

    fn kafka(&self) -> impl Fn(tocsin_kafka::KafkaError) -> DeliveryError {
        let sink = self.delivery.name.clone();
        move |source| DeliveryError::Kafka {
            sink: sink.clone(),
            source,
        }
    }

    /// Waits for the topic; false if the run ends before it is there.
    fn wait_for_topic(&self) -> Result<bool, DeliveryError> {
        let mut cluster = Cluster::new(self.settings.cluster.clone()).map_err(self.kafka())?;
        while !self.stop.is_raised() {
            match cluster.topic(&self.topic) {
                Ok(_) => return Ok(true),
                Err(error) if error.may_pass() => std::thread::park_timeout(BETWEEN_LOOKS),
                Err(error) => return Err(self.kafka()(error)),
            }
        }
        Ok(false)
    }
}

/// Delivers until it is told to stop.
pub fn run(work: &Work) -> Result<(), DeliveryError> {
    if !work.wait_for_topic()? {
        return Ok(());
    }
    let state = Arc::new(Mutex::new(State::new(work)?));
    let mut spoiled = None;
    let mut consumer = join(work, Arc::clone(&state), spoiled)?;
    let (mut complaints, mut was_member) = (Complaints::default(), false);
    let mut is_reading = true;
    let mut committed = Instant::now();
    while !work.stop.is_raised() {
        let wait = if state.lock().is_busy() { POLL_BUSY } else { POLL };
        // Not under the lock: a rebalance takes it.
        let read = consumer.poll(wait);
        match read {
            Some(Ok(record)) => state.lock().take(&record),
            Some(Err(error)) => {
                was_member |= consumer.context().was_assigned.load(Ordering::Relaxed);
                if complaints.hear(work, was_member, error)? {
                    forget_all(&state);
                    drop(consumer);
                    std::thread::park_timeout(BEFORE_JOINING);
                    consumer = join(work, Arc::clone(&state), spoiled)?;
                    is_reading = true;
                }
            }
            None => {}
        }
        if let Some(generation) = consumer.context().incarnation.spoiled() {
            tracing::warn!(
                sink = work.delivery.name,
                "the consumer group of a sink threw this worker out while it joined: it leaves, and joins anew"
            );
            spoiled = Some(generation);
            forget_all(&state);
            drop(consumer);
            leave(work);
            let joins_at = Instant::now() + work.settings.cluster.before_joining_anew();
            while Instant::now() < joins_at && !work.stop.is_raised() {
                std::thread::park_timeout(POLL);
            }
            consumer = join(work, Arc::clone(&state), spoiled)?;
            is_reading = true;
        }
        state.lock().go_on();
        let wants = state.lock().wants(is_reading);
        // Partitions that came meanwhile are read, whatever the others are.
        if wants != is_reading || !wants {
            is_reading = wants;
            steer(work, &consumer, wants)?;
        }
        if committed.elapsed() > BETWEEN_COMMITS {
            committed = Instant::now();
            commit(&state, &consumer, CommitMode::Async);
        }
    }
    let partitions = state.lock().partitions();
    state.lock().end();
    state.lock().settle(&partitions);
    commit(&state, &consumer, CommitMode::Sync);
    drop(consumer);
    if work.settings.leaving.is_due() {
        leave(work);
    }
    Ok(())
}

/// Whatever it had is another's.
fn forget_all(state: &Mutex<State>) {
    let mut state = state.lock();
    let partitions = state.partitions();
    state.settle(&partitions);
    partitions.into_iter().for_each(|partition| state.revoke(partition));
}

/// Commits what can be.
pub fn commit(state: &Mutex<State>, consumer: &BaseConsumer<Member>, mode: CommitMode) {
    // Of what others have it commits nothing.
    if consumer.context().incarnation.has_changed(consumer) {
        return;
    }
    let Some(marks) = state.lock().marks() else { return };
    if let Err(error) = consumer.commit(&marks, mode) {
        tracing::warn!(%error, "what was delivered could not be committed: it may be delivered again");
        state.lock().not_committed();
    }
}

/// Lets the consumer read, or not: it polls on, and so stays in its group.
fn steer(work: &Work, consumer: &BaseConsumer<Member>, reads: bool) -> Result<(), DeliveryError> {
    let all = consumer.assignment();
    let outcome = all.and_then(|all| {
        if reads {
            consumer.resume(&all)
        } else {
            consumer.pause(&all)
        }
    });
    outcome.map_err(work.failed("pausing the reading"))
}

/// A static member that only closes keeps its partitions for the length of a session.
fn leave(work: &Work) {
    let left = Cluster::new(work.settings.cluster.clone())
        .and_then(|mut cluster| cluster.leave_group(&work.group, &work.instance));
    if let Err(error) = left {
        tracing::warn!(%error, "the consumer group of a sink could not be left");
    }
}
