//! One partition of every input, with the state of everything that is computed from it.
//!
//! What a shard does between two cuts is written down in a journal record: which input was read how far, in which order,
//! and what was decided from outside (a tick of the clock, a new rule). Reading the same records again by the same journal
//! gives the same outputs and the same state, whatever batches they come in.

mod ahead;
mod beginning;
mod hold;
mod journal;
mod origin;
mod replay;

use std::collections::BTreeMap;

pub use self::ahead::Ahead;
pub use self::beginning::Lineage;
pub use self::hold::{Drained, Hold};
pub use self::journal::{Cut, InvalidJournal, JournalRecord, Step};
pub use self::origin::Origin;
pub use self::replay::{Replay, ReplayError, Wants};
use crate::alignment::Alignment;
use crate::avro::{SchemaAnswer, SchemaId, schema_ids};
use crate::capture::Extent;
use crate::decode::Cause;
use crate::engine::{Arrived, DeadLetter, Engine, Head, Outputs, PlacedBlock};
use crate::kafka::Block;
use crate::kafka::fetching::Position;
use crate::repartition::{DealtOtherwise, NotTaken};
use crate::stream::Micros;

/// A shard.
#[derive(Debug)]
pub struct Shard {
    engine: Engine,
    alignment: Alignment,
    /// One an input: the sources of the plan, then what other shards send to stages. None where there is no such partition.
    positions: Vec<Option<Position>>,
    /// Where what was done again came from another leader's time than before: see [`Shard::doubtful`].
    doubtful: Vec<Option<Position>>,
    /// Of the last cut.
    sequence: u64,
    epoch: u32,
    steps: Vec<Step>,
    lineage: Lineage,
    /// Of what the pipeline works with and that has revisions, by its number, which one is in effect.
    revisions: BTreeMap<u32, u64>,
    /// For what it reads no source, if it is held.
    held: Option<Hold>,
    /// Whether a cut is due though nothing happened: it has begun where nobody has been, or a cut was asked for.
    cut_is_due: bool,
    /// Whether a source waited for others since the last cut: idle ones that it may wait for then go on exactly.
    is_waiting: bool,
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
    /// What is sent to other shards.
    pub dealt: Vec<Dealt>,
}

/// A record that is sent to another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dealt {
    /// Number of the input that it comes in by there.
    pub input: usize,
    /// Number of the shard.
    pub to: u32,
    /// The record.
    pub record: Vec<u8>,
}

impl Shard {
    /// A shard at its beginning. A source without a partition for it is one that has ended.
    pub fn new(mut engine: Engine, positions: Vec<Option<Position>>, epoch: u32) -> Self {
        engine.key_records();
        engine.begin_epoch();
        let mut outputs = Outputs::default();
        for (source, position) in positions.iter().enumerate() {
            if position.is_none() {
                engine.end(source, &mut outputs);
            }
        }
        engine.tell_anew(&mut outputs);
        Self {
            alignment: Alignment::new(engine.plan()),
            engine,
            positions,
            doubtful: Vec::new(),
            sequence: 0,
            epoch,
            steps: Vec::new(),
            lineage: Lineage::default(),
            revisions: BTreeMap::new(),
            held: None,
            cut_is_due: false,
            is_waiting: false,
            outputs,
            origins: Vec::new(),
        }
    }

    /// A shard as it was at a cut, of which this is the engine.
    pub fn resumed(mut engine: Engine, positions: Vec<Option<Position>>, sequence: u64, epoch: u32) -> Self {
        engine.key_records();
        for (source, position) in positions.iter().enumerate() {
            if position.is_none() {
                // One that is new and has no partition here; others have ended before.
                engine.end(source, &mut Outputs::default());
            }
        }
        // At a cut nothing is left to be given out.
        engine.tell_anew(&mut Outputs::default());
        Self {
            alignment: Alignment::new(engine.plan()),
            engine,
            positions,
            doubtful: Vec::new(),
            sequence,
            epoch,
            steps: Vec::new(),
            lineage: Lineage::default(),
            revisions: BTreeMap::new(),
            held: None,
            cut_is_due: false,
            is_waiting: false,
            outputs: Outputs::default(),
            origins: Vec::new(),
        }
    }

