//! Where pods of a pipeline stand: on different machines and in different zones, where there are several. Never is one left out
//! for that. A volume that one machine alone can mount keeps the workers together instead.

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinity, PodAffinityTerm, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::pipeline::state::Storage;

use super::claim::{READ_WRITE_ONCE, access_mode};
use crate::pipeline::Pipeline;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// As many in one zone as in another, and on one machine as on another.
pub(super) fn constraints(pipeline: &Pipeline, component: Component) -> Vec<TopologySpreadConstraint> {
    let over = |topology_key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(&pipeline.id.name, component)),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    };
    vec![over(HOSTNAME), over("topology.kubernetes.io/zone")]
}

/// Whether the workers' volume is one that a single machine mounts at a time.
pub(super) fn shares_a_machine(storage: &Storage) -> bool {
    storage
        .volume
        .as_ref()
        .is_some_and(|volume| access_mode(volume) == READ_WRITE_ONCE)
}

/// Workers of such a volume stand beside one another, all of them.
pub(super) fn together(pipeline: &str) -> Affinity {
    Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![beside_workers(pipeline)]),
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// A pod that mounts such a volume for a while stands beside the workers, if there are any.
pub(super) fn beside(pipeline: &str) -> Affinity {
    let term = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: beside_workers(pipeline),
    };
    Affinity {
        pod_affinity: Some(PodAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn beside_workers(pipeline: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: HOSTNAME.to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(pipeline, Component::Workers)),
            match_expressions: None,
        }),
        ..PodAffinityTerm::default()
    }
}
