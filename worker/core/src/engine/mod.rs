//! A running pipeline: records of sources in, rows of sinks and dead letters out.
//!
//! The engine does what a plan says, part by part, in the thread that calls it. It reads no clock and keeps no file; what
//! it gives out depends on the records of each source alone, not on how they were cut into parts or in which order the
//! sources were read.

mod capture;
mod draining;
mod event_time;
mod idle;
mod ingest;
mod lanes;
mod matching;
mod round;
mod run;
mod timers;
mod top_keys;
mod work;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::aggregate::CorruptState;
use crate::avro::{SchemaAnswer, SchemaId};
pub use crate::decode::Arrived;
use crate::decode::{Cause, Decoder, Records};
use crate::encode::Encoded;
use crate::kafka::Unread;
use crate::plan::{DealtStage, InputPlan, Plan, StagePlan, StreamId};
use crate::repartition::{NotTaken, Repartition};
use crate::stream::{Micros, NO_WATERMARK};
pub use capture::{Head, Later, PlacedBlock, SavedHead, SavedStage};
pub use event_time::EventTime;
use ingest::Ingest;
pub use matching::{Fit, Matching};
use round::{Next, Readers, count_readers};
use run::StageRun;
pub use timers::Timer;
pub use top_keys::TopKey;

/// A running pipeline.
pub struct Engine {
    plan: Plan,
    /// See [`Plan::merged_sources`].
    groups: Vec<usize>,
    /// See [`Plan::dealt_stages`].
    dealt_stages: Vec<DealtStage>,
    sources: Vec<Ingest>,
    stages: Vec<StageRun>,
    /// Of stages whose rows are dealt out by key.
    repartitions: Vec<Option<Repartition>>,
    /// Whether no source gives anything.
    held: bool,
    /// How many read each stream, to hand it over to the last without a copy.
    n_readers: Readers,
    observed: bool,
    keyed: bool,
}

/// What a part of the input led to.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Rows for sinks, by number of the sink.
    pub sinks: Vec<(usize, Encoded)>,
    /// Rows of stages that a person watches (KPIs, alarms, escalations, incidents), by number of the stage. Only if
    /// [`Engine::observe`] asked for them.
    pub observed: Vec<(usize, Encoded)>,
    /// Records that could not be taken.
    pub dead: Vec<DeadLetter>,
}

/// A record that could not be taken.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Number of the source.
    pub source: usize,
    /// The record's offset in its input.
    pub offset: u64,
    /// Why.
    pub cause: Cause,
    /// The record.
    pub bytes: Vec<u8>,
    /// Size of the whole record, of which `bytes` may be the beginning.
    pub whole_bytes: usize,
}

/// What a source has given so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounters {
    /// Records read, good or dead.
    pub records: u64,
    /// Dead records.
    pub dead: u64,
    /// Values that were NULLed because of their type, by column.
    pub mismatches: Vec<u64>,
    /// The watermark.
    pub watermark: Option<Micros>,
    /// The newest event time.
    pub newest: Option<Micros>,
    /// Whether nothing follows.
    pub ended: bool,
}

/// What a stage has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageCounters {
    /// Rows in.
    pub rows_in: u64,
    /// Rows out.
    pub rows_out: u64,
    /// Rows that came too late to count.
    pub late: u64,
}

impl Engine {
    /// A pipeline at its beginning; `decoders` has one for each source of the plan. Where rows are dealt out by key it is
    /// that of shard 0.
    pub fn new(plan: Plan, decoders: Vec<Box<dyn Decoder>>) -> Self {
        let sources = plan
            .sources
            .iter()
            .zip(decoders)
            .map(|(source, decoder)| Ingest::new(source, decoder))
            .collect();
        let stages = plan.stages.iter().map(StageRun::new).collect();
        let n_readers = count_readers(&plan);
        let repartitions = repartitions(&plan, 0);
        Self {
            repartitions,
            held: false,
            groups: plan.merged_sources(),
            dealt_stages: plan.dealt_stages(),
            plan,
            sources,
            stages,
            n_readers,
            observed: false,
            keyed: false,
        }
    }

    /// Asks for the rows that a person watches.
    pub fn observe(&mut self) {
        self.observed = true;
    }

