//! What nodes are set to: a ConfigMap a pool.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::ConfigMap;
use tocsin_contract::pipeline::kafka::{KafkaListener, KafkaRole, ListenerAuthentication};

use super::nodes::{Nodes, Pool};
use super::{CLIENTS, CONTROLLERS, REPLICATION, metadata, min_in_sync, node_pool, secrets};
use crate::pipeline::Pipeline;

/// The settings, with [`NODE`] and [`HOST`] for what differs from node to node.
pub const FILE: &str = "server.properties";
/// What a node logs.
pub const LOGGING: &str = "log4j2.yaml";

/// Stands for a node's id.
pub const NODE: &str = "@NODE@";
/// Stands for the name by which a node is reached.
pub const HOST: &str = "@HOST@";

/// To standard output alone: a node's root file system is read-only.
const LOG4J: &str = "Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout: {pattern: '[%d] %p %m (%c)%n'}
  Loggers:
    Root: {level: INFO, AppenderRef: {ref: out}}
";

/// The settings of a pool's nodes.
pub fn config_map(pipeline: &Pipeline, nodes: &Nodes, pool: &Pool) -> ConfigMap {
    let files = [(FILE, properties(pipeline, nodes, pool)), (LOGGING, LOG4J.to_owned())];
    ConfigMap {
        metadata: metadata(pipeline, pipeline.names().kafka_pool(&pool.spec.name)),
        data: Some(files.map(|(name, text)| (name.to_owned(), text)).into()),
        ..ConfigMap::default()
    }
}

/// `server.properties`. What the user sets counts more than what is set here, but for what the cluster's safety hangs on.
fn properties(pipeline: &Pipeline, nodes: &Nodes, pool: &Pool) -> String {
    let kafka = &pipeline.spec.kafka;
    let mut settings = BTreeMap::from([
        ("auto.create.topics.enable".to_owned(), "false".to_owned()),
        (
            "default.replication.factor".to_owned(),
            kafka.replication_factor.to_string(),
        ),
        ("min.insync.replicas".to_owned(), min_in_sync(kafka).to_string()),
        ("num.partitions".to_owned(), kafka.partitions.to_string()),
        (
            "log.retention.ms".to_owned(),
            (kafka.retention.as_micros() / 1_000).to_string(),
        ),
    ]);
    for (name, copies) in [
        ("offsets.topic", "replication.factor"),
        ("transaction.state.log", "replication.factor"),
    ] {
        settings.insert(format!("{name}.{copies}"), kafka.replication_factor.to_string());
    }
    settings.insert(
        "transaction.state.log.min.isr".to_owned(),
        min_in_sync(kafka).to_string(),
    );
    settings.extend(kafka.config.iter().map(|(name, value)| (name.clone(), value.clone())));
    settings.extend(fixed(pipeline, nodes, pool));
    let mut text = String::new();
    for (name, value) in settings {
        // Writing to memory does not fail.
        writeln!(text, "{name}={}", escaped(&value)).ok();
    }
    text
}

/// A value as a file of properties has it: one line, in which a backslash is one.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(['\n', '\r'], " ")
}

