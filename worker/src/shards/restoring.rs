//! Brings a shard's state back from its newest snapshot, in a thread of its own: others of the shard thread go on.

use crossbeam_channel::{Receiver, TryRecvError};
use tocsin_worker_core::decode::Decoder;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::formats::decoder;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::{Plan, SourcePlan};

use super::SnapshotSettings;
use super::owned::Common;
use crate::snapshots::{Restored, SnapshotError, SnapshotStore, Wanted, restore};

type Answer = Result<Option<Box<Restored>>, SnapshotError>;

/// A restore that is under way.
pub struct Restoring(Receiver<Answer>);

impl Restoring {
    /// Begins to bring a shard back to a cut that is committed, or to the newest there is.
    pub fn start(settings: &SnapshotSettings, common: &Common<'_>, shard: u32, committed: Option<u64>) -> Self {
        let (settings, plan) = (settings.clone(), common.plan.clone());
        let (n_shards, is_watched) = (common.layout.n_shards, common.is_watched);
        let (answer, receiver) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            let wanted = Wanted {
                pipeline: plan.name.clone(),
                shard,
                n_shards,
                committed: committed.unwrap_or(u64::MAX),
                may_drop: settings.may_drop,
            };
            let store = SnapshotStore::open(&settings.address);
            let restored = store.and_then(|store| restore(&store, &wanted, engine(&plan, shard, is_watched)));
            // The shard may be gone.
            answer.send(restored.map(|restored| restored.map(Box::new))).ok();
        });
        Self(receiver)
    }

    /// What came of it, once it is known.
    pub fn answer(&self) -> Option<Answer> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            // It has panicked, which is reported where it happened: without state nothing goes on.
            Err(TryRecvError::Disconnected) => Some(Err(SnapshotError::Interrupted)),
        }
    }
}

/// A shard's part of a pipeline at its beginning; `is_watched` says whether a person watches the rows of its stages.
pub fn engine(plan: &Plan, shard: u32, is_watched: bool) -> Engine {
    // The start refuses formats that none is for.
    let decoder = |source: &SourcePlan| -> Box<dyn Decoder> {
        decoder(source).unwrap_or_else(|| Box::new(JsonDecoder::new(source.record.clone())))
    };
    let mut engine = Engine::new(plan.clone(), plan.sources.iter().map(decoder).collect());
    engine.set_shard(shard);
    if is_watched {
        engine.observe();
    }
    engine
}
