//! Begins a shard with a savepoint: of as many shards as there are now, or of others.

use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::engine::{Engine, SavedHead};
use tocsin_worker_core::snapshot::{
    Dealt, InvalidManifest, Manifest, ReadFrom, Restore, RestoreError, TopicNow, dealt, is_drained,
};

use super::SnapshotError;
use super::catalog::Part;
use super::store::SnapshotStore;

/// What a shard begins with.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Name of the savepoint, as `tocsin snapshot list` has it.
    pub savepoint: String,
    /// Number of the shard.
    pub shard: u32,
    /// How many shards there are.
    pub n_shards: u32,
    /// The pipeline's sources, as its file has them.
    pub sources: Vec<Source>,
    /// Their topics.
    pub topics: Vec<TopicNow>,
    /// Whether state may be dropped that the pipeline has no place for.
    pub may_drop: bool,
}

/// A shard at its beginning.
pub struct Begun {
    /// The pipeline with its state.
    pub engine: Engine,
    /// Where each source is read on.
    pub read_from: Vec<ReadFrom>,
    /// Sources whose topics are others than those of the savepoint.
    pub others: Vec<String>,
}

/// Begins a shard with a savepoint.
///
/// # Errors
/// If there is none of that name, it cannot be used, or the store fails.
pub fn begin(store: &SnapshotStore, beginning: &Beginning, mut engine: Engine) -> Result<Begun, SnapshotError> {
    let name = &beginning.savepoint;
    let (pipeline, parts) = store.savepoint_named(name)?;
    check(pipeline, &parts)?;
    let manifests: Vec<Manifest> = parts.iter().map(|part| part.manifest.clone()).collect();
    let place = (beginning.shard, beginning.n_shards);
    let Dealt {
        parts: taken,
        deal,
        read_from,
        others,
    } = dealt(&manifests, engine.plan(), &beginning.sources, &beginning.topics, place);
    let taken: Vec<&Part> = taken.iter().filter_map(|number| parts.get(*number)).collect();
    let failed = |reason: RestoreError| SnapshotError::Restore {
        name: name.clone(),
        reason,
    };
    let head = |part: &&Part| {
        let head = store.file(&part.names, &part.manifest, &part.manifest.head)?;
        SavedHead::decode(&head).map_err(|corrupt| failed(corrupt.into()))
    };
    let heads: Vec<SavedHead> = taken.iter().map(head).collect::<Result<_, _>>()?;
    let has_others = |part: &&Part| part.manifest.positions.iter().any(|at| at.source.contains('.'));
    let on_the_way = !is_drained(&manifests);
    for part in parts.iter().filter(|part| on_the_way && has_others(part)) {
        let head = head(&part)?;
        let sent = head.sent().map_err(|corrupt| failed(corrupt.into()))?;
        if let Some(input) = sent.first() {
            return Err(SnapshotError::OnTheWay {
                name: name.clone(),
                input: (*input).to_owned(),
            });
        }
    }
    let mut restore = Restore::begin(&mut engine, &heads, deal, beginning.may_drop).map_err(failed)?;
    let snapshots: Vec<_> = taken.iter().map(|part| (&part.names, &part.manifest)).collect();
    store.each_file(&snapshots, |from, bytes| restore.file(from, &bytes).map_err(failed))?;
    let fit = restore.end().map_err(failed)?;
    let (shard, n_before) = (beginning.shard, parts.len());
    tracing::info!(shard, n_shards = beginning.n_shards, n_before, savepoint = name, kept = ?fit.kept, dropped = ?fit.dropped, new = ?fit.new, "state was restored");
    Ok(Begun {
        engine,
        read_from,
        others,
    })
}

/// Whether the parts are those of the savepoint's shards.
fn check(pipeline: &str, parts: &[Part]) -> Result<(), SnapshotError> {
    for (shard, part) in (0u32..).zip(parts) {
        let checked = part.manifest.check(pipeline, shard, parts.len() as u32);
        checked.map_err(|reason: InvalidManifest| SnapshotError::Invalid {
            name: part.names.manifest(part.manifest.sequence),
            reason,
        })?;
    }
    Ok(())
}
