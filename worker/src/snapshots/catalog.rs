//! What a store of snapshots holds, for people: names, sizes, contents, differences.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use tocsin_contract::worker::SavepointContents;
use tocsin_worker_core::snapshot::{Manifest, RestoreError, Savepoint, SavepointNames, ShardNames, read_blocks};

use super::SnapshotError;
use super::store::SnapshotStore;

/// A snapshot of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: `<pipeline>/shards/<shard>/<cut>` or `<pipeline>/savepoints/<id>`.
    pub name: String,
    /// Whether it is a savepoint: a snapshot of all shards, that is kept.
    pub is_savepoint: bool,
    /// Bytes of its own files; those of snapshots that it lies over are not counted.
    pub bytes: u64,
    /// When its manifest was written.
    pub taken: SystemTime,
}

/// A snapshot of one shard.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it is.
    pub names: ShardNames,
    /// Its manifest.
    pub manifest: Manifest,
}

/// What a snapshot holds of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageContents {
    /// What its state is of.
    pub shape: String,
    /// Keys, over all shards.
    pub keys: u64,
    /// Bytes of their states, unpacked.
    pub bytes: u64,
}

/// How a stage's state differs between two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageDifference {
    /// Keys that only the second has.
    pub added: u64,
    /// Keys that only the first has.
    pub removed: u64,
    /// Keys whose state differs.
    pub changed: u64,
    /// Keys whose state is the same.
    pub same: u64,
}

/// Which row of which stage, as a fingerprint.
type Fingerprints = HashMap<String, HashMap<u128, u64>>;

