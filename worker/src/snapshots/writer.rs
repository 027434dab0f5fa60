//! The thread that writes snapshots: blocks come while they are captured, the manifest when the cut is committed.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use tocsin_worker_core::engine::{Head, PlacedBlock};
use tocsin_worker_core::plan::placement::Placement;
use tocsin_worker_core::snapshot::{
    BlockWriter, File, Manifest, Savepoint, SavepointNames, ShardNames, StageEntry, is_drained,
};

use super::SnapshotError;
use super::store::{SnapshotStore, StoreAddress};

/// Bytes of a file of blocks.
const FILE: usize = 32 << 20;

/// So many lots of blocks wait at most.
const WAITING: usize = 8;

/// What the thread is told.
enum Order {
    /// A snapshot of a shard begins.
    Begin {
        names: ShardNames,
        sequence: u64,
        part_of: Option<Box<PartOf>>,
    },
    /// Blocks of it.
    Blocks(Vec<PlacedBlock>),
    /// All blocks are handed over, and the cut is committed.
    Publish(Box<Publish>),
    /// It comes to nothing.
    Abandon,
}

/// The savepoint that a snapshot is part of.
#[derive(Clone, Debug)]
pub struct PartOf {
    /// Its names.
    pub names: SavepointNames,
    /// Its manifest, as far as it is known: how many shards there are.
    pub savepoint: Savepoint,
    /// Whether it is complete only when nothing is on its way between the shards.
    pub drains: bool,
    /// The run epoch that it must be of, if it must be of one.
    pub epoch: Option<u32>,
}

/// The end of a snapshot.
pub struct Publish {
    /// The manifest, without its stages, head and files.
    pub manifest: Manifest,
    /// What is not kept by key.
    pub head: Head,
    /// Files of the snapshot that this one lies over.
    pub base: Vec<File>,
}

/// What became of a snapshot.
#[derive(Debug)]
pub struct Written {
    /// The shard.
    pub shard: u32,
    /// The cut.
    pub sequence: u64,
    /// What was written, or why it was not.
    pub outcome: Result<Size, SnapshotError>,
}

/// A snapshot that was written.
#[derive(Debug)]
pub struct Size {
    /// Bytes that were written for it.
    pub bytes: u64,
    /// All its files of blocks, the newest first.
    pub files: Vec<File>,
    /// How long it took from its end to its manifest.
    pub took: Duration,
    /// Whether a savepoint is complete with it.
    pub completes: bool,
}

/// A thread that writes one snapshot after the other.
pub struct SnapshotWriter {
    orders: Option<Sender<Order>>,
    /// What became of them.
    pub written: Receiver<Written>,
    thread: Option<JoinHandle<()>>,
}

impl SnapshotWriter {
    /// Starts the thread. `retained` snapshots of each shard are kept; `placements` say how keys find their shard.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub fn start(
        address: &StoreAddress,
        retained: usize,
        placements: Vec<Option<Placement>>,
    ) -> Result<Self, SnapshotError> {
        let mut writing = Writing {
            store: SnapshotStore::open(address)?,
            retained,
            placements,
            current: None,
        };
        let (orders, to_do) = crossbeam_channel::bounded::<Order>(WAITING);
        let (done, written) = crossbeam_channel::bounded(WAITING);
        let thread = std::thread::spawn(move || {
            let_records_go_first();
            for order in to_do {
                if let Some(outcome) = writing.obey(order) {
                    done.send(outcome).ok();
                }
            }
            writing.abandon();
        });
        Ok(Self {
            orders: Some(orders),
            written,
            thread: Some(thread),
        })
    }

    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread ends only when this does.
            orders.send(order).ok();
        }
    }

    /// Begins a snapshot. None may be under way.
    pub fn begin(&self, names: ShardNames, sequence: u64, part_of: Option<PartOf>) {
        self.send(Order::Begin {
            names,
            sequence,
            part_of: part_of.map(Box::new),
        });
    }

    /// Whether it takes blocks now without waiting.
    pub fn has_room(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.len() < WAITING - 2)
    }

    /// Hands blocks over; gives them back if there is no room.
    ///
    /// # Errors
    /// The blocks.
    pub fn blocks(&self, blocks: Vec<PlacedBlock>) -> Result<(), Vec<PlacedBlock>> {
        let Some(orders) = &self.orders else { return Ok(()) };
        match orders.try_send(Order::Blocks(blocks)) {
            Err(TrySendError::Full(Order::Blocks(blocks))) => Err(blocks),
            _ => Ok(()),
        }
    }

    /// Ends the snapshot under way.
    pub fn publish(&self, publish: Publish) {
        self.send(Order::Publish(Box::new(publish)));
    }

    /// Gives the snapshot under way up.
    pub fn abandon(&self) {
        self.send(Order::Abandon);
    }
}

/// How nice this thread is: while others want all processors, it gets a third of what one of them gets.
const NICENESS: i32 = 5;

/// Lowers the priority of the calling thread: one that packs blocks would stand for milliseconds in the way of one that has
/// records. Whoever must not lower it goes on as before.
fn let_records_go_first() {
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS).ok();
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Writing {
    store: SnapshotStore,
    retained: usize,
    placements: Vec<Option<Placement>>,
    current: Option<Current>,
}

/// The snapshot that is being written.
struct Current {
    names: ShardNames,
    sequence: u64,
    part_of: Option<Box<PartOf>>,
    nonce: u64,
    blocks: BlockWriter,
    /// Those that are written, the newest first.
    files: Vec<File>,
    /// The first error; what follows is left out.
    failed: Option<SnapshotError>,
    /// A manifest may name the files, whatever came of writing it.
    may_be_published: bool,
}

