//! The whole state of a pipeline, captured at one moment while it goes on, and taken back.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::ingest::Ingest;
use super::lanes::{LaneHead, SavedLanes};
use super::matching::Matching;
use super::run::{Donor, StageRun};
use super::work::SavedWork;
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row};
use crate::plan::dealing::{Deal, Routing};
use crate::plan::partitioning::is_keyed;
use crate::plan::shape::shape;
use crate::plan::{Plan, StreamId};
use crate::repartition::Repartition;
use crate::state::{decode, encode};
use crate::stream::{END, Micros, NO_WATERMARK};

/// Makes bytes of something that is shared with the pipeline; it may take its time, in another thread.
pub type Later = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// What is not kept by key, at the cut of a capture.
pub struct Head {
    /// Of the sources, and of what is dealt out by key.
    sources: Vec<(String, Vec<u8>)>,
    stages: Vec<StageHead>,
}

pub(super) struct StageHead {
    name: String,
    shape: String,
    counters: Vec<u8>,
    /// How its lanes are told apart, if it has several; and whether they are kept apart.
    apart: Option<(Routing, bool)>,
    lanes: Vec<LaneHead>,
}

impl StageHead {
    pub fn new(counters: Vec<u8>, apart: Option<(Routing, bool)>, lanes: Vec<LaneHead>) -> Self {
        Self {
            name: String::new(),
            shape: String::new(),
            counters,
            apart,
            lanes,
        }
    }

    fn save(self, number: u32) -> (SavedStage, Option<SavedLanes>) {
        let mut stage = SavedStage {
            name: self.name,
            shape: self.shape,
            counters: self.counters,
            merge: None,
            steps: Vec::new(),
        };
        let mut lanes: Vec<_> = self.lanes.into_iter().map(LaneHead::save).collect();
        if let Some((routing, apart)) = self.apart {
            let lanes = SavedLanes {
                stage: number,
                routing,
                apart,
                lanes,
            };
            return (stage, Some(lanes));
        }
        if let Some(only) = lanes.pop() {
            (stage.merge, stage.steps) = (only.merge, only.steps);
        }
        (stage, None)
    }
}

/// A head that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHead {
    /// Names of the sources, and their state.
    pub sources: Vec<(String, Vec<u8>)>,
    /// The stages. Blocks name them by their number here.
    pub stages: Vec<SavedStage>,
    /// Stages with several lanes: what is not kept by key stands here.
    pub(super) lanes: Vec<SavedLanes>,
}

/// A head of the first format, which knew of no lanes.
#[derive(Deserialize)]
struct FirstHead {
    sources: Vec<(String, Vec<u8>)>,
    stages: Vec<SavedStage>,
}

/// A stage of a head that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStage {
    /// Its name.
    pub name: String,
    /// What its state is of: it goes into a stage with the same one.
    pub shape: String,
    pub(super) counters: Vec<u8>,
    pub(super) merge: Option<Vec<u8>>,
    pub(super) steps: Vec<Vec<u8>>,
}

impl Head {
    /// The head, to be saved.
    pub fn save(self) -> SavedHead {
        let (mut stages, mut lanes) = (Vec::new(), Vec::new());
        for (number, stage) in (0u32..).zip(self.stages) {
            let (stage, of_stage) = stage.save(number);
            stages.push(stage);
            lanes.extend(of_stage);
        }
        SavedHead {
            sources: self.sources,
            stages,
            lanes,
        }
    }
}

impl SavedStage {
    pub(super) fn work(&self) -> SavedWork<'_> {
        SavedWork {
            merge: self.merge.as_deref(),
            steps: &self.steps,
        }
    }
}

impl SavedHead {
    /// Inputs by which rows came from other shards, of those that sent any.
    ///
    /// # Errors
    /// If their state is something else.
    pub fn sent(&self) -> Result<Vec<&str>, CorruptState> {
        self.dealt_inputs(Repartition::has_sent)
    }

    /// Inputs by which rows of other shards may have been on their way.
    ///
    /// # Errors
    /// If their state is something else.
    pub fn on_their_way(&self) -> Result<Vec<&str>, CorruptState> {
        self.dealt_inputs(Repartition::are_on_their_way)
    }

    /// Inputs by which rows come from other shards, of those whose state is so.
    fn dealt_inputs(&self, is_so: impl Fn(&[u8]) -> Result<bool, CorruptState>) -> Result<Vec<&str>, CorruptState> {
        let mut inputs = Vec::new();
        // Names of sources have no dots.
        for (name, state) in self.sources.iter().filter(|(name, _)| name.contains('.')) {
            if is_so(state)? {
                inputs.push(name.as_str());
            }
        }
        Ok(inputs)
    }

