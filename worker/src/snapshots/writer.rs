//! The thread that writes snapshots.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tocsin_worker_core::snapshot::{Manifest, ShardNames};

use super::store::{SnapshotError, SnapshotStore, StoreAddress};

/// The state of a shard at a cut that is committed.
pub struct Capture {
    /// What the manifest says, without the files.
    pub manifest: Manifest,
    /// The state.
    pub state: Vec<u8>,
}

/// What became of a snapshot.
#[derive(Debug)]
pub struct Written {
    /// The shard.
    pub shard: u32,
    /// The cut.
    pub sequence: u64,
    /// Its size and how long it took, or why there is none.
    pub outcome: Result<(u64, Duration), SnapshotError>,
}

/// A thread that writes one snapshot after the other.
pub struct SnapshotWriter {
    captures: Option<Sender<Capture>>,
    /// What became of them.
    pub written: Receiver<Written>,
    thread: Option<JoinHandle<()>>,
}

impl SnapshotWriter {
    /// Starts the thread; `retained` snapshots of each shard are kept.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub fn start(address: &StoreAddress, retained: usize) -> Result<Self, SnapshotError> {
        let store = SnapshotStore::open(address)?;
        let (captures, to_write) = crossbeam_channel::bounded::<Capture>(1);
        let (done, written) = crossbeam_channel::bounded(64);
        let thread = std::thread::spawn(move || {
            for capture in to_write {
                let (shard, sequence) = (capture.manifest.shard, capture.manifest.sequence);
                let outcome = write(&store, capture, retained);
                // Nobody has to listen.
                done.try_send(Written {
                    shard,
                    sequence,
                    outcome,
                })
                .ok();
            }
        });
        Ok(Self {
            captures: Some(captures),
            written,
            thread: Some(thread),
        })
    }

    /// Whether it could take a snapshot now. One that it is not ready for is left out: the next is newer.
    pub fn is_ready(&self) -> bool {
        self.captures.as_ref().is_some_and(Sender::is_empty)
    }

    /// Hands a snapshot over; answers whether it is taken.
    pub fn write(&self, capture: Capture) -> bool {
        self.captures
            .as_ref()
            .is_some_and(|captures| captures.try_send(capture).is_ok())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        self.captures = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn write(store: &SnapshotStore, capture: Capture, retained: usize) -> Result<(u64, Duration), SnapshotError> {
    let (shard, sequence) = (capture.manifest.shard, capture.manifest.sequence);
    let _span = tracing::info_span!("write a snapshot", shard, sequence).entered();
    let started = Instant::now();
    let Capture { manifest, state } = capture;
    let names = ShardNames::of(&manifest.pipeline, manifest.shard);
    let packed = zstd::bulk::compress(&state, 1).unwrap_or(state);
    let file = names.file(manifest.sequence, "state", nonce());
    let bytes = store.write(&names, manifest, vec![(file, packed)])?;
    store.clear(&names, retained)?;
    Ok((bytes, started.elapsed()))
}

/// A number that no other try has.
fn nonce() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
