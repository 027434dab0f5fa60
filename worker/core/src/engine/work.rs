//! What a stage does to its inputs, with the state of that: they are put in order, and go through its steps.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;

use super::capture::Later;
use super::first_columns;
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row, rows};
use crate::merge::Merge;
use crate::plan::{StagePlan, Step};
use crate::stage::aggregate::Aggregate;
use crate::stage::alarm::Alarm;
use crate::stage::escalate::Escalate;
use crate::stage::filter::Filter;
use crate::stage::incident::Incidents;
use crate::stage::project::Project;
use crate::stage::{Output, Stage};
use crate::stream::{Batch, Micros, NO_WATERMARK, record_batch};
use crate::top_keys::KeyShares;

/// The work of a stage.
pub(super) struct Work {
    input: SchemaRef,
    merge: Option<Merge>,
    steps: Vec<Box<dyn Stage>>,
    /// Numbers of the steps that have state. What is saved counts these alone: the others come and go with a changed pipeline.
    stateful: Vec<usize>,
    /// The step of each number in what is taken back.
    saved: Vec<usize>,
    /// So many steps are done before rows are dealt out by key.
    n_first: usize,
}

/// Its state that is not kept by key, at a cut.
pub(super) struct WorkHead {
    pub merge: Option<Later>,
    pub steps: Vec<Vec<u8>>,
}

/// The same, saved.
#[derive(Clone, Copy)]
pub(super) struct SavedWork<'a> {
    pub merge: Option<&'a [u8]>,
    pub steps: &'a [Vec<u8>],
}

const CORRUPT: CorruptState = CorruptState {
    what: "a stage's steps",
};

impl Work {
    pub fn new(plan: &StagePlan) -> Self {
        let dealt = plan.repartition.as_ref();
        let merged = dealt.map_or(&plan.input, |dealt| &dealt.columns);
        let merge = plan
            .sorted
            .then(|| Merge::of(Arc::clone(merged), plan.orders.clone(), plan.as_they_come));
        Self {
            input: Arc::clone(&plan.input),
            n_first: dealt.map_or(0, |dealt| dealt.n_steps),
            merge,
            steps: plan.steps.iter().map(step).collect(),
            saved: stateful(plan),
            stateful: stateful(plan),
        }
    }

    /// Takes the next part of each input, which the shard with this number read; gives the next part of the output, and of the
    /// late rows.
    pub fn process(&mut self, shard: u32, mut parts: Vec<Batch>) -> (Batch, Batch) {
        let mut batch = match (&mut self.merge, parts.pop()) {
            (None, Some(only)) => only,
            (Some(merge), Some(last)) => {
                parts.push(last);
                merge.process_of(shard, parts)
            }
            (_, None) => Batch::empty(Arc::clone(&self.input), NO_WATERMARK),
        };
        let mut late = Batch {
            ended: batch.ended,
            ..Batch::empty(Arc::clone(&self.input), batch.watermark)
        };
        for step in self.steps.iter_mut().skip(self.n_first) {
            let Output { main, late: rows } = step.process(batch);
            batch = main;
            if let Some(rows) = rows {
                // Steps before this one only added columns behind those of the input.
                let columns = first_columns(&rows.rows, self.input.fields().len());
                late = rows.with_rows(columns);
            }
        }
        (batch, late)
    }

    /// Whether it has more to give out though nothing comes in: what it merges is given out in parts.
    pub fn has_more(&self) -> bool {
        self.merge.as_ref().is_some_and(Merge::has_more)
    }

    pub fn n_failures(&self) -> u64 {
        self.steps.iter().map(|step| step.n_failures()).sum()
    }

    pub fn state_size(&self) -> (usize, usize) {
        let tables = self.steps.iter().map(|step| step.key_tables());
        let keys = tables.map(|tables| tables.iter().map(|table| table.len()).sum());
        let keys = keys.max().unwrap_or(0);
        (keys, self.steps.iter().map(|step| step.memory()).sum())
    }

    /// The watermark at which a step does something next though no row comes.
    pub fn next_timer(&self) -> Option<Micros> {
        self.steps.iter().filter_map(|step| step.next_timer()).min()
    }

