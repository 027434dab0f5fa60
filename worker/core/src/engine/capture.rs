//! The whole state of a pipeline, captured at one moment while it goes on, and taken back.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::run::StageRun;
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row};
use crate::plan::shape::shape;
use crate::repartition::Repartition;
use crate::state::{decode, encode};

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
    merge: Option<Later>,
    steps: Vec<Vec<u8>>,
}

impl StageHead {
    pub fn new(counters: Vec<u8>, merge: Option<Later>, steps: Vec<Vec<u8>>) -> Self {
        Self {
            name: String::new(),
            shape: String::new(),
            counters,
            merge,
            steps,
        }
    }
}

/// A head that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHead {
    /// Names of the sources, and their state.
    pub sources: Vec<(String, Vec<u8>)>,
    /// The stages. Blocks name them by their number here.
    pub stages: Vec<SavedStage>,
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
        let stages = self.stages.into_iter().map(|stage| SavedStage {
            name: stage.name,
            shape: stage.shape,
            counters: stage.counters,
            merge: stage.merge.map(|merge| merge()),
            steps: stage.steps,
        });
        SavedHead {
            sources: self.sources,
            stages: stages.collect(),
        }
    }
}

impl SavedHead {
    /// The head as bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The head that [`SavedHead::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptState> {
        decode(bytes, "the head of a snapshot")
    }
}

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

/// What becomes of the stages' state when it is taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Stages that go on with their state.
    pub kept: Vec<String>,
    /// Stages whose state has no place any more: they are gone, or compute something else.
    pub dropped: Vec<String>,
    /// Stages that begin without state.
    pub new: Vec<String>,
}

/// Which stages of a plan go on with which stages of a capture.
#[derive(Clone, Debug)]
pub struct Matching {
    /// By number in the capture, the number in the plan.
    stages: Vec<Option<usize>>,
    /// In words.
    pub fit: Fit,
}

impl Matching {
    /// The number in the plan of the stage with this number in the capture.
    pub fn number(&self, stage: usize) -> Option<usize> {
        self.stages.get(stage).copied().flatten()
    }
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
        stages.find_map(|(number, stage)| {
            let (step, block) = stage.next_block()?;
            Some(PlacedBlock {
                stage: number as u32,
                step,
                block,
            })
        })
    }

    /// Which stages can go on with the state of a capture.
    pub fn matching(&self, head: &SavedHead) -> Matching {
        let mut fit = Fit::default();
        let shapes: Vec<String> = self.plan.stages.iter().map(shape).collect();
        let place = |saved: &SavedStage| {
            let same =
                |(plan, shape): (&crate::plan::StagePlan, &String)| plan.name == saved.name && *shape == saved.shape;
            let number = self.plan.stages.iter().zip(&shapes).position(same);
            // What has no state loses none.
            if number.is_none() && !saved.shape.is_empty() {
                fit.dropped.push(saved.name.clone());
            }
            number
        };
        let stages: Vec<Option<usize>> = head.stages.iter().map(place).collect();
        for (number, stage) in self.plan.stages.iter().enumerate() {
            if shapes[number].is_empty() {
                continue;
            }
            let names = if stages.contains(&Some(number)) {
                &mut fit.kept
            } else {
                &mut fit.new
            };
            names.push(stage.name.clone());
        }
        Matching { stages, fit }
    }

    /// Takes back heads, in place of all state: that of one capture, or of several whose keys come together here. `own` is
    /// the one whose sources this engine goes on reading.
    ///
    /// # Errors
    /// If they are something else.
    pub fn begin_restore(&mut self, heads: &[SavedHead], matching: &Matching, own: usize) -> Result<(), CorruptState> {
        if let Some(head) = heads.get(own) {
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
        }
        for (number, stage) in self.stages.iter_mut().enumerate() {
            let Some(from) = matching.stages.iter().position(|place| *place == Some(number)) else {
                continue;
            };
            let of_heads: Option<Vec<&SavedStage>> = heads.iter().map(|head| head.stages.get(from)).collect();
            let of_heads = of_heads.ok_or(CorruptState {
                what: "the heads of a snapshot",
            })?;
            stage.begin_restore(&of_heads)?;
        }
        Ok(())
    }

    /// Takes back rows of a block of the capture with number `from`.
    ///
    /// # Errors
    /// If they are something else.
    pub fn restore_rows(
        &mut self,
        matching: &Matching,
        from: usize,
        place: (u32, u32, BlockId),
        rows: &[Row<'_>],
    ) -> Result<(), CorruptState> {
        let (stage, step, block) = place;
        let corrupt = CorruptState {
            what: "a block's place",
        };
        let number = matching.stages.get(stage as usize).ok_or(corrupt)?;
        let Some(stage) = number.and_then(|number| self.stages.get_mut(number)) else {
            return Ok(());
        };
        stage.restore_rows(step, from, block, rows)
    }

    /// All is taken back.
    ///
    /// # Errors
    /// If something is missing.
    pub fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.stages.iter_mut().try_for_each(StageRun::end_restore)
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head").finish_non_exhaustive()
    }
}
