//! Snapshots of the shards of a thread: when one is taken, and what it still waits for.
//!
//! A snapshot begins at the cut of a transaction. Its blocks are handed to the writer bit by bit while the shard goes on;
//! its manifest is written once all are, and the transaction is known to be committed. One is under way at a time.

mod base;
mod wanted;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;
use tocsin_worker_core::capture::Extent;
use tocsin_worker_core::engine::{Head, PlacedBlock};
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::plan::placement::Placement;
use tocsin_worker_core::shard::{Drained, Lineage, Shard};
use tocsin_worker_core::snapshot::{FORMAT, File, Manifest, Savepoint, SavepointNames, ShardNames, SourcePosition};

use self::base::Base;
use self::wanted::WantedSavepoint;
pub use self::work::Work;
use super::SnapshotSettings;
use super::grant::Term;
use super::savepoints::{Kind, Savepoints};
use crate::metrics::{Checkpoint, Measures, Pause, PauseBegun};
use crate::snapshots::{PartOf, Publish, Size, SnapshotError, SnapshotWriter, Written};

/// The longest that a shard's records wait for blocks at once.
const SLICE: Duration = Duration::from_millis(1);

/// Bytes of blocks that are handed over at once.
const LOT: usize = 256 << 10;

/// Until a savepoint that must be is tried again.
const TRIED_AGAIN: Duration = Duration::from_secs(2);

/// Which snapshot it is.
#[derive(Clone, Debug)]
pub struct Place {
    pub pipeline: String,
    /// Without where they are.
    pub inputs: Vec<SourcePosition>,
    pub n_shards: u32,
}

/// The snapshots of a thread's shards.
pub struct Snapshotting {
    settings: SnapshotSettings,
    place: Place,
    writer: SnapshotWriter,
    measures: Arc<Measures>,
    n_written: u64,
    under_way: Option<UnderWay>,
    shards: BTreeMap<u32, OfShard>,
    savepoints: Arc<Savepoints>,
    /// How many of them this thread has seen.
    n_seen: u64,
    /// Those that are not complete.
    wanted: Vec<WantedSavepoint>,
}

/// What is known of a shard's snapshots.
struct OfShard {
    term: Term,
    /// When the next is due.
    due: Instant,
    /// The cut of the last that was written since the shard is ours.
    written: Option<u64>,
    /// Files of the last one, and what a whole one takes, if that is known.
    base: Option<Base>,
}

struct UnderWay {
    shard: u32,
    term: Term,
    sequence: u64,
    epoch: u32,
    lineage: Lineage,
    drained: Option<Drained>,
    revisions: BTreeMap<u32, u64>,
    positions: Vec<Option<Position>>,
    base: Option<Base>,
    /// The savepoint that it is for, if it is for one.
    savepoint: Option<String>,
    head: Option<Head>,
    /// Blocks that the writer had no room for.
    waiting: Vec<PlacedBlock>,
    captured: bool,
    /// Where the cut's record stands in the journal, once it is committed.
    journal_offset: Option<i64>,
    published: bool,
    /// The shard was lost since: what it is now has other blocks.
    lost: bool,
    /// The longest time without a break that it took of the thread.
    pause: Pause,
    begun: Instant,
}

impl Snapshotting {
    pub fn start(
        settings: SnapshotSettings,
        place: Place,
        placements: Vec<Option<Placement>>,
        measures: Arc<Measures>,
        savepoints: Arc<Savepoints>,
    ) -> Result<Self, SnapshotError> {
        Ok(Self {
            writer: SnapshotWriter::start(&settings.address, settings.retained, placements)?,
            settings,
            place,
            measures,
            n_written: 0,
            under_way: None,
            shards: BTreeMap::new(),
            savepoints,
            n_seen: 0,
            wanted: Vec::new(),
        })
    }

    /// How many checkpoints were written.
    pub fn n_written(&self) -> u64 {
        self.n_written
    }

    /// Tells what became of snapshots.
    pub fn written(&self) -> Receiver<Written> {
        self.writer.written.clone()
    }

    /// What there is to do now.
    pub fn work(&self) -> Work {
        match &self.under_way {
            Some(under_way) if !under_way.captured && self.writer.has_room() => Work::Blocks,
            Some(under_way) if !under_way.captured => Work::Room,
            _ => Work::Nothing,
        }
    }

    /// Whether a savepoint waits for a cut of a shard, or a snapshot is due of one that nothing comes to any more.
    pub fn wants_cut(&mut self, number: u32, shard: &Shard) -> bool {
        for (id, kind) in self.savepoints.since(&mut self.n_seen) {
            // One that another thread could not write is asked for again.
            self.wanted.retain(|wanted| wanted.id != id);
            self.wanted.push(WantedSavepoint::new(id, kind));
        }
        self.wanted.retain(|wanted| !self.savepoints.is_given_up(&wanted.id));
        let is_new = |of_shard: &OfShard| Some(shard.sequence()) > of_shard.written && !shard.is_held();
        let of_shard = self.shards.get(&number);
        let is_due = of_shard.is_some_and(|of_shard| Instant::now() >= of_shard.due && is_new(of_shard));
        let is_wanted = |wanted: &WantedSavepoint| wanted.wants(number, shard);
        self.under_way.is_none() && (is_due || self.wanted.iter().any(is_wanted))
    }

