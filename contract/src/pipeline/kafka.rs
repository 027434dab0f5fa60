//! The Kafka that a pipeline reads, writes and keeps its journal in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::sink::SecretKeyRef;
use super::stage::ObjectRef;
use crate::duration::Duration;
use crate::quantity::Quantity;
use crate::rule::validations;
use crate::schema::list::{List, Map, Named};
use crate::schema::text::{Brokers, HttpUrl, Label, ObjectName, Text, TopicName};

/// The Kafka of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[&rules::KAFKA[..], &rules::KAFKA_CHANGE[..]].concat())))]
pub struct Kafka {
    /// Who runs Kafka. By default External if `bootstrapServers` is set, else Managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<KafkaMode>,
    /// Brokers of an external Kafka: `host:port`, several with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Brokers")]
    pub bootstrap_servers: Option<String>,
    /// Whether topics are made for the pipeline, and in a Kafka of its own users and access rules. With false they are left to
    /// you, and the workers check that the topics exist.
    pub manage_topics: bool,
    /// Version of Kafka; by default the newest that the operator knows. Managed and Strimzi.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<32>")]
    pub version: Option<String>,
    /// Groups of brokers. By default one group of three that are controllers too. Managed and Strimzi.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<KafkaPool, 16>")]
    pub pools: Vec<KafkaPool>,
    /// Ways to reach the brokers besides the pipeline's own. Managed and Strimzi.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<KafkaListener, 8>")]
    pub listeners: Vec<KafkaListener>,
    /// Further settings of the brokers. Managed and Strimzi.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Text<1024>, 128>")]
    pub config: BTreeMap<String, String>,
    /// Whether partitions are spread anew when brokers come or go. Managed and Strimzi.
    pub auto_rebalance: bool,
    /// Topics that are made with settings of their own; the others get the defaults below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<KafkaTopic, 128>")]
    pub topics: Vec<KafkaTopic>,
    /// Partitions of a topic that is made.
    #[schemars(range(min = 1, max = 10000))]
    pub partitions: u32,
    /// Copies of each partition of a topic that is made.
    #[schemars(range(min = 1, max = 16))]
    pub replication_factor: u32,
    /// How long a topic that is made keeps its records.
    pub retention: Duration,
    /// Where the first start of the pipeline begins to read.
    pub starting_offsets: StartingOffsets,
    /// Limits of the pipeline's Kafka user. Managed and Strimzi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<KafkaUser>,
    /// Encryption on the way to the brokers. Managed and Strimzi set it up by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// Name and password on the way to the brokers. Managed and Strimzi set it up by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSasl>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            mode: None,
            bootstrap_servers: None,
            manage_topics: true,
            version: None,
            pools: Vec::new(),
            listeners: Vec::new(),
            config: BTreeMap::new(),
            auto_rebalance: true,
            topics: Vec::new(),
            // 1, 2, 3, 4, 6 and 12 workers share twelve partitions evenly.
            partitions: 12,
            replication_factor: 3,
            retention: Duration::from_mins(7 * 24 * 60),
            starting_offsets: StartingOffsets::default(),
            user: None,
            tls: None,
            sasl: None,
        }
    }
}

impl Kafka {
    /// Who runs Kafka, the default worked out.
    pub fn effective_mode(&self) -> KafkaMode {
        match (self.mode, &self.bootstrap_servers) {
            (Some(mode), _) => mode,
            (None, Some(_)) => KafkaMode::External,
            (None, None) => KafkaMode::Managed,
        }
    }
}

/// Who runs Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KafkaMode {
    /// The operator, in a StatefulSet of its own.
    Managed,
    /// Strimzi, through its custom resources.
    Strimzi,
    /// Somebody else: `bootstrapServers` says where it is.
    External,
}

/// A group of brokers that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaPool {
    /// Name of the group.
    #[schemars(with = "Label")]
    pub name: String,
    /// What its nodes do.
    #[serde(default = "both_roles")]
    #[schemars(with = "List<KafkaRole, 2>", extend("minItems" = 1))]
    pub roles: Vec<KafkaRole>,
    /// Number of nodes.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: u32,
    /// The disk of each node.
    #[serde(default)]
    pub storage: KafkaStorage,
    /// Processor and memory of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<super::workers::Resources>,
}

fn both_roles() -> Vec<KafkaRole> {
    vec![KafkaRole::Controller, KafkaRole::Broker]
}

fn three() -> u32 {
    3
}

