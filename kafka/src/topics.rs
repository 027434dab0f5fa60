//! Making topics, and what they are set to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use tocsin_worker_core::kafka::error_code::{INVALID_PARTITIONS, TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC_OR_PARTITION};

use super::cluster::{Cluster, METADATA, topic_name};
use super::error::KafkaError;

/// A topic to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many copies; without a number what the brokers have set.
    pub replication: Option<u16>,
    /// Further settings.
    pub config: Vec<(String, String)>,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicAsIs {
    /// Its partitions.
    pub partitions: u32,
    /// Copies of each.
    pub replication: u32,
    /// Its settings that are not the brokers' own.
    pub config: BTreeMap<String, String>,
}

/// DeleteTopics, by name.
const DELETE_TOPICS: i16 = 5;
/// IncrementalAlterConfigs.
const INCREMENTAL_ALTER_CONFIGS: i16 = 1;
/// What is done to a setting: it is set.
const SET: i8 = 0;
/// Where a setting comes from: the topic's own.
const OF_TOPIC: i8 = 1;

/// CreateTopics: version 5 and newer take the brokers' own settings.
const CREATE_TOPICS: i16 = 5;
/// CreatePartitions.
const CREATE_PARTITIONS: i16 = 2;
/// DescribeConfigs.
const DESCRIBE_CONFIGS: i16 = 4;
/// Brokers know of a new topic within this, and between two looks so much time passes.
const KNOWN: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Kind of a resource: a topic.
const TOPIC: i8 = 2;

/// Settings of a topic: how long a record is kept at least, and whether it is deleted then.
const RETENTION: &str = "retention.ms";
const CLEANUP: &str = "cleanup.policy";

impl Cluster {
    /// Gives a topic partitions until it has so many; one that has them stays as it is.
    ///
    /// # Errors
    /// If the cluster refuses that.
    pub fn create_partitions(&mut self, name: &str, n_partitions: u32) -> Result<(), KafkaError> {
        if let Some(other) = &mut self.other {
            return other.create_partitions(name, n_partitions);
        }
        let what = "CreatePartitions";
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(n_partitions as i32)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(15_000);
        let connection = self.any()?;
        let response = connection.call(what, &request, CREATE_PARTITIONS)?;
        for topic in response
            .results
            .iter()
            .filter(|topic| topic.error_code != INVALID_PARTITIONS)
        {
            connection
                .check(what, topic.error_code)
                .map_err(|error| error.of_topic(name))?;
        }
        Ok(())
    }

