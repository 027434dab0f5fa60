//! Brings a shard back from its newest snapshot.

use tocsin_worker_core::engine::{Engine, SavedHead};
use tocsin_worker_core::snapshot::{Manifest, Restore, RestoreError, ShardNames};

use super::SnapshotError;
use super::store::SnapshotStore;

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
    /// The savepoint of this epoch whose state is taken in the place of what was done since; what was resumed from it goes on.
    pub resume_from: Option<String>,
    /// Whether state may be dropped that the pipeline has no place for.
    pub may_drop: bool,
}

/// A shard that was brought back.
pub struct Restored {
    /// The pipeline with its state.
    pub engine: Engine,
    /// The snapshot.
    pub manifest: Manifest,
    /// Whether it is a savepoint that was asked for, in the place of what was done since.
    pub is_resumed: bool,
}

/// Brings a shard back from its newest snapshot that is not newer than what is committed; nothing if there is none.
///
/// # Errors
/// If the store fails, or the snapshot cannot be used: none that is older is taken in its place.
pub fn restore(store: &SnapshotStore, wanted: &Wanted, mut engine: Engine) -> Result<Option<Restored>, SnapshotError> {
    let names = ShardNames::of(&wanted.pipeline, wanted.shard);
    let newest = store.newest(&names, wanted.committed)?;
    let newest = newest.filter(|newest| newest.epoch >= wanted.epoch);
    let is_resumed = |newest: &Manifest| newest.resumed_from == wanted.resume_from;
    let asked = wanted.resume_from.as_ref();
    let asked = asked.filter(|_| !newest.as_ref().is_some_and(is_resumed));
    let (names, manifest) = match (asked, newest) {
        (Some(savepoint), _) => of_savepoint(store, wanted, savepoint)?,
        (None, Some(newest)) => (names, newest),
        (None, None) => return Ok(None),
    };
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
    if let Some(savepoint) = asked
        && let Some(input) = head.on_their_way().map_err(|corrupt| failed(corrupt.into()))?.first()
    {
        // Others' rows were computed by the pipeline as it was changed: with those the state would be of both.
        let why = format!("shards send rows to one another ({input}), and those since the savepoint are of the change");
        return Err(not_resumed(savepoint, why));
    }
    let mut restore = Restore::resume(&mut engine, head, wanted.may_drop).map_err(failed)?;
    store.each_file(&[(&names, &manifest)], |_, bytes| {
        restore.file(0, &bytes).map_err(failed)
    })?;
    let fit = restore.end().map_err(failed)?;
    tracing::info!(shard = wanted.shard, snapshot = name, kept = ?fit.kept, dropped = ?fit.dropped, new = ?fit.new, "state was restored");
    let is_resumed = asked.is_some();
    Ok(Some(Restored {
        engine,
        manifest,
        is_resumed,
    }))
}

/// A shard's part of a savepoint, with that name noted in it.
fn of_savepoint(
    store: &SnapshotStore,
    wanted: &Wanted,
    savepoint: &str,
) -> Result<(ShardNames, Manifest), SnapshotError> {
    if let Some((pipeline, _)) = savepoint.split_once('/').filter(|(of, _)| *of != wanted.pipeline) {
        return Err(not_resumed(savepoint, format!("it is of pipeline {pipeline}")));
    }
    let (_, parts) = store.savepoint_named(savepoint)?;
    let part = parts.into_iter().nth(wanted.shard as usize);
    let part = part.ok_or_else(|| SnapshotError::NotSavepoint(savepoint.to_owned()))?;
    let Manifest { epoch, sequence, .. } = part.manifest;
    let why = if epoch != wanted.epoch {
        let now = wanted.epoch;
        Some(format!("it is of run epoch {epoch}, and the pipeline is in {now}"))
    } else if sequence > wanted.committed {
        let committed = wanted.committed;
        Some(format!(
            "it is of cut {sequence}, and the pipeline has come to {committed}"
        ))
    } else {
        None
    };
    if let Some(why) = why {
        return Err(not_resumed(savepoint, why));
    }
    let manifest = Manifest {
        resumed_from: Some(savepoint.to_owned()),
        ..part.manifest
    };
    Ok((part.names, manifest))
}

fn not_resumed(savepoint: &str, why: String) -> SnapshotError {
    SnapshotError::NotResumed {
        name: savepoint.to_owned(),
        why,
    }
}
