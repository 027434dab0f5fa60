//! A pipeline over a stream of numbered events, whose results are known from its input: nothing may be lost, nothing
//! may be there twice.
//!
//! Each test has a pipeline of its own name, and so topics, a group and transactional ids of its own.

mod oracle;
mod stream;
mod tail;

use std::path::PathBuf;

use crate::kafka::{Kafka, Listener, Topic};
use crate::worker::{Worker, WorkerOptions};
use crate::{RigError, home};

pub use self::oracle::{Event, Expected, SERVICES};
pub use self::stream::{Pace, Stream};
pub use self::tail::Tail;

/// Partitions of the input, and so shards.
pub const PARTITIONS: i32 = 4;

/// How often a scenario runs in which workers are killed, or the end of a transaction is lost: once, or twenty times with
/// `TOCSIN_TEST=full`.
pub fn rounds() -> u64 {
    if is_full() { 20 } else { 1 }
}

/// How often any other scenario that is repeated runs: once, or eight times.
pub fn few_rounds() -> u64 {
    if is_full() { 8 } else { 1 }
}

fn is_full() -> bool {
    std::env::var("TOCSIN_TEST").is_ok_and(|tier| tier == "full")
}

/// A pipeline and its topics.
pub struct Ids<'a> {
    /// The brokers.
    pub kafka: &'a Kafka,
    /// The pipeline's name, with which its topics' names begin.
    pub name: String,
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// The folder with secrets, if the pipeline's settings need one.
    pub secrets: Option<PathBuf>,
    /// Where snapshots are kept, one a second of each shard.
    pub state: Option<String>,
    /// How many threads a worker has.
    pub threads: usize,
    /// Further arguments of the workers.
    pub further: Vec<String>,
    /// Variables of the workers' environment.
    pub variables: Vec<(String, String)>,
    /// What stands in front of the workers' program.
    pub through: Vec<String>,
    listener: Listener,
    placing: Placing,
}

/// Which partition an event stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// That of its service, as the pipeline says.
    ByService,
    /// Any: the pipeline says nothing of it.
    Anywhere,
    /// Any, though the pipeline says that it is that of its service.
    Misplaced,
}

impl<'a> Ids<'a> {
    /// Makes the topic of the input and that of what passes; workers come through a listener.
    ///
    /// # Errors
    /// When a topic is there already, or the pipeline's file cannot be written.
    pub fn new(kafka: &'a Kafka, name: &str, listener: Listener) -> Result<Self, RigError> {
        Self::with(kafka, name, listener, "", &[])
    }

    /// The same, with events that stand in other partitions.
    ///
    /// # Errors
    /// As [`Ids::new`].
    pub fn placed(kafka: &'a Kafka, name: &str, placing: Placing) -> Result<Self, RigError> {
        let ids = Self::with(kafka, name, Listener::Plain, "", &[])?;
        let ids = Self { placing, ..ids };
        let text = text(name, "");
        let text = match placing {
            Placing::ByService => text,
            Placing::Anywhere => {
                let lines = text.lines().filter(|line| !line.contains("partitionedBy"));
                let text = lines.collect::<Vec<_>>().join("\n");
                // One stage sends rows, the other what they add up to.
                text.replace(
                    "  - name: totals\n    from: events",
                    "  - name: totals\n    skew: TwoPhase\n    from: events",
                )
            }
            // Until the first that is misplaced comes, nobody waits for it.
            Placing::Misplaced => text.replace("idleTimeout: 1h", "idleTimeout: 1h, allowedLateness: 1h"),
        };
        std::fs::write(&ids.pipeline, text).map_err(RigError::io(format!("writing {}", ids.pipeline.display())))?;
        Ok(ids)
    }

    /// The same with so many partitions of the input.
    ///
    /// # Errors
    /// As [`Ids::new`].
    pub fn of_partitions(kafka: &'a Kafka, name: &str, partitions: i32) -> Result<Self, RigError> {
        let input = Topic::new(&format!("{name}-events")).partitions(partitions);
        Self::reading(kafka, name, Listener::Plain, "", &input)
    }

    /// The same, with settings of the Kafka (the inner part of `spec.kafka`) and of the input's topic.
    ///
    /// # Errors
    /// As [`Ids::new`].
    pub fn with(
        kafka: &'a Kafka,
        name: &str,
        listener: Listener,
        settings: &str,
        of_topic: &[(&str, &str)],
    ) -> Result<Self, RigError> {
        let input = Topic::new(&format!("{name}-events")).partitions(PARTITIONS);
        let settled = |topic: Topic, (key, value): &(&str, &str)| topic.setting(key, value);
        let input = of_topic.iter().fold(input, settled);
        Self::reading(kafka, name, listener, settings, &input)
    }

