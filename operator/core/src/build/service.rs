//! How the workers are found.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::ports;

use super::metadata;
use crate::pipeline::Pipeline;

/// A name for each worker, and one for all of them: for Prometheus, and for `kubectl port-forward` to the live page.
pub fn of_workers(pipeline: &Pipeline) -> Service {
    Service {
        metadata: metadata(pipeline, pipeline.names().workers(), Component::Workers),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels::selector(&pipeline.id.name, Component::Workers)),
            // A worker that restores has metrics, too.
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![ServicePort {
                name: Some(ports::ADMIN_NAME.to_owned()),
                port: i32::from(ports::ADMIN),
                target_port: Some(IntOrString::String(ports::ADMIN_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
