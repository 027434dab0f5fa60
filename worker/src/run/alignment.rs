//! Holds back a source that is ahead of those that it is merged with, so that what waits to be merged stays small.
//!
//! Only sources with a common stage hold one another back. The one that is furthest behind is never held: it is what the
//! others wait for, so that there is always one that can go on.

use tocsin_worker_core::plan::{Plan, StreamId};
use tocsin_worker_core::stream::Micros;

/// Who waits for whom.
#[derive(Debug)]
pub(super) struct Alignment {
    /// A number for each source, the same for those that have a stage in common, directly or through others.
    groups: Vec<usize>,
    /// How far each source may be ahead, in microseconds.
    most_ahead: Vec<Micros>,
}

impl Alignment {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut groups: Vec<usize> = (0..plan.sources.len()).collect();
        // The group that each stage reads from.
        let mut of_stages: Vec<Option<usize>> = Vec::with_capacity(plan.stages.len());
        for stage in &plan.stages {
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
        Self {
            groups,
            most_ahead: plan.sources.iter().map(|source| source.alignment).collect(),
        }
    }

    /// Whether a source waits for others; `watermarks` has one for each source that has not ended.
    pub(super) fn holds(&self, source: usize, watermarks: &[Option<Micros>]) -> bool {
        let (Some(group), Some(Some(own))) = (self.groups.get(source), watermarks.get(source)) else {
            return false;
        };
        let of_group = self.groups.iter().zip(watermarks).filter(|(other, _)| *other == group);
        let least = of_group.filter_map(|(_, watermark)| *watermark).min().unwrap_or(*own);
        *own > least.saturating_add(self.most_ahead[source].max(0))
    }
}
