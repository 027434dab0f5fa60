//! Brings a shard's state back from its newest snapshot, or from the savepoint that it begins with, in a thread of its own:
//! others of the shard thread go on.

use crossbeam_channel::{Receiver, TryRecvError};
use tocsin_worker_core::decode::Decoder;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::formats::decoder;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::{Plan, SourcePlan};

use super::SnapshotSettings;
use super::owned::Common;
use crate::snapshots::{Beginning, Begun, Restored, SnapshotError, SnapshotStore, Wanted, begin, restore};

/// What came of a restore.
pub type Answer<T> = Result<T, SnapshotError>;

/// A restore that is under way.
pub struct Restoring<T>(Receiver<Answer<T>>);

impl<T: Send + 'static> Restoring<T> {
    fn spawn(
        settings: &SnapshotSettings,
        common: &Common<'_>,
        shard: u32,
        restore: impl FnOnce(&SnapshotStore, Engine) -> Answer<T> + Send + 'static,
    ) -> Self {
        let (address, plan, is_watched) = (settings.address.clone(), common.plan.clone(), common.is_watched);
        let (answer, receiver) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            let store = SnapshotStore::open(&address);
            let restored = store.and_then(|store| restore(&store, engine(&plan, shard, is_watched)));
            // The shard may be gone.
            answer.send(restored).ok();
        });
        Self(receiver)
    }

    /// What came of it, once it is known.
    pub fn answer(&self) -> Option<Answer<T>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            // It has panicked, which is reported where it happened: without state nothing goes on.
            Err(TryRecvError::Disconnected) => Some(Err(SnapshotError::Interrupted)),
        }
    }
}

impl Restoring<Option<Box<Restored>>> {
    /// Begins to bring a shard back to a cut that is committed, of this epoch, or to the newest there is.
    pub fn newest(
        settings: &SnapshotSettings,
        common: &Common<'_>,
        shard: u32,
        (committed, epoch): (Option<u64>, u32),
    ) -> Self {
        let wanted = Wanted {
            pipeline: common.plan.name.clone(),
            shard,
            n_shards: common.layout.n_shards,
            committed: committed.unwrap_or(u64::MAX),
            epoch,
            resume_from: settings.resume_from.clone(),
            may_drop: settings.may_drop,
        };
        Self::spawn(settings, common, shard, move |store, engine| {
            let restored = restore(store, &wanted, engine)?;
            Ok(restored.map(Box::new))
        })
    }
}

impl Restoring<Box<Begun>> {
    /// Begins a shard with a savepoint.
    pub fn savepoint(settings: &SnapshotSettings, common: &Common<'_>, shard: u32, savepoint: &str) -> Self {
        let beginning = Beginning {
            savepoint: savepoint.to_owned(),
            shard,
            n_shards: common.layout.n_shards,
            sources: common.sources.to_vec(),
            topics: common.layout.topics_now(),
            may_drop: settings.may_drop,
        };
        Self::spawn(settings, common, shard, move |store, engine| {
            begin(store, &beginning, engine).map(Box::new)
        })
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
