//! Topics: made, deleted, widened, looked at.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Kafka;
use super::client::{Quiet, wait_for};
use super::options::Listener;
use super::wire::Wire;
use crate::RigError;
use crate::wait::until;

/// How long the controller may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A topic to be made: one partition, as many replicas as the brokers' default has, no settings.
#[derive(Debug, Clone)]
pub struct Topic {
    name: String,
    partitions: i32,
    replicas: i32,
    brokers: Vec<usize>,
    settings: Vec<(String, String)>,
}

impl Topic {
    /// A topic of this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: 1,
            replicas: -1,
            brokers: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// With so many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// With so many replicas of each partition.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// With copies of each partition on just these brokers, of which the first is to lead.
    #[must_use]
    pub fn on(mut self, brokers: &[usize]) -> Self {
        self.brokers = brokers.to_vec();
        self
    }

    /// With a setting, such as `cleanup.policy`.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A partition, as brokers describe it. Brokers are numbered from 0, as in [`Kafka`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The partition's number.
    pub number: i32,
    /// The broker that leads it, if there is one.
    pub leader: Option<usize>,
    /// The brokers that have a copy.
    pub replicas: Vec<usize>,
    /// Those of them that are not behind.
    pub in_sync: Vec<usize>,
}

impl Kafka {
    /// Makes a topic and waits until each partition has a leader.
    ///
    /// # Errors
    /// When it exists, or the controller refuses.
    pub fn create(&self, topic: &Topic) -> Result<(), RigError> {
        let what = format!("creating the topic {}", topic.name);
        let ids: Vec<i32> = topic.brokers.iter().map(|broker| *broker as i32 + 1).collect();
        let of_each = vec![ids.as_slice(); usize::try_from(topic.partitions).unwrap_or_default()];
        let replication = match topic.brokers[..] {
            [] => TopicReplication::Fixed(topic.replicas),
            _ => TopicReplication::Variable(&of_each),
        };
        let mut new = NewTopic::new(&topic.name, topic.partitions, replication);
        for (key, value) in &topic.settings {
            new = new.set(key, value);
        }
        let made = wait_for(self.admin()?.create_topics([&new], &options())).map_err(RigError::client(&what))?;
        each(&what, made)?;
        until(&format!("leaders of the topic {}", topic.name), PATIENCE, || {
            let partitions = self.describe(&topic.name)?;
            let led = partitions.iter().filter(|partition| partition.leader.is_some()).count();
            Ok((led >= usize::try_from(topic.partitions).unwrap_or_default()).then_some(()))
        })
    }

    /// Deletes a group that has no members, with its offsets.
    ///
    /// # Errors
    /// When it has members, or the broker refuses.
    pub fn delete_group(&self, group: &str) -> Result<(), RigError> {
        let what = format!("deleting the group {group}");
        let gone = wait_for(self.admin()?.delete_groups(&[group], &options())).map_err(RigError::client(&what))?;
        each(&what, gone)
    }

    /// Deletes a topic and waits until brokers do not know it any more.
    ///
    /// # Errors
    /// When it does not exist, or the controller refuses.
    pub fn delete(&self, topic: &str) -> Result<(), RigError> {
        let what = format!("deleting the topic {topic}");
        let gone = wait_for(self.admin()?.delete_topics(&[topic], &options())).map_err(RigError::client(&what))?;
        each(&what, gone)?;
        until(&what, PATIENCE, || Ok(self.describe(topic)?.is_empty().then_some(())))
    }

    /// Gives a topic more partitions, so that there are `partitions`, and waits for their leaders.
    ///
    /// # Errors
    /// When it has as many, or the controller refuses.
    pub fn add_partitions(&self, topic: &str, partitions: usize) -> Result<(), RigError> {
        let what = format!("widening the topic {topic} to {partitions} partitions");
        let new = NewPartitions::new(topic, partitions);
        let made = wait_for(self.admin()?.create_partitions([&new], &options())).map_err(RigError::client(&what))?;
        each(&what, made)?;
        until(&what, PATIENCE, || {
            let found = self.describe(topic)?;
            let led = found.iter().filter(|partition| partition.leader.is_some()).count();
            Ok((led >= partitions).then_some(()))
        })
    }

