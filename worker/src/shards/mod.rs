//! Runs a pipeline from Kafka to Kafka: shards are dealt out by a consumer group, results and progress are committed
//! together.
//!
//! One thread polls the group and nothing else. Each shard thread owns some shards: it fetches their records, runs their
//! engines, and hands what they give out to a committer, which makes one transaction after the other. Nothing is shared
//! between shards.

mod abandoned;
mod ahead;
mod busy;
mod commit;
mod control;
mod error;
mod grant;
mod group;
mod growth;
mod idle;
mod input;
mod leaving;
mod measure;
mod owned;
mod producer;
mod restoring;
mod retention;
pub mod savepoints;
mod schemas;
mod sequence;
mod setup;
mod snapshotting;
mod start;
mod thread;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use tocsin_contract::pipeline::Delivery;
use tocsin_contract::pipeline::kafka::StartingOffsets;
use tocsin_contract::pipeline::partitions::OnGrowth;
use tocsin_contract::pipeline::source::Source;
use tocsin_contract::topics::InternalTopics;
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::placement::placements;

pub use self::control::WorkerControl;
pub use self::error::ShardsError;
pub use self::grant::Ownership;
pub use self::leaving::Leaving;
use self::savepoints::Savepoints;
use self::schemas::Schemas;
use self::thread::ShardThread;
use crate::metrics::Measures;
use crate::sink::Sink;
use crate::snapshots::StoreAddress;
use crate::source::Interrupt;
use tocsin_kafka::{Cluster, ClusterSettings};

/// How a pipeline is run on Kafka.
#[derive(Clone)]
pub struct Settings {
    /// The Kafka.
    pub cluster: ClusterSettings,
    /// Name of the pipeline: snapshots are kept by it.
    pub pipeline: String,
    /// Name of the consumer group.
    pub group: String,
    /// The pipeline's own topics.
    pub topics: InternalTopics,
    /// Which worker this is; it keeps its shards over a restart.
    pub instance: String,
    /// Whether it leaves its groups when it ends.
    pub leaving: Arc<Leaving>,
    /// How many threads work on shards.
    pub threads: usize,
    /// Where a pipeline begins to read that has never run.
    pub starting_offsets: StartingOffsets,
    /// Whether results in Kafka may repeat.
    pub delivery: Delivery,
    /// Whether topics that are missing are made, and get partitions.
    pub makes_topics: bool,
    /// What happens when a topic that it reads has more partitions than before.
    pub on_growth: OnGrowth,
    /// Where snapshots are kept, and how often they are taken; without, the journal is read from its beginning.
    pub snapshots: Option<SnapshotSettings>,
    /// Savepoints that are asked for while it runs.
    pub savepoints: Arc<Savepoints>,
    /// After so long without a commit a shard says again where it stands: brokers forget offsets, and journals, that nobody
    /// renews.
    pub renew_offsets: Duration,
    /// Ends the run from another thread: what was read is committed.
    pub interrupt: Interrupt,
    /// What is measured meanwhile.
    pub measures: Arc<Measures>,
}

/// Snapshots that a pipeline recovers from.
#[derive(Clone, Debug)]
pub struct SnapshotSettings {
    /// Where they are kept.
    pub address: StoreAddress,
    /// Time between two of a shard.
    pub interval: Duration,
    /// The least time from the end of one to the next.
    pub min_pause: Duration,
    /// How many of each shard are kept.
    pub retained: usize,
    /// Whether one holds only what changed.
    pub incremental: bool,
    /// Whether a start may drop state that the pipeline has no stage for any more.
    pub may_drop: bool,
    /// The savepoint that a pipeline begins with that has never run.
    pub restore_from: Option<String>,
    /// The savepoint whose state is taken in the place of what a pipeline that has run did since.
    pub resume_from: Option<String>,
    /// The run epoch that begins with that savepoint: shards of an earlier one are wound back to it, once.
    pub rewind_to_epoch: Option<u32>,
}

/// Where a sink writes.
pub enum Target {
    /// A topic of Kafka.
    Topic(String),
    /// The topic that buffers the rows of a sink outside of Kafka: each is there once, whatever the pipeline's `delivery`.
    Buffer(String),
    /// Elsewhere, behind each commit: rows may be lost or repeated at a crash.
    Local(Box<dyn Sink>),
}

impl Target {
    /// The topic, if it is one.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Topic(name) | Self::Buffer(name) => Some(name),
            Self::Local(_) => None,
        }
    }
}

