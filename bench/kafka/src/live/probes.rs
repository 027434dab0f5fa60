//! Probes: alerts that escalate at once, each of a service of its own, so that the escalation says which one it was.
//!
//! A latency counts from the moment at which the probe was due, not from that at which it was sent: a load that falls
//! behind makes no latency shorter.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use rdkafka::message::Message as _;
use tocsin_e2e::process::Process;

use super::LATEST;
use super::latencies::Latencies;
use super::sender::wait_until;
use crate::broker::Broker;
use crate::follow::reader;
use crate::load::alerts::{FIRST, critical, partition_of};
use crate::load::batch::{Builder, set_time};
use crate::load::fill::now;
use crate::load::producer::Producer;

/// Alerts that escalate; with them, 1,000 records a second.
const ESCALATES: u32 = 3;
const EVERY: Duration = Duration::from_millis(ESCALATES as u64);

/// Connections that take turns, as a broker does one request of a connection after the other. Each waits for its answer,
/// for which it has 48 ms until its next turn.
const CONNECTIONS: u32 = 16;

/// What services of probes are called, and those of the first alerts.
const PROBE: &str = "probe-";
const FIRST_ALERTS: &str = "first-";

/// How often it is looked whether anything has come.
const LOOK: Duration = Duration::from_millis(20);

/// The probes of a run.
pub struct Probes {
    n_probes: u32,
    is_moved: bool,
    n_first: AtomicU32,
    n_received: AtomicU64,
}

impl Probes {
    /// Probes for so long.
    pub fn new(duration: Duration) -> Self {
        Self {
            n_probes: u32::try_from(duration.as_millis() / EVERY.as_millis()).unwrap_or(u32::MAX),
            is_moved: false,
            n_first: AtomicU32::new(0),
            n_received: AtomicU64::new(0),
        }
    }

    /// The same, sent to another partition than that of their service: each must go to another shard.
    pub fn moved(self, is_moved: bool) -> Self {
        Self { is_moved, ..self }
    }

    /// How many there are.
    pub fn n(&self) -> usize {
        self.n_probes as usize
    }

    /// When one is due, in a load that began at this moment.
    pub fn due(&self, number: u32, begin: Instant) -> Instant {
        begin + EVERY * number
    }

    /// The partition that one goes to.
    pub fn partition(&self, number: u32, partitions: u32) -> u32 {
        partition_of(format!("{PROBE}{number}").as_bytes(), partitions)
    }

