//! Warns of parts of a file that lead nowhere.

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;

use super::StreamId;
use super::graph::Graph;
use super::names::{source_path, stage_path};

/// Warns of sources and stages whose rows go nowhere.
pub fn warn(spec: &IncidentPipelineSpec, graph: &Graph, warnings: &mut Vec<Problem>) {
    let read = |stream: StreamId| {
        let by_stage = graph.inputs.iter().flatten().any(|input| match (input, stream) {
            (StreamId::Late(i), StreamId::Stage(j)) => *i == j,
            (input, _) => *input == stream,
        });
        by_stage || graph.sinks.contains(&stream)
    };
    for (_, stage) in spec
        .stages
        .iter()
        .enumerate()
        .filter(|(i, _)| !read(StreamId::Stage(*i)))
    {
        let shown = stage.aggregate.is_some() || stage.incident.is_some() || stage.alarm.is_some();
        let message = if shown {
            "no sink takes it out; it shows on the live page alone"
        } else {
            "nothing reads it"
        };
        warnings.push(Problem::new(stage_path(&stage.name), message).hint(format!(
            "add to spec.sinks: - {{name: {}-out, from: {}, stdout: {{}}}}",
            stage.name, stage.name
        )));
    }
    for (_, source) in spec
        .sources
        .iter()
        .enumerate()
        .filter(|(i, _)| !read(StreamId::Source(*i)))
    {
        warnings.push(Problem::new(source_path(&source.name), "nothing reads it"));
    }
    if spec.sinks.is_empty() {
        warnings.push(
            Problem::new("spec.sinks", "no sink: results show on the live page alone")
                .hint("add one: - {name: out, from: <stage>, stdout: {}}"),
        );
    }
}
