//! Before the first record: whether the topics are there and fit, and what is missing is made.

use std::time::{Duration, Instant};

use tocsin_contract::problem::Problem;
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::repartition::repartition;
use tocsin_worker_core::snapshot::TopicNow;

use super::growth::{begins, counts, notice};
use super::transaction::Targets;
use super::{Job, Settings, ShardsError, retention};
use tocsin_kafka::{Cluster, KafkaError, NewTopic, TopicInfo};

/// How long a new topic may take until all brokers know it.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How long a worker that has not met its brokers yet waits for them: one of them may just be going down or coming up.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(3);

/// Until what could not be reached is tried again.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// How long the journal is kept where there are snapshots, in milliseconds.
const SEVEN_DAYS: &str = "604800000";

/// A record of a repartition topic has one row at least, and that may be a whole record of a source, in bytes.
const LARGEST_DEALT: &str = "33554432";

/// The topics of a run.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The topic of each source, then those of what shards send to one another.
    pub inputs: Vec<TopicInfo>,
    /// The journal; its partitions are the shards.
    pub journal: TopicInfo,
    /// How many shards there are.
    pub n_shards: u32,
    /// How many of the inputs are sources.
    pub n_sources: usize,
    /// The run epoch of the pipeline.
    pub epoch: u32,
}

impl Layout {
    /// Whether a source has a partition for a shard.
    pub fn has_partition(&self, source: usize, shard: u32) -> bool {
        self.inputs
            .get(source)
            .is_some_and(|topic| topic.partitions.len() > shard as usize)
    }

    /// The inputs' topics, as snapshots know them.
    pub fn topics_now(&self) -> Vec<TopicNow> {
        let topic = |topic: &TopicInfo| TopicNow {
            name: topic.name.clone(),
            id: topic.id.map(|id| id.to_string()),
            n_partitions: topic.partitions.len() as u32,
        };
        self.inputs.iter().map(topic).collect()
    }

    /// Topics for the fetcher: those of the inputs, then the journal.
    pub fn fetched(&self) -> Vec<TopicInfo> {
        self.inputs.iter().chain([&self.journal]).cloned().collect()
    }
}

/// What a run begins with.
pub struct Prepared {
    /// The plan, which says which rows are dealt out by key.
    pub plan: Plan,
    /// The topics.
    pub layout: Layout,
    /// The savepoint that the run epoch begins with, where topics had grown.
    pub savepoint: Option<String>,
    /// Whether topics have more partitions than the run reads, so that it is held.
    pub has_grown: bool,
}

/// The same as [`prepare`]; until it is interrupted it waits for a store that cannot be reached, and, where `has_run`, for
/// brokers. At the first start it does not wait long for those: an address without a broker is a mistake that must show.
pub fn prepare_when_there(
    cluster: &mut Cluster,
    job: &Job,
    targets: &Targets,
    settings: &Settings,
    has_run: bool,
) -> Result<Option<Prepared>, ShardsError> {
    let started = Instant::now();
    let mut told = None;
    while !settings.interrupt.is_raised() {
        let waits = |error: &ShardsError| match error {
            ShardsError::Snapshot(error) => error.may_pass(),
            // A broker that starts again knows its topics a little later.
            ShardsError::Kafka(KafkaError::UnknownTopic(_)) => has_run && started.elapsed() < PATIENCE,
            ShardsError::Kafka(error) if has_run => error.may_pass(),
            ShardsError::Kafka(error) => error.may_be_of_a_moment() && started.elapsed() < PATIENCE_AT_FIRST,
            _ => false,
        };
        match prepare(cluster, job, targets, settings) {
            Err(error) if waits(&error) => {
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::warn!(%error, "the worker cannot begin yet");
                    told = Some(text);
                }
            }
            outcome => return outcome.map(Some),
        }
        std::thread::park_timeout(BETWEEN_TRIES);
    }
    Ok(None)
}

