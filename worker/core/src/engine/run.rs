//! A stage that is being run: its inputs are made alike, and its work is done, in lanes as long as it needs them.

use std::sync::Arc;

use arrow_array::new_null_array;
use arrow_schema::SchemaRef;

use super::capture::{SavedStage, StageHead};
use super::lanes::{Lane, LaneHead, Lanes, OneOf, SavedLanes, deal_out};
use super::work::{SavedWork, Work, first_steps};
use super::{StageCounters, first_columns};
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row};
use crate::plan::dealing::StageDeal;
use crate::plan::{Adapt, StagePlan};
use crate::repartition::Dealt;
use crate::stage::Stage;
use crate::state::{decode, encode};
use crate::stream::{Batch, END, Micros, NO_WATERMARK, Progress, record_batch};
use crate::top_keys::KeyShares;

/// A stage that is being run.
pub(super) struct StageRun {
    plan: StagePlan,
    /// Steps that come before rows are dealt out by key; none where they are not. They keep nothing.
    first: Vec<Box<dyn Stage>>,
    /// At least one.
    lanes: Vec<Lane>,
    /// None where there is but one lane, and no floor below it.
    apart: Option<Lanes>,
    /// Whether rows come in the order of their watermarks: not as long as a stage that it reads has lanes.
    follows_level: bool,
    /// How far each input has come.
    reached: Vec<Micros>,
    /// Whether a capture is under way.
    captures: bool,
    /// Whether the lanes were joined since the last capture began: what it holds lies over no earlier one.
    joined: bool,
    pub counters: StageCounters,
}

/// Where the state of a stage that is dealt out comes from.
pub(super) struct Donor<'a> {
    /// Its number.
    pub number: usize,
    /// What it has of this stage; nothing if the stage is new.
    pub stage: Option<&'a SavedStage>,
    /// Its lanes, if it had several.
    pub lanes: Option<&'a SavedLanes>,
    /// The watermark of each input there.
    pub floors: Vec<Micros>,
}

const CORRUPT: CorruptState = CorruptState {
    what: "a stage's steps",
};

impl StageRun {
    pub fn new(plan: &StagePlan) -> Self {
        Self {
            plan: plan.clone(),
            first: first_steps(plan),
            lanes: vec![Lane::only(plan)],
            apart: None,
            follows_level: true,
            reached: Vec::new(),
            captures: false,
            joined: false,
            counters: StageCounters::default(),
        }
    }

    /// Takes the next part of each input; gives the next part of the output, and of the late rows.
    pub fn process(&mut self, inputs: Vec<Batch>) -> (Batch, Batch) {
        let parts = self.adapt(inputs);
        self.go_on(0, parts)
    }

    /// The next part of each input as far as it comes before rows are dealt out by key.
    pub fn before(&mut self, inputs: Vec<Batch>) -> Vec<Batch> {
        let mut parts = self.adapt(inputs);
        for step in &mut self.first {
            parts = parts.into_iter().map(|part| step.process(part).main).collect();
        }
        parts
    }

    /// Takes what of the inputs goes on here.
    pub fn behind(&mut self, dealt: Dealt) -> (Batch, Batch) {
        let Dealt { shard, parts, late } = dealt;
        let (main, rest) = self.go_on(shard, parts);
        if late.is_empty() {
            return (main, rest);
        }
        let progress = rest.progress();
        // Their own watermark may be in front of that which is held back.
        let most = rest.watermarks.first().copied().unwrap_or(rest.watermark);
        let n_columns = self.plan.input.fields().len();
        let late = late.into_iter().map(|mut part| {
            let columns = first_columns(&part.rows, n_columns);
            self.counters.late += part.n_rows() as u64;
            part.watermarks.fill(most);
            part.with_rows(columns)
        });
        let all: Vec<Batch> = late.chain([rest]).collect();
        (main, Batch::concat(&self.plan.input, all, &progress))
    }

    fn adapt(&mut self, inputs: Vec<Batch>) -> Vec<Batch> {
        let inputs = inputs.into_iter().zip(&self.plan.inputs);
        let parts: Vec<Batch> = inputs
            .map(|(part, input)| adapted(part, &input.adapt, &self.plan.input))
            .collect();
        self.counters.rows_in += parts.iter().map(|part| part.n_rows() as u64).sum::<u64>();
        parts
    }