/// What the cluster's safety hangs on.
fn fixed(pipeline: &Pipeline, nodes: &Nodes, pool: &Pool) -> Vec<(String, String)> {
    let names = pipeline.names();
    let service = names.kafka_nodes();
    let namespace = &pipeline.id.namespace;
    let voters = nodes.controllers().flat_map(|(pool, ids)| {
        let set = names.kafka_pool(pool);
        let (service, namespace) = (service.clone(), namespace.clone());
        ids.zip(0..)
            .map(move |(id, ordinal)| format!("{id}@{set}-{ordinal}.{service}.{namespace}.svc:{CONTROLLERS}"))
    });
    let roles: Vec<&str> = [(KafkaRole::Controller, "controller"), (KafkaRole::Broker, "broker")]
        .into_iter()
        .filter(|(role, _)| pool.has(*role))
        .map(|(_, name)| name)
        .collect();
    let listeners = listeners(pipeline, pool);
    let of = |part: fn(&Listener) -> String| listeners.iter().map(part).collect::<Vec<_>>().join(",");
    let mut settings = vec![
        ("node.id", NODE.to_owned()),
        ("process.roles", roles.join(",")),
        ("controller.quorum.voters", voters.collect::<Vec<_>>().join(",")),
        ("controller.listener.names", "CONTROLLERS".to_owned()),
        ("inter.broker.listener.name", "REPLICATION".to_owned()),
        (
            "listeners",
            of(|listener| format!("{}://:{}", listener.name, listener.port)),
        ),
        ("listener.security.protocol.map", protocols(pipeline)),
        ("log.dirs", node_pool::DATA.to_owned()),
        (
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        ),
        ("allow.everyone.if.no.acl.found", "false".to_owned()),
        (
            "super.users",
            format!("User:CN={};User:CN={}", secrets::NODES, secrets::OPERATOR),
        ),
        ("ssl.keystore.type", "PEM".to_owned()),
        (
            "ssl.keystore.location",
            format!("{}/{}", node_pool::TLS, secrets::KEYSTORE),
        ),
        ("ssl.truststore.type", "PEM".to_owned()),
        (
            "ssl.truststore.location",
            format!("{}/{}", node_pool::TLS, secrets::AUTHORITY),
        ),
        ("ssl.client.auth", "none".to_owned()),
        ("listener.name.controllers.ssl.client.auth", "required".to_owned()),
        ("listener.name.replication.ssl.client.auth", "required".to_owned()),
    ];
    if pool.has(KafkaRole::Broker) {
        let advertised = listeners.iter().filter(|listener| listener.name != "CONTROLLERS");
        let advertised = advertised.map(|listener| format!("{}://{HOST}:{}", listener.name, listener.port));
        settings.push(("advertised.listeners", advertised.collect::<Vec<_>>().join(",")));
    }
    let mut settings: Vec<(String, String)> = settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for listener in listeners.iter().filter(|listener| listener.is_scram) {
        let name = listener.name.to_ascii_lowercase();
        settings.extend([
            (
                format!("listener.name.{name}.sasl.enabled.mechanisms"),
                "SCRAM-SHA-512".to_owned(),
            ),
            (
                format!("listener.name.{name}.scram-sha-512.sasl.jaas.config"),
                "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            ),
        ]);
    }
    for listener in listeners.iter().filter(|listener| listener.is_certified) {
        let name = listener.name.to_ascii_lowercase();
        settings.push((format!("listener.name.{name}.ssl.client.auth"), "required".to_owned()));
    }
    settings
}

/// Where a node listens.
struct Listener {
    name: String,
    port: u16,
    is_scram: bool,
    is_certified: bool,
}

fn listeners(pipeline: &Pipeline, pool: &Pool) -> Vec<Listener> {
    let own = |name: &str, port, is_scram| Listener {
        name: name.to_owned(),
        port,
        is_scram,
        is_certified: false,
    };
    let mut listeners = Vec::new();
    if pool.has(KafkaRole::Controller) {
        listeners.push(own("CONTROLLERS", CONTROLLERS, false));
    }
    if pool.has(KafkaRole::Broker) {
        listeners.push(own("REPLICATION", REPLICATION, false));
        listeners.push(own("CLIENTS", CLIENTS, true));
        listeners.extend(pipeline.spec.kafka.listeners.iter().map(|listener| Listener {
            name: name_of(listener),
            port: listener.port,
            is_scram: listener.authentication == Some(ListenerAuthentication::ScramSha512),
            is_certified: listener.authentication == Some(ListenerAuthentication::Tls),
        }));
    }
    listeners
}

/// How each listener is secured, also those that only nodes of other pools have.
fn protocols(pipeline: &Pipeline) -> String {
    let own = ["CONTROLLERS:SSL", "REPLICATION:SSL", "CLIENTS:SASL_SSL"].map(str::to_owned);
    let further = pipeline.spec.kafka.listeners.iter().map(|listener| {
        let is_scram = listener.authentication == Some(ListenerAuthentication::ScramSha512);
        let protocol = match (listener.tls, is_scram) {
            (true, true) => "SASL_SSL",
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            (false, false) => "PLAINTEXT",
        };
        format!("{}:{protocol}", name_of(listener))
    });
    own.into_iter().chain(further).collect::<Vec<_>>().join(",")
}

/// Kafka's name of a listener that the spec names: none of ours begins so.
fn name_of(listener: &KafkaListener) -> String {
    let fitting = listener.name.to_ascii_uppercase().replace('-', "_");
    format!("L_{fitting}")
}
