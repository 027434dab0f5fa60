//! Which sources are merged, and which lead to stages that bring other shards' rows together with theirs.

use std::collections::BTreeSet;

use super::{Plan, StreamId};

/// A stage whose rows are dealt out by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealtStage {
    /// Its number.
    pub number: usize,
    /// The sources that lead to it, directly or through other stages.
    pub sources: BTreeSet<usize>,
    /// Whether nothing before it is dealt out.
    pub is_first: bool,
}

impl Plan {
    /// The stages whose rows are dealt out by key.
    pub fn dealt_stages(&self) -> Vec<DealtStage> {
        let mut dealt = Vec::new();
        let mut leads: Vec<DealtStage> = Vec::with_capacity(self.stages.len());
        for (number, stage) in self.stages.iter().enumerate() {
            let mut of_stage = DealtStage {
                number,
                sources: BTreeSet::new(),
                is_first: true,
            };
            for input in &stage.inputs {
                match input.stream {
                    StreamId::Source(i) => of_stage.sources.extend([i]),
                    StreamId::Stage(i) | StreamId::Late(i) => {
                        let before = &leads[i];
                        of_stage.sources.extend(&before.sources);
                        of_stage.is_first &= before.is_first && self.stages[i].repartition.is_none();
                    }
                }
            }
            if stage.repartition.is_some() {
                dealt.push(of_stage.clone());
            }
            leads.push(of_stage);
        }
        dealt
    }

    /// A number for each source, the same for those that have a stage in common, directly or through others.
    pub fn merged_sources(&self) -> Vec<usize> {
        let mut groups: Vec<usize> = (0..self.sources.len()).collect();
        // The group that each stage reads from.
        let mut of_stages: Vec<Option<usize>> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let mut joined = None;
            for input in &stage.inputs {
                let group = match input.stream {
                    StreamId::Source(i) => groups.get(i).copied(),
                    StreamId::Stage(i) | StreamId::Late(i) => of_stages.get(i).copied().flatten(),
                };
                match (joined, group) {
                    (Some(into), Some(from)) if into != from => {
                        let stages = of_stages.iter_mut().flatten();
                        let same = groups.iter_mut().chain(stages).filter(|group| **group == from);
                        same.for_each(|group| *group = into);
                    }
                    (None, Some(_)) => joined = group,
                    _ => {}
                }
            }
            of_stages.push(joined);
        }
        groups
    }
}