/// What a node of Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KafkaRole {
    /// Takes part in the metadata quorum.
    Controller,
    /// Keeps partitions.
    Broker,
}

/// The disk of a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaStorage {
    /// Size of the disk.
    pub size: Quantity,
    /// StorageClass of the disk; by default the cluster's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub class: Option<String>,
    /// Whether the disk goes with the broker. False keeps it.
    pub delete_claim: bool,
}

impl Default for KafkaStorage {
    fn default() -> Self {
        Self {
            size: Quantity::new("100Gi"),
            class: None,
            delete_claim: false,
        }
    }
}

/// A way to reach the brokers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaListener {
    /// Name of the listener.
    #[schemars(with = "Label")]
    pub name: String,
    /// Port of the listener. The pipeline's own listener has 9092.
    #[schemars(range(min = 9093, max = 65535))]
    pub port: u16,
    /// Who can reach it.
    #[serde(default, rename = "type")]
    pub kind: ListenerKind,
    /// Whether it is encrypted.
    #[serde(default = "yes")]
    pub tls: bool,
    /// How clients say who they are; without it they need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ListenerAuthentication>,
}

fn yes() -> bool {
    true
}

/// Who can reach a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListenerKind {
    /// The cluster alone.
    #[default]
    Internal,
    /// Whoever reaches a port of the nodes.
    NodePort,
    /// Whoever reaches the cloud's load balancer.
    LoadBalancer,
}

/// How clients of a listener say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListenerAuthentication {
    /// By name and password, SCRAM-SHA-512.
    ScramSha512,
    /// By a client certificate.
    Tls,
}

/// A topic with settings of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopic {
    /// Name of the topic.
    #[schemars(with = "TopicName")]
    pub name: String,
    /// Number of partitions; by default `kafka.partitions`. It can grow and never shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        range(min = 1, max = 10000),
        extend("x-kubernetes-validations" = validations(&rules::TOPIC_PARTITIONS))
    )]
    pub partitions: Option<u32>,
    /// Copies of each partition; by default `kafka.replicationFactor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub replication_factor: Option<u32>,
    /// How long records are kept; by default `kafka.retention`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
    /// Whether Kafka keeps the newest record of each key instead of all for a time: for tables.
    #[serde(default)]
    pub compacted: bool,
    /// Further settings of the topic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Text<1024>, 64>")]
    pub config: BTreeMap<String, String>,
}

/// Where the first start begins to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StartingOffsets {
    /// At the oldest record that Kafka still has.
    #[default]
    Earliest,
    /// At what comes next.
    Latest,
}

/// Limits of a Kafka user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaUser {
    /// Most bytes per second that the pipeline writes, per broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub producer_byte_rate: Option<u64>,
    /// Most bytes per second that the pipeline reads, per broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub consumer_byte_rate: Option<u64>,
}

/// Encryption on the way to the brokers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTls {
    /// The certificate authority of the brokers; without it the system's own authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// Client certificate: a Secret of type `kubernetes.io/tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret_ref: Option<ObjectRef>,
}

/// Whether a name can be a Kerberos principal: it becomes part of a command that gets a ticket.
pub fn is_principal(name: &str) -> bool {
    let may_be = |c: char| c.is_ascii_alphanumeric() || "._/@-".contains(c);
    !name.is_empty() && name.chars().all(may_be)
}

/// Name and password on the way to the brokers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSasl {
    /// How name and password are sent.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// Name of the user; with OAuthBearer the client's id at the token endpoint, with Kerberos the principal.
    #[schemars(with = "Text<256>")]
    pub username: String,
    /// Where the password stands: a key of a Secret. With OAuthBearer the client's secret, with Kerberos a
    /// keytab.
    pub password_secret_ref: SecretKeyRef,
    /// With OAuthBearer: where tokens are asked for, by client credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpUrl")]
    pub token_endpoint: Option<String>,
    /// With OAuthBearer: the scope that tokens are asked for with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<1024>")]
    pub scope: Option<String>,
    /// With Kerberos: the first part of the brokers' principals. `kafka` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<256>")]
    pub service_name: Option<String>,
}

/// How name and password are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// SCRAM with SHA-512: the password itself is never sent.
    #[default]
    ScramSha512,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// As plain text; only with `tls`.
    Plain,
    /// By a token that a token endpoint gives; only with `tls`.
    OAuthBearer,
    /// By a Kerberos ticket, got with a keytab.
    Kerberos,
}
