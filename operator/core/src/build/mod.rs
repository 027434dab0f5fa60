//! The objects that a pipeline is made of. Nothing here can fail: what could was checked before.
//!
//! One file a kind of object. What an object says that depends on what the workers do at the moment (how many there are,
//! what they begin with) comes in by [`Run`]; who decides that is `plan`.

pub mod admin;
pub mod arguments;
pub mod claim;
pub mod config_map;
pub mod kafka;
pub mod manifest;
pub mod network_policy;
pub mod pod;
pub mod pod_disruption_budget;
pub mod record;
mod restricted;
pub mod revision;
pub mod secrets;
pub mod service;
pub mod service_account;
pub mod snapshot;
mod spread;
pub mod stateful_set;
pub mod storage;
pub mod storage_job;
pub mod strimzi;
pub mod worker_file;

#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use tocsin_contract::crds::API_VERSION;
use tocsin_contract::labels::Component;

use crate::pipeline::{Pipeline, Settings};
use manifest::Manifest;
use record::Record;
use revision::{Revision, Rules};

/// What the workers do at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How many there are.
    pub replicas: u32,
    /// What they run.
    pub revision: Revision,
    /// The rules that they begin with.
    pub rules: Rules,
    /// What stands on them for the next look, such as what they begin with.
    pub record: Record,
}

/// The objects of a pipeline, in the order in which they are applied: what others refer to first, pods last.
pub fn objects(pipeline: &Pipeline, settings: &Settings, run: &Run) -> Vec<Manifest> {
    let mut objects = vec![
        Manifest::new(&service_account::of_workers(pipeline)),
        Manifest::new(&config_map::with_pipeline(pipeline, &run.revision)),
        Manifest::new(&config_map::live(pipeline)),
    ];
    objects.extend(config_map::with_rules(pipeline, &run.rules).as_ref().map(Manifest::new));
    objects.extend(claim::of_state(pipeline).as_ref().map(Manifest::new));
    objects.extend([
        Manifest::new(&network_policy::of_workers(pipeline, settings)),
        Manifest::new(&pod_disruption_budget::of_workers(pipeline)),
        Manifest::new(&service::of_workers(pipeline)),
        Manifest::new(&stateful_set::of_workers(pipeline, settings, run)),
    ]);
    objects
}

/// Name, labels and owner of an object that goes with its pipeline.
pub(crate) fn metadata(pipeline: &Pipeline, name: String, component: Component) -> ObjectMeta {
    ObjectMeta {
        owner_references: Some(vec![owner(pipeline)]),
        ..metadata_of_what_stays(pipeline, name, component)
    }
}

/// Name and labels of an object that may outlive its pipeline.
fn metadata_of_what_stays(pipeline: &Pipeline, name: String, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(pipeline.id.namespace.clone()),
        labels: Some(pipeline.labels(component)),
        ..ObjectMeta::default()
    }
}

/// The pipeline as the owner of its objects: the garbage collector removes them behind it.
fn owner(pipeline: &Pipeline) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: "IncidentPipeline".to_owned(),
        name: pipeline.id.name.clone(),
        uid: pipeline.id.uid.clone(),
        controller: Some(true),
        // Deletion in the foreground must not wait for what the finalizer takes down in its own order.
        block_owner_deletion: None,
    }
}