    /// Takes the next part of each input, which the shard with this number read.
    fn go_on(&mut self, shard: u32, parts: Vec<Batch>) -> (Batch, Batch) {
        let (main, late) = match &self.apart {
            None => self.lanes[0].work.process(shard, parts),
            Some(_) => self.in_lanes(shard, &parts),
        };
        self.counters.late += late.n_rows() as u64;
        self.counters.rows_out += main.n_rows() as u64;
        (main, late)
    }

    fn in_lanes(&mut self, shard: u32, parts: &[Batch]) -> (Batch, Batch) {
        let watermark = parts.iter().map(|part| part.watermark).min().unwrap_or(END);
        let dealt = match &self.apart {
            Some(lanes) => deal_out(lanes, &self.plan, &mut self.lanes, parts),
            None => Vec::new(),
        };
        let lanes = self.lanes.iter_mut().zip(dealt);
        let (mains, lates): (Vec<Batch>, Vec<Batch>) =
            lanes.map(|(lane, parts)| lane.work.process(shard, parts)).unzip();
        let ends: Option<Vec<Micros>> = mains.iter().map(|main| main.ended).collect();
        let progress = Progress {
            // A lane with more to give out has not come further than that.
            watermark: mains.iter().map(|main| main.watermark).fold(watermark, Micros::min),
            ended: ends.and_then(|ends| ends.into_iter().max()),
        };
        self.reached = parts.iter().map(|part| part.watermark).collect();
        let together = |batches: Vec<Batch>, schema: &SchemaRef| {
            let schema = batches
                .first()
                .map_or_else(|| Arc::clone(schema), |batch| batch.rows.schema());
            in_order(Batch::concat(&schema, batches, &progress))
        };
        (together(mains, &self.plan.output), together(lates, &self.plan.input))
    }

    /// Whether its rows come in the order of their watermarks.
    pub fn is_level(&self) -> bool {
        self.apart.is_none() && self.follows_level
    }

    /// Joins the lanes once their inputs have come to the same watermark; `follows_level` says whether what it reads comes
    /// in the order of watermarks.
    pub fn join(&mut self, follows_level: bool) {
        self.follows_level = follows_level;
        let passed = |lane: &Lane| {
            lane.floors
                .iter()
                .zip(&self.reached)
                .all(|(floor, reached)| floor <= reached)
        };
        let watermark = self.reached.iter().copied().min().unwrap_or(NO_WATERMARK);
        let keys_apart = self.apart.as_ref().is_none_or(|lanes| lanes.apart);
        let is_level = |lane: &Lane| passed(lane) && lane.work.may_join(watermark);
        let level = follows_level && self.reached.len() == self.plan.inputs.len() && self.lanes.iter().all(is_level);
        // Blocks of a capture that is under way are numbered by lane.
        if !level || keys_apart || self.captures {
            return;
        }
        if self.lanes.len() > 1 {
            let mut works: Vec<&mut Work> = self.lanes.iter_mut().map(|lane| &mut lane.work).collect();
            let Ok(work) = Work::joined(&self.plan, &mut works) else {
                // Each wrote its state just now. Should it be unreadable all the same, nothing is lost in lanes.
                self.apart.iter_mut().for_each(|lanes| lanes.apart = true);
                return;
            };
            self.lanes.truncate(1);
            self.lanes[0].work = work;
            self.joined = true;
        }
        (self.lanes[0].path, self.lanes[0].floors) = (Vec::new(), Vec::new());
        self.apart = None;
    }

    /// Whether it has more to give out though nothing comes in: what it merges is given out in parts.
    pub fn has_more(&self) -> bool {
        self.lanes.iter().any(|lane| lane.work.has_more())
    }

    pub fn n_failures(&self) -> u64 {
        // All lanes count in the plan's expressions.
        self.lanes.first().map_or(0, |lane| lane.work.n_failures())
    }

