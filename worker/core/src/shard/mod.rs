//! One partition of every input, with the state of everything that is computed from it.
//!
//! What a shard does between two cuts is written down in a journal record: which input was read how far, in which order,
//! and what was decided from outside (a tick of the clock, a new rule). Reading the same records again by the same journal
//! gives the same outputs and the same state, whatever batches they come in.

mod journal;
mod origin;

use std::collections::BTreeMap;

pub use self::journal::{Cut, InvalidJournal, JournalRecord, Step};
pub use self::origin::Origin;
use crate::alignment::Alignment;
use crate::avro::{SchemaAnswer, SchemaId, schema_ids};
use crate::capture::Extent;
use crate::engine::{Arrived, Engine, Head, Outputs, PlacedBlock};
use crate::kafka::Block;
use crate::kafka::fetching::Position;
use crate::stream::Micros;

/// A shard.
#[derive(Debug)]
pub struct Shard {
    engine: Engine,
    alignment: Alignment,
    /// One a source of the plan; none where the source has no such partition.
    positions: Vec<Option<Position>>,
    /// Of the last cut.
    sequence: u64,
    epoch: u32,
    steps: Vec<Step>,
    /// The savepoint that it began with, if it did.
    restored_from: Option<String>,
    /// Whether a cut is due though nothing happened: it has begun where nobody has been, or a cut was asked for.
    cut_is_due: bool,
    outputs: Outputs,
    /// Where each dead letter of the outputs came from.
    origins: Vec<Origin>,
}

