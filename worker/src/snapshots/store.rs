//! Reading, writing and listing snapshots.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tocsin_worker_core::snapshot::{Expected, File, InvalidManifest, Manifest, ShardNames, choose, outdated};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::StreamExt;
use url::Url;

/// Where snapshots are kept: a folder, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAddress(String);

impl StoreAddress {
    /// An address as a user gives it.
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }
}

impl std::fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object store that cannot be used, or a snapshot that cannot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The address leads nowhere.
    #[error("snapshots cannot be kept at {address}: {reason}")]
    Address {
        /// The address.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The store failed.
    #[error("{what} {name}: {source}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// With which object.
        name: String,
        /// Why not.
        source: object_store::Error,
    },
    /// A snapshot cannot be used. None that is older is taken in its place.
    #[error("snapshot {name} {reason}; give it back, or remove it to go back to the one before")]
    Invalid {
        /// The manifest.
        name: String,
        /// What is wrong with it.
        reason: InvalidManifest,
    },
}

/// A snapshot's manifest, and the bytes of its files.
pub type Found = (Manifest, Vec<Vec<u8>>);

/// The snapshots of a pipeline.
pub struct SnapshotStore {
    store: Arc<dyn ObjectStore>,
    base: Path,
    runtime: Runtime,
}

impl SnapshotStore {
    /// Opens a store. A folder is made if it is not there; keys of a bucket come from the environment, as AWS's tools have
    /// them.
    ///
    /// # Errors
    /// If the address leads nowhere.
    pub fn open(address: &StoreAddress) -> Result<Self, SnapshotError> {
        let failed = |reason: String| SnapshotError::Address {
            address: address.to_string(),
            reason,
        };
        let (store, base): (Arc<dyn ObjectStore>, Path) = if address.0.contains("://") {
            let url = Url::parse(&address.0).map_err(|error| failed(error.to_string()))?;
            let variables = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
            let (store, base) =
                object_store::parse_url_opts(&url, variables).map_err(|error| failed(error.to_string()))?;
            (Arc::from(store), base)
        } else {
            let folder = PathBuf::from(&address.0);
            std::fs::create_dir_all(&folder).map_err(|error| failed(error.to_string()))?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.to_string()))?;
            (Arc::new(store), Path::default())
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { store, base, runtime })
    }

    fn path(&self, name: &str) -> Path {
        Path::from_iter(self.base.parts().chain(Path::from(name).parts()))
    }

    /// The newest snapshot of a shard that is not newer than `committed`, with the bytes of its files.
    ///
    /// # Errors
    /// If the store fails, or that snapshot is damaged or of something else.
    pub fn newest(
        &self,
        names: &ShardNames,
        committed: u64,
        expected: &Expected<'_>,
    ) -> Result<Option<Found>, SnapshotError> {
        let manifests: Vec<u64> = self
            .list(names)?
            .into_iter()
            .filter(|(_, is)| *is)
            .map(|(at, _)| at)
            .collect();
        let Some(sequence) = choose(&manifests, committed) else {
            return Ok(None);
        };
        let name = names.manifest(sequence);
        let invalid = |reason| SnapshotError::Invalid {
            name: name.clone(),
            reason,
        };
        let manifest = Manifest::decode(&self.get(&name)?).map_err(invalid)?;
        manifest.check(expected).map_err(invalid)?;
        let mut files = Vec::new();
        for file in &manifest.files {
            let bytes = self.get(&names.path(&file.name))?;
            file.check(&bytes).map_err(invalid)?;
            files.push(bytes);
        }
        Ok(Some((manifest, files)))
    }

    /// Writes a snapshot: its files, and then its manifest. Answers its size.
    ///
    /// # Errors
    /// If the store fails, or the snapshot is there already.
    pub fn write(
        &self,
        names: &ShardNames,
        mut manifest: Manifest,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<u64, SnapshotError> {
        let mut size = 0;
        for (name, bytes) in files {
            manifest.files.push(File::of(&name, &bytes));
            size += bytes.len() as u64;
            self.put(&names.path(&name), bytes)?;
        }
        let bytes = manifest.encode();
        size += bytes.len() as u64;
        self.put(&names.manifest(manifest.sequence), bytes)?;
        Ok(size)
    }

    /// Removes what is older than the snapshots that are kept, interrupted ones among it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn clear(&self, names: &ShardNames, retained: usize) -> Result<(), SnapshotError> {
        let objects = self.list_names(names)?;
        let sequences = objects.iter().filter_map(|name| names.sequence(name));
        let manifests: Vec<u64> = sequences.filter(|(_, is)| *is).map(|(at, _)| at).collect();
        let Some(oldest) = outdated(&manifests, retained) else {
            return Ok(());
        };
        let old = |name: &&String| names.sequence(name).is_some_and(|(sequence, _)| sequence < oldest);
        let mut old: Vec<&String> = objects.iter().filter(old).collect();
        // Manifests first: what they name is then no snapshot any more.
        old.sort_by_key(|name| !names.sequence(name).is_some_and(|(_, is_manifest)| is_manifest));
        for name in old {
            let removed = self.runtime.block_on(self.store.delete(&self.path(name)));
            removed.map_err(|source| SnapshotError::Store {
                what: "removing",
                name: name.clone(),
                source,
            })?;
        }
        Ok(())
    }

    fn list(&self, names: &ShardNames) -> Result<Vec<(u64, bool)>, SnapshotError> {
        let objects = self.list_names(names)?;
        Ok(objects.iter().filter_map(|name| names.sequence(name)).collect())
    }

    fn list_names(&self, names: &ShardNames) -> Result<Vec<String>, SnapshotError> {
        let folder = self.path(names.folder());
        let listed: Result<Vec<_>, _> = self.runtime.block_on(self.store.list(Some(&folder)).collect());
        let listed = listed.map_err(|source| SnapshotError::Store {
            what: "listing",
            name: names.folder().to_owned(),
            source,
        })?;
        let base = self.base.as_ref();
        let relative = |path: &str| {
            path.strip_prefix(base)
                .unwrap_or(path)
                .trim_start_matches('/')
                .to_owned()
        };
        Ok(listed.iter().map(|object| relative(object.location.as_ref())).collect())
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(name);
        let read = self
            .runtime
            .block_on(async { self.store.get(&path).await?.bytes().await });
        read.map(|bytes| bytes.to_vec()).map_err(|source| SnapshotError::Store {
            what: "reading",
            name: name.to_owned(),
            source,
        })
    }

    /// Writes an object that is not there yet.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let path = self.path(name);
        let once = PutOptions::from(PutMode::Create);
        let put = self.store.put_opts(&path, PutPayload::from(bytes), once);
        self.runtime
            .block_on(put)
            .map(drop)
            .map_err(|source| SnapshotError::Store {
                what: "writing",
                name: name.to_owned(),
                source,
            })
    }
}

impl std::fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotStore")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}
