//! Writes numbered events at a steady pace until it is told to end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use rdkafka::producer::Producer as _;

use super::oracle::{Event, SERVICES};
use super::{PARTITIONS, Placing};
use crate::RigError;
use crate::kafka::records::{Writing, producer, send};
use crate::kafka::{Kafka, Listener, Record};

/// Event time between two events, in milliseconds.
const STEP: i64 = 10;

/// The first event is so far in the past: event time, which passes ten times as fast at the usual pace, stays behind the clock for
/// forty minutes. Ten minutes ahead of it events are dead letters.
const BEFORE_NOW: Duration = Duration::from_hours(6);

/// So far behind the last event are those that close all windows, in milliseconds.
const CLOSING: i64 = 120_000;

/// How fast events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Events at a time.
    pub at_once: u64,
    /// Time between them.
    pub every: Duration,
}

impl Default for Pace {
    /// A thousand a second.
    fn default() -> Self {
        Self {
            at_once: 5,
            every: Duration::from_millis(5),
        }
    }
}

/// A thread that writes events.
pub struct Stream {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), RigError>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    written: i64,
    ending: bool,
}

impl Stream {
    pub(super) fn start(kafka: &Kafka, topic: &str, pace: Pace, placing: Placing) -> Result<Self, RigError> {
        let producer = writing(kafka)?;
        let shared = Arc::new(Shared::default());
        let (topic, sharing) = (topic.to_owned(), Arc::clone(&shared));
        let write_all = move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let base = i64::try_from((now - BEFORE_NOW).as_millis()).unwrap_or_default();
            let mut next = 0;
            loop {
                let until = Instant::now() + pace.every;
                let events: Vec<Event> = (0..pace.at_once)
                    .zip(next..)
                    .map(|(_, id)| Event::of(id, base + id * STEP))
                    .collect();
                next += i64::try_from(events.len()).unwrap_or_default();
                write(&producer, &topic, &events, placing)?;
                let mut state = sharing.state.lock();
                state.written = next;
                while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !state.ending) {
                    sharing.changed.wait_for(&mut state, left);
                }
                if state.ending {
                    break;
                }
            }
            let close = base + next * STEP + CLOSING;
            let closing: Vec<Event> = (next..next + SERVICES).map(|id| Event::closing(id, close)).collect();
            write(&producer, &topic, &closing, placing)?;
            sharing.state.lock().written = next + SERVICES;
            producer
                .flush(Duration::from_secs(60))
                .map_err(RigError::client(format!("writing to {topic}")))
        };
        // Who waits for results that nobody asks for any more would not be told why.
        let thread = std::thread::spawn(move || {
            let outcome = write_all();
            if let Err(error) = &outcome {
                println!("the stream has ended: {error}");
            }
            outcome
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// How many events were written so far: the next one's id.
    pub fn written(&self) -> i64 {
        self.shared.state.lock().written
    }

    /// Ends with events that close all windows, and waits until brokers have everything. Returns how many events there
    /// are.
    ///
    /// # Errors
    /// When brokers did not take all.
    pub fn end(mut self) -> Result<i64, RigError> {
        self.tell();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome?,
            _ => return Err(RigError::Misused("the thread that writes events panicked".to_owned())),
        }
        Ok(self.written())
    }

    fn tell(&self) {
        self.shared.state.lock().ending = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.tell();
    }
}

fn writing(kafka: &Kafka) -> Result<Writing, RigError> {
    let mut config = kafka.client(Listener::Plain)?;
    config
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "180000");
    producer(&config)
}

/// Writes events, and waits until brokers have them.
pub(super) fn write_all(kafka: &Kafka, topic: &str, events: &[Event]) -> Result<(), RigError> {
    let producer = writing(kafka)?;
    write(&producer, topic, events, Placing::ByService)?;
    producer
        .flush(Duration::from_secs(60))
        .map_err(RigError::client(format!("writing to {topic}")))
}

fn write(producer: &Writing, topic: &str, events: &[Event], placing: Placing) -> Result<(), RigError> {
    if placing == Placing::ByService {
        let records: Vec<Record> = events.iter().map(Event::record).collect();
        send(producer, topic, None, &records)?;
    } else {
        // In turn: all partitions get some of each service, and of the last events.
        for event in events {
            let partition = i32::try_from(event.id % i64::from(PARTITIONS)).unwrap_or_default();
            send(producer, topic, Some(partition), &[event.record()])?;
        }
    }
    producer.poll(Duration::ZERO);
    Ok(())
}