/// What happened up to a cut, to be committed as a whole.
#[derive(Debug)]
pub struct Committable {
    /// Number of the cut.
    pub sequence: u64,
    /// The run epoch.
    pub epoch: u32,
    /// The journal's record of it.
    pub journal: Vec<u8>,
    /// Where each source is read on.
    pub positions: Vec<Option<Position>>,
    /// What is given out.
    pub outputs: Outputs,
    /// Where each dead letter of the outputs came from, in their order.
    pub origins: Vec<Origin>,
}

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
    /// A shard at its beginning. A source without a partition for it is one that has ended.
    pub fn new(mut engine: Engine, positions: Vec<Option<Position>>, epoch: u32) -> Self {
        engine.key_records();
        let mut outputs = Outputs::default();
        for (source, position) in positions.iter().enumerate() {
            if position.is_none() {
                engine.end(source, &mut outputs);
            }
        }
        Self {
            alignment: Alignment::new(engine.plan()),
            engine,
            positions,
            sequence: 0,
            epoch,
            steps: Vec::new(),
            restored_from: None,
            cut_is_due: false,
            outputs,
            origins: Vec::new(),
        }
    }

    /// A shard as it was at a cut, of which this is the engine.
    pub fn resumed(mut engine: Engine, positions: Vec<Option<Position>>, sequence: u64, epoch: u32) -> Self {
        engine.key_records();
        Self {
            alignment: Alignment::new(engine.plan()),
            engine,
            positions,
            sequence,
            epoch,
            steps: Vec::new(),
            restored_from: None,
            cut_is_due: false,
            outputs: Outputs::default(),
            origins: Vec::new(),
        }
    }

    /// The same, of a shard that began with this savepoint, if with any.
    #[must_use]
    pub fn begun_with(self, restored_from: Option<String>) -> Self {
        Self { restored_from, ..self }
    }

    /// The same, whose beginning is this cut.
    #[must_use]
    pub fn begun_at(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }

    /// The savepoint that it began with, if it did.
    pub fn restored_from(&self) -> Option<&str> {
        self.restored_from.as_deref()
    }

    /// Begins a capture of the state as it is now, at a cut: see [`Engine::begin_capture`].
    pub fn begin_capture(&mut self, extent: Extent) -> Head {
        self.engine.begin_capture(extent)
    }

    /// The next block of the capture under way; none when it is done.
    pub fn next_block(&mut self) -> Option<PlacedBlock> {
        self.engine.next_block()
    }

    /// The run epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where each source is read on.
    pub fn positions(&self) -> &[Option<Position>] {
        &self.positions
    }

    /// Number of the last cut.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes the next records of a source.
    pub fn take(&mut self, source: usize, block: &Block<'_>, epoch: i32) {
        let Some(Some(position)) = self.positions.get_mut(source) else {
            return;
        };
        let offset = block.next_offset;
        *position = Position { offset, epoch };
        let n_dead = self.outputs.dead.len();
        let arrived = Arrived::Each(block.arrived);
        self.engine.push(source, block.records, arrived, &mut self.outputs);
        self.engine.unread(source, block.unread, &mut self.outputs);
        let dead = self.outputs.dead[n_dead..].iter();
        self.origins.extend(dead.map(|letter| Origin::of(letter, block)));
        let bytes = block.records.spans.last().map_or(0, |last| last.end)
            - block.records.spans.first().map_or(0, |first| first.start);
        self.alignment.note(source, bytes as u64, self.engine.watermark(source));
        match self.steps.last_mut() {
            // Two parts of one source behind each other are one: batches do not matter.
            Some(Step::Read { source: last, to }) if *last == source as u32 => *to = offset,
            _ => self.steps.push(Step::Read {
                source: source as u32,
                to: offset,
            }),
        }
    }

    /// Numbers of schemas that records of a source name, and that it does not have; and of each, whether that is because
    /// there was none.
    pub fn schemas_wanted(&self, source: usize, block: &Block<'_>) -> Vec<(SchemaId, bool)> {
        let learnt = self.engine.learnt(source);
        let wanted = schema_ids(block.records).into_iter();
        let wanted = wanted.map(|id| (id, learnt.get(&id).copied()));
        wanted
            .filter(|(_, learnt)| *learnt != Some(true))
            .map(|(id, learnt)| (id, learnt == Some(false)))
            .collect()
    }

    /// Takes what a schema registry says. That there is no schema, or one after all, is a decision.
    pub fn learn(&mut self, source: usize, id: SchemaId, answer: &SchemaAnswer) {
        let is_there = *answer != SchemaAnswer::Absent;
        let before = self.engine.learnt(source).get(&id).copied();
        if before == Some(false) || !is_there {
            self.steps.push(Step::Schema {
                source: source as u32,
                id,
                is_there,
            });
        }
        self.engine.learn(source, id, answer);
    }

    /// Takes a schema that the shard had before: while the journal is followed nothing is decided.
    pub fn learn_again(&mut self, source: usize, id: SchemaId, answer: &SchemaAnswer) {
        self.engine.learn(source, id, answer);
    }

    /// Lets the event time of an idle source come to `now` less its bound.
    pub fn tick(&mut self, source: usize, now: Micros) {
        let before = self.engine.watermark(source);
        self.engine.tick(source, now, &mut self.outputs);
        if self.engine.watermark(source) != before {
            self.steps.push(Step::Tick {
                source: source as u32,
                now,
            });
        }
    }

    /// Whether a source waits for those that it is merged with.
    pub fn holds(&mut self, source: usize) -> bool {
        let watermarks: Vec<Option<Micros>> = (0..self.positions.len())
            .map(|i| self.positions[i].map(|_| self.engine.watermark(i)))
            .collect();
        self.alignment.holds(source, &watermarks)
    }

    /// The sources, that first which is furthest behind in event time: in this order they are read.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.positions.len())
            .filter(|&i| self.positions[i].is_some())
            .collect();
        order.sort_by_key(|&i| self.engine.watermark(i));
        order
    }

    /// Whether something is given out or decided that waits for a cut.
    pub fn has_output(&self) -> bool {
        let Outputs { sinks, dead, .. } = &self.outputs;
        let decided = self.steps.iter().any(|step| !matches!(step, Step::Read { .. }));
        decided || !dead.is_empty() || !sinks.is_empty()
    }

    /// Whether anything happened since the last cut.
    pub fn has_moved(&self) -> bool {
        self.cut_is_due || !self.steps.is_empty()
    }

    /// How many steps wait for a cut.
    pub fn n_steps(&self) -> usize {
        self.steps.len()
    }

    /// How many bytes are given out that wait for a cut.
    pub fn output_bytes(&self) -> usize {
        let sinks = self.outputs.sinks.iter().map(|(_, rows)| rows.bytes.len());
        let dead = self.outputs.dead.iter().map(|letter| letter.bytes.len());
        sinks.chain(dead).sum()
    }

    /// Begins where nobody has been, with sources of these topics. Answers the journal's first record; the next cut is due,
    /// though nothing happened: where the shard begins is a decision.
    pub fn begin(&mut self, sources: Vec<String>) -> JournalRecord {
        self.cut_is_due = true;
        JournalRecord {
            sequence: self.sequence,
            epoch: self.epoch,
            cut: self.positions.clone(),
            steps: Vec::new(),
            sources,
            restored_from: self.restored_from.clone(),
        }
    }

    /// Makes the next cut due though nothing happened, for a savepoint that waits for one.
    pub fn ask_for_cut(&mut self) {
        self.cut_is_due = true;
    }

    /// Ends what happened so far; nothing if nothing did.
    pub fn cut(&mut self) -> Option<Committable> {
        if !self.has_moved() {
            return None;
        }
        self.cut_is_due = false;
        self.sequence += 1;
        let record = JournalRecord {
            sequence: self.sequence,
            epoch: self.epoch,
            cut: self.positions.clone(),
            steps: std::mem::take(&mut self.steps),
            sources: Vec::new(),
            restored_from: None,
        };
        Some(Committable {
            sequence: self.sequence,
            epoch: self.epoch,
            journal: record.encode(),
            positions: record.cut,
            outputs: std::mem::take(&mut self.outputs),
            origins: std::mem::take(&mut self.origins),
        })
    }

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
            let (Step::Read { source, .. } | Step::Tick { source, .. } | Step::Schema { source, .. }) = step;
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
        let reached = positions.into_iter().map(|(source, offset)| (source as usize, offset));
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
                Some(&Step::Tick { source, now }) => shard.tick(source as usize, now),
                Some(&Step::Schema { source, id, is_there }) => {
                    let source = source as usize;
                    if !is_there {
                        shard.engine.learn(source, id, &SchemaAnswer::Absent);
                    } else if shard.engine.learnt(source).get(&id) != Some(&true) {
                        return Wants::Schema { source, id };
                    }
                }
                None => {
                    shard.sequence = self.sequence;
                    shard.epoch = shard.epoch.max(self.epoch);
                    shard.positions.clone_from(&self.cut);
                    shard.steps.clear();
                    // It was given out before.
                    shard.outputs = Outputs::default();
                    shard.origins.clear();
                    return Wants::Nothing;
                }
            }
            self.steps.pop();
        }
    }
}

#[cfg(test)]
mod tests;