impl SnapshotStore {
    /// All snapshots, of one pipeline or of all, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn catalog(&self, pipeline: Option<&str>) -> Result<Vec<Entry>, SnapshotError> {
        let objects = self.objects(pipeline.unwrap_or_default())?;
        let mut entries = Vec::new();
        for object in &objects {
            let Some(stem) = object.name.strip_suffix(".manifest") else {
                continue;
            };
            let (name, is_savepoint) = match stem.strip_suffix("/savepoint") {
                Some(savepoint) => (savepoint, true),
                None if stem.contains("/savepoints/") => continue,
                None => (stem, false),
            };
            if is_savepoint && self.is_given_up(name)? {
                continue;
            }
            let own = objects.iter().filter(|other| {
                let rest = other.name.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(if is_savepoint { '/' } else { '.' }))
            });
            entries.push(Entry {
                name: name.to_owned(),
                is_savepoint,
                bytes: own.map(|object| object.bytes).sum(),
                taken: object.modified,
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Whether a savepoint was given up. One that is damaged was not, as far as can be known.
    fn is_given_up(&self, name: &str) -> Result<bool, SnapshotError> {
        let Some((pipeline, id)) = name.split_once("/savepoints/") else {
            return Ok(false);
        };
        match self.settled(&SavepointNames::of(pipeline, id)) {
            Err(SnapshotError::Invalid { .. }) => Ok(false),
            settled => Ok(settled?.is_some_and(|savepoint| savepoint.given_up)),
        }
    }

    /// The parts of a snapshot, a shard each: of the one with this name, or of a pipeline's newest.
    ///
    /// # Errors
    /// If there is none, it is damaged, or the store fails.
    pub fn parts(&self, name: &str) -> Result<Vec<Part>, SnapshotError> {
        let entries = self.catalog(name.split('/').next())?;
        let found = entries.iter().find(|entry| entry.name == name);
        let unknown = || SnapshotError::Unknown(name.to_owned());
        match found {
            Some(entry) if entry.is_savepoint => {
                let (pipeline, id) = name.split_once("/savepoints/").ok_or_else(unknown)?;
                self.savepoint_parts(pipeline, id)
            }
            Some(_) => Ok(vec![self.part(name)?]),
            None => {
                let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
                for entry in entries.iter().filter(|entry| !entry.is_savepoint) {
                    // Names of one shard sort as their cuts do.
                    if let Some((folder, _)) = entry.name.rsplit_once('/') {
                        newest.insert(folder, &entry.name);
                    }
                }
                if name.contains('/') || newest.is_empty() {
                    return Err(unknown());
                }
                newest.into_values().map(|name| self.part(name)).collect()
            }
        }
    }

    fn part(&self, name: &str) -> Result<Part, SnapshotError> {
        let unknown = || SnapshotError::Unknown(name.to_owned());
        let (folder, sequence) = name.rsplit_once('/').ok_or_else(unknown)?;
        let names = ShardNames::in_folder(folder);
        let manifest = self.manifest(&names, sequence.parse().map_err(|_| unknown())?)?;
        Ok(Part { names, manifest })
    }

    /// The parts of a savepoint.
    ///
    /// # Errors
    /// If there is none, it is damaged, or the store fails.
    pub fn savepoint_parts(&self, pipeline: &str, id: &str) -> Result<Vec<Part>, SnapshotError> {
        let names = SavepointNames::of(pipeline, id);
        let savepoint = self.savepoint(&names)?;
        let shards = (0u32..).zip(savepoint.sequences);
        let part = |(shard, sequence)| {
            let names = names.shard(shard);
            let manifest = self.manifest(&names, sequence)?;
            Ok(Part { names, manifest })
        };
        shards.map(part).collect()
    }

    /// What a savepoint holds, without reading its files.
    ///
    /// # Errors
    /// If there is none, it is damaged, or the store fails.
    pub fn savepoint_contents(&self, pipeline: &str, id: &str) -> Result<SavepointContents, SnapshotError> {
        let names = SavepointNames::of(pipeline, id);
        let hash = digest(&SHA256, &self.get(&names.manifest())?);
        let parts = self.savepoint_parts(pipeline, id)?;
        let stages = parts.iter().flat_map(|part| &part.manifest.stages);
        let with_state = stages.filter(|stage| !stage.shape.is_empty());
        Ok(SavepointContents {
            size_bytes: self.objects(names.folder())?.iter().map(|object| object.bytes).sum(),
            manifest_hash: hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            epoch: parts.iter().map(|part| part.manifest.epoch).max().unwrap_or(0),
            stages: with_state
                .map(|stage| (stage.name.clone(), stage.shape.clone()))
                .collect(),
        })
    }

    /// The savepoint of a name as `tocsin snapshot list` has it: its pipeline, and its parts.
    ///
    /// # Errors
    /// If there is none of that name, it is damaged, or the store fails.
    pub fn savepoint_named<'a>(&self, name: &'a str) -> Result<(&'a str, Vec<Part>), SnapshotError> {
        let not_one = || SnapshotError::NotSavepoint(name.to_owned());
        let (pipeline, id) = name.split_once("/savepoints/").ok_or_else(not_one)?;
        match self.savepoint_parts(pipeline, id) {
            Err(SnapshotError::Store {
                source: object_store::Error::NotFound { .. },
                ..
            }) => Err(not_one()),
            parts => Ok((pipeline, parts?)),
        }
    }

    /// Removes a savepoint, as `tocsin snapshot list` names it. That it is gone already is as good.
    ///
    /// # Errors
    /// If it is none, or the store fails.
    pub fn remove_savepoint(&self, name: &str) -> Result<usize, SnapshotError> {
        let not_one = || SnapshotError::NotSavepoint(name.to_owned());
        let (pipeline, id) = name.split_once("/savepoints/").ok_or_else(not_one)?;
        if pipeline.is_empty() || id.is_empty() || name.contains("..") {
            return Err(not_one());
        }
        self.remove_folder(SavepointNames::of(pipeline, id).folder())
    }

    /// Removes all that a pipeline ever wrote, its savepoints among it. No worker of it may run.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remove_pipeline(&self, pipeline: &str) -> Result<usize, SnapshotError> {
        if pipeline.is_empty() || pipeline.contains(['/', '.']) {
            return Err(SnapshotError::Unknown(pipeline.to_owned()));
        }
        self.remove_folder(pipeline)
    }

    /// Manifests go first: what is left is then no snapshot any more, also if this is interrupted.
    fn remove_folder(&self, folder: &str) -> Result<usize, SnapshotError> {
        let mut names: Vec<String> = self.objects(folder)?.into_iter().map(|object| object.name).collect();
        names.sort_by_key(|name| (!name.ends_with("/savepoint.manifest"), !name.ends_with(".manifest")));
        names.iter().try_for_each(|name| self.remove(name))?;
        Ok(names.len())
    }

