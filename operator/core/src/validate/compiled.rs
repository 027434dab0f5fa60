//! What the compiler makes of a pipeline, as far as the operator needs it.

use std::collections::{BTreeMap, BTreeSet};

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;
use tocsin_contract::rule_set::IncidentRuleSetSpec;
use tocsin_worker_core::plan::shape::shape;
use tocsin_worker_core::plan::{self, References};

/// What the compiler makes of a pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Topics that sources read.
    pub read: BTreeSet<String>,
    /// Topics that sinks write.
    pub written: BTreeSet<String>,
    /// Stages that have state, each with the shape of it: state goes on in a stage of the same name and shape.
    pub state: BTreeMap<String, String>,
    /// What a user should know and need not change.
    pub warnings: Vec<Problem>,
}

/// Compiles a pipeline.
///
/// # Errors
/// Everything that is wrong with stages and expressions, each with its path.
pub fn compile(
    name: &str,
    spec: &IncidentPipelineSpec,
    rule_sets: &BTreeMap<String, IncidentRuleSetSpec>,
) -> Result<Compiled, Vec<Problem>> {
    let references = References {
        rule_sets: rule_sets.clone(),
    };
    let plan = plan::compile(name, spec, &references)?;
    if !plan.missing.is_empty() {
        return Err(plan.missing);
    }
    let read = spec.sources.iter().filter_map(|source| source.kafka.as_ref());
    let written = spec.sinks.iter().filter_map(|sink| sink.kafka.as_ref());
    let state = plan.stages.iter().map(|stage| (stage.name.clone(), shape(stage)));
    Ok(Compiled {
        read: read.map(|kafka| kafka.topic.clone()).collect(),
        written: written.map(|kafka| kafka.topic.clone()).collect(),
        state: state.filter(|(_, shape)| !shape.is_empty()).collect(),
        warnings: plan.warnings,
    })
}