/// Checks the topics, says which rows are dealt out by key, and makes the topics of the pipeline that are missing.
fn prepare(cluster: &mut Cluster, job: &Job, targets: &Targets, settings: &Settings) -> Result<Prepared, ShardsError> {
    let names = input_topics(job)?;
    let mut inputs: Vec<TopicInfo> = names.iter().map(|name| cluster.topic(name)).collect::<Result<_, _>>()?;
    let found = counts(&inputs);
    let journal = settings.topics.journal();
    let there = cluster.topics(&[journal.as_str()])?.pop();
    let begins = begins(cluster, settings, &inputs, there.as_ref())?;
    for (topic, wanted) in inputs.iter_mut().zip(&begins.partitions) {
        if topic.partitions.len() < *wanted as usize {
            // Others have seen them: the broker that was asked has not heard of them yet.
            *topic = grown_topic(cluster, &topic.name, *wanted)?;
        }
        topic.partitions.truncate(*wanted as usize);
    }
    let n_shards = begins.partitions.iter().copied().max().unwrap_or(1);
    let mut plan = job.plan.clone();
    repartition(&mut plan, &job.sources, &begins.partitions);
    let dealt = dealt_topics(&plan, settings);
    make_missing(cluster, targets, settings, &dealt, n_shards)?;
    for topic in dealt {
        inputs.push(own_topic(cluster, settings, &topic, n_shards)?);
    }
    // The last that grows: how many partitions it has counts for those who start meanwhile.
    let journal = own_topic(cluster, settings, journal.as_str(), n_shards)?;
    let layout = Layout {
        inputs,
        journal,
        n_shards,
        n_sources: names.len(),
        epoch: begins.epoch,
    };
    check_rights(cluster, targets, settings, &layout)?;
    retention::check(cluster, settings, &layout)?;
    let has_grown = notice(settings, &layout, &found)?;
    Ok(Prepared {
        plan,
        layout,
        savepoint: begins.savepoint,
        has_grown,
    })
}

/// The topics that shards send rows to one another through.
fn dealt_topics(plan: &Plan, settings: &Settings) -> Vec<String> {
    let stages = plan.repartitioned().map(|number| &plan.stages[number]);
    let topics = stages.filter_map(|stage| {
        let dealt = stage.repartition.as_ref()?;
        let topic = match &dealt.combined {
            None => settings.topics.by(&stage.name, 0),
            Some(_) => settings.topics.partial(&stage.name, 0),
        };
        tracing::info!(stage = stage.name, %topic, claimed = dealt.claimed, "rows of this stage are dealt out by key");
        Some(topic.as_str().to_owned())
    });
    topics.collect()
}

/// A topic of the pipeline, which has as many partitions as there are shards.
fn own_topic(cluster: &mut Cluster, settings: &Settings, name: &str, n_shards: u32) -> Result<TopicInfo, ShardsError> {
    let mut topic = new_topic(cluster, name)?;
    if topic.partitions.len() < n_shards as usize && settings.makes_topics {
        tracing::info!(topic = name, n_partitions = n_shards, "the topic gets more partitions");
        cluster.create_partitions(name, n_shards)?;
        topic = grown_topic(cluster, name, n_shards)?;
    }
    let found = topic.partitions.len() as u32;
    if found != n_shards {
        return Err(ShardsError::Partitions {
            topic: topic.name,
            found,
            wanted: n_shards,
        });
    }
    Ok(topic)
}

/// A topic that got so many partitions just now.
fn grown_topic(cluster: &mut Cluster, name: &str, n_partitions: u32) -> Result<TopicInfo, ShardsError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let topic = new_topic(cluster, name)?;
        let found = topic.partitions.len() as u32;
        if found >= n_partitions {
            return Ok(topic);
        }
        if Instant::now() > until {
            return Err(ShardsError::Partitions {
                topic: topic.name,
                found,
                wanted: n_partitions,
            });
        }
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
}

