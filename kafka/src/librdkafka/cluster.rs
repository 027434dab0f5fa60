//! What a cluster says of itself, asked for by librdkafka: for logins that our own client cannot do.
//!
//! librdkafka does not tell ids of topics, rights and reigns, and has no question for leaving a group.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic as Wanted, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use tocsin_worker_core::kafka::fetching::Leader;
use tokio::runtime::Runtime;

use super::client_config;
use super::consumer::Quiet;
use crate::cluster::{PartitionInfo, Rights, Time, TopicInfo};
use crate::committed::{Barrier, Committed, CommittedNow, CommittedOffsets};
use crate::error::KafkaError;
use crate::settings::ClusterSettings;
use crate::topics::NewTopic;

/// How long topics may take to be made.
const MAKING: Duration = Duration::from_secs(15);

/// How long committed offsets are waited for: those that a transaction is about to change are asked for again.
const COMMITTED: Duration = Duration::from_secs(2);

/// Between two looks whether a barrier shows.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A cluster, asked by clients of librdkafka.
pub struct LibrdkafkaCluster {
    settings: ClusterSettings,
    committed: Option<BaseConsumer<Quiet>>,
    all: Option<BaseConsumer<Quiet>>,
    /// The client that asks for a group's offsets, and the group.
    group: Option<(String, BaseConsumer<Quiet>)>,
}

impl LibrdkafkaCluster {
    /// Nobody is asked yet.
    pub fn new(settings: ClusterSettings) -> Self {
        Self {
            settings,
            committed: None,
            all: None,
            group: None,
        }
    }

