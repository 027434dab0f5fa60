//! A Kafka that the operator runs: KRaft, in a StatefulSet a pool of nodes.
//!
//! ```text
//!   9090  controllers among themselves and with brokers     mutual TLS
//!   9091  brokers among themselves, and the operator        mutual TLS
//!   9092  the pipeline                                      TLS, SCRAM-SHA-512
//!   9093… further listeners that the spec names
//! ```
//!
//! Nodes are known by certificates of one authority a Kafka; nobody else has one, so whoever shows one may do anything.
//! Everybody else logs in, and may do what access rules allow.

pub mod node_pool;
pub mod nodes;
pub mod properties;
pub mod secrets;
pub mod services;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tocsin_contract::labels::Component;
use tocsin_contract::pipeline::deletion::Fate;
use tocsin_contract::pipeline::kafka::Kafka;

use super::manifest::Manifest;
use crate::pipeline::Pipeline;
use nodes::{KnownPool, Nodes, asked_for};

/// What of a managed Kafka is not in the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    /// The image of its nodes.
    pub image: String,
    /// The id of the cluster: written on every disk, so it stays as long as one of them does.
    pub cluster_id: String,
    /// The pools that were made before.
    pub known: BTreeMap<String, KnownPool>,
    /// How many nodes pools have where that is not what the spec asks for.
    pub sizes: BTreeMap<String, u32>,
    /// Of the nodes' certificate: with another they are started anew, one after the other.
    pub certificate_hash: String,
}

impl Brokers {
    /// The nodes, as they are made.
    pub fn nodes(&self, pipeline: &Pipeline) -> Nodes {
        Nodes::of(&pipeline.spec.kafka, &self.known, &self.sizes)
    }
}

/// Name, labels and owner of an object of the Kafka: it goes with the pipeline only if the Kafka does.
fn metadata(pipeline: &Pipeline, name: String) -> ObjectMeta {
    match pipeline.spec.deletion_policy.kafka {
        Fate::Delete => super::metadata(pipeline, name, Component::Kafka),
        Fate::Retain => super::metadata_of_what_stays(pipeline, name, Component::Kafka),
    }
}

/// The same, of what nobody reads the disks without: it goes with the pipeline only if they do.
fn metadata_with_disks(pipeline: &Pipeline, name: String) -> ObjectMeta {
    let disks_go = asked_for(&pipeline.spec.kafka)
        .iter()
        .all(|pool| pool.storage.delete_claim);
    if disks_go {
        metadata(pipeline, name)
    } else {
        super::metadata_of_what_stays(pipeline, name, Component::Kafka)
    }
}

/// Where the pipeline itself comes in.
pub const CLIENTS: u16 = tocsin_contract::ports::KAFKA;
/// Where controllers meet.
pub const CONTROLLERS: u16 = tocsin_contract::ports::KAFKA_CONTROLLER;
/// Where brokers meet, and the operator comes in.
pub const REPLICATION: u16 = 9091;

/// The objects of a managed Kafka, in the order in which they are applied.
pub fn objects(pipeline: &Pipeline, brokers: &Brokers) -> Vec<Manifest> {
    let nodes = brokers.nodes(pipeline);
    let mut objects = vec![
        Manifest::new(&services::of_nodes(pipeline)),
        Manifest::new(&services::bootstrap(pipeline)),
        Manifest::new(&services::network_policy(pipeline)),
        Manifest::new(&services::pod_disruption_budget(pipeline)),
    ];
    for pool in &nodes.pools {
        objects.push(Manifest::new(&properties::config_map(pipeline, &nodes, pool)));
    }
    for pool in &nodes.pools {
        objects.push(Manifest::new(&node_pool::stateful_set(pipeline, brokers, &nodes, pool)));
    }
    objects
}

/// The brokers' addresses as the pipeline comes in.
pub fn bootstrap_servers(namespace: &str, pipeline: &str) -> String {
    format!(
        "{}.{namespace}.svc:{CLIENTS}",
        crate::names::Names::of(pipeline).kafka()
    )
}

/// The copies of a partition that must be in step for it to be written: one fewer than there are, and one at least.
pub(super) fn min_in_sync(kafka: &Kafka) -> u32 {
    kafka.replication_factor.saturating_sub(1).max(1)
}