    /// Writes an escalation to each partition, and waits until all have come through: the engine works.
    pub fn wait_for_first(
        &self,
        broker: &Broker,
        topic: &str,
        engine: &Process,
        within: Duration,
    ) -> anyhow::Result<()> {
        let mut producer = Producer::connect(broker.address()?, topic, broker.partitions())?;
        for partition in 0..broker.partitions() {
            let belongs = |name: &String| partition_of(name.as_bytes(), broker.partitions()) == partition;
            let names = (0_u32..).map(|number| format!("{FIRST_ALERTS}{number}"));
            let service = names.into_iter().find(belongs).unwrap_or_default();
            self.escalate(&mut producer, broker, &service, FIRST)?;
        }
        producer.finish()?;
        let started = Instant::now();
        while self.n_first.load(Ordering::Relaxed) < broker.partitions() {
            engine.check()?;
            ensure!(
                started.elapsed() < within,
                "no result within {within:?}; the last lines of the log:\n{}",
                engine.last_lines()
            );
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// Sends the probes, from a moment on. Their event times are on the clock of the load. Returns how long after it was
    /// due each was acknowledged, for those that were due behind the warm-up.
    pub fn send(&self, broker: &Broker, topic: &str, begin: Instant, warm_up: Duration) -> anyhow::Result<Latencies> {
        let send = |first| move || self.send_in_turn(broker, topic, begin, first);
        let acknowledged: anyhow::Result<Vec<Vec<(u32, Instant)>>> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..CONNECTIONS).map(|first| scope.spawn(send(first))).collect();
            let sent = senders.into_iter().map(|sender| sender.join());
            sent.map(|sent| sent.unwrap_or_else(|_| Err(anyhow!("a thread that sends probes panicked"))))
                .collect()
        });
        Ok(self.latencies(&acknowledged?.concat(), begin, warm_up))
    }

    /// Sends the probes whose turn it is, over a connection of its own.
    fn send_in_turn(
        &self,
        broker: &Broker,
        topic: &str,
        begin: Instant,
        first: u32,
    ) -> anyhow::Result<Vec<(u32, Instant)>> {
        let mut producer = Producer::connect(broker.address()?, topic, 1)?;
        let mut acknowledged = Vec::new();
        for number in (first..self.n_probes).step_by(CONNECTIONS as usize) {
            let after = EVERY * number;
            wait_until(begin + after);
            let time = FIRST + i64::try_from(after.as_millis())?;
            self.escalate(&mut producer, broker, &format!("{PROBE}{number}"), time)?;
            producer.finish()?;
            acknowledged.push((number, Instant::now()));
        }
        Ok(acknowledged)
    }

    /// Waits until all have come, or no longer than this.
    pub fn wait_for_all(&self, within: Duration) {
        let started = Instant::now();
        while self.n_received.load(Ordering::Relaxed) < u64::from(self.n_probes) && started.elapsed() < within {
            std::thread::park_timeout(LOOK);
        }
    }

    /// Reads escalations as a committed reader until it is stopped: the numbers of the probes, and when each was there.
    pub fn read(&self, broker: &Broker, topic: &str, stop: &AtomicBool) -> anyhow::Result<Vec<(u32, Instant)>> {
        let consumer = reader(broker, topic, false)?;
        let mut received = Vec::with_capacity(self.n_probes as usize);
        while !stop.load(Ordering::Relaxed) {
            let Some(message) = consumer.poll(LOOK) else {
                continue;
            };
            let message = message.with_context(|| format!("following {topic}"))?;
            let service = service(message.payload().unwrap_or_default());
            if service.starts_with(FIRST_ALERTS) {
                self.n_first.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(number) = service.strip_prefix(PROBE).and_then(|number| number.parse().ok()) {
                received.push((number, Instant::now()));
                self.n_received.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(received)
    }

    /// Latencies of the probes that were due behind the warm-up.
    pub fn latencies(&self, received: &[(u32, Instant)], begin: Instant, warm_up: Duration) -> Latencies {
        let counts = |number: u32| EVERY * number >= warm_up;
        let came = received.iter().filter(|(number, _)| counts(*number));
        let came: Vec<Duration> = came
            .map(|(number, at)| at.saturating_duration_since(begin + EVERY * *number))
            .collect();
        let due = (0..self.n_probes).filter(|number| counts(*number)).count();
        let missing = due.saturating_sub(came.len());
        Latencies::new(came, missing, LATEST)
    }

    /// Sends as many alerts of a service as escalate.
    fn escalate(&self, producer: &mut Producer, broker: &Broker, service: &str, time: i64) -> anyhow::Result<()> {
        let alert = critical(service, time);
        let mut builder = Builder::default();
        for _ in 0..ESCALATES {
            builder.push(service.as_bytes(), alert.as_bytes());
        }
        let mut batch = builder.finish();
        set_time(&mut batch, now());
        let partition = partition_of(service.as_bytes(), broker.partitions());
        producer.send(self.moved_partition(partition, broker.partitions()), &batch)
    }

    /// The partition that alerts stand in whose services belong to this one: the same, or the next.
    pub fn moved_partition(&self, partition: u32, partitions: u32) -> u32 {
        (partition + u32::from(self.is_moved)) % partitions.max(1)
    }
}

/// The service of an escalation.
fn service(row: &[u8]) -> &str {
    let text = std::str::from_utf8(row).unwrap_or_default();
    let rest = text.split_once("\"service\":\"").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()).unwrap_or_default()
}
