//! From what a user asks for to a pipeline that can be built, or everything that is wrong with it.
//!
//! The API server has checked the schema and its rules already. They are checked once more, since an object may be older
//! than the schema; on top comes what no schema can see: the compiler's word on stages and expressions, and the pod template.
//!
//! What is wrong in the spec stops the pipeline until it changes. What the spec refers to and is not there yet is another
//! thing: it is waited for (`references`).

pub mod compiled;
pub mod pod_template;
pub mod references;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::kafka::KafkaMode;
use tocsin_contract::pipeline::rules::rule_problems;
use tocsin_contract::problem::Problem;
use tocsin_contract::reach;
use tocsin_contract::rule_set::IncidentRuleSetSpec;

use crate::build::kafka::{bootstrap_servers, secrets};
use crate::build::strimzi;
use crate::names::Names;
use crate::pipeline::{KafkaAccess, Pipeline, PipelineId};
use compiled::{Compiled, compile};

/// A pipeline as the API server has it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which one it is.
    pub id: PipelineId,
    /// Generation of the spec.
    pub generation: i64,
    /// The spec.
    pub spec: IncidentPipelineSpec,
}

/// Checks a pipeline whose references are there. `compiled` is what the compiler made of the same spec and rule sets before,
/// if that is still known: it takes milliseconds.
///
/// # Errors
/// Everything that is wrong, each with its path in the spec.
pub fn validate(
    subject: Subject,
    rule_sets: &BTreeMap<String, IncidentRuleSetSpec>,
    compiled: Option<Arc<Compiled>>,
) -> Result<Pipeline, Vec<Problem>> {
    let spec = &subject.spec;
    let mut problems = rule_problems(spec);
    problems.extend(reach::refused_problems(spec));
    problems.extend(reach::refused_in_cluster_problems(spec));
    problems.extend(topics_that_are_read_twice(spec));
    let pod_template = pod_template::parse(&spec.workers.pod_template).unwrap_or_else(|wrong| {
        problems.extend(wrong);
        Default::default()
    });
    let kafka = kafka_access(&subject.id, spec);
    let compiled = match compiled.map_or_else(|| compile(&subject.id.name, spec, rule_sets).map(Arc::new), Ok) {
        Ok(compiled) => Some(compiled),
        Err(mut wrong) => {
            // What was said of a path needs no second word.
            wrong.retain(|problem| !problems.iter().any(|known| known.path == problem.path));
            problems.extend(wrong);
            None
        }
    };
    match (problems.is_empty(), compiled, kafka) {
        (true, Some(compiled), Some(kafka)) => Ok(Pipeline {
            id: subject.id,
            generation: subject.generation,
            compiled,
            pod_template,
            kafka,
            spec: subject.spec,
        }),
        _ => Err(problems),
    }
}

/// How workers reach the Kafka of the spec. None if the spec does not say: its schema refuses that.
pub fn kafka_access(id: &PipelineId, spec: &IncidentPipelineSpec) -> Option<KafkaAccess> {
    let kafka = &spec.kafka;
    match kafka.effective_mode() {
        KafkaMode::External => Some(KafkaAccess {
            bootstrap_servers: kafka.bootstrap_servers.clone()?,
            tls: kafka.tls.clone(),
            sasl: kafka.sasl.clone(),
            is_shared: true,
        }),
        KafkaMode::Managed => {
            let (tls, sasl) = secrets::access(&Names::of(&id.name), &id.name);
            Some(KafkaAccess {
                bootstrap_servers: bootstrap_servers(&id.namespace, &id.name),
                tls: Some(tls),
                sasl: Some(sasl),
                is_shared: false,
            })
        }
        KafkaMode::Strimzi => {
            let names = Names::of(&id.name);
            let (tls, sasl) = strimzi::access(&names, &id.name);
            Some(KafkaAccess {
                bootstrap_servers: strimzi::bootstrap_servers(&id.namespace, &names),
                tls: Some(tls),
                sasl: Some(sasl),
                is_shared: false,
            })
        }
    }
}

/// A partition is read once: two sources of one topic would read it at two places.
fn topics_that_are_read_twice(spec: &IncidentPipelineSpec) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let topics = spec
        .sources
        .iter()
        .filter_map(|source| Some((source, &source.kafka.as_ref()?.topic)));
    let twice = topics.filter(|(_, topic)| !seen.insert(topic.as_str()));
    twice
        .map(|(source, topic)| {
            Problem::new(
                format!("spec.sources[{}].kafka.topic", source.name),
                format!("another source reads topic {topic} too"),
            )
            .hint("make them one source: stages can share it")
        })
        .collect()
}
