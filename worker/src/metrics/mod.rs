//! What a worker measures while it runs on Kafka, shared between its threads and whoever looks.
//!
//! A shard thread counts for itself and publishes ten times a second; nothing on the way of a record
//! is shared. [`Measures::view`] copies what was published; metrics, status and probes are functions of that copy.

mod checkpoints;
mod degraded;
mod deliveries;
mod expose;
mod group;
mod histogram;
mod pause;
mod process;
mod pulse;
mod reading;
mod ready;
mod sample;
mod status;
mod thread;
mod throttling;
mod view;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::stream::Micros;

pub use self::checkpoints::Checkpoint;
pub use self::expose::{CONTENT_TYPE, expose};
pub use self::histogram::Histogram;
pub use self::pause::{Pause, PauseBegun};
pub use self::pulse::Pulse;
pub(crate) use self::reading::Reading;
pub use self::ready::{not_ready, stuck};
pub use self::sample::{InputSample, ShardSample, SourceTotals, StageTotals, ThreadSample, Times, Transactions};
pub use self::status::status;
pub(crate) use self::thread::{Arrivals, Seen, ThreadMeasure};
pub use self::throttling::Throttling;
pub use self::view::{Named, View};

use self::checkpoints::Checkpoints;
use self::deliveries::DeliverySample;
use self::group::Group;
use self::view::Trouble;
use crate::delivery::DeliveryMetrics;

/// Who is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the worker.
    pub worker: String,
    /// Name and topic of each source.
    pub sources: Vec<(String, String)>,
    /// Names of the stages.
    pub stages: Vec<String>,
    /// Names of the sinks.
    pub sinks: Vec<String>,
}

impl About {
    /// Of a pipeline that runs on Kafka.
    pub fn of(plan: &Plan, sources: &[Source], worker: &str) -> Self {
        let topic = |source: &Source| source.kafka.as_ref().map(|kafka| kafka.topic.clone());
        let topic = |number: usize| sources.get(number).and_then(topic).unwrap_or_default();
        let of_plan = plan.sources.iter().enumerate();
        Self {
            pipeline: plan.name.clone(),
            worker: worker.to_owned(),
            sources: of_plan
                .map(|(number, source)| (source.name.clone(), topic(number)))
                .collect(),
            stages: plan.stages.iter().map(|stage| stage.name.clone()).collect(),
            sinks: plan.sinks.iter().map(|sink| sink.name.clone()).collect(),
        }
    }
}

/// What a worker measures.
#[derive(Debug)]
pub struct Measures {
    about: About,
    started: Instant,
    started_at: SystemTime,
    threads: Mutex<Vec<(String, Arc<Mutex<ThreadSample>>)>>,
    pulses: Mutex<Vec<Arc<Pulse>>>,
    group: Mutex<Group>,
    checkpoints: Mutex<Checkpoints>,
    retention: Mutex<Option<(String, Duration)>>,
    trouble: Mutex<Option<Trouble>>,
    throttling: Throttling,
    watcher: OnceLock<Sender<(usize, Encoded)>>,
    deliveries: OnceLock<Vec<(String, Arc<DeliveryMetrics>)>>,
}

impl Measures {
    /// Nothing measured yet.
    pub fn new(about: About) -> Arc<Self> {
        Arc::new(Self {
            about,
            started: Instant::now(),
            started_at: SystemTime::now(),
            threads: Mutex::default(),
            pulses: Mutex::default(),
            group: Mutex::default(),
            checkpoints: Mutex::default(),
            retention: Mutex::default(),
            trouble: Mutex::default(),
            throttling: Throttling::default(),
            watcher: OnceLock::new(),
            deliveries: OnceLock::new(),
        })
    }

    /// Who is measured.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How often the CPU quota holds the worker back.
    pub fn throttling(&self) -> &Throttling {
        &self.throttling
    }

    /// Asks for the rows that a person watches, by number of the stage, once they are committed. To be asked before the run;
    /// rows that the channel has no room for are left out.
    pub fn watch(&self, rows: Sender<(usize, Encoded)>) {
        // Only one looks.
        self.watcher.set(rows).ok();
    }

    /// What is counted of sinks outside of Kafka, by name.
    pub fn deliveries(&self, of_sinks: Vec<(String, Arc<DeliveryMetrics>)>) {
        // They are started once.
        self.deliveries.set(of_sinks).ok();
    }

