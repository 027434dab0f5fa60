//! Who reaches the workers, and whom they reach.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::ports;

use super::metadata;
use crate::pipeline::{Pipeline, Settings};

/// Label of a namespace that the API server sets itself.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Addresses at which clouds give a machine its own credentials, each with all addresses of its family.
const METADATA: [(&str, &str); 2] = [("0.0.0.0/0", "169.254.169.254/32"), ("::/0", "fd00:ec2::254/128")];

/// The workers' admin port is open to their namespace and the operator's. Out they may go anywhere but to their
/// machine's credentials: brokers, stores and receivers are the user's to name, and a policy knows no names.
pub fn of_workers(pipeline: &Pipeline, settings: &Settings) -> NetworkPolicy {
    let own = labels::selector(&pipeline.id.name, Component::Workers);
    let namespace = |name: &str| NetworkPolicyPeer {
        namespace_selector: Some(selector([(NAMESPACE_NAME.to_owned(), name.to_owned())].into())),
        ..NetworkPolicyPeer::default()
    };
    let mut callers = vec![namespace(&pipeline.id.namespace)];
    if settings.namespace != pipeline.id.namespace {
        callers.push(namespace(&settings.namespace));
    }
    // Whoever watches the cluster says so by this label on its namespace.
    callers.push(NetworkPolicyPeer {
        namespace_selector: Some(selector([(MONITORING.to_owned(), "true".to_owned())].into())),
        ..NetworkPolicyPeer::default()
    });
    NetworkPolicy {
        metadata: metadata(pipeline, pipeline.names().workers(), Component::Workers),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(own)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(callers),
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::Int(i32::from(ports::ADMIN))),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
            }]),
            egress: Some(vec![NetworkPolicyEgressRule {
                to: Some(anywhere(pipeline)),
                ports: None,
            }]),
        }),
    }
}

/// All addresses but that of the machines' own data, and all pods: some networks do not know pods by their addresses.
fn anywhere(pipeline: &Pipeline) -> Vec<NetworkPolicyPeer> {
    let mut all: Vec<NetworkPolicyPeer> = METADATA.map(|(all, but)| outside(all, but, pipeline)).into();
    all.push(NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    });
    all
}

/// Label of namespaces whose pods may read the workers' metrics.
pub const MONITORING: &str = "tocsin.dev/monitoring";

/// A bucket without a Secret is reached by the machine's own identity, which that address gives.
fn outside(all: &str, but: &str, pipeline: &Pipeline) -> NetworkPolicyPeer {
    let store = pipeline.spec.state.storage.s3.as_ref();
    let by_identity = store.is_some_and(|s3| s3.secret_ref.is_none());
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: all.to_owned(),
            except: (!by_identity).then(|| vec![but.to_owned()]),
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}