    /// When a snapshot of a shard is due. The first is taken one interval behind its first cut.
    pub fn due(&self, shard: u32) -> Option<Instant> {
        self.shards.get(&shard).map(|of_shard| of_shard.due)
    }

    /// At a cut: begins a snapshot if one is due.
    pub fn cut(&mut self, number: u32, term: Term, shard: &mut Shard) {
        let interval = self.settings.interval;
        // What a resume brought back counts only behind a checkpoint: until then another worker would take the newest before it.
        let first = if shard.lineage().is_new {
            Duration::ZERO
        } else {
            interval
        };
        let of_shard = self.shards.entry(number).or_insert_with(|| OfShard {
            term,
            due: Instant::now() + first,
            written: None,
            base: None,
        });
        if of_shard.term != term {
            // It was elsewhere in between.
            (of_shard.term, of_shard.base, of_shard.written) = (term, None, None);
        }
        if self.under_way.is_some() {
            return;
        }
        let savepoint = self.wanted.iter().find(|wanted| wanted.wants(number, shard));
        let savepoint = savepoint.map(|wanted| (wanted.id.clone(), wanted.kind.clone()));
        // Of a shard that is held there is none to recover from: the journal holds it again.
        if savepoint.is_none() && (shard.is_held() || Instant::now() < of_shard.due) {
            return;
        }
        of_shard.due = Instant::now() + interval;
        let base = of_shard.base.take();
        let incremental = self.settings.incremental && savepoint.is_none() && !shard.engine().needs_whole_capture();
        let base = base.filter(|base| incremental && base.may_grow());
        let extent = if base.is_some() { Extent::Changes } else { Extent::Whole };
        let begun = PauseBegun::now();
        let head = shard.begin_capture(extent);
        let pause = begun.elapsed();
        let (pipeline, sequence) = (&self.place.pipeline, shard.sequence());
        match &savepoint {
            None => self.writer.begin(ShardNames::of(pipeline, number), sequence, None),
            Some((id, kind)) => {
                let names = SavepointNames::of(pipeline, id);
                let mut whole = PartOf {
                    names: names.clone(),
                    savepoint: Savepoint::new(pipeline, id, vec![0; self.place.n_shards as usize]),
                    drains: kind.hold(id).is_some(),
                    epoch: kind.ends(),
                };
                match kind {
                    Kind::Grown(_, partitions) => whole.savepoint.grown_to.clone_from(partitions),
                    Kind::Ending(_) => whole.savepoint.ends = kind.ends(),
                    Kind::Plain | Kind::Drained => {}
                }
                self.writer.begin(names.shard(number), sequence, Some(whole));
            }
        }
        self.under_way = Some(UnderWay {
            shard: number,
            term,
            sequence: shard.sequence(),
            epoch: shard.epoch(),
            lineage: shard.lineage().clone(),
            revisions: shard.revisions().clone(),
            positions: shard.positions().to_vec(),
            base,
            drained: shard.drained(),
            savepoint: savepoint.map(|(id, _)| id),
            head: Some(head),
            waiting: Vec::new(),
            captured: false,
            journal_offset: None,
            published: false,
            lost: false,
            pause,
            begun: Instant::now(),
        });
    }

