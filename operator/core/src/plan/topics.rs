//! The topics of a pipeline: which there must be, and what is to be done about those that there are.
//!
//! A topic that is there is its owner's, and left as it is, unless the spec names it in `kafka.topics`: then it grows to the
//! partitions that are asked for, and has the settings. It never shrinks, as Kafka takes no partition away.

use std::collections::BTreeMap;
use std::time::Duration;

use tocsin_contract::pipeline::kafka::{Kafka, KafkaTopic};
use tocsin_contract::topics::InternalTopics;
use tocsin_worker_core::plan::repartition::repartition;
use tocsin_worker_core::plan::{self, References};

use crate::pipeline::Pipeline;

/// The journal, and what shards send to one another, must reach back at least so far: as far as offsets do.
const JOURNAL_RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Rows of several events may be added up to one record between shards, in bytes.
const LARGEST_DEALT: &str = "33554432";

/// A topic as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: u32,
    /// Copies of each.
    pub replication: u32,
    /// Its settings, by Kafka's names.
    pub config: BTreeMap<String, String>,
    /// Where the spec names it, if it does: then one that is there is changed, too.
    pub path: Option<String>,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its partitions.
    pub partitions: u32,
    /// Copies of each.
    pub replication: u32,
    /// Its settings that are not the brokers' own.
    pub config: BTreeMap<String, String>,
}

/// What is to be done about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is made.
    Create(Topic),
    /// It gets more partitions.
    Grow {
        /// Its name.
        name: String,
        /// How many it has then.
        partitions: u32,
    },
    /// These settings of it are set; others stay.
    Configure {
        /// Its name.
        name: String,
        /// The settings.
        config: BTreeMap<String, String>,
    },
}

/// What is wrong with a topic and not for the operator to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It has more partitions than are asked for.
    Larger {
        /// Where the spec names it.
        path: String,
        /// Its name.
        name: String,
        /// How many it has.
        has: u32,
        /// How many are asked for.
        wanted: u32,
    },
    /// It has another number of copies.
    Copies {
        /// Where the spec names it.
        path: String,
        /// Its name.
        name: String,
        /// How many it has.
        has: u32,
        /// How many are asked for.
        wanted: u32,
    },
}

impl Trouble {
    /// What is wrong, and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::Larger {
                path,
                name,
                has,
                wanted,
            } => format!(
                "{path}: the topic {name} has {has} partitions, and Kafka takes none away: ask for {has} instead of {wanted}"
            ),
            Self::Copies {
                path,
                name,
                has,
                wanted,
            } => format!(
                "{path}: the topic {name} has {has} copies of each partition; to have {wanted}, move them with \
                 kafka-reassign-partitions.sh"
            ),
        }
    }
}

/// The topics that sources read.
pub fn of_sources(pipeline: &Pipeline) -> Vec<Topic> {
    let kafka = &pipeline.spec.kafka;
    let topics = pipeline.compiled.read.iter();
    topics.map(|name| users_topic(kafka, name, kafka.partitions)).collect()
}

