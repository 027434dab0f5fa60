//! What a cluster says of itself: its brokers, its topics, and where their logs begin and end.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustls::ClientConfig;
use tocsin_worker_core::kafka::error_code::UNKNOWN_TOPIC_OR_PARTITION;
use tocsin_worker_core::kafka::fetching::Leader;
use uuid::Uuid;

use super::connection::Connection;
use super::error::KafkaError;
use super::librdkafka::LibrdkafkaCluster;
use super::settings::ClusterSettings;
use super::tls;

/// Newest version of Metadata that is spoken; 10 has ids of topics.
pub(super) const METADATA: i16 = 12;

/// Newest version of ListOffsets that is spoken; 4 knows epochs.
const LIST_OFFSETS: i16 = 7;

/// A cluster, asked by one thread.
#[derive(Debug)]
pub struct Cluster {
    settings: ClusterSettings,
    tls: Option<Arc<ClientConfig>>,
    /// Addresses, as the cluster named them last.
    brokers: BTreeMap<i32, String>,
    /// To whom metadata questions go, and how often another was looked for.
    any: Option<Connection>,
    others: usize,
    connections: BTreeMap<i32, Connection>,
    /// Asked in our place, if we cannot log in.
    pub(super) other: Option<Box<LibrdkafkaCluster>>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id; a topic that is deleted and made again has another. Old brokers give none.
    pub id: Option<Uuid>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionInfo>,
    /// Copies of each of its partitions; 0 where nobody says.
    pub replication: u32,
    /// What we may do with it.
    pub rights: Rights,
}

/// What we may do with a topic, as its brokers say: a bit for each of Kafka's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(i32);

impl Rights {
    /// Whether we may read it.
    pub fn may_read(self) -> bool {
        self.has(3)
    }

    /// Whether we may write it.
    pub fn may_write(self) -> bool {
        self.has(4)
    }

    /// Nobody has said.
    pub(super) fn unknown() -> Self {
        Self(i32::MIN)
    }

    fn has(self, operation: i32) -> bool {
        // An old broker does not say, nor does librdkafka.
        self.0 == i32::MIN || self.0 & (1 << operation) != 0
    }
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: u32,
    /// Who leads it; nobody while a leader is being elected.
    pub leader: Option<Leader>,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The first record that is left.
    Earliest,
    /// Behind the last record that a reader of committed records may see.
    LatestCommitted,
    /// Behind the last record.
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since 1970.
    At(i64),
}

impl Cluster {
    /// A cluster; nobody is asked yet.
    ///
    /// # Errors
    /// If the settings for TLS cannot be used.
    pub fn new(settings: ClusterSettings) -> Result<Self, KafkaError> {
        let tls = settings.tls.as_ref().map(tls::config).transpose()?;
        let other = settings.needs_librdkafka();
        Ok(Self {
            other: other.then(|| Box::new(LibrdkafkaCluster::new(settings.clone()))),
            settings,
            tls,
            brokers: BTreeMap::new(),
            any: None,
            others: 0,
            connections: BTreeMap::new(),
        })
    }

    /// How the cluster is reached.
    pub fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Address of a broker, by its number.
    pub fn address(&self, broker: i32) -> Option<&str> {
        self.brokers.get(&broker).map(String::as_str)
    }

