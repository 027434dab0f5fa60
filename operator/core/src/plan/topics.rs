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

use crate::pipeline::{Pipeline, PipelineId};

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
    /// Where the spec says how many partitions and copies it has, if it does: then one that is there is changed, too.
    pub path: Option<String>,
    /// Whether the settings of one that is there are changed: its Kafka is the pipeline's own.
    pub is_set: bool,
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
    /// The topic's name.
    pub fn topic(&self) -> &str {
        match self {
            Self::Larger { name, .. } | Self::Copies { name, .. } => name,
        }
    }

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
    let is_own = !pipeline.kafka.is_shared;
    let topic = |name: &String| {
        let mut topic = users_topic(kafka, name, kafka.partitions, is_own);
        // A Kafka of the pipeline's own has them as the spec says, also later.
        topic.path = topic.path.or_else(|| is_own.then(|| "spec.kafka".to_owned()));
        topic
    };
    topics.map(topic).collect()
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
            is_set: false,
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
    wanted.extend(written.map(|name| users_topic(&spec.kafka, name, n_shards, !pipeline.kafka.is_shared)));
    wanted
}

/// Names of the pipeline's own topics.
pub fn internal_topics(pipeline: &Pipeline) -> InternalTopics {
    topics_of(&pipeline.id, pipeline.kafka.is_shared)
}

fn topics_of(id: &PipelineId, is_shared: bool) -> InternalTopics {
    if is_shared {
        InternalTopics::shared(&id.namespace, &id.name)
    } else {
        InternalTopics::of(&id.name)
    }
}

/// With what the names of all of the pipeline's own topics begin, and of no other's: `noc.`, as names of pipelines have no dots.
/// Where others use the Kafka too the namespace stands in front.
pub fn own_prefix(id: &PipelineId, is_shared: bool) -> String {
    let journal = topics_of(id, is_shared).journal();
    let journal = journal.as_str();
    journal.strip_suffix("journal").unwrap_or(journal).to_owned()
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

/// A topic that users know, in a Kafka of the pipeline's own or not.
fn users_topic(kafka: &Kafka, name: &str, partitions: u32, is_own: bool) -> Topic {
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
        is_set: is_own || declared.is_some(),
    }
}

/// The topics that there must be where these are there, by name with their partitions, and somebody else makes them so: none is
/// to get fewer. And what is wrong with that.
pub fn beside(pipeline: &Pipeline, there: &BTreeMap<String, u32>) -> (Vec<Topic>, Vec<Trouble>) {
    let has = |topic: &Topic| there.get(&topic.name).copied().unwrap_or(0);
    let sources = of_sources(pipeline);
    let partitions = sources
        .iter()
        .map(|topic| (topic.name.clone(), topic.partitions.max(has(topic))));
    let behind = behind_sources(pipeline, &partitions.collect());
    let mut troubles = Vec::new();
    let mut wanted: Vec<Topic> = sources.into_iter().chain(behind).collect();
    for topic in &mut wanted {
        let has = has(topic);
        if has <= topic.partitions {
            continue;
        }
        troubles.extend(topic.path.as_ref().map(|path| Trouble::Larger {
            path: format!("{path}.partitions"),
            name: topic.name.clone(),
            has,
            wanted: topic.partitions,
        }));
        topic.partitions = has;
    }
    (wanted, troubles)
}

/// What is to be done so that the topics are as they must be, and what is wrong with them besides.
pub fn steps(wanted: &[Topic], seen: &BTreeMap<String, Seen>) -> (Vec<Step>, Vec<Trouble>) {
    let (mut steps, mut troubles) = (Vec::new(), Vec::new());
    for topic in wanted {
        let Some(there) = seen.get(&topic.name) else {
            steps.push(Step::Create(topic.clone()));
            continue;
        };
        if let Some(path) = &topic.path {
            let (step, wrong) = partitions(topic, there, path);
            steps.extend(step);
            troubles.extend(wrong);
        }
        let settings = topic.config.iter().filter(|_| topic.is_set);
        let other = settings.filter(|(name, value)| there.config.get(*name) != Some(*value));
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

/// A topic that has other partitions, or copies of them, than the spec says at `path`.
fn partitions(topic: &Topic, there: &Seen, path: &str) -> (Option<Step>, Vec<Trouble>) {
    let (mut step, mut troubles) = (None, Vec::new());
    if there.partitions < topic.partitions {
        step = Some(Step::Grow {
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
    (step, troubles)
}

#[cfg(test)]
mod tests;