    /// Adds the keys that most rows have, by table.
    pub fn add_top_keys(&self, shares: &mut [KeyShares]) {
        let tables = self.steps.iter().flat_map(|step| step.key_tables());
        for (table, shares) in tables.zip(shares) {
            shares.add(table.top());
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.state_size().0 == 0 && self.merge.as_ref().is_none_or(Merge::is_empty)
    }

    /// Whether, at this watermark, it can be joined with others of other keys.
    pub fn may_join(&self, watermark: Micros) -> bool {
        !self.has_more() && self.steps.iter().all(|step| step.may_join(watermark))
    }

    /// How many of its steps have state.
    pub fn n_stateful(&self) -> usize {
        self.stateful.len()
    }

    /// How many steps are counted in what is taken back.
    pub fn n_saved(&self) -> usize {
        self.saved.len()
    }

    /// Begins a capture; answers what is not kept by key.
    pub fn begin_capture(&mut self, extent: Extent) -> WorkHead {
        let stateful = self.stateful.iter();
        let steps = stateful.map(|step| self.steps[*step].begin_capture(extent)).collect();
        let merge = self.merge.as_ref().map(Merge::capture);
        WorkHead { merge, steps }
    }

    /// The next block of the capture under way, with the number of its step among those that have state.
    pub fn next_block(&mut self) -> Option<(u32, Block)> {
        let mut stateful = self.stateful.iter().enumerate();
        stateful.find_map(|(number, step)| Some((number as u32, self.steps[*step].next_block()?)))
    }

    /// Takes back what is not kept by key: of one, or of several whose rows come together here.
    pub fn begin_restore(&mut self, heads: &[SavedWork<'_>]) -> Result<(), CorruptState> {
        let counts = |n: usize| heads.iter().all(|head| head.steps.len() == n);
        if counts(self.stateful.len()) {
            self.saved.clone_from(&self.stateful);
        } else if counts(self.steps.len()) {
            // Before manifests of format 8 all steps were counted.
            self.saved = (0..self.steps.len()).collect();
        } else {
            return Err(CORRUPT);
        }
        if heads.iter().any(|head| head.merge.is_some() != self.merge.is_some()) {
            return Err(CORRUPT);
        }
        if let Some(merge) = &mut self.merge {
            let saved: Vec<&[u8]> = heads.iter().filter_map(|head| head.merge).collect();
            merge.restore(&saved)?;
        }
        for (number, step) in self.saved.iter().enumerate() {
            let heads: Vec<&[u8]> = heads.iter().map(|head| head.steps[number].as_slice()).collect();
            self.steps[*step].begin_restore(&heads)?;
        }
        Ok(())
    }

    /// Keeps of the rows that wait to be put in order those for which `keeps` says so.
    pub fn keep_waiting(&mut self, keeps: impl Fn(&RecordBatch) -> Vec<bool>) {
        if let Some(merge) = &mut self.merge {
            merge.keep(keeps);
        }
    }

    pub fn restore_rows(
        &mut self,
        step: usize,
        from: usize,
        block: BlockId,
        rows: &[Row<'_>],
    ) -> Result<(), CorruptState> {
        let step = self.saved.get(step).ok_or(CORRUPT)?;
        self.steps[*step].restore_rows(from, block, rows)
    }

    pub fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.steps.iter_mut().try_for_each(|step| step.end_restore())
    }

    /// One that goes on for several, which have come to the same watermark. No two have a key in common.
    pub fn joined(plan: &StagePlan, several: &mut [&mut Self]) -> Result<Self, CorruptState> {
        type Saved = (Option<Vec<u8>>, Vec<Vec<u8>>);
        let mut joined = Self::new(plan);
        let heads: Vec<Saved> = several
            .iter_mut()
            .map(|work| {
                let head = work.begin_capture(Extent::Whole);
                (head.merge.map(|merge| merge()), head.steps)
            })
            .collect();
        let saved = heads.iter().map(|(merge, steps)| SavedWork {
            merge: merge.as_deref(),
            steps,
        });
        joined.begin_restore(&saved.collect::<Vec<_>>())?;
        for (from, work) in several.iter_mut().enumerate() {
            while let Some((step, block)) = work.next_block() {
                joined.restore_rows(step as usize, from, block.id, &rows(&block.bytes)?)?;
            }
        }
        joined.end_restore()?;
        Ok(joined)
    }
}

/// The steps of a stage that are done before rows are dealt out by key.
pub(super) fn first_steps(plan: &StagePlan) -> Vec<Box<dyn Stage>> {
    let n_first = plan.repartition.as_ref().map_or(0, |dealt| dealt.n_steps);
    plan.steps.iter().take(n_first).map(step).collect()
}

/// Numbers of the steps of a stage that have state.
fn stateful(plan: &StagePlan) -> Vec<usize> {
    let steps = plan.steps.iter().enumerate();
    steps
        .filter_map(|(number, step)| step.has_state().then_some(number))
        .collect()
}

fn step(step: &Step) -> Box<dyn Stage> {
    match step {
        Step::AddEventTime(schema) => Box::new(AddEventTime {
            schema: Arc::clone(schema),
        }),
        Step::Filter(condition) => Box::new(Filter::new(condition.clone())),
        Step::Project(columns, schema) => Box::new(Project::new(columns.clone(), Arc::clone(schema))),
        Step::Aggregate(plan) => Box::new(Aggregate::new(plan.as_ref().clone())),
        Step::Escalate(plan) => Box::new(Escalate::new(plan.clone())),
        Step::Alarm(plan, input) => Box::new(Alarm::new(plan.as_ref().clone(), input)),
        Step::Incident(plan) => Box::new(Incidents::new(plan.clone())),
    }
}

/// Adds the column `event_time`.
struct AddEventTime {
    schema: SchemaRef,
}

impl Stage for AddEventTime {
    fn process(&mut self, input: Batch) -> Output {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(input.times.clone()).with_timezone("UTC"));
        let columns = input.rows.columns().iter().cloned().chain([times]).collect();
        let rows = record_batch(&self.schema, columns, input.n_rows());
        Output::of(input.with_rows(rows))
    }
}
