//! A deliverer between two polls: what was read, what is under way, what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tocsin_worker_core::delivery::answer::{Outcome, Verdict};
use tocsin_worker_core::delivery::circuit::CircuitState;
use tocsin_worker_core::delivery::dead;
use tocsin_worker_core::delivery::identity::{Identity, Place, identity};
use tocsin_worker_core::delivery::progress::Mark;
use tocsin_worker_core::delivery::queue::{Attempt, Became, Limits, Next, Queue, Row, Ticket};
use tocsin_worker_core::delivery::shape::Shape;

use super::dead_letter::DeadLetters;
use super::deliverer::Work;
use super::metrics::count;
use super::{DeliveryError, ExternalSink, Parcel};

/// How much longer than its time-out a sink is waited for: then it does not keep its word.
const GRACE: Duration = Duration::from_secs(5);

/// What came of a row, and by what its receiver knows it.
type Answered = (Ticket, Identity, Outcome);

/// A deliverer between two polls.
pub struct State {
    name: String,
    topic: String,
    shape: Arc<Shape>,
    sink: Arc<dyn ExternalSink>,
    runtime: tokio::runtime::Handle,
    metrics: Arc<super::DeliveryMetrics>,
    dead_letters: DeadLetters,
    queue: Queue,
    started: Instant,
    answers: (Sender<Answered>, Receiver<Answered>),
    /// Whether nothing is sent any more.
    is_ending: bool,
}

impl State {
    pub fn new(work: &Work) -> Result<Self, DeliveryError> {
        let failed = |source| DeliveryError::DeadLetters {
            sink: work.delivery.name.clone(),
            source: Box::new(source),
        };
        let topic = work.settings.topics.dead_letter().as_str().to_owned();
        let limits = Limits::new(work.delivery.retry_for);
        Ok(Self {
            name: work.delivery.name.clone(),
            topic: work.topic.clone(),
            shape: Arc::new(work.delivery.shape.clone()),
            sink: Arc::clone(&work.delivery.sink),
            runtime: work.runtime.clone(),
            metrics: Arc::clone(&work.metrics),
            dead_letters: DeadLetters::new(&work.settings.cluster, topic).map_err(failed)?,
            queue: Queue::new(limits, u64::from(std::process::id()) ^ wall() as u64),
            started: Instant::now(),
            // Never full: no more than these are under way.
            answers: crossbeam_channel::bounded(limits.most_under_way + 1),
            is_ending: false,
        })
    }

    /// Takes a row of the buffer.
    pub fn take(&mut self, record: &BorrowedMessage<'_>) {
        let now = wall();
        let written_at = record.timestamp().to_millis().unwrap_or(now);
        let row = Row {
            partition: record.partition(),
            offset: record.offset(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().unwrap_or_default().to_vec(),
            written_at,
        };
        let age = Duration::from_millis(u64::try_from(now.saturating_sub(written_at)).unwrap_or(0));
        self.queue.push(row, self.started.elapsed(), age);
    }

    /// Hears what came of rows, and sends those whose turn it is.
    pub fn go_on(&mut self) {
        while let Ok(answered) = self.answers.1.try_recv() {
            self.hear(answered);
        }
        while !self.is_ending {
            match self.queue.next(self.started.elapsed()) {
                Next::Send(attempt) => self.send(attempt),
                Next::Wait(_) => break,
            }
        }
        self.metrics
            .set(self.queue.circuit(), self.queue.n_rows(), self.queue.oldest());
    }

    /// Sends nothing any more.
    pub fn end(&mut self) {
        self.is_ending = true;
    }

    /// Waits for the answers to what is under way of these partitions.
    pub fn settle(&mut self, partitions: &[i32]) {
        let until = Instant::now() + self.sink.timeout() + GRACE;
        let is_open = |queue: &Queue| {
            partitions
                .iter()
                .any(|partition| queue.n_under_way(Some(*partition)) > 0)
        };
        while is_open(&self.queue) {
            match self.answers.1.recv_deadline(until) {
                Ok(answered) => self.hear(answered),
                Err(_) => return,
            }
        }
    }

    /// Takes a partition, from what is committed of it.
    pub fn assign(&mut self, partition: i32, committed: Mark) {
        self.queue.assign(partition, committed);
    }

    /// Forgets a partition.
    pub fn revoke(&mut self, partition: i32) {
        self.queue.revoke(partition);
    }

    /// Whether a reader that reads, or one that does not, should.
    pub fn wants(&self, is_reading: bool) -> bool {
        self.queue.wants(is_reading)
    }

    /// Whether answers are awaited.
    pub fn is_busy(&self) -> bool {
        self.queue.n_under_way(None) > 0
    }

    /// The partitions that it has.
    pub fn partitions(&self) -> Vec<i32> {
        self.queue.partitions()
    }

    /// What can be committed. It counts as committed from now on.
    pub fn marks(&mut self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, mark) in self.queue.marks() {
            let mut element = list.add_partition(&self.topic, partition);
            element.set_offset(Offset::Offset(mark.offset)).ok()?;
            element.set_metadata(&mark.metadata);
            self.queue.committed(partition, mark);
        }
        (list.count() > 0).then_some(list)
    }