    pub fn state_size(&self) -> (usize, usize) {
        let sizes = self.lanes.iter().map(|lane| lane.work.state_size());
        sizes.fold((0, 0), |(keys, bytes), of_lane| (keys + of_lane.0, bytes + of_lane.1))
    }

    /// The watermark at which something happens next though no row comes.
    pub fn next_timer(&self) -> Option<Micros> {
        self.lanes.iter().filter_map(|lane| lane.work.next_timer()).min()
    }

    /// Adds the keys that most rows have, by table.
    pub fn add_top_keys(&self, shares: &mut [KeyShares]) {
        self.lanes.iter().for_each(|lane| lane.work.add_top_keys(shares));
    }

    /// Whether a capture of changes would lack some.
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// Begins a capture; answers what is not kept by key.
    pub fn begin_capture(&mut self, extent: Extent) -> StageHead {
        (self.captures, self.joined) = (true, false);
        let counters = encode(&self.counters);
        let heads = self.lanes.iter_mut().map(|lane| {
            let head = lane.work.begin_capture(extent);
            LaneHead {
                path: lane.path.clone(),
                floors: lane.floors.clone(),
                merge: head.merge,
                steps: head.steps,
            }
        });
        let heads = heads.collect();
        let lanes = self.apart.as_ref().map(|lanes| (lanes.routing.clone(), lanes.apart));
        StageHead::new(counters, lanes, heads)
    }

    /// The next block of the capture under way, with the number of its step; those of the lanes stand behind one another.
    pub fn next_block(&mut self) -> Option<(u32, Block)> {
        let mut lanes = self.lanes.iter_mut().enumerate();
        lanes.find_map(|(lane, of)| {
            let (step, block) = of.work.next_block()?;
            Some(((lane * of.work.n_stateful()) as u32 + step, block))
        })
    }

    /// All blocks of a capture are handed over.
    pub fn captured(&mut self) {
        self.captures = false;
    }

    /// Takes back what is not kept by key, with its lanes if it had several.
    pub fn begin_restore(&mut self, saved: &SavedStage, lanes: Option<&SavedLanes>) -> Result<(), CorruptState> {
        self.count(saved)?;
        match lanes {
            None => self.lanes[0].work.begin_restore(&[saved.work()])?,
            Some(lanes) => {
                self.lanes = lanes_of(&self.plan, 0, lanes, None)?;
                self.apart = Some(Lanes {
                    routing: lanes.routing.clone(),
                    is_dealt: self.plan.repartition.is_some(),
                    apart: lanes.apart,
                });
            }
        }
        Ok(())
    }

