//! Which stages go on with which state.

use super::Engine;
use super::capture::{SavedHead, SavedStage};
use crate::plan::StagePlan;
use crate::plan::shape::shape;
use crate::repartition::{DealtOtherwise, NotTaken, Repartition};

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
    pub(super) stages: Vec<Option<usize>>,
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
    /// Looks whether rows that other shards sent, behind a capture and in its run epoch, may be of another form than the plan
    /// deals out.
    ///
    /// # Errors
    /// If they may be, or the head is something else.
    pub fn check_forms(&self, head: &SavedHead) -> Result<(), NotTaken> {
        let stages = self.plan.stages.iter().zip(&self.repartitions).enumerate();
        for (number, (stage, repartition)) in stages {
            let own = self.plan.repartition_name(number);
            // Names of sources have no dots.
            let of_stage = |name: &str| name.rsplit_once('.').is_some_and(|(of, _)| of == stage.name);
            for (name, saved) in head.sources.iter().filter(|(name, _)| of_stage(name)) {
                if !Repartition::are_on_their_way(saved)? {
                    continue;
                }
                let now = repartition.as_ref().filter(|_| *name == own);
                if now.map(|now| now.is_of_form(saved)).transpose()? != Some(true) {
                    let now = repartition.as_ref().map(Repartition::form);
                    return Err(NotTaken::Otherwise(DealtOtherwise::Form {
                        stage: stage.name.clone(),
                        now: now.unwrap_or_else(|| "none".to_owned()),
                    }));
                }
            }
        }
        Ok(())
    }

    /// Which stages can go on with the state of a capture.
    pub fn matching(&self, head: &SavedHead) -> Matching {
        let mut fit = Fit::default();
        let shapes: Vec<String> = self.plan.stages.iter().map(shape).collect();
        let place = |saved: &SavedStage| {
            let same = |(plan, shape): (&StagePlan, &String)| plan.name == saved.name && *shape == saved.shape;
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
}