impl Writing {
    fn obey(&mut self, order: Order) -> Option<Written> {
        match order {
            Order::Begin {
                names,
                sequence,
                part_of,
            } => {
                self.abandon();
                self.current = Some(Current {
                    names,
                    sequence,
                    part_of,
                    nonce: nonce(),
                    blocks: BlockWriter::new(&self.placements),
                    files: Vec::new(),
                    failed: None,
                    may_be_published: false,
                });
                None
            }
            Order::Blocks(blocks) => {
                if let Some(current) = self.current.as_mut().filter(|current| current.failed.is_none()) {
                    current.failed = current.add(&self.store, &self.placements, &blocks).err();
                }
                None
            }
            Order::Publish(publish) => {
                let mut current = self.current.take()?;
                let (shard, sequence) = (publish.manifest.shard, current.sequence);
                let outcome = match current.failed.take() {
                    Some(error) => Err(error),
                    None => current.publish(&self.store, &self.placements, *publish),
                };
                if outcome.is_err() {
                    current.remove_unpublished(&self.store);
                } else if current.part_of.is_none()
                    && let Err(error) = self.store.clear(&current.names, self.retained)
                {
                    tracing::warn!(%error, shard, "old snapshots could not be removed");
                }
                Some(Written {
                    shard,
                    sequence,
                    outcome,
                })
            }
            Order::Abandon => {
                self.abandon();
                None
            }
        }
    }

    fn abandon(&mut self) {
        if let Some(current) = self.current.take() {
            current.remove_unpublished(&self.store);
        }
    }
}

impl Current {
    fn add(
        &mut self,
        store: &SnapshotStore,
        placements: &[Option<Placement>],
        blocks: &[PlacedBlock],
    ) -> Result<(), SnapshotError> {
        for placed in blocks {
            self.blocks.add(placed);
        }
        if self.blocks.len() >= FILE {
            self.write_blocks(store, placements)?;
        }
        Ok(())
    }

    fn write_blocks(&mut self, store: &SnapshotStore, placements: &[Option<Placement>]) -> Result<(), SnapshotError> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let what = format!("{:04}.blocks", self.files.len());
        let name = self.names.file(self.sequence, &what, self.nonce);
        let bytes = std::mem::replace(&mut self.blocks, BlockWriter::new(placements)).finish();
        let file = store.write_file(&self.names, &name, bytes)?;
        self.files.insert(0, file);
        Ok(())
    }

    fn publish(
        &mut self,
        store: &SnapshotStore,
        placements: &[Option<Placement>],
        publish: Publish,
    ) -> Result<Size, SnapshotError> {
        let _span = tracing::info_span!("write a snapshot", sequence = self.sequence).entered();
        let started = Instant::now();
        let Publish {
            mut manifest,
            head,
            base,
        } = publish;
        self.write_blocks(store, placements)?;
        let head = head.save();
        let stages = head.stages.iter().map(|stage| StageEntry {
            name: stage.name.clone(),
            shape: stage.shape.clone(),
        });
        manifest.stages = stages.collect();
        let name = self.names.file(self.sequence, "head", self.nonce);
        manifest.head = store.write_file(&self.names, &name, head.encode())?;
        manifest.files = self.files.iter().chain(&base).cloned().collect();
        self.publish_manifest(store, &manifest)?;
        let completes = match &self.part_of {
            None => false,
            Some(part_of) => complete(store, part_of)?,
        };
        let own = self.files.iter().chain([&manifest.head]);
        Ok(Size {
            bytes: own.map(|file| file.bytes).sum(),
            files: manifest.files,
            took: started.elapsed(),
            completes,
        })
    }

    /// Writes the manifest. An answer that was lost does not matter: it is looked whether it is there.
    fn publish_manifest(&mut self, store: &SnapshotStore, manifest: &Manifest) -> Result<(), SnapshotError> {
        self.may_be_published = true;
        let Err(error) = store.publish(&self.names, manifest) else {
            return Ok(());
        };
        match store.manifest(&self.names, manifest.sequence) {
            Ok(found) if found == *manifest => Ok(()),
            // Another try wrote the state of the same cut. That of a checkpoint has other files, which the next would lie over.
            Ok(_) => {
                self.may_be_published = false;
                if self.part_of.is_none() {
                    return Err(error);
                }
                self.remove_unpublished(store);
                Ok(())
            }
            Err(_) => Err(error),
        }
    }

    /// Removes what was written of a snapshot that comes to nothing; what is left over goes with the next that is cleared.
    fn remove_unpublished(&self, store: &SnapshotStore) {
        if self.may_be_published {
            return;
        }
        for file in &self.files {
            store.remove_file(&self.names, file).ok();
        }
    }
}

/// Writes the manifest of a savepoint if all its shards are written; answers whether they are.
fn complete(store: &SnapshotStore, part_of: &PartOf) -> Result<bool, SnapshotError> {
    let mut savepoint = part_of.savepoint.clone();
    let mut parts = Vec::new();
    for (shard, sequence) in (0u32..).zip(&mut savepoint.sequences) {
        // A shard that changed hands meanwhile may have been written twice.
        let names = part_of.names.shard(shard);
        match store.manifests(&names)?.last() {
            Some(newest) => *sequence = *newest,
            None => return Ok(false),
        }
        parts.push(store.manifest(&names, *sequence)?);
    }
    savepoint.drained = is_drained(&parts);
    let is_of_epoch = |epoch| parts.iter().all(|part| part.epoch == epoch);
    if (part_of.drains && !savepoint.drained) || !part_of.epoch.is_none_or(is_of_epoch) {
        // A shard went on meanwhile, and is written again once it is held again.
        return Ok(false);
    }
    store.complete(&part_of.names, &savepoint)?;
    Ok(true)
}

/// A number that no other try has.
fn nonce() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
