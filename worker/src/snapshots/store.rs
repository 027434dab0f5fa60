//! Reading, writing and listing snapshots.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutOptions, PutPayload, RetryConfig};
use tocsin_worker_core::snapshot::{File, Manifest, Savepoint, SavepointNames, ShardNames, choose, kept};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::StreamExt;
use url::Url;

use super::SnapshotError;

/// How long a request is tried again before the snapshot counts as failed; the next may do.
const RETRIED: Duration = Duration::from_secs(5);

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

/// Something that a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name, below the store's address.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written.
    pub modified: SystemTime,
}

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
            bucket(&url).map_err(|error| failed(error.to_string()))?
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

    /// Opens a store that is there: no folder is made.
    ///
    /// # Errors
    /// If the address leads nowhere.
    pub fn open_existing(address: &StoreAddress) -> Result<Self, SnapshotError> {
        let is_folder = !address.0.contains("://");
        if is_folder && !PathBuf::from(&address.0).is_dir() {
            return Err(SnapshotError::Address {
                address: address.to_string(),
                reason: "there is no such folder".to_owned(),
            });
        }
        Self::open(address)
    }

    fn path(&self, name: &str) -> Path {
        Path::from_iter(self.base.parts().chain(Path::from(name).parts()))
    }

    /// The manifest of the newest snapshot of a shard that is not newer than `committed`.
    ///
    /// # Errors
    /// If the store fails, or the manifest is damaged.
    pub fn newest(&self, names: &ShardNames, committed: u64) -> Result<Option<Manifest>, SnapshotError> {
        match choose(&self.manifests(names)?, committed) {
            Some(sequence) => self.manifest(names, sequence).map(Some),
            None => Ok(None),
        }
    }

    /// The sequences of a shard's snapshots, ascending.
    ///
    /// # Errors
    /// If the store fails.
    pub fn manifests(&self, names: &ShardNames) -> Result<Vec<u64>, SnapshotError> {
        let all = self.list(names)?.into_iter();
        let mut manifests: Vec<u64> = all.filter(|(_, is)| *is).map(|(at, _)| at).collect();
        manifests.sort_unstable();
        Ok(manifests)
    }

    /// A manifest.
    ///
    /// # Errors
    /// If the store fails, or it is damaged.
    pub fn manifest(&self, names: &ShardNames, sequence: u64) -> Result<Manifest, SnapshotError> {
        let name = names.manifest(sequence);
        Manifest::decode(&self.get(&name)?).map_err(|reason| SnapshotError::Invalid { name, reason })
    }

    /// A file that a manifest names, checked.
    ///
    /// # Errors
    /// If the store fails, or the file is not what was written.
    pub fn file(&self, names: &ShardNames, manifest: &Manifest, file: &File) -> Result<Vec<u8>, SnapshotError> {
        let bytes = self.get(&names.path(&file.name))?;
        file.check(&bytes).map_err(|reason| SnapshotError::Invalid {
            name: names.manifest(manifest.sequence),
            reason,
        })?;
        Ok(bytes)
    }

    /// Writes a file of a snapshot.
    ///
    /// # Errors
    /// If the store fails.
    pub fn write_file(&self, names: &ShardNames, name: &str, bytes: Vec<u8>) -> Result<File, SnapshotError> {
        let file = File::of(name, &bytes);
        self.put(&names.path(name), bytes)?;
        Ok(file)
    }

    /// Writes a manifest: from here on the snapshot is one. Its files must be there.
    ///
    /// # Errors
    /// If the store fails, or the snapshot is there already.
    pub fn publish(&self, names: &ShardNames, manifest: &Manifest) -> Result<(), SnapshotError> {
        self.put(&names.manifest(manifest.sequence), manifest.encode())
    }

    /// Writes the manifest of a savepoint whose shards are all written, if it is not there yet.
    ///
    /// # Errors
    /// If the store fails, or the savepoint was given up.
    pub fn complete(&self, names: &SavepointNames, savepoint: &Savepoint) -> Result<(), SnapshotError> {
        if self.put_first(&names.manifest(), savepoint.encode())? {
            return Ok(());
        }
        // Another worker was faster, with the same; or it was given up.
        self.savepoint(names).map(drop)
    }

    /// Sees to it that a savepoint which is not complete never will be. Whether that is so: if not, it is complete.
    ///
    /// # Errors
    /// If the store fails.
    pub fn give_up(&self, pipeline: &str, id: &str) -> Result<bool, SnapshotError> {
        let names = SavepointNames::of(pipeline, id);
        if self.put_first(&names.manifest(), Savepoint::given_up(pipeline, id).encode())? {
            return Ok(true);
        }
        Ok(self.settled(&names)?.is_some_and(|savepoint| savepoint.given_up))
    }

    /// What became of a savepoint, complete or given up; nothing while neither is so.
    ///
    /// # Errors
    /// If the store fails, or its manifest is damaged.
    pub fn settled(&self, names: &SavepointNames) -> Result<Option<Savepoint>, SnapshotError> {
        let name = names.manifest();
        match self.get(&name) {
            Err(SnapshotError::Store {
                source: object_store::Error::NotFound { .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => Savepoint::decode(&bytes)
                .map(Some)
                .map_err(|reason| SnapshotError::Invalid { name, reason }),
        }
    }

    /// Removes what is older than the snapshots that are kept and that none of them needs, interrupted ones among it.
    ///
    /// # Errors
    /// If the store fails, or a snapshot that is kept is damaged.
    pub fn clear(&self, names: &ShardNames, retained: usize) -> Result<(), SnapshotError> {
        let objects = self.list_names(names)?;
        let sequences = objects.iter().filter_map(|name| names.sequence(name));
        let manifests: Vec<u64> = sequences.filter(|(_, is)| *is).map(|(at, _)| at).collect();
        let kept = kept(&manifests, retained);
        let Some(&oldest) = kept.last().filter(|_| manifests.len() > kept.len()) else {
            return Ok(());
        };
        let mut needed = BTreeSet::new();
        for sequence in kept {
            let manifest = self.manifest(names, sequence)?;
            needed.extend(manifest.files.iter().map(|file| names.path(&file.name)));
        }
        let old = |name: &&String| {
            let is_older = names.sequence(name).is_some_and(|(sequence, _)| sequence < oldest);
            is_older && !needed.contains(*name)
        };
        let mut old: Vec<&String> = objects.iter().filter(old).collect();
        // Manifests first: what they name is then no snapshot any more.
        old.sort_by_key(|name| !names.sequence(name).is_some_and(|(_, is_manifest)| is_manifest));
        old.into_iter().try_for_each(|name| self.remove(name))
    }

    /// Removes a file of a snapshot that comes to nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remove_file(&self, names: &ShardNames, file: &File) -> Result<(), SnapshotError> {
        self.remove(&names.path(&file.name))
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        let removed = self.runtime.block_on(self.store.delete(&self.path(name)));
        if matches!(removed, Err(object_store::Error::NotFound { .. })) {
            return Ok(());
        }
        removed.map_err(|source| SnapshotError::Store {
            what: "removing",
            name: name.to_owned(),
            source,
        })
    }

    fn list(&self, names: &ShardNames) -> Result<Vec<(u64, bool)>, SnapshotError> {
        let objects = self.list_names(names)?;
        Ok(objects.iter().filter_map(|name| names.sequence(name)).collect())
    }

    fn list_names(&self, names: &ShardNames) -> Result<Vec<String>, SnapshotError> {
        Ok(self
            .objects(names.folder())?
            .into_iter()
            .map(|object| object.name)
            .collect())
    }

    /// All objects below a folder, which may be empty: then all there are.
    ///
    /// # Errors
    /// If the store fails.
    pub fn objects(&self, folder: &str) -> Result<Vec<Object>, SnapshotError> {
        let path = self.path(folder);
        let listed: Result<Vec<_>, _> = self.runtime.block_on(self.store.list(Some(&path)).collect());
        let listed = listed.map_err(|source| SnapshotError::Store {
            what: "listing",
            name: folder.to_owned(),
            source,
        })?;
        let base = self.base.as_ref();
        let object = |meta: &object_store::ObjectMeta| {
            let path = meta.location.as_ref();
            Object {
                name: path
                    .strip_prefix(base)
                    .unwrap_or(path)
                    .trim_start_matches('/')
                    .to_owned(),
                bytes: meta.size,
                modified: meta.last_modified.into(),
            }
        };
        Ok(listed.iter().map(object).collect())
    }

    /// Whether there is an object of this name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has(&self, name: &str) -> Result<bool, SnapshotError> {
        match self.runtime.block_on(self.store.head(&self.path(name))) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(SnapshotError::Store {
                what: "looking for",
                name: name.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(name);
        let read = self
            .runtime
            .block_on(async { self.store.get(&path).await?.bytes().await });
        read.map(Vec::from).map_err(|source| SnapshotError::Store {
            what: "reading",
            name: name.to_owned(),
            source,
        })
    }

    /// Writes an object, if there is none. Whether it did.
    fn put_first(&self, name: &str, bytes: Vec<u8>) -> Result<bool, SnapshotError> {
        match self.put(name, bytes) {
            Err(SnapshotError::Store {
                source: object_store::Error::AlreadyExists { .. },
                ..
            }) => Ok(false),
            outcome => outcome.map(|()| true),
        }
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

/// A bucket, and the prefix in it.
fn bucket(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), object_store::Error> {
    let (scheme, base) = ObjectStoreScheme::parse(url).map_err(object_store::Error::from)?;
    if scheme == ObjectStoreScheme::AmazonS3 {
        let builder = AmazonS3Builder::from_env()
            .with_url(url.as_str())
            .with_retry(RetryConfig {
                retry_timeout: RETRIED,
                ..RetryConfig::default()
            });
        return Ok((Arc::new(builder.build()?), base));
    }
    let variables = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, base) = object_store::parse_url_opts(url, variables)?;
    Ok((Arc::from(store), base))
}

impl std::fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotStore")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}
