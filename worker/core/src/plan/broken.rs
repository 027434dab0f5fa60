//! Which parts of a pipeline something is wrong with, so that what only follows from it is not reported as well.

use std::collections::BTreeSet;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;

use super::StreamId;
use super::graph::Graph;
use super::names::source_path;
use super::parsed::ParsedStage;

/// Sources whose columns are not known, and stages that have a problem or stand behind one that does.
#[derive(Clone, Debug, Default)]
pub struct Broken {
    /// By number in the file.
    pub sources: BTreeSet<usize>,
    /// By number in the file.
    pub stages: BTreeSet<usize>,
}

impl Broken {
    /// What these problems break.
    pub fn by(&mut self, problems: &[Problem], spec: &IncidentPipelineSpec, parsed: &[ParsedStage], graph: &Graph) {
        let any_in = |path: &str| problems.iter().any(|problem| is_in(&problem.path, path));
        // Other faults of a source leave its columns as they are.
        let columns = |name: &str| any_in(&format!("{}.format", source_path(name)));
        let sources = spec.sources.iter().enumerate();
        self.sources
            .extend(sources.filter(|(_, source)| columns(&source.name)).map(|(i, _)| i));
        let stages = parsed.iter().enumerate();
        self.stages
            .extend(stages.filter(|(_, stage)| any_in(&stage.path)).map(|(i, _)| i));
        self.stages
            .extend((0..parsed.len()).filter(|i| !graph.order.contains(i)));
        for &stage in &graph.order {
            let behind = graph.inputs[stage].iter().any(|input| match input {
                StreamId::Source(i) => self.sources.contains(i),
                StreamId::Stage(i) | StreamId::Late(i) => self.stages.contains(i),
            });
            if behind {
                self.stages.insert(stage);
            }
        }
    }
}

/// Whether a path leads to `part` or into it.
fn is_in(path: &str, part: &str) -> bool {
    path.strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
