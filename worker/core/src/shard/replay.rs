//! What the journal says, done again.

use std::collections::BTreeMap;

use super::{Hold, JournalRecord, Shard, Step};
use crate::avro::{SchemaAnswer, SchemaId};
use crate::engine::Outputs;
use crate::kafka::fetching::Position;

/// A journal that does not fit the shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Records of the journal are missing.
    #[error("the journal has a gap: record {expected} is awaited, {found} comes (JournalGap)")]
    Gap {
        /// Number of the next record.
        expected: u64,
        /// Number of the record that came.
        found: u64,
    },
    /// It speaks of an input that there is not, or of a position that was passed.
    #[error("record {sequence} of the journal is of another pipeline")]
    Foreign {
        /// Number of the record.
        sequence: u64,
    },
}

impl Shard {
    /// Begins to do again what a journal record says.
    ///
    /// # Errors
    /// If the record is not the next one, or of another pipeline.
    pub fn replay(&mut self, record: JournalRecord) -> Result<Replay, ReplayError> {
        let (expected, found) = (self.sequence + 1, record.sequence);
        if found != expected {
            return Err(ReplayError::Gap { expected, found });
        }
        let foreign = ReplayError::Foreign { sequence: found };
        let mut positions: BTreeMap<u32, i64> = BTreeMap::new();
        for (source, position) in self.positions.iter().enumerate() {
            positions.extend(position.map(|position| (source as u32, position.offset)));
        }
        for step in &record.steps {
            let (Step::Read { source, .. }
            | Step::Tick { source, .. }
            | Step::Schema { source, .. }
            | Step::Idle { source }) = step
            else {
                continue;
            };
            let Some(position) = positions.get_mut(source) else {
                return Err(foreign);
            };
            if let Step::Read { to, .. } = step {
                if *to <= *position {
                    return Err(foreign);
                }
                *position = *to;
            }
        }
        // Inputs that came behind the others since are none of this record's.
        let n_inputs = record.cut.len();
        let reached = positions.into_iter().map(|(source, offset)| (source as usize, offset));
        let reached = reached.filter(|(source, _)| *source < n_inputs);
        let promised = record.cut.iter().enumerate();
        let promised = promised.filter_map(|(source, position)| Some((source, position.as_ref()?.offset)));
        if !reached.eq(promised) {
            return Err(foreign);
        }
        let mut steps = record.steps;
        steps.reverse();
        Ok(Replay {
            sequence: found,
            epoch: record.epoch,
            cut: record.cut,
            steps,
        })
    }

    /// Inputs of which the last records that were done again are of another leader's time (its epoch) than the journal says, with
    /// where the journal says that they are read on. Their logs may have been cut and have grown again: who asks brokers from
    /// there on, with that epoch, is told.
    pub fn doubtful(&self) -> &[Option<Position>] {
        &self.doubtful
    }
}

/// Where a cut is of another epoch than what was read up to it. An answer's epoch counts for all of it, so that this alone says
/// nothing for sure.
fn doubtful(before: &[Option<Position>], read: &[Option<Position>], cut: &[Option<Position>]) -> Vec<Option<Position>> {
    let is_other = |read: &Option<Position>, cut: &Position| read.is_some_and(|read| read.epoch != cut.epoch);
    let inputs = read.iter().zip(cut).enumerate();
    let doubtful = inputs.map(|(input, (read, cut))| {
        let cut = cut.filter(|cut| cut.epoch >= 0)?;
        // What the last record did not read is as doubtful as before.
        let stays = before.get(input).copied().flatten() == Some(cut);
        (stays || is_other(read, &cut)).then_some(cut)
    });
    doubtful.collect()
}

/// A journal record that is being done again.
#[derive(Debug)]
pub struct Replay {
    sequence: u64,
    epoch: u32,
    cut: Vec<Option<Position>>,
    /// What is left, the next at the end.
    steps: Vec<Step>,
}

/// What a replay waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Records of a source, up to an offset and not beyond.
    Records {
        /// The source.
        source: usize,
        /// One behind the last offset.
        until: i64,
    },
    /// A schema of this number, for a source: the journal says that there is one after all.
    Schema {
        /// The source.
        source: usize,
        /// Number of the schema.
        id: SchemaId,
    },
    /// Nothing: the record is done.
    Nothing,
}

impl Replay {
    /// Goes on as far as it can without records.
    pub fn go_on(&mut self, shard: &mut Shard) -> Wants {
        loop {
            match self.steps.last() {
                Some(&Step::Read { source, to }) => {
                    let source = source as usize;
                    let position = shard.positions.get(source).copied().flatten();
                    if position.is_some_and(|position| position.offset < to) {
                        return Wants::Records { source, until: to };
                    }
                }
                Some(&Step::Tick { source, now }) => shard.engine.tick(source as usize, now, &mut shard.outputs),
                Some(&Step::Idle { source }) => drop(shard.engine.set_idle(source as usize, true)),
                Some(&Step::Schema { source, id, is_there }) => {
                    let source = source as usize;
                    if !is_there {
                        shard.engine.learn(source, id, &SchemaAnswer::Absent);
                    } else if shard.engine.learnt(source).get(&id) != Some(&true) {
                        return Wants::Schema { source, id };
                    }
                }
                Some(&Step::Hold { until }) => shard.hold(Hold { until, savepoint: None }),
                Some(&Step::HoldFor { until, savepoint }) => shard.hold(Hold {
                    until: Some(until),
                    savepoint: Some(savepoint),
                }),
                Some(&Step::GiveUp { savepoint }) => shard.give_up(savepoint),
                Some(Step::GoOn) => shard.go_on(),
                Some(&Step::Revise { what, revision }) => drop(shard.revisions.insert(what, revision)),
                None => {
                    shard.sequence = self.sequence;
                    shard.epoch = shard.epoch.max(self.epoch);
                    shard.doubtful = doubtful(&shard.doubtful, &shard.positions, &self.cut);
                    for (position, cut) in shard.positions.iter_mut().zip(&self.cut) {
                        position.clone_from(cut);
                    }
                    shard.steps.clear();
                    // It was given out before.
                    shard.outputs = Outputs::default();
                    shard.origins.clear();
                    shard.take_dealt();
                    return Wants::Nothing;
                }
            }
            self.steps.pop();
        }
    }
}
