//! A pipeline's topics are made so.

use std::collections::BTreeMap;

use tocsin_kafka::{Cluster, KafkaError};
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::topics::{Topic, behind_sources, of_sources, steps};
use tocsin_operator_core::status::kafka::TopicsWord;

use crate::kafka::{carry_out, topics};

/// Makes the topics so, and says what is known of them then.
///
/// # Errors
/// If no broker answers.
pub fn bring_about(cluster: &mut Cluster, pipeline: &Pipeline) -> Result<TopicsWord, KafkaError> {
    let of_sources = of_sources(pipeline);
    let seen = topics(cluster, &names(&of_sources))?;
    let mut partitions: BTreeMap<String, u32> = of_sources
        .iter()
        .map(|topic| (topic.name.clone(), topic.partitions))
        .collect();
    for (name, seen) in &seen {
        let wanted = partitions.entry(name.clone()).or_insert(seen.partitions);
        *wanted = (*wanted).max(seen.partitions);
    }
    let behind = behind_sources(pipeline, &partitions);
    let mut all = seen;
    all.extend(topics(cluster, &names(&behind))?);
    let wanted: Vec<Topic> = of_sources.into_iter().chain(behind).collect();
    let (steps, troubles) = steps(&wanted, &all);
    let as_it_is = |topic: &Topic| {
        let there = all.get(&topic.name).map(|seen| seen.partitions);
        (topic.name.clone(), topic.partitions.max(there.unwrap_or(0)))
    };
    let mut word = TopicsWord {
        wanted: wanted.iter().map(as_it_is).collect(),
        troubles,
        refused: None,
        coming: None,
    };
    for step in &steps {
        match carry_out(cluster, step) {
            Ok(()) => tracing::info!(pipeline = pipeline.id.name, ?step, "changed a topic"),
            Err(error) => {
                word.refused = Some(error.to_string());
                break;
            }
        }
    }
    Ok(word)
}

fn names(topics: &[Topic]) -> Vec<String> {
    topics.iter().map(|topic| topic.name.clone()).collect()
}
