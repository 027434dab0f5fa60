//! Topics that get more partitions: how many of them a run reads, and when the next run begins that reads all.
//!
//! A run keeps to the partitions that it began with. When a topic has more, all shards are held until nothing is on its way
//! between them, and are written to a savepoint whose name says which run epoch begins with it. It holds how many
//! partitions each topic has in that epoch, so that all workers agree. Once it is complete every worker begins anew with it.
//! Whoever starts at any moment of this comes to the same: the store says whether the savepoint is complete, the journal that
//! a shard is held until that epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tocsin_contract::pipeline::partitions::OnGrowth;
use tocsin_worker_core::snapshot::{Savepoint, SavepointNames};

use super::start::Layout;
use super::{Settings, ShardsError};
use crate::shards::sequence;
use crate::snapshots::{SnapshotError, SnapshotStore};
use tocsin_kafka::{Cluster, KafkaError, Time, TopicInfo};

/// Between two looks at the topics, and at the store.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS_AT_STORE: Duration = Duration::from_millis(500);
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// For so long committed offsets are asked for at a start.
const PATIENCE: Duration = Duration::from_secs(30);

/// With what a run begins.
#[derive(Clone, Debug, Default)]
pub struct Begins {
    /// The run epoch of the pipeline.
    pub epoch: u32,
    /// The savepoint that it begins with, where topics had grown.
    pub savepoint: Option<String>,
    /// Partitions of each source's topic that it reads.
    pub partitions: Vec<u32>,
}

/// Looks with what a run begins, by the topics of the sources as they are and the journal, if it is there.
pub fn begins(
    cluster: &mut Cluster,
    settings: &Settings,
    sources: &[TopicInfo],
    journal: Option<&TopicInfo>,
) -> Result<Begins, ShardsError> {
    let mut committed = match journal {
        Some(journal) => epoch(cluster, settings, sources, journal.partitions.len() as u32)?,
        None => None,
    };
    let now: Vec<u32> = sources.iter().map(|topic| topic.partitions.len() as u32).collect();
    let asked = settings.snapshots.as_ref();
    let rewind = asked.and_then(|snapshots| snapshots.rewind_to_epoch);
    let fresh = Begins {
        epoch: rewind.unwrap_or(0),
        savepoint: None,
        partitions: now.clone(),
    };
    let store = asked
        .map(|snapshots| SnapshotStore::open(&snapshots.address))
        .transpose()?;
    if let (None, Some(store)) = (committed, &store) {
        let left = left(store, &settings.pipeline)?;
        if let Some((epoch, savepoint)) = left {
            // A pipeline that has not run must not find what one of its name has left.
            if !journal.map_or(Ok(false), |journal| is_written(cluster, journal))? {
                return Err(ShardsError::SavepointLeft { savepoint });
            }
            // The group's offsets are gone: the epoch is known by the savepoint that it began with, or is to end with.
            committed = epoch.checked_sub(1);
        }
    }
    let Some(journal) = journal else {
        return Ok(fresh);
    };
    let n_journal = journal.partitions.len() as u32;
    if let (Some(store), Some(epoch)) = (&store, committed)
        && let Some((grown, savepoint)) = newest(store, &settings.pipeline, epoch)?
        && rewind.is_none_or(|rewind| rewind <= grown)
    {
        let of_topic = |(topic, now): (&TopicInfo, &u32)| savepoint.grown_to.get(&topic.name).copied().unwrap_or(*now);
        let name = SavepointNames::of(&settings.pipeline, &savepoint.id)
            .folder()
            .to_owned();
        let other = asked
            .and_then(|snapshots| snapshots.restore_from.as_ref())
            .filter(|other| **other != name);
        if let Some(other) = other.filter(|_| rewind == Some(grown)) {
            let (asked, epoch) = (other.clone(), grown);
            return Err(ShardsError::EpochTaken {
                asked,
                epoch,
                began: name,
            });
        }
        return Ok(Begins {
            epoch: grown.max(epoch),
            savepoint: Some(name),
            partitions: sources.iter().zip(&now).map(of_topic).collect(),
        });
    }
    let epoch = committed.unwrap_or(0);
    if rewind.is_some_and(|rewind| rewind > epoch) {
        return Ok(fresh);
    }
    Ok(Begins {
        epoch,
        savepoint: None,
        partitions: now.iter().map(|now| (*now).min(n_journal)).collect(),
    })
}

