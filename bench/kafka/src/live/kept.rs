//! A run over much state: what the rows `recovery` and `snapshots` begin with.

use std::path::PathBuf;

use tocsin_e2e::home;
use tocsin_worker::snapshots::{SnapshotStore, StoreAddress, contents};

use crate::broker::Broker;
use crate::engine::{Delivery, Running, Topics, tocsin};
use crate::load::cold::fill_cold;

/// A topic with an alert each of many services, and a folder for snapshots.
pub struct KeptRun {
    /// Where it reads and writes.
    pub topics: Topics,
    /// Where snapshots go.
    pub folder: PathBuf,
}

/// Keys of snapshots.
#[derive(Clone, Copy, Debug)]
pub struct StateSize {
    /// How many.
    pub keys: u64,
    /// Bytes of keys and state.
    pub bytes: u64,
    /// Bytes of the files.
    pub written: u64,
}

impl KeptRun {
    /// Makes the topics, and fills that of the alerts.
    pub fn new(broker: &Broker, what: &str, services: u64) -> anyhow::Result<Self> {
        let run = broker.new_name(what);
        let topics = Topics::new(&run, &format!("{run}-alerts"));
        for topic in [&topics.alerts, &topics.counts, &topics.escalations] {
            broker.create(topic)?;
        }
        fill_cold(broker, &topics.alerts, services)?;
        let folder = home::new_folder("state")?;
        Ok(Self { topics, folder })
    }

    /// Starts a worker over these topics.
    pub fn start(&self, broker: &Broker, topics: &Topics, kept: tocsin::Kept<'_>) -> anyhow::Result<Running> {
        let options = tocsin::Options {
            delivery: Delivery::ExactlyOnce,
            is_strict: true,
            is_dealt: false,
            threads: broker.partitions(),
            out_of_order: "1m",
            processors: None,
            kept: Some(kept),
        };
        tocsin::start(broker, topics, options)
    }

    /// How much a snapshot holds; of a pipeline, the newest of each shard.
    pub fn size(&self, snapshot: &str) -> anyhow::Result<StateSize> {
        let store = SnapshotStore::open(&StoreAddress::new(self.folder.to_string_lossy()))?;
        let parts = store.parts(snapshot)?;
        let state = contents(&store, &parts)?;
        Ok(StateSize {
            keys: state.values().map(|stage| stage.keys).sum(),
            bytes: state.values().map(|stage| stage.bytes).sum(),
            written: parts.iter().map(|part| part.manifest.bytes()).sum(),
        })
    }

    /// Removes what it has written.
    pub fn remove(self, broker: &Broker) -> anyhow::Result<()> {
        let Topics {
            alerts,
            counts,
            escalations,
            ..
        } = &self.topics;
        broker.delete(&[alerts, counts, escalations])?;
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}
