//! What is known when the workers are looked at.

use std::collections::BTreeMap;

use tocsin_contract::rule_set::IncidentRuleSetSpec;
use tocsin_contract::snapshot::SnapshotState;

use crate::build::record::Record;
use crate::pipeline::{Pipeline, Settings};

/// The workers' StatefulSet as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Workers {
    /// What stands on it.
    pub record: Record,
    /// How many there should be.
    pub replicas: u32,
    /// How many pods there are, also such as are on their way out.
    pub pods: u32,
    /// How many are ready.
    pub ready: u32,
    /// How many are of the newest pod template.
    pub updated: u32,
}

/// A PipelineSnapshot as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Savepoint {
    /// How far it is.
    pub state: SnapshotState,
    /// Where it is in the storage, once it is complete.
    pub path: String,
    /// The run epoch that it is of, if that is known.
    pub epoch: Option<u32>,
    /// Why it failed.
    pub error: String,
    /// The run that it ends, by its name; empty if it ends none.
    pub ends: String,
}

/// What is known when the workers are looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What is asked for.
    pub pipeline: &'a Pipeline,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The rule sets that stages refer to.
    pub rule_sets: &'a BTreeMap<String, IncidentRuleSetSpec>,
    /// The workers, if they were ever made.
    pub workers: Option<&'a Workers>,
    /// Pods of workers that nobody keeps any more.
    pub pods_left: u32,
    /// Whether the ConfigMap with the rules that they began with is there.
    pub has_rules: bool,
    /// Whether the first workers would find the Kafka.
    pub has_kafka: bool,
    /// The pipeline's run epoch, as far as it is known.
    pub epoch: Option<u32>,
    /// PipelineSnapshots of the pipeline, by name.
    pub savepoints: &'a BTreeMap<String, Savepoint>,
    /// The snapshot that `spec.state.restoreFrom` means; nothing if it means none that is complete.
    pub restore_from: Option<&'a RestorePoint>,
}

/// A snapshot to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorePoint {
    /// Its path in the storage.
    pub path: String,
    /// The run epoch that it is of, if that is known.
    pub epoch: Option<u32>,
}
