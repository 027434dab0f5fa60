//! Which sources are merged, and which lead to stages that bring other shards' rows together with theirs.

use std::collections::BTreeSet;

use super::{Plan, StreamId};

impl Plan {
    /// For each source the stages that it leads to, directly or through others, whose rows are dealt out by key.
    pub fn dealt_from(&self) -> Vec<Vec<usize>> {
        let mut dealt = vec![Vec::new(); self.sources.len()];
        let mut leads: Vec<BTreeSet<usize>> = Vec::with_capacity(self.stages.len());
        for (number, stage) in self.stages.iter().enumerate() {
            let mut sources = BTreeSet::new();
            for input in &stage.inputs {
                match input.stream {
                    StreamId::Source(i) => sources.extend([i]),
                    StreamId::Stage(i) | StreamId::Late(i) => sources.extend(leads.get(i).into_iter().flatten()),
                }
            }
            if stage.repartition.is_some() {
                for source in &sources {
                    dealt[*source].push(number);
                }
            }
            leads.push(sources);
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
