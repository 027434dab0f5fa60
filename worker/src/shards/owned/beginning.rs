//! A shard where nobody has been: it begins with a savepoint if one is asked for, else with records alone.

use tocsin_contract::pipeline::kafka::StartingOffsets;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::snapshot::{Manifest, ReadFrom, SavepointNames};

use super::{ASK_AGAIN, Asked, Common, Owned, Phase, STORE_AGAIN, place};
use crate::shards::ShardsError;
use crate::shards::restoring::{Answer, Restoring, engine};
use crate::snapshots::Begun;
use tocsin_kafka::{KafkaError, Time};

/// What a beginning stands behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    /// The last cut of the epoch before; none where nobody has been.
    sequence: Option<u64>,
    /// The run epoch that begins.
    epoch: u32,
}

/// Whether a pipeline that has run may go on, by the savepoint that its epoch began with.
pub(super) fn check_beginning(
    common: &Common<'_>,
    shard: u32,
    began: Option<&str>,
    epoch: u32,
) -> Result<(), ShardsError> {
    let wanted = common.snapshots.and_then(|snapshots| snapshots.rewind_to_epoch);
    if wanted.is_some_and(|wanted| wanted < epoch) {
        // It was wound back again since.
        return Ok(());
    }
    let asked = common.snapshots.and_then(|snapshots| snapshots.restore_from.as_ref());
    // What it was begun with once does not count once its topics have grown.
    let of_growth = began
        .and_then(|began| began.rsplit_once('/'))
        .and_then(|(_, id)| SavepointNames::epoch_of_growth(id));
    match asked.filter(|asked| began != Some(asked.as_str())) {
        None => Ok(()),
        Some(_) if of_growth.is_some() && wanted.is_none() => Ok(()),
        Some(asked) => Err(ShardsError::HasRun {
            shard,
            asked: asked.clone(),
            began: began.map(str::to_owned),
        }),
    }
}

/// Whether a shard without committed offsets may go on in the run epoch that its journal ends with. (One whose first
/// transaction was aborted has none either; its journal shows nothing, and it begins.)
pub(super) fn check_rewind(common: &Common<'_>, shard: u32, asked: &Asked, epoch: u32) -> Result<(), ShardsError> {
    let wanted = common.snapshots.and_then(|snapshots| snapshots.rewind_to_epoch);
    if asked.until.is_none() && wanted.is_some_and(|wanted| epoch < wanted) {
        return Err(ShardsError::RewindsNowhere { shard });
    }
    Ok(())
}

impl Owned {
    /// Says what was given out since a savepoint whose state is taken: that stays, and what would have been given out in its
    /// place is not.
    pub(super) fn tell_resumed(&self, savepoint: &str, manifest: &Manifest, asked: &Asked) {
        let read_since = manifest.positions.iter().filter_map(|input| {
            let (from, _) = input.position?;
            let topic = input.topic.as_ref()?;
            let to = asked.committed.get(topic).filter(|to| **to > from)?;
            Some(format!("{topic} from {from} to {to}"))
        });
        let read_since: Vec<String> = read_since.collect();
        tracing::warn!(
            shard = self.number,
            savepoint,
            from = manifest.sequence,
            to = asked.until,
            ?read_since,
            "the state is that of a savepoint: what was given out of what was read since stays, and is not given out again"
        );
    }

    /// Begins where nobody has been.
    pub(super) fn begin(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        if let Some(snapshots) = common.snapshots
            && let Some(savepoint) = &snapshots.restore_from
        {
            let restoring = Restoring::savepoint(snapshots, common, self.number, savepoint);
            let epoch = snapshots.rewind_to_epoch.unwrap_or(0);
            self.phase = Phase::Beginning(restoring, Behind { sequence: None, epoch });
            return Ok(());
        }
        let start = vec![ReadFrom::Start; self.inputs.len()];
        let engine = engine(common.plan, self.number, common.is_watched);
        self.begin_at(common, engine, &start, None, Behind::default())
    }