    /// Whether somebody watches.
    pub fn is_watched(&self) -> bool {
        self.watcher.get().is_some()
    }

    /// A thread that is to make progress.
    pub fn pulse(&self, name: &str) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(name, self.started));
        self.pulses.lock().push(Arc::clone(&pulse));
        pulse
    }

    /// A run begins: what the threads of one before it did is forgotten.
    pub fn begin_run(&self) {
        self.threads.lock().clear();
        self.pulses.lock().clear();
        let mut group = self.group.lock();
        let shards: Vec<u32> = group.shards.iter().copied().collect();
        if !shards.is_empty() {
            group.revoked(&shards, true);
        }
    }

    /// The group gave these shards; perhaps none.
    pub fn assigned(&self, shards: &[u32]) {
        self.group.lock().assigned(shards);
    }

    /// The group took these shards; `lost` if it had done so long before it said so.
    pub fn revoked(&self, shards: &[u32], lost: bool) {
        self.group.lock().revoked(shards, lost);
    }

    /// The group could not be asked.
    pub fn group_trouble(&self, error: &dyn std::fmt::Display) {
        self.group.lock().trouble(Instant::now());
        self.trouble(error);
    }

    /// A broker could not be used; another try follows.
    pub fn trouble(&self, error: &dyn std::fmt::Display) {
        let mut trouble = self.trouble.lock();
        let count = trouble.as_ref().map_or(0, |trouble| trouble.count) + 1;
        *trouble = Some(Trouble {
            count,
            at: wall(),
            message: error.to_string(),
        });
    }

    /// A snapshot of a shard was written.
    pub fn checkpoint_written(&self, checkpoint: Checkpoint) {
        self.checkpoints.lock().written(checkpoint);
    }

    /// A snapshot of a shard could not be written.
    pub fn checkpoint_failed(&self, shard: u32, error: &dyn std::fmt::Display) {
        self.checkpoints.lock().failed();
        self.trouble_of(format!("shard {shard}: no snapshot: {error}"));
    }

    /// The topic that keeps what a recovery needs for the shortest time, and that; none where all is kept.
    pub fn retention(&self, shortest: Option<(String, Duration)>) {
        *self.retention.lock() = shortest;
    }

    fn trouble_of(&self, message: String) {
        let mut trouble = self.trouble.lock();
        let count = trouble.as_ref().map_or(0, |trouble| trouble.count);
        let at = wall();
        *trouble = Some(Trouble { count, at, message });
    }

    /// What there is to see now.
    pub fn view(&self) -> View {
        let now = Instant::now();
        let threads = self.threads.lock();
        let threads: Vec<Named<ThreadSample>> = threads
            .iter()
            .map(|(name, sample)| Named {
                name: name.clone(),
                value: sample.lock().clone(),
            })
            .collect();
        let group = self.group.lock().clone();
        let mut checkpoints = self.checkpoints.lock().clone();
        checkpoints.keep(&group.shards);
        View {
            about: self.about.clone(),
            now,
            wall: wall(),
            uptime: now.saturating_duration_since(self.started),
            started_at: micros(self.started_at),
            beats: self.pulses.lock().iter().map(|pulse| pulse.look(now)).collect(),
            threads,
            group,
            checkpoints,
            retention: self.retention.lock().clone(),
            trouble: self.trouble.lock().clone(),
            throttled: self.throttling.total(),
            process: process::look(),
            deliveries: self.deliveries.get().map_or_else(Vec::new, |of_sinks| {
                let of_sink = |(name, metrics): &(String, Arc<DeliveryMetrics>)| Named {
                    name: name.clone(),
                    value: DeliverySample::of(metrics),
                };
                of_sinks.iter().map(of_sink).collect()
            }),
        }
    }

    /// How many threads work on shards.
    pub fn n_threads(&self) -> usize {
        self.threads.lock().len()
    }

    fn add_thread(&self, name: &str) -> Arc<Mutex<ThreadSample>> {
        let sample = Arc::new(Mutex::new(ThreadSample::of(&self.about)));
        self.threads.lock().push((name.to_owned(), Arc::clone(&sample)));
        sample
    }
}

/// The wall clock.
fn wall() -> Micros {
    micros(SystemTime::now())
}

fn micros(time: SystemTime) -> Micros {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

#[cfg(test)]
mod tests;