    /// Deletes all records of a topic, as its retention would.
    ///
    /// # Errors
    /// When a leader refuses.
    pub fn delete_records(&self, topic: &str) -> Result<(), RigError> {
        let what = format!("deleting the records of {topic}");
        let mut ends = TopicPartitionList::new();
        for partition in self.describe(topic)? {
            ends.add_partition_offset(topic, partition.number, Offset::End)
                .map_err(RigError::client(&what))?;
        }
        wait_for(self.admin()?.delete_records(&ends, &options())).map_err(RigError::client(&what))?;
        Ok(())
    }

    /// Sets a topic's settings; those that are not named go back to their defaults.
    ///
    /// # Errors
    /// When the topic does not exist or a setting is refused.
    pub fn configure(&self, topic: &str, settings: &[(&str, &str)]) -> Result<(), RigError> {
        let what = format!("configuring the topic {topic}");
        let change = settings.iter().fold(
            AlterConfig::new(ResourceSpecifier::Topic(topic)),
            |change, (key, value)| change.set(key, value),
        );
        let done = wait_for(self.admin()?.alter_configs([&change], &options())).map_err(RigError::client(&what))?;
        for answer in done {
            if let Err((_, code)) = answer {
                return Err(refused(&what, code));
            }
        }
        Ok(())
    }

    /// A topic's partitions, as the first broker has it that answers; none if there is no such topic.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn describe(&self, topic: &str) -> Result<Vec<Partition>, RigError> {
        let index = |id: i32| usize::try_from(id - 1).ok();
        let indexes = |ids: Vec<i32>| ids.into_iter().filter_map(index).collect();
        let mut answer = Err(RigError::Misused("no broker runs".to_owned()));
        for port in self.live_ports()? {
            answer = Wire::connect(port).and_then(|mut wire| wire.cluster(Some(topic)));
            if answer.is_ok() {
                break;
            }
        }
        let partitions = answer?.partitions.into_iter();
        let described = partitions.map(|(number, leader, replicas, in_sync)| Partition {
            number,
            leader: index(leader),
            replicas: indexes(replicas),
            in_sync: indexes(in_sync),
        });
        Ok(described.collect())
    }

    /// The broker that leads a partition, once there is one.
    ///
    /// # Errors
    /// When none is elected in time.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<usize, RigError> {
        until(&format!("a leader of {topic}/{partition}"), PATIENCE, || {
            let partitions = self.describe(topic)?;
            Ok(partitions
                .iter()
                .find(|found| found.number == partition)
                .and_then(|found| found.leader))
        })
    }

    /// The rig's own client for what brokers are asked to do. It comes through `Plain`.
    ///
    /// # Errors
    /// When librdkafka takes no settings.
    pub fn admin(&self) -> Result<&AdminClient<Quiet>, RigError> {
        if let Some(admin) = self.admin.get() {
            return Ok(admin);
        }
        let mut config: ClientConfig = self.client(Listener::Plain)?;
        config.set("topic.metadata.propagation.max.ms", "0");
        let admin = config
            .create_with_context(Quiet::default())
            .map_err(RigError::client("creating a client"))?;
        Ok(self.admin.get_or_init(|| admin))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(PATIENCE))
        .request_timeout(Some(PATIENCE))
}

fn each(what: &str, answers: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), RigError> {
    for answer in answers {
        if let Err((_, code)) = answer {
            return Err(refused(what, code));
        }
    }
    Ok(())
}

fn refused(what: &str, code: RDKafkaErrorCode) -> RigError {
    RigError::Refused {
        what: what.to_owned(),
        answer: code.to_string(),
    }
}
