//! How far each field of a pipeline reaches in this build.
//!
//! A field has an effect wherever the pipeline runs, or only from Kafka to Kafka, or only a cluster reads it, or it is not
//! built yet and is refused. There is no fifth kind: a test walks the schema and fails for a field that is on no list, and
//! for a line here that fits no field.

mod table;
mod walk;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::pipeline::IncidentPipelineSpec;
use crate::problem::Problem;
use crate::rule_set::IncidentRuleSetSpec;
use table::{
    CLUSTER_ONLY, EFFECT, KAFKA, REFUSED, REFUSED_IN_CLUSTER, REFUSED_RULES, Refused, WITHOUT_EFFECT_YET, When,
};

/// How far a field reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It has an effect wherever the pipeline runs.
    Effect,
    /// It has an effect from Kafka to Kafka: elsewhere it is checked, and otherwise without effect.
    Kafka,
    /// Only a cluster reads it: elsewhere it is checked, and otherwise without effect.
    ClusterOnly,
    /// It is not built yet: anything but its default is refused.
    Refused,
}

/// How far the field at `path` reaches: `spec.stages[].enrich.by`, or with names `spec.stages[known].enrich.by`.
/// None for a path that is no field.
pub fn reach(path: &str) -> Option<Reach> {
    let path = walk::without_names(path);
    let within = |outer: &str| {
        path.strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let refused = |line: &&Refused| !matches!(line.when, When::Word(_)) && within(line.path);
    if REFUSED.iter().any(|line| refused(&line)) {
        return Some(Reach::Refused);
    }
    if KAFKA.iter().any(|outer| within(outer)) {
        return Some(Reach::Kafka);
    }
    if CLUSTER_ONLY.iter().any(|outer| within(outer)) {
        return Some(Reach::ClusterOnly);
    }
    EFFECT.contains(&path.as_str()).then_some(Reach::Effect)
}

/// What `spec` uses that is not built yet, each with its path and what to do.
pub fn refused_problems(spec: &IncidentPipelineSpec) -> Vec<Problem> {
    refused(&document(spec), REFUSED)
}

/// What `spec` uses that a cluster does not run, or not yet, each with its path and what to do.
pub fn refused_in_cluster_problems(spec: &IncidentPipelineSpec) -> Vec<Problem> {
    refused(&document(spec), REFUSED_IN_CLUSTER)
}

/// What a rule set uses that is not built yet.
pub fn refused_rule_problems(spec: &IncidentRuleSetSpec) -> Vec<Problem> {
    refused(&json!({ "spec": spec }), REFUSED_RULES)
}

/// The fields that `spec` sets and that have an effect only from Kafka to Kafka, as paths.
pub fn kafka_fields(spec: &IncidentPipelineSpec) -> Vec<String> {
    set_fields(spec, KAFKA)
}

/// The fields that `spec` sets and only a cluster reads, as paths.
pub fn cluster_only_fields(spec: &IncidentPipelineSpec) -> Vec<String> {
    set_fields(spec, CLUSTER_ONLY)
}

/// What whoever sets a field that no part of this build reads yet should know.
pub fn fields_without_effect_yet(spec: &IncidentPipelineSpec) -> Vec<String> {
    let fields = set_fields(spec, WITHOUT_EFFECT_YET).into_iter();
    fields
        .map(|field| format!("{field} has no effect yet: this version does not read it"))
        .collect()
}

/// The part of `spec` that workers read: the whole without the fields that only a cluster reads.
pub fn worker_part(spec: &IncidentPipelineSpec) -> Value {
    let mut document = document(spec);
    for path in CLUSTER_ONLY {
        walk::remove(&mut document, path);
    }
    document.get_mut("spec").map(Value::take).unwrap_or_default()
}

fn set_fields(spec: &IncidentPipelineSpec, paths: &[&str]) -> Vec<String> {
    let (given, plain) = (document(spec), document(&IncidentPipelineSpec::default()));
    let mut fields = Vec::new();
    for path in paths {
        let default = walk::find(&plain, path).pop().map(|(_, value)| value);
        let set = walk::find(&given, path)
            .into_iter()
            .filter(|(_, value)| Some(*value) != default);
        fields.extend(set.map(|(path, _)| path));
    }
    fields
}

fn document(spec: &IncidentPipelineSpec) -> Value {
    json!({ "spec": spec })
}

fn refused(document: &Value, lines: &[Refused]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for line in lines {
        for (path, value) in walk::find(document, line.path) {
            let word = value.as_str().unwrap_or_default();
            let message = match line.when {
                When::Given => "is not built yet".to_owned(),
                When::InCluster => "works only outside a cluster".to_owned(),
                When::Word(refused) if word == refused => format!("`{word}` is not built yet"),
                When::OtherThan(built) if word != built => format!("`{word}` is not built yet; only `{built}` is"),
                _ => continue,
            };
            problems.push(Problem::new(path, message).hint(line.advice));
        }
    }
    problems
}
