//! Brings a shard back from its newest snapshot.

use tocsin_worker_core::engine::{Engine, SavedHead};
use tocsin_worker_core::snapshot::{Manifest, Restore, RestoreError, ShardNames};

use super::store::{SnapshotError, SnapshotStore};

/// What a shard is brought back from.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Number of the shard.
    pub shard: u32,
    /// How many shards there are.
    pub n_shards: u32,
    /// The newest cut that may be in it.
    pub committed: u64,
    /// The run epoch: what an earlier one has left is none.
    pub epoch: u32,
    /// Whether state may be dropped that the pipeline has no place for.
    pub may_drop: bool,
}

/// A shard that was brought back.
pub struct Restored {
    /// The pipeline with its state.
    pub engine: Engine,
    /// The snapshot.
    pub manifest: Manifest,
}

/// Brings a shard back from its newest snapshot that is not newer than what is committed; nothing if there is none.
///
/// # Errors
/// If the store fails, or the snapshot cannot be used: none that is older is taken in its place.
pub fn restore(store: &SnapshotStore, wanted: &Wanted, mut engine: Engine) -> Result<Option<Restored>, SnapshotError> {
    let names = ShardNames::of(&wanted.pipeline, wanted.shard);
    let Some(manifest) = store.newest(&names, wanted.committed)? else {
        return Ok(None);
    };
    if manifest.epoch < wanted.epoch {
        return Ok(None);
    }
    let name = names.manifest(manifest.sequence);
    let checked = manifest.check(&wanted.pipeline, wanted.shard, wanted.n_shards);
    checked.map_err(|reason| SnapshotError::Invalid {
        name: name.clone(),
        reason,
    })?;
    let failed = |reason: RestoreError| SnapshotError::Restore {
        name: name.clone(),
        reason,
    };
    let head = store.file(&names, &manifest, &manifest.head)?;
    let head = SavedHead::decode(&head).map_err(|corrupt| failed(corrupt.into()))?;
    let mut restore = Restore::resume(&mut engine, head, wanted.may_drop).map_err(failed)?;
    for file in &manifest.files {
        let bytes = store.file(&names, &manifest, file)?;
        restore.file(0, &bytes).map_err(failed)?;
    }
    let fit = restore.end().map_err(failed)?;
    tracing::info!(shard = wanted.shard, snapshot = name, kept = ?fit.kept, dropped = ?fit.dropped, new = ?fit.new, "state was restored");
    Ok(Some(Restored { engine, manifest }))
}
