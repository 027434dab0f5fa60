//! A shard that is ours: how it comes to where the pipeline has committed, and its inputs.

mod asked;
mod beginning;
mod replay;

use std::time::{Duration, Instant};

use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::kafka::PartitionReader;
use tocsin_worker_core::kafka::fetching::{Partition, Position};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::shard::{JournalRecord, Lineage, Shard};
use tocsin_worker_core::snapshot::{InputNow, ReadFrom, inputs_now};

use tocsin_contract::pipeline::kafka::StartingOffsets;
use tocsin_contract::pipeline::source::Source;
use tocsin_contract::worker::ShardPhase;

use super::abandoned::Abandoned;
use super::busy::Busy;
use super::grant::{Asking, Ownership, Term};
use super::input::Input;
use super::restoring::Restoring;
use super::schemas::Schemas;
use super::start::Layout;
use super::{ShardsError, SnapshotSettings};
use crate::snapshots::{Begun, Restored, SnapshotError};
use asked::Asked;
use beginning::{Behind, check_beginning};
use replay::Replaying;
use tocsin_kafka::{Cluster, Fetcher, KafkaError, Time};

/// After an answer that is not final.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// After the store of snapshots could not be used.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// A shard that is ours.
pub struct Owned {
    pub number: u32,
    /// Which of its times with us this is.
    pub term: Term,
    pub shard: Option<Shard>,
    pub inputs: Vec<Input>,
    phase: Phase,
    /// Since when a transaction is open that may have committed more than can be seen.
    unstable_since: Option<Instant>,
    asking: Asking,
    /// How busy it keeps the thread.
    pub busy: Busy,
    /// Where the shard began, as long as the journal does not have it.
    pub beginning: Option<JournalRecord>,
    /// When it last handed over how far it has come; not since it is ours.
    pub committed_at: Option<Instant>,
    /// Open until it runs.
    recovery: tracing::Span,
    /// When that began.
    since: Instant,
}

enum Phase {
    /// Where the pipeline has come to is asked for.
    Asking {
        not_before: Instant,
    },
    /// Its state is brought back from a snapshot.
    Restoring(Restoring<Option<Box<Restored>>>, Asked),
    /// It begins with a savepoint.
    Beginning(Restoring<Box<Begun>>, Behind),
    /// What the journal says is done again.
    Replaying(Box<Replaying>),
    Running,
}

/// What shards of a thread share.
pub struct Common<'a> {
    pub plan: &'a Plan,
    /// As the pipeline's file has them.
    pub sources: &'a [Source],
    pub layout: &'a Layout,
    pub snapshots: Option<&'a SnapshotSettings>,
    pub starting_offsets: StartingOffsets,
    pub schemas: &'a Schemas,
    pub abandoned: &'a Abandoned,
    pub ownership: &'a Ownership,
    /// Whether a person watches the rows of stages.
    pub is_watched: bool,
    pub cluster: &'a mut Cluster,
    pub fetcher: &'a Fetcher,
    pub reader: &'a mut PartitionReader,
}

impl Owned {
    pub fn new(number: u32, term: Term, layout: &Layout) -> Self {
        let now = Instant::now();
        Self {
            number,
            term,
            shard: None,
            inputs: layout.inputs.iter().map(|_| Input::new(now)).collect(),
            phase: Phase::Asking { not_before: now },
            unstable_since: None,
            asking: Asking::default(),
            busy: Busy::new(now),
            beginning: None,
            committed_at: None,
            recovery: tracing::info_span!("recover a shard", shard = number),
            since: now,
        }
    }

    /// Whether it processes new records.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// How far it is on its way into work.
    pub fn phase(&self) -> ShardPhase {
        match &self.phase {
            Phase::Asking { .. } => ShardPhase::Asking,
            Phase::Restoring(..) | Phase::Beginning(..) => ShardPhase::Restoring,
            Phase::Replaying(replaying) if replaying.is_beginning() => ShardPhase::Restoring,
            Phase::Replaying(_) => ShardPhase::Replaying,
            Phase::Running => ShardPhase::Running,
        }
    }

    /// Whether there may be something to do without a new event.
    pub fn is_polled(&self) -> bool {
        matches!(self.phase(), ShardPhase::Asking | ShardPhase::Restoring)
    }

    /// Whether it has to say where it stands, be it where it was: at first, so that what stands in the way of a commit shows at
    /// once and not with the first record, and then after so long.
    pub fn is_to_renew(&self, after: Duration) -> bool {
        self.is_running() && self.committed_at.is_none_or(|at| at.elapsed() >= after)
    }

    fn partition(&self, source: usize) -> Partition {
        Partition {
            topic: source as u32,
            partition: self.number,
        }
    }

    fn journal(&self) -> Partition {
        self.partition(self.inputs.len())
    }

    /// Nothing of the shard is fetched any more.
    pub fn stop_fetching(&self, fetcher: &Fetcher) {
        for source in 0..=self.inputs.len() {
            fetcher.remove(self.partition(source));
        }
    }

    /// Goes on without new events, for a turn. Answers whether there is more to do.
    ///
    /// # Errors
    /// What a person must see.
    pub fn go_on(&mut self, common: &mut Common<'_>) -> Result<bool, ShardsError> {
        let _span = self.recovery.clone().entered();
        if let Phase::Asking { not_before } = self.phase
            && Instant::now() >= not_before
        {
            self.ask(common)?;
        }
        if let Phase::Restoring(restoring, asked) = &self.phase
            && let Some(answer) = restoring.answer()
        {
            let asked = asked.clone();
            self.restored(answer, asked, common)?;
        }
        if let Phase::Beginning(restoring, behind) = &self.phase
            && let Some(answer) = restoring.answer()
        {
            let behind = *behind;
            self.begun(answer, behind, common)?;
        }
        let goes_on = matches!(self.phase, Phase::Replaying(_)) && self.replay(common)?;
        if self.is_running() {
            let sequence = self.shard.as_ref().map(Shard::sequence);
            let seconds = self.since.elapsed().as_secs_f64();
            tracing::info!(sequence, seconds, "the shard runs");
            self.recovery = tracing::Span::none();
        }
        Ok(goes_on)
    }