    /// From the next record on a revision is in effect: a decision.
    pub fn revise(&mut self, what: u32, revision: u64) {
        if self.revisions.insert(what, revision) != Some(revision) {
            self.steps.push(Step::Revise { what, revision });
        }
    }

    /// The revisions that are in effect, by number of what has revisions.
    pub fn revisions(&self) -> &BTreeMap<u32, u64> {
        &self.revisions
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
    ///
    /// # Errors
    /// If another shard sent rows of another form. The shard is then of no use any more.
    pub fn take(&mut self, source: usize, block: &Block<'_>, epoch: i32) -> Result<(), DealtOtherwise> {
        let Some(Some(position)) = self.positions.get_mut(source) else {
            return Ok(());
        };
        let offset = block.next_offset;
        *position = Position { offset, epoch };
        if let Some(stage) = self.engine.plan().repartitioned_by(source) {
            self.arrive(source, stage, block)?;
            self.read(source, offset);
            return Ok(());
        }
        let n_dead = self.outputs.dead.len();
        let arrived = Arrived::Each(block.arrived);
        self.engine.push(source, block.records, arrived, &mut self.outputs);
        self.engine.unread(source, block.unread, &mut self.outputs);
        let dead = self.outputs.dead[n_dead..].iter();
        self.origins.extend(dead.map(|letter| Origin::of(letter, block)));
        let bytes = block.records.spans.last().map_or(0, |last| last.end)
            - block.records.spans.first().map_or(0, |first| first.start);
        self.alignment.note(source, bytes as u64, self.engine.watermark(source));
        self.read(source, offset);
        Ok(())
    }

    /// Takes records that other shards sent.
    fn arrive(&mut self, source: usize, stage: usize, block: &Block<'_>) -> Result<(), DealtOtherwise> {
        let n_dead = self.outputs.dead.len();
        // Larger than any that a worker writes.
        self.engine.unread(source, block.unread, &mut self.outputs);
        let dead = self.outputs.dead[n_dead..].iter();
        self.origins.extend(dead.map(|letter| Origin::of(letter, block)));
        for span in block.records.spans {
            let bytes = &block.records.bytes[span.start..span.end];
            match self.engine.arrive(stage, bytes, self.epoch, &mut self.outputs) {
                Ok(()) => {}
                Err(NotTaken::Otherwise(otherwise)) => return Err(otherwise),
                // Somebody else has written to the topic.
                Err(NotTaken::Corrupt(_)) => {
                    let letter = DeadLetter {
                        source,
                        offset: span.offset,
                        cause: Cause::NotDealt,
                        bytes: bytes.to_vec(),
                        whole_bytes: bytes.len(),
                    };
                    self.origins.push(Origin::of(&letter, block));
                    self.outputs.dead.push(letter);
                }
            }
        }
        Ok(())
    }

    /// Notes how far an input was read.
    fn read(&mut self, source: usize, offset: i64) {
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

    /// A source is idle: its event time goes on with those that it is merged with, or with the clock, which says `now`.
    pub fn tick(&mut self, source: usize, now: Micros) {
        if self.is_held() || self.positions.get(source).is_none_or(Option::is_none) {
            return;
        }
        if self.engine.set_idle(source, true) {
            self.steps.push(Step::Idle { source: source as u32 });
        }
        let now = self.engine.idle_time(source, now, self.is_waiting);
        let before = self.engine.watermark(source);
        self.engine.tick(source, now, &mut self.outputs);
        if self.engine.watermark(source) != before {
            self.steps.push(Step::Tick {
                source: source as u32,
                now,
            });
        }
    }

    /// Whether a source waits for those that it is merged with, here and in other shards.
    pub fn holds(&mut self, source: usize) -> bool {
        let watermarks: Vec<Option<Micros>> = (0..self.positions.len())
            .map(|i| self.positions[i].map(|_| self.engine.watermark(i)))
            .collect();
        let elsewhere = self.engine.watermark_elsewhere(source);
        let is_idle = |source| self.engine.is_idle(source);
        let holds = self.alignment.holds(source, &watermarks, is_idle, elsewhere);
        self.is_waiting |= holds;
        holds
    }

    /// The inputs in the order in which they are read: what other shards sent, then the sources, that first which is
    /// furthest behind in event time. One that is held reads no source.
    pub fn order(&self) -> Vec<usize> {
        let n_sources = self.engine.plan().sources.len();
        let first = if self.is_held() { n_sources } else { 0 };
        let mut order: Vec<usize> = (first..self.positions.len())
            .filter(|&i| self.positions[i].is_some())
            .collect();
        order.sort_by_key(|&i| (i < n_sources, self.engine.watermark(i)));
        order
    }

    /// Whether something is given out or decided that waits for a cut.
    pub fn has_output(&self) -> bool {
        let Outputs { sinks, dead, .. } = &self.outputs;
        let decided = self.steps.iter().any(|step| !matches!(step, Step::Read { .. }));
        decided || !dead.is_empty() || !sinks.is_empty() || self.engine.has_dealt()
    }

    /// Whether anything happened since the last cut.
    pub fn has_moved(&self) -> bool {
        self.cut_is_due || !self.steps.is_empty() || self.engine.has_dealt()
    }

    /// How many steps wait for a cut.
    pub fn n_steps(&self) -> usize {
        self.steps.len()
    }

    /// How many bytes are given out that wait for a cut.
    pub fn output_bytes(&self) -> usize {
        let sinks = self.outputs.sinks.iter().map(|(_, rows)| rows.bytes.len());
        let dead = self.outputs.dead.iter().map(|letter| letter.bytes.len());
        sinks.chain(dead).chain([self.engine.dealt_bytes()]).sum()
    }

    /// Begins where nobody has been, with sources of these topics, by name and id. Answers the journal's first record; the next cut is due,
    /// though nothing happened: where the shard begins is a decision.
    pub fn begin(&mut self, topics: Vec<(String, Option<String>)>) -> JournalRecord {
        let (sources, topic_ids) = topics.into_iter().unzip();
        self.cut_is_due = true;
        JournalRecord {
            sequence: self.sequence,
            epoch: self.epoch,
            cut: self.positions.clone(),
            steps: Vec::new(),
            sources,
            topic_ids,
            restored_from: self.lineage.restored_from.clone(),
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
        self.is_waiting = false;
        self.sequence += 1;
        let record = JournalRecord {
            sequence: self.sequence,
            epoch: self.epoch,
            cut: self.positions.clone(),
            steps: std::mem::take(&mut self.steps),
            sources: Vec::new(),
            topic_ids: Vec::new(),
            restored_from: None,
        };
        Some(Committable {
            sequence: self.sequence,
            epoch: self.epoch,
            journal: record.encode(),
            positions: record.cut,
            outputs: std::mem::take(&mut self.outputs),
            origins: std::mem::take(&mut self.origins),
            dealt: self.take_dealt(),
        })
    }

    fn take_dealt(&mut self) -> Vec<Dealt> {
        let inputs: Vec<usize> = self.engine.plan().repartitioned().collect();
        let n_sources = self.engine.plan().sources.len();
        let records = self.engine.take_dealt(self.epoch, self.sequence).into_iter();
        let dealt = records.filter_map(|(stage, to, record)| {
            let behind = inputs.iter().position(|number| *number == stage)?;
            let input = n_sources + behind;
            Some(Dealt { input, to, record })
        });
        dealt.collect()
    }
}

#[cfg(test)]
mod tests;