/// Whether we may do with each topic what we must: else it would show at the first result, or at the next start.
fn check_rights(
    cluster: &mut Cluster,
    targets: &Targets,
    settings: &Settings,
    layout: &Layout,
) -> Result<(), ShardsError> {
    let not_allowed = |topic: &str, what| {
        let topic = topic.to_owned();
        Err(ShardsError::NotAllowed { topic, what })
    };
    for topic in layout.inputs.iter().chain([&layout.journal]) {
        if !topic.rights.may_read() {
            return not_allowed(&topic.name, "reading");
        }
    }
    let dead_letter = settings.topics.dead_letter();
    let mut written = vec![layout.journal.name.as_str(), dead_letter.as_str()];
    let dealt = layout.inputs.iter().skip(layout.n_sources);
    written.extend(dealt.map(|topic| topic.name.as_str()));
    written.extend(targets.topics());
    for topic in cluster.topics(&written)? {
        if !topic.rights.may_write() {
            return not_allowed(&topic.name, "writing");
        }
    }
    Ok(())
}

/// A topic that was made just now: brokers hear of it one after the other.
fn new_topic(cluster: &mut Cluster, name: &str) -> Result<TopicInfo, KafkaError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let led = |topic: &TopicInfo| topic.partitions.iter().all(|partition| partition.leader.is_some());
        match cluster.topic(name) {
            Ok(topic) if led(&topic) => return Ok(topic),
            Err(error) if !error.may_pass() => return Err(error),
            outcome if Instant::now() > until => return outcome,
            _ => std::thread::park_timeout(BETWEEN_LOOKS),
        }
    }
}

fn input_topics(job: &Job) -> Result<Vec<String>, ShardsError> {
    let mut names: Vec<String> = Vec::new();
    let mut problems = Vec::new();
    for source in &job.sources {
        let path = format!("spec.sources[{}]", source.name);
        match source.kafka.as_ref().map(|kafka| &kafka.topic) {
            None => problems.push(Problem::new(path, "it does not read Kafka, as the others do")),
            Some(topic) if names.contains(topic) => {
                let what = format!("another source reads topic {topic} too");
                problems.push(Problem::new(path, what).hint("make them one source: stages can share it"));
            }
            Some(topic) => names.push(topic.clone()),
        }
    }
    if problems.is_empty() {
        Ok(names)
    } else {
        Err(ShardsError::Problems(problems))
    }
}

/// Makes the pipeline's own topics, and those that its sinks write to; without leave for that, they must be there.
fn make_missing(
    cluster: &mut Cluster,
    targets: &Targets,
    settings: &Settings,
    dealt: &[String],
    n_shards: u32,
) -> Result<(), ShardsError> {
    let topic = |name: &str, partitions, config: &[(&str, &str)]| NewTopic {
        name: name.to_owned(),
        partitions,
        replication: None,
        config: config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let journal = settings.topics.journal();
    let dead_letter = settings.topics.dead_letter();
    // Without snapshots a shard is brought back by all that it ever did.
    let retention = if settings.snapshots.is_some() { SEVEN_DAYS } else { "-1" };
    let mut wanted = vec![
        topic(
            journal.as_str(),
            n_shards,
            &[("cleanup.policy", "delete"), ("retention.ms", retention)],
        ),
        topic(dead_letter.as_str(), 1, &[]),
    ];
    // What follows the journal reads them too.
    let config = [
        ("cleanup.policy", "delete"),
        ("retention.ms", retention),
        ("max.message.bytes", LARGEST_DEALT),
    ];
    wanted.extend(dealt.iter().map(|name| topic(name, n_shards, &config)));
    for name in targets.topics() {
        if !wanted.iter().any(|wanted| wanted.name == *name) {
            wanted.push(topic(name, n_shards, &[]));
        }
    }
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let there = cluster.topics(&names)?;
    wanted.retain(|wanted| !there.iter().any(|topic| topic.name == wanted.name));
    if settings.makes_topics {
        cluster.create_topics(&wanted)?;
    } else if let Some(missing) = wanted.first() {
        return Err(KafkaError::UnknownTopic(missing.name.clone()).into());
    }
    Ok(())
}