/// All other topics, once it is known how many partitions those of the sources have: the shards are as many as the largest
/// has.
pub fn behind_sources(pipeline: &Pipeline, partitions_of_sources: &BTreeMap<String, u32>) -> Vec<Topic> {
    let spec = &pipeline.spec;
    let n_shards = partitions_of_sources.values().copied().max().unwrap_or(1);
    let topics = internal_topics(pipeline);
    let mut wanted: Vec<Topic> = Vec::new();
    let mut own = |name: &str, partitions: u32, config: &[(&str, &str)]| {
        let retention = JOURNAL_RETENTION.as_millis().to_string();
        let mut settings = BTreeMap::from([
            ("cleanup.policy".to_owned(), "delete".to_owned()),
            ("retention.ms".to_owned(), retention),
        ]);
        settings.extend(
            config
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        wanted.push(Topic {
            name: name.to_owned(),
            partitions,
            replication: spec.kafka.replication_factor,
            config: settings,
            path: None,
        });
    };
    own(topics.journal().as_str(), n_shards, &[]);
    own(topics.dead_letter().as_str(), 1, &[]);
    // Who takes up the control topic reads it from the beginning: the newest word on each object is kept.
    own(
        topics.control().as_str(),
        1,
        &[("cleanup.policy", "compact"), ("retention.ms", "-1")],
    );
    own(topics.audit().as_str(), 1, &[]);
    for name in dealt(pipeline, partitions_of_sources, &topics) {
        own(&name, n_shards, &[("max.message.bytes", LARGEST_DEALT)]);
    }
    for sink in spec.sinks.iter().filter(|sink| sink.webhook.is_some()) {
        own(topics.buffer(&sink.name).as_str(), n_shards, &[]);
    }
    let written = pipeline.compiled.written.iter();
    let written = written.filter(|name| !pipeline.compiled.read.contains(*name));
    wanted.extend(written.map(|name| users_topic(&spec.kafka, name, n_shards)));
    wanted
}

/// Names of the pipeline's own topics.
pub fn internal_topics(pipeline: &Pipeline) -> InternalTopics {
    if pipeline.kafka.is_shared {
        InternalTopics::shared(&pipeline.id.namespace, &pipeline.id.name)
    } else {
        InternalTopics::of(&pipeline.id.name)
    }
}

/// Topics through which shards send one another rows. Which there are depends on the partitions of what is read.
fn dealt(pipeline: &Pipeline, partitions: &BTreeMap<String, u32>, topics: &InternalTopics) -> Vec<String> {
    let spec = &pipeline.spec;
    // It was compiled before, so it compiles. Rule sets change neither keys nor stages.
    let Ok(mut plan) = plan::compile(&pipeline.id.name, spec, &References::default()) else {
        return Vec::new();
    };
    let of_source = |source: &tocsin_contract::pipeline::source::Source| {
        let topic = source.kafka.as_ref().map(|kafka| kafka.topic.as_str());
        topic.and_then(|topic| partitions.get(topic)).copied().unwrap_or(1)
    };
    let n_partitions: Vec<u32> = spec.sources.iter().map(of_source).collect();
    repartition(&mut plan, &spec.sources, &n_partitions);
    let stages: Vec<usize> = plan.repartitioned().collect();
    let name = |stage: usize| {
        let name = plan.repartition_name(stage);
        let topic = match name.rsplit_once('.') {
            Some((stage, "partial")) => topics.partial(stage, 0),
            Some((stage, _)) => topics.by(stage, 0),
            None => topics.by(&name, 0),
        };
        topic.as_str().to_owned()
    };
    stages.into_iter().map(name).collect()
}

/// A topic that users know.
fn users_topic(kafka: &Kafka, name: &str, partitions: u32) -> Topic {
    let declared = kafka.topics.iter().find(|topic| topic.name == name);
    let given = |of: fn(&KafkaTopic) -> Option<u32>, otherwise: u32| declared.and_then(of).unwrap_or(otherwise);
    let retention = declared.and_then(|topic| topic.retention).unwrap_or(kafka.retention);
    let mut config = BTreeMap::new();
    if declared.is_some_and(|topic| topic.compacted) {
        config.insert("cleanup.policy".to_owned(), "compact".to_owned());
    } else {
        let millis = retention.as_micros() / 1_000;
        config.insert("retention.ms".to_owned(), millis.to_string());
    }
    config.extend(declared.into_iter().flat_map(|topic| topic.config.clone()));
    Topic {
        name: name.to_owned(),
        partitions: given(|topic| topic.partitions, partitions),
        replication: given(|topic| topic.replication_factor, kafka.replication_factor),
        config,
        path: declared.map(|topic| format!("spec.kafka.topics[{}]", topic.name)),
    }
}

/// What is to be done so that the topics are as they must be, and what is wrong with them besides.
pub fn steps(wanted: &[Topic], seen: &BTreeMap<String, Seen>) -> (Vec<Step>, Vec<Trouble>) {
    let (mut steps, mut troubles) = (Vec::new(), Vec::new());
    for topic in wanted {
        let Some(there) = seen.get(&topic.name) else {
            steps.push(Step::Create(topic.clone()));
            continue;
        };
        let Some(path) = &topic.path else { continue };
        if there.partitions < topic.partitions {
            steps.push(Step::Grow {
                name: topic.name.clone(),
                partitions: topic.partitions,
            });
        } else if there.partitions > topic.partitions {
            troubles.push(Trouble::Larger {
                path: format!("{path}.partitions"),
                name: topic.name.clone(),
                has: there.partitions,
                wanted: topic.partitions,
            });
        }
        if there.replication != topic.replication {
            troubles.push(Trouble::Copies {
                path: format!("{path}.replicationFactor"),
                name: topic.name.clone(),
                has: there.replication,
                wanted: topic.replication,
            });
        }
        let other = topic
            .config
            .iter()
            .filter(|(name, value)| there.config.get(*name) != Some(*value));
        let other: BTreeMap<String, String> = other.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !other.is_empty() {
            steps.push(Step::Configure {
                name: topic.name.clone(),
                config: other,
            });
        }
    }
    (steps, troubles)
}

#[cfg(test)]
mod tests;