    fn reading(
        kafka: &'a Kafka,
        name: &str,
        listener: Listener,
        settings: &str,
        input: &Topic,
    ) -> Result<Self, RigError> {
        kafka.create(input)?;
        kafka.create(&Topic::new(&format!("{name}-passed")).partitions(PARTITIONS))?;
        let pipeline = home::new_folder(name)?.join("pipeline.yaml");
        std::fs::write(&pipeline, text(name, settings))
            .map_err(RigError::io(format!("writing {}", pipeline.display())))?;
        Ok(Self {
            kafka,
            name: name.to_owned(),
            pipeline,
            secrets: None,
            state: None,
            threads: 2,
            further: Vec::new(),
            variables: Vec::new(),
            through: Vec::new(),
            listener,
            placing: Placing::ByService,
        })
    }

    /// Workers come through this listener.
    pub fn come_through(&mut self, listener: Listener) {
        self.listener = listener;
    }

    /// Lets results repeat.
    ///
    /// # Errors
    /// When the pipeline's file cannot be written.
    pub fn at_least_once(self) -> Result<Self, RigError> {
        let failed = || RigError::io(format!("writing {}", self.pipeline.display()));
        let text = std::fs::read_to_string(&self.pipeline).map_err(failed())?;
        let text = text.replacen("spec:\n", "spec:\n  delivery: AtLeastOnce\n", 1);
        std::fs::write(&self.pipeline, text).map_err(failed())?;
        Ok(self)
    }

    /// Starts a worker.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn worker(&self, name: &str) -> Result<Worker, RigError> {
        self.worker_with(name, &[])
    }

    /// The same, with further arguments.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn worker_with(&self, name: &str, further: &[&str]) -> Result<Worker, RigError> {
        Worker::start(&WorkerOptions {
            pipeline: self.pipeline.clone(),
            bootstrap: self.kafka.bootstrap(self.listener)?,
            name: name.to_owned(),
            threads: self.threads,
            secrets: self.secrets.clone(),
            state: self.state.clone(),
            further: self
                .further
                .iter()
                .cloned()
                .chain(further.iter().map(|argument| (*argument).to_owned()))
                .collect(),
            variables: self.variables.clone(),
            through: self.through.clone(),
        })
    }

    /// Starts to write events.
    ///
    /// # Errors
    /// When a producer cannot be made.
    pub fn stream(&self, pace: Pace) -> Result<Stream, RigError> {
        Stream::start(self.kafka, &self.topic("events"), pace, self.placing)
    }

    /// Writes events, each to the partition of its service, and waits until brokers have them.
    ///
    /// # Errors
    /// When brokers did not take all.
    pub fn write(&self, events: &[Event]) -> Result<(), RigError> {
        stream::write_all(self.kafka, &self.topic("events"), events)
    }

    /// Follows what passes, as a committed reader.
    ///
    /// # Errors
    /// When a consumer cannot be made.
    pub fn tail(&self) -> Result<Tail, RigError> {
        Tail::start(self.kafka, &self.topic("passed"), PARTITIONS)
    }

    /// One of the pipeline's topics: `events`, `passed`, `escalations` or `totals`.
    pub fn topic(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }
}

/// The pipeline: what passes a filter, escalations of it, and totals of windows.
fn text(name: &str, settings: &str) -> String {
    format!(
        r#"apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {{name: {name}}}
spec:
  kafka: {{{settings}}}
  state: {{checkpoint: {{interval: 1s, minPause: 0s, retained: 2}}}}
  sources:
  - name: events
    kafka: {{topic: {name}-events}}
    partitionedBy: {{key: [service], partitioner: Murmur2}}
    format: {{type: Json, fields: [{{name: id, type: Int64}}, {{name: service, type: String}}]}}
    eventTime: {{field: ts, unit: Milliseconds, maxOutOfOrderness: 1s, idleTimeout: 1h}}
  stages:
  - {{name: passed, from: events, filter: "severity = 'CRITICAL'"}}
  - {{name: escalated, from: passed, escalate: {{by: [service], count: 5, within: 1h}}}}
  - name: totals
    from: events
    aggregate: {{by: [service], window: {{tumbling: 1s}}, select: {{events: count(*), ids: sum(id)}}}}
  sinks:
  - {{name: passed, from: passed, kafka: {{topic: {name}-passed}}}}
  - {{name: escalations, from: escalated, kafka: {{topic: {name}-escalations}}}}
  - {{name: totals, from: totals, kafka: {{topic: {name}-totals}}}}
"#
    )
}