    /// For how long topics keep records. Those that keep all of them are left out, and those of which we may not look at the
    /// settings.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn retentions(&mut self, topics: &[&str]) -> Result<BTreeMap<String, Duration>, KafkaError> {
        if self.other.is_some() {
            return Ok(BTreeMap::new());
        }
        let what = "DescribeConfigs";
        let text = StrBytes::from_static_str;
        let resource = |name: &&str| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(StrBytes::from_string((*name).to_owned()))
                .with_configuration_keys(Some(vec![text(RETENTION), text(CLEANUP)]))
        };
        let request = DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
        let response = self.any()?.call(what, &request, DESCRIBE_CONFIGS)?;
        let mut retentions = BTreeMap::new();
        for topic in response.results.into_iter().filter(|topic| topic.error_code == 0) {
            let setting = |name: &str| {
                let mut settings = topic.configs.iter();
                settings.find(|setting| setting.name.as_str() == name)?.value.as_deref()
            };
            let deletes = setting(CLEANUP).is_none_or(|policy| policy.contains("delete"));
            let millis = setting(RETENTION).and_then(|millis| millis.parse::<i64>().ok());
            let millis = millis.and_then(|millis| u64::try_from(millis).ok()).filter(|_| deletes);
            if let Some(millis) = millis {
                retentions.insert(topic.resource_name.to_string(), Duration::from_millis(millis));
            }
        }
        Ok(retentions)
    }

    /// Topics as they are, of these names; one that is not there is left out.
    ///
    /// # Errors
    /// If no broker answers, or we may not look at one.
    pub fn describe_topics(&mut self, names: &[&str]) -> Result<BTreeMap<String, TopicAsIs>, KafkaError> {
        let what = "DescribeConfigs";
        self.needs_own_client(what)?;
        let mut topics = BTreeMap::new();
        for topic in self.topics(names)? {
            topics.insert(
                topic.name.clone(),
                TopicAsIs {
                    partitions: topic.partitions.len() as u32,
                    replication: topic.replication,
                    config: BTreeMap::new(),
                },
            );
        }
        let resource = |name: &String| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(StrBytes::from_string(name.clone()))
                .with_configuration_keys(None)
        };
        let request = DescribeConfigsRequest::default().with_resources(topics.keys().map(resource).collect());
        let connection = self.any()?;
        let response = connection.call(what, &request, DESCRIBE_CONFIGS)?;
        for described in &response.results {
            let name = described.resource_name.as_str();
            connection
                .check(what, described.error_code)
                .map_err(|error| error.of_topic(name))?;
            let own = described
                .configs
                .iter()
                .filter(|config| config.config_source == OF_TOPIC);
            let own = own.filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
            if let Some(topic) = topics.get_mut(name) {
                topic.config = own.collect();
            }
        }
        Ok(topics)
    }

    /// Sets a topic's settings; others of it stay.
    ///
    /// # Errors
    /// If the cluster refuses that.
    pub fn configure_topic(&mut self, name: &str, config: &BTreeMap<String, String>) -> Result<(), KafkaError> {
        let what = "IncrementalAlterConfigs";
        self.needs_own_client(what)?;
        let set = |(name, value): (&String, &String)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_config_operation(SET)
                .with_value(Some(StrBytes::from_string(value.clone())))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_configs(config.iter().map(set).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let connection = self.any()?;
        let response = connection.call(what, &request, INCREMENTAL_ALTER_CONFIGS)?;
        for topic in &response.responses {
            connection
                .check(what, topic.error_code)
                .map_err(|error| error.of_topic(name))?;
        }
        Ok(())
    }

    /// The names of all topics that begin so, in order.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn topics_beginning_with(&mut self, prefix: &str) -> Result<Vec<String>, KafkaError> {
        self.needs_own_client("Metadata")?;
        // Without names all topics are meant.
        let request = MetadataRequest::default()
            .with_topics(None)
            .with_allow_auto_topic_creation(false);
        let response = self.any()?.call("Metadata", &request, METADATA)?;
        let names = response.topics.iter().filter_map(|topic| topic.name.as_ref());
        let mut names: Vec<String> = names.map(|name| name.0.to_string()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }

    /// Removes topics; one that is not there is as good.
    ///
    /// # Errors
    /// If the cluster refuses one.
    pub fn remove_topics(&mut self, names: &[&str]) -> Result<(), KafkaError> {
        let what = "DeleteTopics";
        self.needs_own_client(what)?;
        let request = DeleteTopicsRequest::default()
            .with_topic_names(names.iter().map(|name| topic_name(name)).collect())
            .with_timeout_ms(15_000);
        let connection = self.any()?;
        let response = connection.call(what, &request, DELETE_TOPICS)?;
        let refused = response
            .responses
            .iter()
            .filter(|topic| topic.error_code != UNKNOWN_TOPIC_OR_PARTITION);
        for topic in refused {
            let name = topic.name.as_ref().map(|name| name.0.to_string()).unwrap_or_default();
            connection
                .check(what, topic.error_code)
                .map_err(|error| error.of_topic(&name))?;
        }
        Ok(())
    }

    /// Waits until each broker that can be asked knows these topics, for a while. A group whose leader hears of none deals nobody
    /// anything, and does not deal again.
    fn await_topics(&mut self, topics: &[NewTopic]) {
        let until = Instant::now() + KNOWN;
        let mut unaware = self.addresses();
        while !unaware.is_empty() && Instant::now() < until {
            unaware.retain(|address| self.knows(address, topics) == Ok(false));
            if !unaware.is_empty() {
                std::thread::park_timeout(BETWEEN_LOOKS);
            }
        }
    }

    /// Whether a broker knows these topics with all their partitions. One that does not answer is asked no more.
    fn knows(&self, address: &str, topics: &[NewTopic]) -> Result<bool, ()> {
        let named = |topic: &NewTopic| MetadataRequestTopic::default().with_name(Some(topic_name(&topic.name)));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(named).collect()))
            .with_allow_auto_topic_creation(false);
        let mut connection = self.connect(address).map_err(drop)?;
        let response = connection.call("Metadata", &request, METADATA).map_err(drop)?;
        Ok(topics.iter().all(|topic| {
            let mut known = response.topics.iter();
            known.any(|known| {
                let is_it = known.name.as_ref().is_some_and(|name| name.0.as_str() == topic.name);
                is_it && known.error_code == 0 && known.partitions.len() >= topic.partitions as usize
            })
        }))
    }

    /// Makes topics; one that is there stays as it is.
    ///
    /// # Errors
    /// If the cluster refuses one, with what it says.
    pub fn create_topics(&mut self, topics: &[NewTopic]) -> Result<(), KafkaError> {
        if topics.is_empty() {
            return Ok(());
        }
        if let Some(other) = &mut self.other {
            return other.create_topics(topics);
        }
        let what = "CreateTopics";
        let text = |text: &String| StrBytes::from_string(text.clone());
        let creatable = |topic: &NewTopic| {
            let configs = topic.config.iter().map(|(name, value)| {
                CreatableTopicConfig::default()
                    .with_name(text(name))
                    .with_value(Some(text(value)))
            });
            CreatableTopic::default()
                .with_name(topic_name(&topic.name))
                .with_num_partitions(topic.partitions as i32)
                .with_replication_factor(topic.replication.map_or(-1, |copies| copies as i16))
                .with_configs(configs.collect())
        };
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable).collect())
            .with_timeout_ms(15_000);
        let connection = self.any()?;
        let response = connection.call(what, &request, CREATE_TOPICS)?;
        for topic in response
            .topics
            .iter()
            .filter(|topic| topic.error_code != TOPIC_ALREADY_EXISTS)
        {
            connection
                .check(what, topic.error_code)
                .map_err(|error| match (error, &topic.error_message) {
                    (
                        KafkaError::Answer {
                            broker,
                            what,
                            name,
                            code,
                        },
                        Some(said),
                    ) => KafkaError::Answer {
                        broker,
                        what,
                        name: format!("{name} for {}: {said}", topic.name.0),
                        code,
                    },
                    (error, _) => error,
                })?;
        }
        self.await_topics(topics);
        Ok(())
    }
}