    /// Begins from the front, after a while.
    fn ask_again(&mut self, after: Duration) {
        self.shard = None;
        let not_before = Instant::now() + after;
        self.phase = Phase::Asking { not_before };
    }

    /// Goes on from a snapshot, if there was one.
    fn restored(
        &mut self,
        answer: Result<Option<Box<Restored>>, SnapshotError>,
        asked: Asked,
        common: &mut Common<'_>,
    ) -> Result<(), ShardsError> {
        let shard = self.number;
        let restored = match answer {
            Ok(Some(restored)) => restored,
            Ok(None) => return self.begin_replay(asked, common),
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, shard, "state cannot be brought back yet");
                self.ask_again(STORE_AGAIN);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Restored {
            engine,
            manifest,
            is_resumed,
        } = *restored;
        if asked.is_new() {
            let sequence = manifest.sequence;
            return Err(ShardsError::StateWithoutJournal { shard, sequence });
        }
        check_beginning(common, shard, manifest.restored_from.as_deref(), manifest.epoch)?;
        if let Some(savepoint) = manifest.resumed_from.as_ref().filter(|_| is_resumed) {
            self.tell_resumed(savepoint, &manifest, &asked);
        }
        let next = manifest.journal_offset + 1;
        if asked.journal.start > next && asked.until != Some(manifest.sequence) {
            return Err(ShardsError::JournalGap {
                shard,
                begins: asked.journal.start,
                needed: next,
            });
        }
        let is_last = asked.until == Some(manifest.sequence);
        let inputs = inputs_now(
            &manifest,
            &common.plan.input_names(),
            &common.layout.topics_now(),
            is_last,
        );
        let inputs = inputs.map_err(|source| ShardsError::ChangedInput { shard, source })?;
        let read_from: Vec<ReadFrom> = inputs
            .into_iter()
            .map(|input| match input {
                InputNow::Position(position) => ReadFrom::Position(position),
                InputNow::New => ReadFrom::Start,
                InputNow::Nowhere => ReadFrom::Nowhere,
            })
            .collect();
        let Some(positions) = self.positions(common, &read_from)? else {
            return Ok(());
        };
        begin_inputs(shard, &mut self.inputs, common, &positions);
        let resumed = Shard::resumed(engine, positions, manifest.sequence, manifest.epoch);
        let resumed = resumed.with_revisions(manifest.revisions);
        let resumed = resumed.of_lineage(Lineage {
            restored_from: manifest.restored_from,
            resumed_from: manifest.resumed_from,
            is_new: is_resumed,
        });
        // Of a shard that is held there is no checkpoint, but a savepoint that drains.
        self.shard = Some(match manifest.drained {
            Some(_) => resumed.as_held(),
            None => resumed,
        });
        self.replay_from(next.max(asked.journal.start), asked, common);
        Ok(())
    }

    /// Goes on from the journal's beginning.
    fn begin_replay(&mut self, asked: Asked, common: &mut Common<'_>) -> Result<(), ShardsError> {
        if !asked.is_new() {
            self.replay_from(asked.journal.start, asked, common);
            return Ok(());
        }
        self.begin(common)
    }

    fn replay_from(&mut self, next: i64, asked: Asked, common: &Common<'_>) {
        let position = Position {
            offset: next,
            epoch: -1,
        };
        let after = common.fetcher.add(self.journal(), position);
        self.phase = Phase::Replaying(Box::new(Replaying::new(asked, next, after)));
    }

    fn offset(&self, common: &mut Common<'_>, topic: usize, time: Time) -> Result<i64, KafkaError> {
        let names = common.layout.fetched();
        // Leaders may have changed since the start.
        let info = common.cluster.topic(&names[topic].name)?;
        let offsets = common.cluster.offsets(&info, &[self.number], time)?;
        Ok(offsets.first().copied().unwrap_or(0))
    }
}

/// Reads an input again from a damaged batch on.
pub fn begin_again(
    input: &mut Input,
    fetcher: &Fetcher,
    layout: &Layout,
    partition: Partition,
    position: Position,
    damaged: i64,
) -> Result<(), ShardsError> {
    match fetcher.damaged(partition, position, damaged) {
        Ok(after) => {
            input.begin(position.offset, after);
            Ok(())
        }
        Err(loss) => Err(ShardsError::Lost {
            topic: layout.inputs[partition.topic as usize].name.clone(),
            partition: partition.partition,
            loss,
        }),
    }
}

/// Makes a shard, and reads its inputs from these positions on.
fn place(
    number: u32,
    inputs: &mut [Input],
    common: &Common<'_>,
    engine: Engine,
    positions: Vec<Option<Position>>,
    epoch: u32,
) -> Shard {
    begin_inputs(number, inputs, common, &positions);
    Shard::new(engine, positions, epoch)
}

/// Reads the inputs of a shard from these positions on.
fn begin_inputs(number: u32, inputs: &mut [Input], common: &Common<'_>, positions: &[Option<Position>]) {
    for (source, position) in positions.iter().enumerate() {
        if let Some(position) = position {
            let partition = Partition {
                topic: source as u32,
                partition: number,
            };
            let after = common.fetcher.add(partition, *position);
            inputs[source].begin(position.offset, after);
        }
    }
}