    /// The head as bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The head that [`SavedHead::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptState> {
        let what = "the head of a snapshot";
        decode(bytes, what).or_else(|_| {
            let FirstHead { sources, stages } = decode(bytes, what)?;
            let lanes = Vec::new();
            Ok(Self { sources, stages, lanes })
        })
    }

    fn lanes(&self, stage: usize) -> Option<&SavedLanes> {
        self.lanes.iter().find(|lanes| lanes.stage as usize == stage)
    }

    /// How far each stream of a plan had come.
    fn watermarks(&self, plan: &Plan) -> Result<Watermarks, CorruptState> {
        let of_source = |source: &crate::plan::SourcePlan| {
            let saved = self.sources.iter().find(|(name, _)| *name == source.name);
            // One that had ended for want of a partition may have one now.
            let watermark = saved.map(|(_, saved)| Ingest::saved_watermark(saved)).transpose()?;
            Ok(watermark.filter(|watermark| *watermark != END).unwrap_or(NO_WATERMARK))
        };
        let mut watermarks = Watermarks {
            sources: plan.sources.iter().map(of_source).collect::<Result<_, _>>()?,
            stages: Vec::new(),
            inputs: Vec::new(),
        };
        for stage in &plan.stages {
            let mut inputs: Vec<Micros> = stage.inputs.iter().map(|input| watermarks.of(input.stream)).collect();
            // Where rows were dealt out by key the stage had come as far as the least of the shards.
            if let Some(given) = self.given(&stage.name)?.filter(|given| given.len() == inputs.len()) {
                inputs = given;
            }
            watermarks
                .stages
                .push(inputs.iter().copied().min().unwrap_or(NO_WATERMARK));
            watermarks.inputs.push(inputs);
        }
        Ok(watermarks)
    }

    /// How far the inputs of a stage were told to be, if its rows were dealt out by key.
    fn given(&self, stage: &str) -> Result<Option<Vec<Micros>>, CorruptState> {
        let is_of_stage = |name: &str| name.split_once('.').is_some_and(|(of, _)| of == stage);
        let saved = self.sources.iter().find(|(name, _)| is_of_stage(name));
        let Some((_, saved)) = saved else { return Ok(None) };
        let given = Repartition::saved_watermarks(saved)?.into_iter();
        let given = given.map(|watermark| if watermark == END { NO_WATERMARK } else { watermark });
        Ok(Some(given.collect()))
    }
}

/// How far the streams of a plan have come: a stage is as far as what it reads.
struct Watermarks {
    sources: Vec<Micros>,
    stages: Vec<Micros>,
    /// Of each stage, how far its inputs have come.
    inputs: Vec<Vec<Micros>>,
}

impl Watermarks {
    fn of(&self, stream: StreamId) -> Micros {
        let (of, number) = match stream {
            StreamId::Source(i) => (&self.sources, i),
            StreamId::Stage(i) | StreamId::Late(i) => (&self.stages, i),
        };
        of.get(number).copied().unwrap_or(NO_WATERMARK)
    }
}

const HEADS: CorruptState = CorruptState {
    what: "the heads of a snapshot",
};

/// A block, and where in the pipeline it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedBlock {
    /// Number of the stage in the head.
    pub stage: u32,
    /// Which of its steps.
    pub step: u32,
    /// The block.
    pub block: Block,
}

impl Engine {
    /// Begins a capture of the state as it is now. One that was under way is given up; then the whole must be captured.
    pub fn begin_capture(&mut self, extent: Extent) -> Head {
        let sources = self.plan.sources.iter().zip(&self.sources);
        let sources = sources.map(|(plan, ingest)| (plan.name.clone(), ingest.save()));
        let dealt = self.repartitions.iter().flatten().map(Repartition::save);
        let names = self.plan.input_names().into_iter().skip(self.sources.len());
        let sources = sources.chain(names.zip(dealt)).collect();
        let plans = self.plan.stages.iter();
        let stages = self.stages.iter_mut().zip(plans).map(|(stage, plan)| StageHead {
            name: plan.name.clone(),
            shape: shape(plan),
            ..stage.begin_capture(extent)
        });
        Head {
            sources,
            stages: stages.collect(),
        }
    }

    /// The next block of the capture under way, with the state as it was when it began; none when it is done.
    pub fn next_block(&mut self) -> Option<PlacedBlock> {
        let mut stages = self.stages.iter_mut().enumerate();
        let next = stages.find_map(|(number, stage)| {
            let (step, block) = stage.next_block()?;
            Some(PlacedBlock {
                stage: number as u32,
                step,
                block,
            })
        });
        if next.is_none() {
            self.stages.iter_mut().for_each(StageRun::captured);
        }
        next
    }

    /// Whether a capture of changes would lack some: the next must be a whole one.
    pub fn needs_whole_capture(&self) -> bool {
        self.stages.iter().any(StageRun::is_joined)
    }

