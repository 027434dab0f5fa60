//! A stage that is being run: its inputs brought together, its steps one behind the other.

use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampMicrosecondArray, new_null_array};
use arrow_schema::SchemaRef;

use super::capture::{SavedStage, StageHead};
use super::{StageCounters, first_columns};
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row};
use crate::merge::Merge;
use crate::plan::{Adapt, StagePlan, Step};
use crate::repartition::Dealt;
use crate::stage::aggregate::Aggregate;
use crate::stage::alarm::Alarm;
use crate::stage::escalate::Escalate;
use crate::stage::filter::Filter;
use crate::stage::incident::Incidents;
use crate::stage::project::Project;
use crate::stage::{Output, Stage};
use crate::state::{decode, encode};
use crate::stream::{Batch, record_batch};

/// A stage that is being run.
pub(super) struct StageRun {
    adapts: Vec<Adapt>,
    input: SchemaRef,
    merge: Option<Merge>,
    steps: Vec<Box<dyn Stage>>,
    /// Columns of rows that were dealt out by key.
    dealt: Option<SchemaRef>,
    pub counters: StageCounters,
}

impl StageRun {
    pub fn new(plan: &StagePlan) -> Self {
        let dealt = plan.repartition.as_ref().map(|dealt| Arc::clone(&dealt.columns));
        let merged = dealt.as_ref().unwrap_or(&plan.input);
        let merge = plan.sorted.then(|| Merge::new(Arc::clone(merged), plan.inputs.len()));
        Self {
            adapts: plan.inputs.iter().map(|input| input.adapt.clone()).collect(),
            input: Arc::clone(&plan.input),
            merge,
            steps: plan.steps.iter().map(step).collect(),
            dealt,
            counters: StageCounters::default(),
        }
    }

    /// Takes the next part of each input; gives the next part of the output, and of the late rows.
    pub fn process(&mut self, inputs: Vec<Batch>) -> (Batch, Batch) {
        let parts = self.adapt(inputs);
        self.go_on(parts, 0, 0)
    }

    /// The next part of each input as far as it comes before rows are dealt out by key.
    pub fn before(&mut self, inputs: Vec<Batch>, n_steps: usize) -> Vec<Batch> {
        let mut parts = self.adapt(inputs);
        for step in self.steps.iter_mut().take(n_steps) {
            parts = parts.into_iter().map(|part| step.process(part).main).collect();
        }
        parts
    }

    /// Takes the next part of each input behind the first steps.
    pub fn behind(&mut self, dealt: Dealt, n_steps: usize) -> (Batch, Batch) {
        let Dealt { shard, parts, late } = dealt;
        let (main, rest) = self.go_on(parts, shard, n_steps);
        if late.is_empty() {
            return (main, rest);
        }
        let progress = rest.progress();
        // Their own watermark may be in front of that which is held back.
        let most = rest.watermarks.first().copied().unwrap_or(rest.watermark);
        let n_columns = self.input.fields().len();
        let late = late.into_iter().map(|mut part| {
            let columns = first_columns(&part.rows, n_columns);
            self.counters.late += part.n_rows() as u64;
            part.watermarks.fill(most);
            part.with_rows(columns)
        });
        let all: Vec<Batch> = late.chain([rest]).collect();
        (main, Batch::concat(&self.input, all, &progress))
    }

    fn adapt(&mut self, inputs: Vec<Batch>) -> Vec<Batch> {
        let parts = inputs.into_iter().zip(&self.adapts);
        let parts: Vec<Batch> = parts.map(|(part, adapt)| adapted(part, adapt, &self.input)).collect();
        self.counters.rows_in += parts.iter().map(|part| part.n_rows() as u64).sum::<u64>();
        parts
    }

    fn go_on(&mut self, mut parts: Vec<Batch>, shard: u32, n_steps: usize) -> (Batch, Batch) {
        let mut batch = match (&mut self.merge, parts.pop()) {
            (None, Some(only)) => only,
            (Some(merge), Some(last)) => {
                parts.push(last);
                merge.process_of(shard, parts)
            }
            (_, None) => Batch::empty(
                Arc::clone(self.dealt.as_ref().unwrap_or(&self.input)),
                crate::stream::NO_WATERMARK,
            ),
        };
        let mut late = Batch {
            ended: batch.ended,
            ..Batch::empty(Arc::clone(&self.input), batch.watermark)
        };
        for step in self.steps.iter_mut().skip(n_steps) {
            let Output { main, late: rows } = step.process(batch);
            batch = main;
            if let Some(rows) = rows {
                self.counters.late += rows.n_rows() as u64;
                // Steps before this one only added columns behind those of the input.
                let columns = first_columns(&rows.rows, self.input.fields().len());
                late = rows.with_rows(columns);
            }
        }
        self.counters.rows_out += batch.n_rows() as u64;
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
        let keys = self.steps.iter().map(|step| step.n_keys()).max().unwrap_or(0);
        (keys, self.steps.iter().map(|step| step.memory()).sum())
    }

    /// Begins a capture; answers what is not kept by key.
    pub fn begin_capture(&mut self, extent: Extent) -> StageHead {
        let steps = self.steps.iter_mut().map(|step| step.begin_capture(extent)).collect();
        let merge = self.merge.as_ref().map(Merge::capture);
        StageHead::new(encode(&self.counters), merge, steps)
    }

    /// The next block of the capture under way, with the number of its step.
    pub fn next_block(&mut self) -> Option<(u32, Block)> {
        let mut steps = self.steps.iter_mut().enumerate();
        steps.find_map(|(number, step)| Some((number as u32, step.next_block()?)))
    }

    pub fn begin_restore(&mut self, heads: &[&SavedStage]) -> Result<(), CorruptState> {
        self.counters = StageCounters::default();
        for head in heads {
            let counters: StageCounters = decode(&head.counters, "a stage's counters")?;
            self.counters.rows_in += counters.rows_in;
            self.counters.rows_out += counters.rows_out;
            self.counters.late += counters.late;
            if head.steps.len() != self.steps.len() || head.merge.is_some() != self.merge.is_some() {
                return Err(CorruptState {
                    what: "a stage's steps",
                });
            }
        }
        if let Some(merge) = &mut self.merge {
            let saved: Vec<&[u8]> = heads.iter().filter_map(|head| head.merge.as_deref()).collect();
            merge.restore(&saved)?;
        }
        for (number, step) in self.steps.iter_mut().enumerate() {
            let heads: Vec<&[u8]> = heads.iter().map(|head| head.steps[number].as_slice()).collect();
            step.begin_restore(&heads)?;
        }
        Ok(())
    }

    pub fn restore_rows(
        &mut self,
        step: u32,
        from: usize,
        block: BlockId,
        rows: &[Row<'_>],
    ) -> Result<(), CorruptState> {
        let step = self.steps.get_mut(step as usize).ok_or(CorruptState {
            what: "a stage's steps",
        })?;
        step.restore_rows(from, block, rows)
    }

    pub fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.steps.iter_mut().try_for_each(|step| step.end_restore())
    }
}

fn adapted(part: Batch, adapt: &Adapt, schema: &SchemaRef) -> Batch {
    match adapt {
        Adapt::Same => part,
        Adapt::Report(reporting) => reporting.project(part),
        Adapt::Columns(columns) => {
            let n_rows = part.n_rows();
            let columns = columns.iter().zip(schema.fields()).map(|(column, field)| match column {
                Some(i) => Arc::clone(part.rows.column(*i)),
                None => new_null_array(field.data_type(), n_rows),
            });
            let rows = record_batch(schema, columns.collect(), n_rows);
            part.with_rows(rows)
        }
    }
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