    /// Asks for the keys of the rows that sinks take.
    pub fn key_records(&mut self) {
        self.keyed = true;
    }

    /// Asks each source to take nothing behind its first record that cannot be decoded.
    pub fn stop_at_dead(&mut self) {
        self.sources.iter_mut().for_each(Ingest::stop_at_dead);
    }

    /// Says which shard it is, before the first record.
    pub fn set_shard(&mut self, shard: u32) {
        self.repartitions = repartitions(&self.plan, shard);
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes the next records of a source.
    pub fn push(&mut self, source: usize, records: Records<'_>, arrived: Arrived<'_>, outputs: &mut Outputs) {
        let Some(ingest) = self.sources.get_mut(source) else {
            return;
        };
        if ingest.idle && !records.spans.is_empty() {
            self.set_idle(source, false);
        }
        let Some(ingest) = self.sources.get_mut(source) else {
            return;
        };
        let n_dead = outputs.dead.len();
        let batch = ingest.take(source, records, arrived, &mut outputs.dead);
        ingest.counters.dead += (outputs.dead.len() - n_dead) as u64;
        self.round(source, batch, outputs);
    }

    /// Takes what a schema registry says of a schema's number. It counts for the records of the source behind: whoever
    /// wants to do the same again must say it again at the same place.
    pub fn learn(&mut self, source: usize, id: SchemaId, answer: &SchemaAnswer) {
        if let Some(ingest) = self.sources.get_mut(source) {
            ingest.learn(id, answer);
        }
    }

    /// What a source learnt, by number: whether there is such a schema. Of a state that was loaded, only which there are
    /// not.
    pub fn learnt(&self, source: usize) -> BTreeMap<SchemaId, bool> {
        self.sources.get(source).map(Ingest::learnt).unwrap_or_default()
    }

    /// Takes records of a source that were dead before they got here.
    pub fn unread(&mut self, source: usize, unread: &[Unread], outputs: &mut Outputs) {
        self.count_unread(source, unread.len() as u64);
        outputs.dead.extend(unread.iter().map(|record| DeadLetter {
            source,
            offset: record.offset as u64,
            cause: record.cause.clone(),
            bytes: record.head.clone(),
            whole_bytes: match record.cause {
                Cause::TooLong { bytes, .. } => bytes,
                _ => record.head.len(),
            },
        }));
    }

    /// Counts records of a source that were dead before they got here: too large to be read.
    pub fn count_unread(&mut self, source: usize, n_records: u64) {
        if n_records > 0 {
            self.set_idle(source, false);
        }
        if let Some(ingest) = self.sources.get_mut(source) {
            ingest.counters.records += n_records;
            ingest.counters.dead += n_records;
        }
    }

    /// No more records will come from a source.
    pub fn end(&mut self, source: usize, outputs: &mut Outputs) {
        let Some(ingest) = self.sources.get_mut(source) else {
            return;
        };
        if ingest.ended().is_some() {
            return;
        }
        let n_dead = outputs.dead.len();
        let batch = ingest.end(source, &mut outputs.dead);
        ingest.counters.dead += (outputs.dead.len() - n_dead) as u64;
        self.round(source, batch, outputs);
    }

    /// Lets the event time of a source that gives nothing come to `now` minus its bound: a tick of the clock, from
    /// outside, for live sources that are idle.
    pub fn tick(&mut self, source: usize, now: Micros, outputs: &mut Outputs) {
        let Some(ingest) = self.sources.get_mut(source) else {
            return;
        };
        if let Some(batch) = ingest.tick(now) {
            self.round(source, batch, outputs);
        }
    }

    /// Takes a record that another shard sent to a stage. One of a run epoch before `epoch` is passed over.
    ///
    /// # Errors
    /// If it is something else, or its rows are of another form.
    pub fn arrive(&mut self, stage: usize, bytes: &[u8], epoch: u32, outputs: &mut Outputs) -> Result<(), NotTaken> {
        let Some(Some(repartition)) = self.repartitions.get_mut(stage) else {
            let what = "a record of a repartition topic";
            return Err(CorruptState { what }.into());
        };
        if let Some(dealt) = repartition.arrive(bytes, epoch)? {
            self.rounds(Some(Next::Dealt(stage, dealt)), outputs);
        }
        Ok(())
    }

    /// Lets what is dealt out know how far its inputs are, where its own state was of something else.
    pub fn tell_anew(&mut self, outputs: &mut Outputs) {
        if self.repartitions.iter().flatten().any(Repartition::is_new) {
            self.rounds(None, outputs);
        }
    }

    /// Whether other shards must be told something.
    pub fn has_dealt(&self) -> bool {
        self.repartitions.iter().flatten().any(Repartition::is_due) || self.end_is_due()
    }

    /// Bytes of rows that wait to be sent to other shards, about.
    pub fn dealt_bytes(&self) -> usize {
        self.repartitions.iter().flatten().map(Repartition::pending_bytes).sum()
    }

    /// What is sent to other shards at a cut of this number: number of the stage, the shard, and the record.
    pub fn take_dealt(&mut self, epoch: u32, cut: u64) -> Vec<(usize, u32, Vec<u8>)> {
        let ends = self.ends_due();
        let of_stage = |(stage, repartition): (usize, &mut Option<Repartition>)| {
            let records = repartition
                .as_mut()
                .map(|repartition| repartition.take_records(epoch, ends[stage].then_some(cut)));
            let records = records.unwrap_or_default().into_iter();
            records.map(move |(shard, record)| (stage, shard, record))
        };
        self.repartitions.iter_mut().enumerate().flat_map(of_stage).collect()
    }

    /// Rows that stood in another partition than that of their key, by stage; none where nobody said that they would not.
    pub fn n_misplaced(&self) -> Vec<Option<u64>> {
        let of_stage = |repartition: &Option<Repartition>| repartition.as_ref().and_then(Repartition::n_misplaced);
        self.repartitions.iter().map(of_stage).collect()
    }

    /// Joins a stage's lanes if it may: not before those of the stages that it reads.
    fn join_if_level(&mut self, number: usize) {
        let (before, behind) = self.stages.split_at_mut(number);
        let Some(stage) = behind.first_mut().filter(|stage| !stage.is_level()) else {
            return;
        };
        let is_level = |input: &InputPlan| match input.stream {
            StreamId::Source(_) => true,
            StreamId::Stage(i) | StreamId::Late(i) => before.get(i).is_none_or(StageRun::is_level),
        };
        stage.join(self.plan.stages[number].inputs.iter().all(is_level));
    }

    /// Counters of the sources.
    pub fn source_counters(&self) -> Vec<SourceCounters> {
        self.sources.iter().map(Ingest::counters).collect()
    }

    /// How far event time has come; nothing before the first good record.
    pub fn event_time(&self) -> Option<EventTime> {
        EventTime::of(&self.groups, &self.source_counters())
    }

    /// Counters of the stages.
    pub fn stage_counters(&self) -> Vec<StageCounters> {
        self.stages.iter().map(|stage| stage.counters.clone()).collect()
    }

    /// Operations of expressions that failed and gave NULL, by stage.
    pub fn n_failures(&self) -> Vec<u64> {
        self.stages.iter().map(StageRun::n_failures).collect()
    }

    /// Keys with state, and bytes of memory that they hold, by stage.
    pub fn state_size(&self) -> Vec<(usize, usize)> {
        self.stages.iter().map(StageRun::state_size).collect()
    }

    /// How far a source has come; a pipeline reads the source first that is furthest behind.
    pub fn watermark(&self, source: usize) -> Micros {
        self.sources.get(source).map_or(NO_WATERMARK, Ingest::watermark)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("pipeline", &self.plan.name)
            .finish_non_exhaustive()
    }
}

fn repartitions(plan: &Plan, shard: u32) -> Vec<Option<Repartition>> {
    let of_stage = |stage: &StagePlan| {
        let plan = stage.repartition.clone()?;
        Some(Repartition::new(plan, stage, shard))
    };
    plan.stages.iter().map(of_stage).collect()
}

/// The first columns of rows.
fn first_columns(rows: &RecordBatch, n_columns: usize) -> RecordBatch {
    let all: Vec<usize> = (0..n_columns.min(rows.num_columns())).collect();
    rows.project(&all).unwrap_or_else(|_| rows.clone())
}