    /// Takes back what several shards had that is not kept by key, as far as it belongs here.
    pub fn begin_dealt(&mut self, donors: &[Donor<'_>], deal: &StageDeal, here: u32) -> Result<(), CorruptState> {
        let mut all = Vec::new();
        let apart = donors.iter().filter_map(|donor| donor.lanes).any(|lanes| lanes.apart);
        for donor in donors {
            let from = (deal.before, donor.number as u32);
            let mut of_donor = match (donor.stage, donor.lanes) {
                (Some(_), Some(lanes)) => lanes_of(&self.plan, donor.number, lanes, Some(from))?,
                (stage, _) => {
                    let mut lane = Lane {
                        path: vec![from],
                        from: (donor.number, 0),
                        ..Lane::only(&self.plan)
                    };
                    if let Some(stage) = stage {
                        lane.work.begin_restore(&[stage.work()])?;
                    }
                    vec![lane]
                }
            };
            for lane in &mut of_donor {
                lane.floors.resize(donor.floors.len(), NO_WATERMARK);
                for (floor, of_donor) in lane.floors.iter_mut().zip(&donor.floors) {
                    *floor = (*floor).max(*of_donor);
                }
                let is_here = |hash: &u32| deal.routing.partition(*hash, deal.now) == here;
                lane.work
                    .keep_waiting(|rows| deal.routing.hashes(&self.plan, rows).iter().map(is_here).collect());
            }
            all.extend(of_donor);
        }
        if !all.is_empty() {
            self.lanes = all;
            // Where all rows stay, lanes are told apart as they were.
            let stays = (deal.before, deal.now) == (1, 1);
            let before = donors.iter().filter_map(|donor| donor.lanes).find(|_| stays);
            self.apart = Some(Lanes {
                routing: before.map_or(&deal.routing, |lanes| &lanes.routing).clone(),
                is_dealt: self.plan.repartition.is_some(),
                apart,
            });
        }
        Ok(())
    }

    /// Takes back what waits to be put in order, of which nobody knows where it belongs.
    pub fn begin_waiting(&mut self, donors: &[&SavedStage]) -> Result<(), CorruptState> {
        let works: Vec<SavedWork<'_>> = donors.iter().map(|stage| stage.work()).collect();
        if works.is_empty() {
            return Ok(());
        }
        self.lanes[0].work.begin_restore(&works)
    }

    /// Goes on counting where another stopped.
    pub fn count(&mut self, saved: &SavedStage) -> Result<(), CorruptState> {
        let counters: StageCounters = decode(&saved.counters, "a stage's counters")?;
        self.counters.rows_in += counters.rows_in;
        self.counters.rows_out += counters.rows_out;
        self.counters.late += counters.late;
        Ok(())
    }

    /// Takes back rows of a block; `hashes` are those of their keys, where state is dealt out.
    pub fn restore_rows(
        &mut self,
        step: u32,
        from: usize,
        block: BlockId,
        rows: &[Row<'_>],
        hashes: &[u32],
    ) -> Result<(), CorruptState> {
        let of_capture = self.lanes.iter().find(|lane| lane.from.0 == from).ok_or(CORRUPT)?;
        let n_steps = of_capture.work.n_saved().max(1);
        let place = (from, step as usize / n_steps);
        let lane = self.lanes.iter_mut().find(|lane| lane.from == place).ok_or(CORRUPT)?;
        if let Some(lanes) = &mut self.apart {
            let mut keyed = rows.iter().zip(hashes).filter(|(row, _)| !row.key.is_empty());
            lanes.apart |= keyed.any(|(_, hash)| !lane.has(&lanes.routing, *hash));
        }
        lane.work.restore_rows(step as usize % n_steps, 0, block, rows)
    }

    pub fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.lanes.iter_mut().try_for_each(|lane| lane.work.end_restore())
    }

    /// Stages that it reads may have lanes.
    pub fn may_follow_lanes(&mut self) {
        self.follows_level = false;
    }

    /// All that was dealt out is taken back: lanes that no key can be of are gone.
    pub fn end_dealt(&mut self, here: OneOf) -> Result<(), CorruptState> {
        self.end_restore()?;
        if self.apart.is_some() && self.lanes.iter().any(|lane| lane.may_have(here)) {
            self.lanes.retain(|lane| lane.may_have(here) || !lane.work.is_empty());
        }
        Ok(())
    }
}

/// Rows of lanes in the order of their watermarks: a stage by another key brings rows of several lanes together.
fn in_order(batch: Batch) -> Batch {
    if batch.watermarks.is_sorted() {
        return batch;
    }
    let mut order: Vec<u32> = (0..batch.n_rows() as u32).collect();
    order.sort_by_key(|row| batch.watermarks[*row as usize]);
    batch.take(&order)
}

/// The lanes that were saved, of the capture with this number; `dealt` says where all their rows were.
fn lanes_of(
    plan: &StagePlan,
    number: usize,
    saved: &SavedLanes,
    dealt: Option<OneOf>,
) -> Result<Vec<Lane>, CorruptState> {
    let lane = |(i, saved): (usize, &super::lanes::SavedLane)| {
        let mut lane = Lane {
            path: dealt.into_iter().chain(saved.path.iter().copied()).collect(),
            floors: saved.floors.clone(),
            from: (number, i),
            ..Lane::only(plan)
        };
        lane.work.begin_restore(&[saved.work()])?;
        Ok(lane)
    };
    let lanes: Result<Vec<Lane>, CorruptState> = saved.lanes.iter().enumerate().map(lane).collect();
    lanes.and_then(|lanes| if lanes.is_empty() { Err(CORRUPT) } else { Ok(lanes) })
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