    /// Captures blocks of the snapshot under way for a while; `shard` finds a shard that is still ours.
    pub fn go_on<'a>(&mut self, shard: impl FnOnce(u32, Term) -> Option<&'a mut Shard>) {
        if self.work() != Work::Blocks {
            return;
        }
        let Some(under_way) = &mut self.under_way else { return };
        let Some(shard) = shard(under_way.shard, under_way.term) else {
            self.abandon();
            return;
        };
        let begun = PauseBegun::now();
        let mut lot = std::mem::take(&mut under_way.waiting);
        let mut bytes = 0;
        while begun.wall() < SLICE && !under_way.captured {
            match shard.next_block() {
                Some(block) => {
                    bytes += block.block.bytes.len();
                    lot.push(block);
                }
                None => under_way.captured = true,
            }
            if bytes >= LOT {
                bytes = 0;
                if let Err(blocks) = self.writer.blocks(std::mem::take(&mut lot)) {
                    under_way.waiting = blocks;
                    under_way.pause = under_way.pause.max(begun.elapsed());
                    return;
                }
            }
        }
        under_way.pause = under_way.pause.max(begun.elapsed());
        if !lot.is_empty()
            && let Err(blocks) = self.writer.blocks(lot)
        {
            under_way.waiting = blocks;
            under_way.captured = false;
            return;
        }
        self.publish_if_ready();
    }

    /// A cut is committed, and its record stands there in the journal, as far as is known.
    pub fn committed(&mut self, shard: u32, sequence: u64, journal_offset: Option<i64>) {
        let Some(under_way) = &mut self.under_way else { return };
        if (under_way.shard, under_way.sequence) != (shard, sequence) {
            return;
        }
        match journal_offset {
            Some(offset) => {
                under_way.journal_offset = Some(offset);
                self.publish_if_ready();
            }
            // The next will do.
            None => self.abandon(),
        }
    }

    /// A shard is lost, or its last cut is.
    pub fn lost(&mut self, shard: u32) {
        if let Some(under_way) = self.under_way.as_mut().filter(|under_way| under_way.shard == shard) {
            under_way.lost = true;
            self.abandon();
        }
        self.shards.remove(&shard);
    }

    fn abandon(&mut self) {
        if let Some(under_way) = self.under_way.take_if(|under_way| !under_way.published) {
            self.writer.abandon();
            tracing::debug!(
                shard = under_way.shard,
                sequence = under_way.sequence,
                "a snapshot was given up"
            );
        }
    }

    fn publish_if_ready(&mut self) {
        let Some(under_way) = self.under_way.as_mut().filter(|under_way| under_way.captured) else {
            return;
        };
        let (Some(journal_offset), Some(head)) = (
            under_way.journal_offset,
            under_way.head.take_if(|_| under_way.journal_offset.is_some()),
        ) else {
            return;
        };
        under_way.published = true;
        let positions = self.place.inputs.iter().zip(&under_way.positions);
        let positions = positions.map(|(source, position)| SourcePosition {
            position: position.map(|at| (at.offset, at.epoch)),
            ..source.clone()
        });
        self.writer.publish(Publish {
            manifest: Manifest {
                format: FORMAT,
                pipeline: self.place.pipeline.clone(),
                shard: under_way.shard,
                n_shards: self.place.n_shards,
                sequence: under_way.sequence,
                epoch: under_way.epoch,
                journal_offset,
                restored_from: under_way.lineage.restored_from.clone(),
                resumed_from: under_way.lineage.resumed_from.clone(),
                drained: under_way.drained.clone(),
                revisions: under_way.revisions.clone(),
                positions: positions.collect(),
                stages: Vec::new(),
                head: File::default(),
                files: Vec::new(),
            },
            head,
            base: under_way
                .base
                .as_ref()
                .map(|base| base.files.clone())
                .unwrap_or_default(),
        });
    }

    /// What became of a snapshot.
    pub fn done(&mut self, written: Written) {
        let Written {
            shard,
            sequence,
            outcome,
        } = written;
        let Some(under_way) = self.under_way.take_if(|under_way| under_way.published) else {
            return;
        };
        let took = under_way.begun.elapsed();
        if let Some(id) = under_way.savepoint {
            self.savepoint_written(&id, shard, under_way.drained, outcome);
            return;
        }
        match outcome {
            Ok(size) => {
                self.n_written += 1;
                let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.measures.checkpoint_written(Checkpoint {
                    shard,
                    sequence,
                    bytes: size.bytes,
                    duration: took,
                    pause: under_way.pause,
                    at: at.as_micros() as i64,
                });
                tracing::debug!(shard, sequence, bytes = size.bytes, ?took, "a snapshot was written");
                let of_shard = self.shards.get_mut(&shard).filter(|of| of.term == under_way.term);
                if let Some(of_shard) = of_shard.filter(|_| !under_way.lost) {
                    let least = Instant::now() + self.settings.min_pause;
                    of_shard.due = of_shard.due.max(least);
                    of_shard.written = Some(sequence);
                    let all: u64 = size.files.iter().map(|file| file.bytes).sum();
                    of_shard.base = Some(Base {
                        whole_bytes: under_way.base.map_or(all, |base| base.whole_bytes),
                        files: size.files,
                    });
                }
            }
            Err(error) => {
                self.measures.checkpoint_failed(shard, &error);
                tracing::warn!(shard, sequence, %error, "a snapshot could not be written");
            }
        }
    }
}

impl Snapshotting {
    fn savepoint_written(
        &mut self,
        id: &str,
        shard: u32,
        drained: Option<Drained>,
        outcome: Result<Size, SnapshotError>,
    ) {
        let wanted = self.wanted.iter_mut().find(|wanted| wanted.id == id);
        match outcome {
            Ok(size) => {
                if let Some(wanted) = wanted {
                    wanted.written.insert(shard, drained);
                }
                if size.completes {
                    self.wanted.retain(|wanted| wanted.id != id);
                }
                let complete = size.completes;
                tracing::info!(shard, savepoint = id, complete, "a savepoint was written");
                self.savepoints.written(id, size.bytes, size.completes);
            }
            Err(error) => {
                tracing::warn!(shard, savepoint = id, %error, "a savepoint could not be written");
                // Without it nothing goes on, unless it is given up.
                if let Some(wanted) = wanted.filter(|wanted| wanted.kind.ends().is_some()) {
                    wanted.not_before = Instant::now() + TRIED_AGAIN;
                    if matches!(wanted.kind, Kind::Ending(_)) {
                        self.savepoints.failed(id, error.to_string());
                    }
                    return;
                }
                self.wanted.retain(|wanted| wanted.id != id);
                self.savepoints.failed(id, error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests;