/// The newest run epoch of which something is committed. What is committed just now does not matter: an epoch that has begun
/// has its savepoint, and that is looked for.
fn epoch(
    cluster: &mut Cluster,
    settings: &Settings,
    sources: &[TopicInfo],
    n_shards: u32,
) -> Result<Option<u32>, ShardsError> {
    let of_topic = |topic: &TopicInfo| {
        let n = n_shards.min(topic.partitions.len() as u32);
        let name = topic.name.clone();
        (0..n)
            .map(move |partition| (name.clone(), partition))
            .collect::<Vec<_>>()
    };
    let partitions: Vec<(String, u32)> = sources.iter().flat_map(of_topic).collect();
    let until = Instant::now() + PATIENCE;
    loop {
        match cluster.committed_so_far(&settings.group, &partitions) {
            Ok(committed) => {
                // What is no text of ours is told by the shard.
                let epochs = committed.values().filter_map(|at| sequence::of_metadata(&at.metadata));
                return Ok(epochs.map(|(_, epoch)| epoch).max());
            }
            Err(error) if error.may_pass() && Instant::now() < until && !settings.interrupt.is_raised() => {}
            Err(error) if error.may_pass() => return Err(error.into()),
            // Without the group nothing runs: who joins it says what stands in the way.
            Err(error) => {
                tracing::debug!(%error, "the group's offsets cannot be asked for");
                return Ok(None);
            }
        }
        std::thread::park_timeout(BETWEEN_TRIES);
    }
}

/// The complete savepoint with which this run epoch of a pipeline, or the next, begins because topics had grown.
fn newest(store: &SnapshotStore, pipeline: &str, epoch: u32) -> Result<Option<(u32, Savepoint)>, SnapshotError> {
    for epoch in [epoch.saturating_add(1), epoch] {
        let names = SavepointNames::of(pipeline, &SavepointNames::id_of_growth(epoch));
        if store.has(&names.manifest())? {
            return Ok(Some((epoch, store.savepoint(&names)?)));
        }
    }
    Ok(None)
}

/// The savepoint of the last growth of a pipeline of this name, and the run epoch that begins with it.
fn left(store: &SnapshotStore, pipeline: &str) -> Result<Option<(u32, String)>, SnapshotError> {
    let folder = format!("{pipeline}/savepoints");
    let objects = store.objects(&folder)?;
    let of_growth = |name: &str| {
        let id = name.strip_prefix(&folder)?.trim_start_matches('/').split('/').next()?;
        let epoch = SavepointNames::epoch_of_growth(id)?;
        Some((epoch, format!("{folder}/{id}")))
    };
    Ok(objects.iter().filter_map(|object| of_growth(&object.name)).max())
}

/// Whether anything was ever written to a topic.
fn is_written(cluster: &mut Cluster, topic: &TopicInfo) -> Result<bool, KafkaError> {
    let partitions: Vec<u32> = (0..topic.partitions.len() as u32).collect();
    let until = Instant::now() + PATIENCE;
    loop {
        match cluster.offsets(topic, &partitions, Time::Latest) {
            // It was made just now.
            Err(error) if error.is_transient() && Instant::now() < until => std::thread::park_timeout(BETWEEN_TRIES),
            ends => return Ok(ends?.iter().any(|end| *end > 0)),
        }
    }
}