    /// Takes back the head of a capture, in place of all state; or what belongs here of those of several, one a shard.
    ///
    /// # Errors
    /// If they are something else.
    pub fn begin_restore(
        &mut self,
        heads: &[SavedHead],
        matching: &Matching,
        deal: Option<&Deal>,
    ) -> Result<(), CorruptState> {
        let (first, deal) = match (heads, deal) {
            ([first, ..], Some(deal)) => (first, deal),
            ([only], None) => return self.begin_whole(only, matching),
            _ => return Err(HEADS),
        };
        let stages = |head: &SavedHead| -> Vec<(String, String)> {
            let stages = head.stages.iter();
            stages.map(|stage| (stage.name.clone(), stage.shape.clone())).collect()
        };
        if heads.iter().any(|head| stages(head) != stages(first)) {
            return Err(HEADS);
        }
        self.stages.iter_mut().for_each(StageRun::may_follow_lanes);
        let own = |number: usize| number % deal.n_shards.max(1) as usize == deal.shard as usize;
        for (number, head) in heads.iter().enumerate().filter(|(number, _)| own(*number)) {
            for ((plan, ingest), reads_on) in self.plan.sources.iter().zip(&mut self.sources).zip(&deal.reads_on) {
                let Some((_, saved)) = head.sources.iter().find(|(name, _)| *name == plan.name) else {
                    continue;
                };
                if *reads_on && number == deal.shard as usize {
                    ingest.load(saved)?;
                } else {
                    ingest.count(saved)?;
                }
            }
        }
        let watermarks: Vec<Watermarks> = heads
            .iter()
            .map(|head| head.watermarks(&self.plan))
            .collect::<Result<_, _>>()?;
        for (number, (stage, plan)) in self.stages.iter_mut().zip(&self.plan.stages).enumerate() {
            let from = matching.stages.iter().position(|place| *place == Some(number));
            let saved = |donor: usize| Some((&heads[donor], heads[donor].stages.get(from?)?));
            let owned = (0..heads.len()).filter(|donor| own(*donor));
            let owned: Vec<&SavedStage> = owned.filter_map(|donor| Some(saved(donor)?.1)).collect();
            owned.iter().try_for_each(|saved| stage.count(saved))?;
            let keeps_state = plan.sorted || is_keyed(plan);
            match deal.stages.get(number).and_then(Option::as_ref).filter(|_| keeps_state) {
                Some(of_stage) => {
                    let donor = |donor: usize| Donor {
                        number: donor,
                        stage: saved(donor).map(|(_, stage)| stage),
                        lanes: saved(donor).zip(from).and_then(|((head, _), from)| head.lanes(from)),
                        floors: watermarks[donor].inputs[number].clone(),
                    };
                    let donors = (0..heads.len()).take(of_stage.before as usize).map(donor);
                    stage.begin_dealt(&donors.collect::<Vec<_>>(), of_stage, deal.shard)?;
                }
                None if plan.sorted => stage.begin_waiting(&owned)?,
                None => {}
            }
        }
        Ok(())
    }

    fn begin_whole(&mut self, head: &SavedHead, matching: &Matching) -> Result<(), CorruptState> {
        for (plan, ingest) in self.plan.sources.iter().zip(&mut self.sources) {
            if let Some((_, saved)) = head.sources.iter().find(|(name, _)| *name == plan.name) {
                ingest.load(saved)?;
            }
        }
        let names = self.plan.input_names().into_iter().skip(self.sources.len());
        for (name, repartition) in names.zip(self.repartitions.iter_mut().flatten()) {
            if let Some((_, saved)) = head.sources.iter().find(|(saved, _)| *saved == name) {
                repartition.load(saved)?;
            }
        }
        for (number, stage) in self.stages.iter_mut().enumerate() {
            let Some(from) = matching.stages.iter().position(|place| *place == Some(number)) else {
                continue;
            };
            let saved = head.stages.get(from).ok_or(HEADS)?;
            stage.begin_restore(saved, head.lanes(from))?;
        }
        if !head.lanes.is_empty() {
            self.stages.iter_mut().for_each(StageRun::may_follow_lanes);
        }
        Ok(())
    }

    /// Takes back rows of a block of the capture with number `from`; where state is dealt out, with the hashes of their keys.
    ///
    /// # Errors
    /// If they are something else.
    pub fn restore_rows(
        &mut self,
        matching: &Matching,
        from: usize,
        place: (u32, u32, BlockId),
        rows: &[Row<'_>],
        hashes: &[u32],
    ) -> Result<(), CorruptState> {
        let (stage, step, block) = place;
        let corrupt = CorruptState {
            what: "a block's place",
        };
        let number = matching.stages.get(stage as usize).ok_or(corrupt)?;
        let Some(stage) = number.and_then(|number| self.stages.get_mut(number)) else {
            return Ok(());
        };
        stage.restore_rows(step, from, block, rows, hashes)
    }

    /// All is taken back.
    ///
    /// # Errors
    /// If something is missing.
    pub fn end_restore(&mut self, deal: Option<&Deal>) -> Result<(), CorruptState> {
        for (number, stage) in self.stages.iter_mut().enumerate() {
            let of_stage = deal.and_then(|deal| Some((deal.stages.get(number)?.as_ref()?.now, deal.shard)));
            match of_stage {
                Some(here) => stage.end_dealt(here)?,
                None => stage.end_restore()?,
            }
        }
        self.tell_idle();
        Ok(())
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head").finish_non_exhaustive()
    }
}
