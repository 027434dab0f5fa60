//! A shard where nobody has been: it begins with a savepoint if one is asked for, else with records alone.

use std::time::Instant;

use tocsin_contract::pipeline::kafka::StartingOffsets;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::snapshot::ReadFrom;

use super::{ASK_AGAIN, Common, Owned, Phase, STORE_AGAIN, place};
use crate::kafka::Time;
use crate::shards::ShardsError;
use crate::shards::restoring::{Answer, Restoring, engine};
use crate::snapshots::Begun;

/// Whether a pipeline that has run may go on, by the savepoint that it began with.
pub(super) fn check_beginning(common: &Common<'_>, shard: u32, began: Option<&str>) -> Result<(), ShardsError> {
    let asked = common.snapshots.and_then(|snapshots| snapshots.restore_from.as_ref());
    match asked.filter(|asked| began != Some(asked.as_str())) {
        None => Ok(()),
        Some(asked) => Err(ShardsError::HasRun {
            shard,
            asked: asked.clone(),
            began: began.map(str::to_owned),
        }),
    }
}

impl Owned {
    /// Begins where nobody has been.
    pub(super) fn begin(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        if let Some(snapshots) = common.snapshots
            && let Some(savepoint) = &snapshots.restore_from
        {
            let restoring = Restoring::savepoint(snapshots, common, self.number, savepoint);
            self.phase = Phase::Beginning(restoring);
            return Ok(());
        }
        let start = vec![ReadFrom::Start; self.inputs.len()];
        let engine = engine(common.plan, common.is_watched);
        self.begin_at(common, engine, &start, None)
    }

    /// Begins with a savepoint.
    pub(super) fn begun(&mut self, answer: Answer<Box<Begun>>, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let shard = self.number;
        let begun = match answer {
            Ok(begun) => *begun,
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, shard, "the savepoint cannot be read yet");
                let not_before = Instant::now() + STORE_AGAIN;
                self.phase = Phase::Asking { not_before };
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
        self.begin_at(common, begun.engine, &begun.read_from, savepoint)
    }

    fn begin_at(
        &mut self,
        common: &mut Common<'_>,
        engine: Engine,
        read_from: &[ReadFrom],
        restored_from: Option<String>,
    ) -> Result<(), ShardsError> {
        let positions = match self.positions(common, read_from) {
            Ok(positions) => positions,
            Err(ShardsError::Kafka(error)) if error.may_pass() => {
                let not_before = Instant::now() + ASK_AGAIN;
                self.phase = Phase::Asking { not_before };
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let placed = place(self.number, &mut self.inputs, common, engine, positions, 0);
        let mut placed = placed.begun_with(restored_from);
        let topics = common.layout.inputs.iter().map(|topic| topic.name.clone()).collect();
        self.beginning = Some(placed.begin(topics));
        self.shard = Some(placed);
        self.phase = Phase::Running;
        Ok(())
    }

    fn positions(&self, common: &mut Common<'_>, read_from: &[ReadFrom]) -> Result<Vec<Option<Position>>, ShardsError> {
        let start = match common.starting_offsets {
            StartingOffsets::Earliest => Time::Earliest,
            StartingOffsets::Latest => Time::LatestCommitted,
        };
        let mut positions = Vec::new();
        for (source, from) in read_from.iter().enumerate() {
            let time = match from {
                _ if !common.layout.has_partition(source, self.number) => None,
                ReadFrom::Nowhere => None,
                ReadFrom::Position(position) => {
                    positions.push(Some(*position));
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