/// Whether topics have more partitions than a run reads; if so, what follows.
pub fn notice(settings: &Settings, layout: &Layout, found: &BTreeMap<String, u32>) -> Result<bool, ShardsError> {
    let read = |name: &str| layout.inputs.iter().find(|topic| topic.name == name);
    let mut grown = found.iter().filter_map(|(name, now)| {
        let then = read(name)?.partitions.len() as u32;
        (*now > then).then_some((name, then, *now))
    });
    let Some((topic, then, now)) = grown.next() else {
        return Ok(false);
    };
    let why = match (settings.on_growth, &settings.snapshots) {
        (OnGrowth::Stop, _) => Some("spec.partitions.onGrowth is Stop: set it to Restore, and start the workers again"),
        (OnGrowth::Restore, None) => {
            Some("to go on from a savepoint it needs a place for that: say with --state where state is kept")
        }
        (OnGrowth::Restore, Some(_)) => None,
    };
    if let Some(why) = why {
        let topic = topic.clone();
        return Err(ShardsError::Grown { topic, now, then, why });
    }
    let (epoch, n_shards) = (layout.epoch + 1, layout.n_shards);
    let asked = settings.savepoints.ask_grown(epoch, found.clone());
    if asked {
        tracing::info!(
            "the topic {topic} has {now} partitions, and the pipeline reads {then} of them in {n_shards} shards: it is held, and goes on from a savepoint in run epoch {epoch}"
        );
    }
    Ok(asked)
}

/// How many partitions topics have.
pub fn counts(topics: &[TopicInfo]) -> BTreeMap<String, u32> {
    let count = |topic: &TopicInfo| (topic.name.clone(), topic.partitions.len() as u32);
    topics.iter().map(count).collect()
}

/// The thread that looks whether topics have grown, and whether all is ready to begin anew.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    outcome: Mutex<Option<Result<(), ShardsError>>>,
}

impl Watch {
    /// Begins to look; `has_grown` if it is known already.
    pub fn start(settings: &Settings, layout: &Arc<Layout>, has_grown: bool) -> Result<Self, ShardsError> {
        let shared = Arc::new(Shared::default());
        let mut looking = Looking {
            cluster: Cluster::new(settings.cluster.clone())?,
            settings: settings.clone(),
            layout: Arc::clone(layout),
            has_grown,
        };
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !of_thread.stopped.load(Ordering::Acquire) {
                let outcome = looking.look();
                if let Some(outcome) = outcome.transpose() {
                    *of_thread.outcome.lock() = Some(outcome);
                    return;
                }
                let rest = if looking.has_grown {
                    BETWEEN_LOOKS_AT_STORE
                } else {
                    BETWEEN_LOOKS
                };
                std::thread::park_timeout(rest);
            }
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Whether the run must end: to begin anew, or with an error.
    pub fn is_due(&self) -> bool {
        self.shared.outcome.lock().is_some()
    }

    /// Why, if so.
    pub fn finish(mut self) -> Option<Result<(), ShardsError>> {
        self.shared.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().ok();
        }
        self.shared.outcome.lock().take()
    }
}

struct Looking {
    cluster: Cluster,
    settings: Settings,
    layout: Arc<Layout>,
    has_grown: bool,
}

impl Looking {
    /// Nothing as long as the run goes on.
    fn look(&mut self) -> Result<Option<()>, ShardsError> {
        if self.has_grown {
            return Ok(self.is_complete().then_some(()));
        }
        let names: Vec<&str> = self
            .layout
            .inputs
            .iter()
            .take(self.layout.n_sources)
            .map(|topic| topic.name.as_str())
            .collect();
        match self.cluster.topics(&names) {
            Ok(topics) => self.has_grown = notice(&self.settings, &self.layout, &counts(&topics))?,
            Err(error) => tracing::debug!(%error, "the topics cannot be looked at"),
        }
        Ok(None)
    }

    fn is_complete(&self) -> bool {
        let id = SavepointNames::id_of_growth(self.layout.epoch + 1);
        let is_known = self
            .settings
            .savepoints
            .progress(&id)
            .is_some_and(|progress| progress.complete);
        let Some(snapshots) = self.settings.snapshots.as_ref().filter(|_| !is_known) else {
            return is_known;
        };
        let names = SavepointNames::of(&self.settings.pipeline, &id);
        let found = SnapshotStore::open(&snapshots.address).and_then(|store| store.has(&names.manifest()));
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the store of savepoints cannot be looked at");
            false
        })
    }
}