    /// The manifest of a savepoint.
    ///
    /// # Errors
    /// If there is none, it was given up, it is damaged, or the store fails.
    pub fn savepoint(&self, names: &SavepointNames) -> Result<Savepoint, SnapshotError> {
        let name = names.manifest();
        let savepoint =
            Savepoint::decode(&self.get(&name)?).map_err(|reason| SnapshotError::Invalid { name, reason })?;
        if savepoint.given_up {
            return Err(SnapshotError::GivenUp(names.folder().to_owned()));
        }
        Ok(savepoint)
    }
}

impl Part {
    /// Calls `visit` with stage, table, key and state of each row. Reads all files, so that damage shows.
    fn rows(&self, store: &SnapshotStore, mut visit: impl FnMut(&str, u32, &[u8], &[u8])) -> Result<(), SnapshotError> {
        store.file(&self.names, &self.manifest, &self.manifest.head)?;
        let mut seen = HashSet::new();
        for file in &self.manifest.files {
            let bytes = store.file(&self.names, &self.manifest, file)?;
            let read = read_blocks(&bytes, |block| {
                let stage = self.manifest.stages.get(block.place.0 as usize);
                let name = stage.map_or("", |stage| stage.name.as_str());
                if seen.insert(block.place) && !block.place.2.is_order() {
                    // Without a state rows of earlier versions say in which order others stand.
                    let rows = block.rows.iter().filter(|row| !row.state.is_empty());
                    rows.for_each(|row| visit(name, block.place.2.table, row.key, row.state));
                }
                Ok::<(), RestoreError>(())
            });
            read.map_err(|reason| SnapshotError::Restore {
                name: self.names.manifest(self.manifest.sequence),
                reason,
            })?;
        }
        Ok(())
    }
}

/// What the parts of a snapshot hold, by name of the stage. Reads every byte of it.
///
/// # Errors
/// If something of it is missing or damaged, or the store fails.
pub fn contents(store: &SnapshotStore, parts: &[Part]) -> Result<BTreeMap<String, StageContents>, SnapshotError> {
    let mut contents: BTreeMap<String, StageContents> = BTreeMap::new();
    for part in parts {
        for stage in part.manifest.stages.iter().filter(|stage| !stage.shape.is_empty()) {
            let of_stage = contents.entry(stage.name.clone()).or_default();
            of_stage.shape.clone_from(&stage.shape);
        }
        part.rows(store, |stage, _, key, state| {
            if let Some(of_stage) = contents.get_mut(stage) {
                of_stage.keys += 1;
                of_stage.bytes += (key.len() + state.len()) as u64;
            }
        })?;
    }
    Ok(contents)
}

/// How the state of each stage differs between two snapshots.
///
/// # Errors
/// If something of one is missing or damaged, or the store fails.
pub fn difference(
    store: &SnapshotStore,
    first: &[Part],
    second: &[Part],
) -> Result<BTreeMap<String, StageDifference>, SnapshotError> {
    let (mut before, after) = (fingerprints(store, first)?, fingerprints(store, second)?);
    let mut differences: BTreeMap<String, StageDifference> = BTreeMap::new();
    for (stage, rows) in after {
        let difference = differences.entry(stage.clone()).or_default();
        let mut old = before.remove(&stage).unwrap_or_default();
        for (key, state) in rows {
            match old.remove(&key) {
                None => difference.added += 1,
                Some(earlier) if earlier == state => difference.same += 1,
                Some(_) => difference.changed += 1,
            }
        }
        difference.removed += old.len() as u64;
    }
    for (stage, rows) in before {
        differences.entry(stage).or_default().removed += rows.len() as u64;
    }
    Ok(differences)
}

fn fingerprints(store: &SnapshotStore, parts: &[Part]) -> Result<Fingerprints, SnapshotError> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut fingerprints = Fingerprints::new();
    for part in parts {
        part.rows(store, |stage, table, key, state| {
            let half = |salt: u8| u128::from(hasher.hash_one((salt, table, key)));
            let key = half(0) << 64 | half(1);
            let rows = fingerprints.entry(stage.to_owned()).or_default();
            rows.insert(key, hasher.hash_one(state));
        })?;
    }
    Ok(fingerprints)
}
