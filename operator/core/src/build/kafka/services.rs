//! How nodes are found, who reaches them, and how many may be away at a time.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tocsin_contract::labels::{self, Component};

use super::{CLIENTS, CONTROLLERS, REPLICATION, metadata};
use crate::pipeline::Pipeline;

/// Gives each node a name of its own, also before it is ready: it must find the others to become so.
pub fn of_nodes(pipeline: &Pipeline) -> Service {
    let ports = [
        ("controllers", CONTROLLERS),
        ("replication", REPLICATION),
        ("clients", CLIENTS),
    ];
    Service {
        metadata: metadata(pipeline, pipeline.names().kafka_nodes()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(selector(pipeline)),
            ports: Some(ports.map(|(name, port)| service_port(name, port)).to_vec()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Where clients begin.
pub fn bootstrap(pipeline: &Pipeline) -> Service {
    let mut ports = vec![service_port("clients", CLIENTS)];
    let further = pipeline.spec.kafka.listeners.iter();
    ports.extend(further.map(|listener| service_port(&listener.name, listener.port)));
    Service {
        metadata: metadata(pipeline, pipeline.names().kafka()),
        spec: Some(ServiceSpec {
            selector: Some(selector(pipeline)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Controllers and replication are the nodes' own and the operator's; clients come from anywhere, and log in.
pub fn network_policy(pipeline: &Pipeline) -> NetworkPolicy {
    let port = |port: u16| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    let nodes = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector {
            match_labels: Some(selector(pipeline)),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    };
    // Its namespace cannot be told here; it shows a certificate that nobody else has.
    let operators = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector {
            match_labels: Some(
                [
                    ("app.kubernetes.io/name", "tocsin"),
                    ("app.kubernetes.io/component", "operator"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    };
    let further = pipeline.spec.kafka.listeners.iter();
    let mut clients = vec![port(CLIENTS)];
    clients.extend(further.map(|listener| port(listener.port)));
    NetworkPolicy {
        metadata: metadata(pipeline, pipeline.names().kafka()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(selector(pipeline)),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule {
                    from: Some(vec![nodes, operators]),
                    ports: Some(vec![port(CONTROLLERS), port(REPLICATION)]),
                },
                NetworkPolicyIngressRule {
                    from: None,
                    ports: Some(clients),
                },
            ]),
            egress: None,
        }),
    }
}

/// One node at a time: what is more would take the quorum, or partitions, away.
pub fn pod_disruption_budget(pipeline: &Pipeline) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(pipeline, pipeline.names().kafka()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(selector(pipeline)),
                match_expressions: None,
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

fn selector(pipeline: &Pipeline) -> BTreeMap<String, String> {
    labels::selector(&pipeline.id.name, Component::Kafka)
}

fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