    /// Hears that a commit failed: all is committed anew with the next.
    pub fn not_committed(&mut self) {
        for partition in self.queue.partitions() {
            let never = Mark {
                offset: -1,
                metadata: String::new(),
            };
            self.queue.committed(partition, never);
        }
    }

    fn send(&mut self, Attempt { ticket, row }: Attempt) {
        let place = Place {
            topic: self.topic.clone(),
            partition: row.partition,
            offset: row.offset,
            written_at: row.written_at,
        };
        let fields = serde_json::from_slice(&row.value);
        let known_by = |fields| identity(self.shape.kind, fields, row.key.as_deref(), &place);
        let fields = match fields {
            Ok(fields) => fields,
            Err(_) => {
                let outcome = Outcome {
                    verdict: Verdict::Never,
                    status: None,
                    said: "the row is no JSON object".to_owned(),
                };
                let identity = known_by(&serde_json::Map::new());
                return self.hear((ticket, identity, outcome));
            }
        };
        let parcel = Parcel {
            shape: Arc::clone(&self.shape),
            identity: known_by(&fields),
            fields,
            row,
        };
        let (sink, answers, identity) = (Arc::clone(&self.sink), self.answers.0.clone(), parcel.identity.clone());
        self.runtime.spawn(async move {
            let limit = sink.timeout() + GRACE;
            // In a task of its own, so that the answer comes whatever becomes of it.
            let sending = tokio::spawn(async move { tokio::time::timeout(limit, sink.send(&parcel)).await });
            let failed = |said: &str| Outcome {
                verdict: Verdict::Again { rest: None },
                status: None,
                said: said.to_owned(),
            };
            let outcome = match sending.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => failed("the sink did not keep to its time-out"),
                Err(_) => failed("the sink failed in a way that was not foreseen"),
            };
            // Nobody listens when the deliverer has ended.
            answers.send((ticket, identity, outcome)).ok();
        });
    }

    fn hear(&mut self, (ticket, identity, outcome): Answered) {
        let before = self.queue.circuit();
        let became = self.queue.answered(&ticket, outcome.verdict, self.started.elapsed());
        match became {
            Became::Delivered => {
                count(&self.metrics.delivered, 1);
                tracing::debug!(sink = self.name, key = identity.row, "a row was delivered");
            }
            Became::Waiting(_) => {
                count(&self.metrics.retried, 1);
                let Outcome { status, said, .. } = &outcome;
                tracing::info!(
                    sink = self.name,
                    key = identity.row,
                    status,
                    said,
                    "a row is sent again"
                );
            }
            Became::Dead(row, attempts) => self.bury(&ticket, &row, &identity, attempts, &outcome),
            Became::Forgotten => {}
        }
        let after = self.queue.circuit();
        if before == CircuitState::Closed && after == CircuitState::Open {
            let Outcome { status, said, .. } = &outcome;
            tracing::warn!(
                sink = self.name,
                status,
                said,
                "the receiver does not take rows: they wait"
            );
        }
        if before != CircuitState::Closed && after == CircuitState::Closed {
            tracing::warn!(sink = self.name, "the receiver takes rows again");
        }
    }

    fn bury(&mut self, ticket: &Ticket, row: &Row, identity: &Identity, attempts: u32, outcome: &Outcome) {
        let headers = dead::headers(&self.name, &self.topic, row, &identity.row, attempts, outcome);
        match self.dead_letters.write(row, &headers) {
            Ok(()) => {
                count(&self.metrics.dead, 1);
                let Outcome { status, said, .. } = outcome;
                tracing::warn!(
                    sink = self.name,
                    key = identity.row,
                    attempts,
                    status,
                    said,
                    "a row went to the dead letters"
                );
                self.queue.buried(ticket, self.started.elapsed());
            }
            Err(error) => {
                tracing::warn!(sink = self.name, %error, "a dead letter could not be written: the row is sent again");
                self.queue.not_buried(ticket, self.started.elapsed());
            }
        }
    }
}

/// Milliseconds since 1970.
fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