    /// Begins to wind the shard back, if that is asked for and it has not been; answers whether it does. What it did in
    /// the epoch before is not needed for that.
    pub(super) fn rewinds(&mut self, asked: &Asked, common: &Common<'_>) -> Result<bool, ShardsError> {
        let Some(snapshots) = common.snapshots else {
            return Ok(false);
        };
        let (Some(savepoint), Some(epoch)) = (&snapshots.restore_from, snapshots.rewind_to_epoch) else {
            return Ok(false);
        };
        let Some(sequence) = asked.until.filter(|_| asked.epoch < epoch) else {
            return Ok(false);
        };
        let shard = self.number;
        tracing::info!(shard, epoch, savepoint, "the shard is wound back");
        let restoring = Restoring::savepoint(snapshots, common, shard, savepoint);
        let sequence = Some(sequence);
        self.phase = Phase::Beginning(restoring, Behind { sequence, epoch });
        Ok(true)
    }

    /// Begins with a savepoint.
    pub(super) fn begun(
        &mut self,
        answer: Answer<Box<Begun>>,
        behind: Behind,
        common: &mut Common<'_>,
    ) -> Result<(), ShardsError> {
        let shard = self.number;
        let begun = match answer {
            Ok(begun) => *begun,
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, shard, "the savepoint cannot be read yet");
                self.ask_again(STORE_AGAIN);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let savepoint = common.snapshots.and_then(|snapshots| snapshots.restore_from.clone());
        for source in &begun.others {
            tracing::warn!(
                shard,
                source,
                savepoint,
                "the topic is another than when the savepoint was taken: it is read from spec.kafka.startingOffsets on"
            );
        }
        self.begin_at(common, begun.engine, &begun.read_from, savepoint, behind)
    }

    fn begin_at(
        &mut self,
        common: &mut Common<'_>,
        engine: Engine,
        read_from: &[ReadFrom],
        restored_from: Option<String>,
        behind: Behind,
    ) -> Result<(), ShardsError> {
        let Some(positions) = self.positions(common, read_from)? else {
            return Ok(());
        };
        let placed = place(self.number, &mut self.inputs, common, engine, positions, behind.epoch);
        let sequence = behind.sequence.map_or(0, |last| last + 1);
        let mut placed = placed.begun_with(restored_from).begun_at(sequence);
        let topics = common.layout.topics_now().into_iter();
        let topics = topics.map(|topic| (topic.name, topic.id)).collect();
        self.beginning = Some(placed.begin(topics));
        self.shard = Some(placed);
        self.phase = Phase::Running;
        Ok(())
    }

    /// Where each input is read from; nothing if the brokers cannot say: then the shard begins from the front.
    pub(super) fn positions(
        &mut self,
        common: &mut Common<'_>,
        read_from: &[ReadFrom],
    ) -> Result<Option<Vec<Option<Position>>>, ShardsError> {
        match self.asked_positions(common, read_from) {
            Ok(positions) => Ok(Some(positions)),
            Err(error) if error.may_pass() => {
                self.ask_again(ASK_AGAIN);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn asked_positions(
        &self,
        common: &mut Common<'_>,
        read_from: &[ReadFrom],
    ) -> Result<Vec<Option<Position>>, KafkaError> {
        let start = match common.starting_offsets {
            StartingOffsets::Earliest => Time::Earliest,
            StartingOffsets::Latest => Time::LatestCommitted,
        };
        let n_sources = common.plan.sources.len();
        let mut positions = Vec::new();
        for source in 0..self.inputs.len() {
            let from = match read_from.get(source) {
                // What other shards send is read from the first record on: they may have begun before.
                Some(ReadFrom::Start) | None if source >= n_sources => &ReadFrom::First,
                from => from.unwrap_or(&ReadFrom::Start),
            };
            let time = match from {
                _ if !common.layout.has_partition(source, self.number) => None,
                ReadFrom::Nowhere => None,
                ReadFrom::Position(position) => {
                    let mut position = *position;
                    if source >= n_sources {
                        // It stands behind what is of earlier run epochs: that may be gone.
                        position.offset = position.offset.max(self.offset(common, source, Time::Earliest)?);
                    }
                    positions.push(Some(position));
                    continue;
                }
                ReadFrom::First => Some(Time::Earliest),
                ReadFrom::Start => Some(start),
            };
            let offset = time.map(|time| self.offset(common, source, time)).transpose()?;
            positions.push(offset.map(|offset| Position { offset, epoch: -1 }));
        }
        Ok(positions)
    }
}
