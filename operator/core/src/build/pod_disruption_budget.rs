//! How many workers a drain of nodes may take at once.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tocsin_contract::labels::{self, Component};

use super::metadata;
use crate::pipeline::Pipeline;

/// One at a time. A worker that is not ready anyway may always go: else one that crashes would hold up a node for ever.
pub fn of_workers(pipeline: &Pipeline) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(pipeline, pipeline.names().workers(), Component::Workers),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&pipeline.id.name, Component::Workers)),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