    /// Addresses of the brokers, as the cluster named them last.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.brokers.values().cloned().collect()
    }

    /// Looks up topics; one that is not there is left out.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn topics(&mut self, names: &[&str]) -> Result<Vec<TopicInfo>, KafkaError> {
        if let Some(other) = &mut self.other {
            return other.topics(names);
        }
        let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default()
            .with_topics(Some(names.iter().map(topic).collect()))
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(true);
        let response = match self.ask_any("Metadata", &request) {
            Err(error) if error.is_transient() => self.ask_any("Metadata", &request)?,
            outcome => outcome?,
        };
        self.brokers = response
            .brokers
            .iter()
            .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
            .collect();
        let mut topics = Vec::new();
        for topic in &response.topics {
            let Some(name) = topic
                .name
                .as_ref()
                .filter(|_| topic.error_code != UNKNOWN_TOPIC_OR_PARTITION)
            else {
                continue;
            };
            self.any()?
                .check("Metadata", topic.error_code)
                .map_err(|error| error.of_topic(&name.0))?;
            let mut partitions: Vec<PartitionInfo> = topic
                .partitions
                .iter()
                .map(|partition| PartitionInfo {
                    partition: partition.partition_index as u32,
                    leader: (partition.leader_id.0 >= 0).then_some(Leader {
                        broker: partition.leader_id.0,
                        epoch: partition.leader_epoch,
                    }),
                })
                .collect();
            partitions.sort_by_key(|partition| partition.partition);
            topics.push(TopicInfo {
                name: name.0.to_string(),
                id: Some(topic.topic_id).filter(|id| !id.is_nil()),
                replication: topic
                    .partitions
                    .iter()
                    .map(|it| it.replica_nodes.len())
                    .max()
                    .unwrap_or(0) as u32,
                partitions,
                rights: Rights(topic.topic_authorized_operations),
            });
        }
        Ok(topics)
    }

    /// Looks up a topic.
    ///
    /// # Errors
    /// If no broker answers, or there is no such topic.
    pub fn topic(&mut self, name: &str) -> Result<TopicInfo, KafkaError> {
        let found = self.topics(&[name])?.pop();
        found.ok_or_else(|| KafkaError::UnknownTopic(name.to_owned()))
    }

    /// The offset at a place in the logs of these partitions of a topic, in their order.
    ///
    /// # Errors
    /// If a leader does not answer, or there is none.
    pub fn offsets(&mut self, topic: &TopicInfo, partitions: &[u32], time: Time) -> Result<Vec<i64>, KafkaError> {
        if let Some(other) = &mut self.other {
            return other.offsets(&topic.name, partitions, time);
        }
        let mut by_leader: BTreeMap<i32, Vec<(u32, i32)>> = BTreeMap::new();
        for &partition in partitions {
            let info = topic.partitions.get(partition as usize);
            let leader = info.and_then(|info| info.leader).ok_or_else(|| KafkaError::Answer {
                broker: self.settings.brokers.to_string(),
                what: "ListOffsets",
                name: format!("LeaderNotAvailable for {}-{partition}", topic.name),
                code: 5,
            })?;
            by_leader
                .entry(leader.broker)
                .or_default()
                .push((partition, leader.epoch));
        }
        let mut found = BTreeMap::new();
        for (broker, asked) in by_leader {
            found.extend(self.offsets_of(broker, &topic.name, &asked, time)?);
        }
        Ok(partitions
            .iter()
            .filter_map(|partition| found.get(partition).copied())
            .collect())
    }

    fn offsets_of(
        &mut self,
        broker: i32,
        topic: &str,
        asked: &[(u32, i32)],
        time: Time,
    ) -> Result<BTreeMap<u32, i64>, KafkaError> {
        let timestamp = match time {
            Time::Earliest => -2,
            Time::Latest | Time::LatestCommitted => -1,
            Time::At(millis) => millis,
        };
        let partition = |&(partition, epoch): &(u32, i32)| {
            ListOffsetsPartition::default()
                .with_partition_index(partition as i32)
                .with_current_leader_epoch(epoch)
                .with_timestamp(timestamp)
        };
        let asked_topic = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(asked.iter().map(partition).collect());
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(i8::from(time != Time::Latest))
            .with_topics(vec![asked_topic]);
        let connection = self.connection(broker)?;
        let response = match connection.call("ListOffsets", &request, LIST_OFFSETS) {
            Ok(response) => response,
            Err(error) => {
                self.connections.remove(&broker);
                return Err(error);
            }
        };
        let connection = self.connection(broker)?;
        let mut found = BTreeMap::new();
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            connection.check("ListOffsets", partition.error_code)?;
            found.insert(partition.partition_index as u32, partition.offset);
        }
        if let Time::At(_) = time {
            // Where no record is that young, the end is meant.
            let none: Vec<(u32, i32)> = asked
                .iter()
                .filter(|(partition, _)| found.get(partition) == Some(&-1))
                .copied()
                .collect();
            if !none.is_empty() {
                found.extend(self.offsets_of(broker, topic, &none, Time::LatestCommitted)?);
            }
        }
        Ok(found)
    }

    /// The connection to a broker that the cluster has named.
    pub(super) fn connection(&mut self, broker: i32) -> Result<&mut Connection, KafkaError> {
        let stale = self.connections.get(&broker).is_some_and(Connection::is_old);
        if stale {
            self.connections.remove(&broker);
        }
        match self.connections.entry(broker) {
            std::collections::btree_map::Entry::Occupied(there) => Ok(there.into_mut()),
            std::collections::btree_map::Entry::Vacant(empty) => {
                let address = self.brokers.get(&broker).ok_or_else(|| KafkaError::Protocol {
                    broker: self.settings.brokers.to_string(),
                    what: format!("it names a leader {broker} without an address"),
                })?;
                Ok(empty.insert(Connection::open(address, &self.settings, self.tls.as_ref())?))
            }
        }
    }

    /// Asks whoever answers; the connection is dropped when it fails.
    fn ask_any(
        &mut self,
        what: &'static str,
        request: &MetadataRequest,
    ) -> Result<kafka_protocol::messages::MetadataResponse, KafkaError> {
        let answer = self.any()?.call(what, request, METADATA);
        if answer.is_err() {
            self.forget_any();
        }
        answer
    }

    /// The connection to a broker, if there is one: what was asked on it is answered on it.
    pub(super) fn connected(&mut self, broker: i32) -> Option<&mut Connection> {
        self.connections.get_mut(&broker)
    }

    /// Forgets the connection to a broker: it is of no use.
    pub(super) fn disconnect(&mut self, broker: i32) {
        self.connections.remove(&broker);
    }

    /// Asks another broker from now on: this one does not answer, or knows less than others.
    pub(super) fn forget_any(&mut self) {
        self.any = None;
        self.others = self.others.wrapping_add(1);
    }

    pub(super) fn connect(&self, address: &str) -> Result<Connection, KafkaError> {
        Connection::open(address, &self.settings, self.tls.as_ref())
    }

    /// A connection to any broker: to those that the cluster named, and to those of the settings.
    pub(super) fn any(&mut self) -> Result<&mut Connection, KafkaError> {
        let stale = self.any.as_ref().is_some_and(Connection::is_old);
        let connection = match self.any.take().filter(|_| !stale) {
            Some(connection) => connection,
            None => self.open_any()?,
        };
        Ok(self.any.insert(connection))
    }

    fn open_any(&self) -> Result<Connection, KafkaError> {
        let mut named: Vec<&str> = self.brokers.values().map(String::as_str).collect();
        let mut given: Vec<&str> = self.settings.brokers.iter().collect();
        for addresses in [&mut named, &mut given] {
            let first = self.others.checked_rem(addresses.len()).unwrap_or_default();
            addresses.rotate_left(first);
        }
        let mut outcome = Err(KafkaError::Stopped);
        for address in named.into_iter().chain(given) {
            outcome = Connection::open(address, &self.settings, self.tls.as_ref());
            match &outcome {
                // The others would say the same.
                Ok(_) => break,
                Err(error) if !error.may_pass() => break,
                Err(_) => {}
            }
        }
        outcome
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