    fn failed(&self, what: &'static str, error: &ClientError) -> KafkaError {
        let is_final = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::Authentication
                    | Code::SSL
                    | Code::SaslAuthenticationFailed
                    | Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
            )
        );
        KafkaError::Client {
            brokers: self.settings.brokers.to_string(),
            reason: format!("{what}: {error}"),
            is_final,
        }
    }

    fn consumer(&self, group: &str, isolation: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
        let mut config = client_config(&self.settings);
        config
            .set("group.id", group)
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.max.ms", "500");
        let quiet = Quiet {
            login: self.settings.token_login(),
        };
        let consumer: Result<BaseConsumer<Quiet>, _> = config.create_with_context(quiet);
        let consumer = consumer.map_err(|error| self.failed("a client", &error))?;
        // It may want a token, or say what is wrong with the login.
        consumer.poll(Duration::ZERO);
        Ok(consumer)
    }

    fn reading(&mut self, time: Time) -> Result<&BaseConsumer<Quiet>, KafkaError> {
        let group = self.settings.client_id.clone();
        let (place, isolation) = match time {
            Time::Latest => (&self.all, "read_uncommitted"),
            Time::Earliest | Time::LatestCommitted | Time::At(_) => (&self.committed, "read_committed"),
        };
        let made = match place {
            Some(_) => None,
            None => Some(self.consumer(&group, isolation)?),
        };
        let place = match time {
            Time::Latest => &mut self.all,
            Time::Earliest | Time::LatestCommitted | Time::At(_) => &mut self.committed,
        };
        if let Some(made) = made {
            *place = Some(made);
        }
        place.as_ref().ok_or(KafkaError::Stopped)
    }

    /// As [`Cluster::topics`](crate::Cluster::topics).
    pub fn topics(&mut self, names: &[&str]) -> Result<Vec<TopicInfo>, KafkaError> {
        let patience = self.settings.connect_timeout;
        let mut topics = Vec::new();
        for name in names {
            let asked = self
                .reading(Time::LatestCommitted)?
                .fetch_metadata(Some(name), patience);
            let metadata = asked.map_err(|error| self.failed("Metadata", &error))?;
            for topic in metadata.topics() {
                match topic.error() {
                    None => {}
                    Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => continue,
                    Some(code) => {
                        let error = ClientError::MetadataFetch(code.into());
                        return Err(self.failed("Metadata", &error).of_topic(name));
                    }
                }
                let mut partitions: Vec<PartitionInfo> = topic
                    .partitions()
                    .iter()
                    .map(|partition| PartitionInfo {
                        partition: partition.id() as u32,
                        leader: (partition.leader() >= 0).then_some(Leader {
                            broker: partition.leader(),
                            epoch: -1,
                        }),
                    })
                    .collect();
                partitions.sort_by_key(|partition| partition.partition);
                topics.push(TopicInfo {
                    name: topic.name().to_owned(),
                    id: None,
                    partitions,
                    replication: 0,
                    rights: Rights::unknown(),
                });
            }
        }
        Ok(topics)
    }

    /// As [`Cluster::offsets`](crate::Cluster::offsets).
    pub fn offsets(&mut self, topic: &str, partitions: &[u32], time: Time) -> Result<Vec<i64>, KafkaError> {
        let patience = self.settings.connect_timeout;
        let mut offsets = Vec::new();
        for &partition in partitions {
            let number = partition as i32;
            let found = match time {
                Time::At(millis) => self.at(topic, number, millis)?,
                _ => None,
            };
            if let Some(found) = found {
                offsets.push(found);
                continue;
            }
            let ends = self.reading(time)?.fetch_watermarks(topic, number, patience);
            let (begins, end) = ends.map_err(|error| self.failed("ListOffsets", &error))?;
            offsets.push(if time == Time::Earliest { begins } else { end });
        }
        Ok(offsets)
    }

    fn at(&mut self, topic: &str, partition: i32, millis: i64) -> Result<Option<i64>, KafkaError> {
        let patience = self.settings.connect_timeout;
        let mut asked = TopicPartitionList::new();
        let added = asked.add_partition_offset(topic, partition, Offset::Offset(millis));
        added.map_err(|error| self.failed("ListOffsets", &error))?;
        let found = self.reading(Time::At(millis))?.offsets_for_times(asked, patience);
        let found = found.map_err(|error| self.failed("ListOffsets", &error))?;
        let offset = found.elements().first().map(|element| element.offset());
        // Where no record is that young, the end is meant.
        Ok(match offset {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    /// As [`Cluster::committed`](crate::Cluster::committed).
    pub fn committed(
        &mut self,
        group: &str,
        partitions: &[(String, u32)],
    ) -> Result<Option<CommittedOffsets>, KafkaError> {
        self.ask_as(group)?;
        self.offsets_of_group(partitions)
    }

    /// Commits the barrier, and reads until it shows.
    pub fn committed_now(
        &mut self,
        barrier: &Barrier<'_>,
        partitions: &[(String, u32)],
    ) -> Result<CommittedNow, KafkaError> {
        let answer = self.commit_and_read(barrier, partitions);
        if matches!(answer, Err(_) | Ok(CommittedNow::NotShown)) {
            // It may stay with a broker that no longer coordinates the group.
            self.group = None;
        }
        answer
    }

    fn commit_and_read(
        &mut self,
        barrier: &Barrier<'_>,
        partitions: &[(String, u32)],
    ) -> Result<CommittedNow, KafkaError> {
        if !barrier.is_written {
            // librdkafka commits no offset that is none.
            let end = self.offsets(barrier.topic, &[barrier.partition], Time::Latest)?;
            let mut offsets = TopicPartitionList::new();
            let mut added = offsets.add_partition(barrier.topic, barrier.partition as i32);
            added.set_metadata(barrier.text);
            let added = added.set_offset(Offset::Offset(end.first().copied().unwrap_or_default()));
            let committed = added.and_then(|()| (barrier.commit)(&offsets));
            committed.map_err(|error| self.failed("OffsetCommit", &error))?;
        }
        let at = (barrier.topic.to_owned(), barrier.partition);
        let until = Instant::now() + COMMITTED;
        self.ask_as(&barrier.by.group)?;
        loop {
            let Some(found) = self.offsets_of_group(partitions)? else {
                return Ok(CommittedNow::Unstable);
            };
            if found.get(&at).is_some_and(|shown| shown.metadata == barrier.text) {
                return Ok(CommittedNow::Offsets(found));
            }
            if Instant::now() > until {
                return Ok(CommittedNow::NotShown);
            }
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
    }

    /// From now on there is a client that asks for this group's offsets.
    fn ask_as(&mut self, group: &str) -> Result<(), KafkaError> {
        if self.group.as_ref().is_none_or(|(of, _)| of != group) {
            self.group = Some((group.to_owned(), self.consumer(group, "read_committed")?));
        }
        Ok(())
    }

    fn offsets_of_group(&self, partitions: &[(String, u32)]) -> Result<Option<CommittedOffsets>, KafkaError> {
        let Some((_, consumer)) = &self.group else {
            return Err(KafkaError::Stopped);
        };
        self.offsets_of(consumer, partitions)
    }

    /// As [`Cluster::committed_so_far`](crate::Cluster::committed_so_far).
    pub fn committed_so_far(
        &mut self,
        group: &str,
        partitions: &[(String, u32)],
    ) -> Result<CommittedOffsets, KafkaError> {
        let consumer = self.consumer(group, "read_uncommitted")?;
        let found = self.offsets_of(&consumer, partitions)?;
        found.ok_or_else(|| self.failed("OffsetFetch", &ClientError::OffsetFetch(Code::OperationTimedOut)))
    }

    fn offsets_of(
        &self,
        consumer: &BaseConsumer<Quiet>,
        partitions: &[(String, u32)],
    ) -> Result<Option<CommittedOffsets>, KafkaError> {
        consumer.poll(Duration::ZERO);
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in partitions {
            asked.add_partition(topic, *partition as i32);
        }
        let found = match consumer.committed_offsets(asked, COMMITTED) {
            Ok(found) => found,
            // So it says too while a transaction that commits some of them is open.
            Err(error) if error.rdkafka_error_code() == Some(Code::OperationTimedOut) => return Ok(None),
            Err(error) if error.rdkafka_error_code() == Some(Code::UnstableOffsetCommit) => return Ok(None),
            Err(error) => return Err(self.failed("OffsetFetch", &error)),
        };
        let mut committed = CommittedOffsets::new();
        for element in found.elements() {
            if let Err(error) = element.error() {
                return Err(self.failed("OffsetFetch", &error));
            }
            if let Offset::Offset(offset) = element.offset() {
                let place = (element.topic().to_owned(), element.partition() as u32);
                let metadata = element.metadata().to_owned();
                let epoch = -1;
                committed.insert(
                    place,
                    Committed {
                        offset,
                        epoch,
                        metadata,
                    },
                );
            }
        }
        Ok(Some(committed))
    }

    /// As [`Cluster::create_partitions`](crate::Cluster::create_partitions).
    pub fn create_partitions(&mut self, name: &str, n_partitions: u32) -> Result<(), KafkaError> {
        let what = "CreatePartitions";
        let wanted = NewPartitions::new(name, n_partitions as usize);
        let (admin, options, runtime) = self.admin(what)?;
        let made = runtime.block_on(admin.create_partitions([&wanted], &options));
        for topic in made.map_err(|error| self.failed(what, &error))? {
            match topic {
                // It has as many already.
                Ok(_) | Err((_, Code::InvalidPartitions)) => {}
                Err((name, code)) => return Err(self.refused(what, &name, code)),
            }
        }
        Ok(())
    }

    /// A client that changes topics, for a while.
    fn admin(&self, what: &'static str) -> Result<(AdminClient<Quiet>, AdminOptions, Runtime), KafkaError> {
        let quiet = Quiet {
            login: self.settings.token_login(),
        };
        let admin: Result<AdminClient<Quiet>, _> = client_config(&self.settings).create_with_context(quiet);
        let admin = admin.map_err(|error| self.failed(what, &error))?;
        let options = AdminOptions::new()
            .operation_timeout(Some(MAKING))
            .request_timeout(Some(MAKING));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|source| KafkaError::Unreachable {
            broker: self.settings.brokers.to_string(),
            source,
        })?;
        Ok((admin, options, runtime))
    }

    fn refused(&self, what: &'static str, name: &str, code: Code) -> KafkaError {
        KafkaError::Client {
            brokers: self.settings.brokers.to_string(),
            reason: format!("{what}: {name}: {code}"),
            is_final: true,
        }
    }

    /// As [`Cluster::create_topics`](crate::Cluster::create_topics).
    pub fn create_topics(&mut self, topics: &[NewTopic]) -> Result<(), KafkaError> {
        let what = "CreateTopics";
        let wanted = topics.iter().map(|topic| {
            let copies = topic.replication.map_or(-1, i32::from);
            let wanted = Wanted::new(&topic.name, topic.partitions as i32, TopicReplication::Fixed(copies));
            topic
                .config
                .iter()
                .fold(wanted, |wanted, (name, value)| wanted.set(name, value))
        });
        let wanted: Vec<Wanted<'_>> = wanted.collect();
        let (admin, options, runtime) = self.admin(what)?;
        let made = runtime.block_on(admin.create_topics(&wanted, &options));
        for topic in made.map_err(|error| self.failed(what, &error))? {
            match topic {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(self.refused(what, &name, code)),
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for LibrdkafkaCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibrdkafkaCluster").finish_non_exhaustive()
    }
}
