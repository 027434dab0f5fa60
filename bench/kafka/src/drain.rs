//! A run over the full topic, from its beginning to its end.

use std::time::Duration;

use anyhow::ensure;

use crate::broker::{Broker, pin};
use crate::cpu::{Moment, Used};
use crate::engine::{Delivery, Running, Topics, flink, librdkafka, tocsin};
use crate::follow::{wait_for_end, wait_for_quiet};
use crate::outputs::Outputs;

/// The processor of the broker, and that of the engine, where each has one of its own.
const BROKERS: &str = "0";
const ENGINES: &str = "1";

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Tocsin, on all processors.
    Tocsin {
        /// What a crash does to results.
        delivery: Delivery,
        /// Whether it checks what it does not read.
        is_strict: bool,
    },
    /// Tocsin with one thread on one processor, the broker on another.
    OneCore {
        /// Whether it checks what it does not read.
        is_strict: bool,
    },
    /// Flink, on all processors.
    Flink {
        /// What a crash does to results.
        delivery: Delivery,
        /// Whether it checks what it does not read.
        is_strict: bool,
    },
    /// A loop over librdkafka.
    Loop,
}

/// What a run needs beside its case.
pub struct Settings {
    /// Java's options for Flink.
    pub flink_java: Vec<String>,
    /// Whether Flink reads the topic once before.
    pub flink_warms_up: bool,
    /// How long a run may take.
    pub within: Duration,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it took.
    pub used: Used,
    /// What it gave out; nothing for the loop.
    pub outputs: Option<Outputs>,
}

/// Runs a case over a topic.
pub fn run(broker: &Broker, alerts: &str, case: Case, settings: &Settings) -> anyhow::Result<Run> {
    match case {
        Case::Loop => read(broker, alerts, settings),
        Case::OneCore { .. } => {
            let pinned = Pinned::new(broker)?;
            let run = work(broker, alerts, case, settings);
            pinned.release()?;
            run
        }
        Case::Tocsin { .. } | Case::Flink { .. } => work(broker, alerts, case, settings),
    }
}

fn read(broker: &Broker, alerts: &str, settings: &Settings) -> anyhow::Result<Run> {
    let engine = librdkafka::start(broker, alerts)?;
    librdkafka::wait(&engine, settings.within)?;
    Ok(Run {
        used: measure(broker, &engine)?,
        outputs: None,
    })
}

fn work(broker: &Broker, alerts: &str, case: Case, settings: &Settings) -> anyhow::Result<Run> {
    let topics = Topics::new(&broker.new_name("headline"), alerts);
    broker.create(&topics.counts)?;
    broker.create(&topics.escalations)?;
    let engine = start(broker, &topics, case, settings)?;
    wait_for_end(broker, &topics.counts, &engine.process, settings.within)?;
    let used = measure(broker, &engine)?;
    // Without transactions the last rows may still be on their way.
    wait_for_quiet(broker, &[&topics.counts, &topics.escalations], settings.within)?;
    engine.process.kill()?;
    let outputs = Outputs::read(broker, &topics.counts, &topics.escalations)?;
    broker.delete(&[&topics.counts, &topics.escalations])?;
    Ok(Run {
        used,
        outputs: Some(outputs),
    })
}

fn start(broker: &Broker, topics: &Topics, case: Case, settings: &Settings) -> anyhow::Result<Running> {
    let worker = |delivery, is_strict, threads, processors| {
        let options = tocsin::Options {
            delivery,
            is_strict,
            threads,
            out_of_order: "5s",
            is_dealt: false,
            processors,
            kept: None,
        };
        tocsin::start(broker, topics, options)
    };
    match case {
        Case::Tocsin { delivery, is_strict } => worker(delivery, is_strict, broker.partitions(), None),
        Case::OneCore { is_strict } => worker(Delivery::ExactlyOnce, is_strict, 1, Some(ENGINES)),
        Case::Flink { delivery, is_strict } => {
            let options = flink::Options {
                delivery,
                is_strict,
                java: settings.flink_java.clone(),
                warms_up: settings.flink_warms_up,
                within: settings.within,
            };
            flink::start(broker, topics, &options)
        }
        Case::Loop => anyhow::bail!("the loop gives out nothing"),
    }
}

fn measure(broker: &Broker, engine: &Running) -> anyhow::Result<Used> {
    let now = Moment::now(Some(engine.process.pid()), broker.pid()?)?;
    let used = now.since(&engine.since);
    ensure!(used.engine > 0.0, "the engine used no processor: it was not measured");
    Ok(used)
}

/// The broker, and this process, on a processor of their own.
struct Pinned {
    broker: u32,
}

impl Pinned {
    fn new(broker: &Broker) -> anyhow::Result<Self> {
        let all = std::thread::available_parallelism()?;
        ensure!(
            all.get() > 1,
            "this machine has one processor: the broker needs another than the engine"
        );
        let pinned = Self { broker: broker.pid()? };
        pinned.pin(BROKERS)?;
        Ok(pinned)
    }

    fn release(&self) -> anyhow::Result<()> {
        self.pin("0-1023")
    }

    fn pin(&self, processors: &str) -> anyhow::Result<()> {
        [self.broker, std::process::id()]
            .iter()
            .try_for_each(|pid| pin(*pid, processors))
    }
}