/// A pipeline to run.
pub struct Job {
    /// Its plan.
    pub plan: Plan,
    /// Its sources, as its file has them.
    pub sources: Vec<Source>,
    /// Where each sink writes.
    pub targets: Vec<Target>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records read.
    pub records: u64,
    /// Dead records.
    pub dead: u64,
    /// Rows given out.
    pub rows: u64,
    /// Transactions that were committed.
    pub commits: u64,
    /// Transactions that were aborted and sent again.
    pub aborts: u64,
    /// Producers that were given up for a new one.
    pub reinitialised: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.dead += other.dead;
        self.rows += other.rows;
        self.commits += other.commits;
        self.aborts += other.aborts;
        self.reinitialised += other.reinitialised;
        self.snapshots += other.snapshots;
    }
}

/// How long shards may take to end when they are revoked or the run ends.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Runs a pipeline until it is interrupted.
///
/// # Errors
/// What cannot be mended by another try: a setting, a topic that is missing, a log that has lost what a shard needs.
pub fn run(mut job: Job, settings: &Settings) -> Result<Report, ShardsError> {
    let targets = transaction::Targets::new(std::mem::take(&mut job.targets), &settings.topics);
    let targets = Arc::new(targets);
    let mut report = Report::default();
    let mut has_run = false;
    let ended = loop {
        settings.savepoints.begin_run();
        settings.measures.begin_run();
        match run_once(&job, settings, &targets, has_run, &mut report) {
            Ok(Ended::Finished) => break Ok(()),
            Ok(Ended::BeginsAnew) if settings.interrupt.is_raised() => break Ok(()),
            Ok(Ended::BeginsAnew) => tracing::info!("the worker begins anew, in the next run epoch"),
            Err(error) => break Err(error),
        }
        has_run = true;
    };
    // The threads have ended, and with them those who shared them.
    let closed = Arc::into_inner(targets).map_or(Ok(()), transaction::Targets::close);
    ended.and(closed.map_err(ShardsError::from)).map(|()| report)
}

/// How a run ended.
enum Ended {
    /// It was asked to.
    Finished,
    /// Topics have grown, or others are in a later run epoch.
    BeginsAnew,
}

fn run_once(
    job: &Job,
    settings: &Settings,
    targets: &Arc<transaction::Targets>,
    has_run: bool,
    report: &mut Report,
) -> Result<Ended, ShardsError> {
    let mut cluster = Cluster::new(settings.cluster.clone())?;
    let Some(prepared) = start::prepare_when_there(&mut cluster, job, targets, settings, has_run)? else {
        return Ok(Ended::Finished);
    };
    let layout = Arc::new(prepared.layout);
    settings.savepoints.is_in(layout.epoch);
    tracing::info!("records are read and written by {}", settings.cluster.client_and_why());
    let schemas = Schemas::of(&job.sources)?;
    let ownership = Arc::new(Ownership::default());
    let n_threads = settings.threads.clamp(1, layout.n_shards as usize);
    let abandoned = Arc::new(abandoned::Abandoned::of(settings, n_threads));
    let mut threads = Vec::new();
    let mut commands = Vec::new();
    for number in 0..n_threads {
        let (sender, receiver) = crossbeam_channel::bounded(64);
        commands.push(sender);
        threads.push(ShardThread::spawn(setup::Setup {
            plan: prepared.plan.clone(),
            sources: job.sources.clone(),
            placements: placements(&prepared.plan, &job.sources),
            schemas: schemas.clone(),
            layout: Arc::clone(&layout),
            settings: setup::ThreadSettings::of(settings, number).begun_with(prepared.savepoint.as_ref(), layout.epoch),
            ownership: Arc::clone(&ownership),
            abandoned: Arc::clone(&abandoned),
            targets: Arc::clone(targets),
            commands: receiver,
        })?);
    }
    let watch = growth::Watch::start(settings, &layout, prepared.has_grown)?;
    let outcome = group::run(settings, &layout, &ownership, &commands, &threads, &watch);
    // It may have ended before it could tell them.
    group::finish(&commands);
    let mut ended = outcome;
    for thread in threads {
        match thread.join() {
            Ok(done) => report.add(&done),
            Err(error) => ended = ended.and(Err(error)),
        }
    }
    let due = watch.finish();
    match (ended, due) {
        (Err(ShardsError::LaterEpoch { shard, epoch }), _) => {
            tracing::info!(shard, epoch, "others are in a later run epoch");
            Ok(Ended::BeginsAnew)
        }
        (Err(error), _) | (Ok(()), Some(Err(error))) => Err(error),
        (Ok(()), Some(Ok(()))) => Ok(Ended::BeginsAnew),
        (Ok(()), None) => Ok(Ended::Finished),
    }
}
