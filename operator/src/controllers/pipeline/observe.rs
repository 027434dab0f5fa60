//! What is known of a pipeline when it is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tocsin_contract::labels::{Component, ENDS_RUN};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::status::SavepointStatus;
use tocsin_contract::rule_set::IncidentRuleSetSpec;
use tocsin_contract::snapshot::{PipelineSnapshotStatus, SnapshotState};
use tocsin_contract::worker::WorkerStatus;
use tocsin_operator_core::build::manifest::Resource;
use tocsin_operator_core::pipeline::{Pipeline, Settings};
use tocsin_operator_core::plan::workers::facts::RestorePoint;
use tocsin_operator_core::plan::workers::{Facts, Savepoint, Workers};
use tocsin_operator_core::status::kafka::KafkaWord;
use tocsin_operator_core::status::measured;
use tocsin_operator_core::status::pods::{PodState, trouble};
use tocsin_operator_core::status::snapshot::newest;
use tocsin_operator_core::validate::references::{self, Missing, missing_secrets};

use super::Look;
use crate::api::ApiError;
use crate::api::stored::Object;
use crate::cache::{Kept, Key};

/// Where the spec has what pods of workers are pulled with.
const WORKER_IMAGE: &str = "spec.workers.image and spec.workers.imagePullSecrets";

/// What is known of a pipeline.
pub struct Seen {
    /// Its workers, if they were ever made.
    pub workers: Option<Workers>,
    /// Their image.
    pub image: String,
    /// Whether there are pods.
    pub has_pods: bool,
    /// What the workers say of themselves.
    pub answers: Vec<WorkerStatus>,
    /// Why a pod does not come up.
    pub pod_trouble: Option<(&'static str, String)>,
    /// Its snapshots, by name.
    pub savepoints: BTreeMap<String, Savepoint>,
    restore_from: Option<RestorePoint>,
    has_rules: bool,
    pods_left: u32,
    epoch: Option<u32>,
}

impl Seen {
    /// The facts by which it is decided what becomes of the workers.
    pub fn facts<'a>(
        &'a self,
        pipeline: &'a Pipeline,
        settings: &'a Settings,
        rule_sets: &'a BTreeMap<String, IncidentRuleSetSpec>,
        kafka: &KafkaWord,
    ) -> Facts<'a> {
        Facts {
            has_kafka: kafka.is_there(),
            pipeline,
            settings,
            rule_sets,
            workers: self.workers.as_ref(),
            pods_left: self.pods_left,
            has_rules: self.has_rules,
            epoch: self.epoch,
            savepoints: &self.savepoints,
            restore_from: self.restore_from.as_ref(),
        }
    }
}

/// A Secret of which the keys are wanted, and never what they hold.
type SeenSecret = Object<Secret, Keys>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    data: BTreeMap<String, IgnoredAny>,
}

impl Look<'_> {
    /// The rule sets that the pipeline refers to, and what it refers to that is not there.
    pub(super) async fn references(
        &self,
        spec: &IncidentPipelineSpec,
    ) -> Result<(BTreeMap<String, IncidentRuleSetSpec>, Vec<Missing>), ApiError> {
        let mut rule_sets = BTreeMap::new();
        let mut missing = Vec::new();
        for name in references::rule_sets(spec) {
            let known = self.context.cache.rule_sets.get(&Key::new(&self.key.namespace, &name));
            // One that cannot be read is as good as none, and its own status says so.
            match known.and_then(|known| known.spec().ok()) {
                Some(spec) => {
                    rule_sets.insert(name, spec);
                }
                None => missing.push(Missing::RuleSet(name)),
            }
        }
        let generation = self.kept.generation;
        let is_known = self.context.complete.lock().get(&self.kept.uid) == Some(&generation);
        if is_known {
            return Ok((rule_sets, missing));
        }
        let wanted = references::secrets(spec);
        let mut there = BTreeMap::new();
        for name in wanted.keys() {
            if let Some(keys) = self.keys_of_secret(name).await? {
                there.insert(name.clone(), keys);
            }
        }
        let missing_secrets = missing_secrets(&wanted, &there);
        if missing_secrets.is_empty() {
            self.context.complete.lock().insert(self.kept.uid.clone(), generation);
        }
        missing.extend(missing_secrets);
        Ok((rule_sets, missing))
    }

    async fn keys_of_secret(&self, name: &str) -> Result<Option<BTreeSet<String>>, ApiError> {
        let namespace = &*self.key.namespace;
        let api: Api<SeenSecret> = Api::namespaced(self.context.api.client(), namespace);
        let what = || format!("get Secret {namespace}/{name}");
        let secret = self.context.api.ask(what, api.get_opt(name)).await?;
        Ok(secret.map(|secret| secret.body.data.into_keys().collect()))
    }

    /// What is known of the pipeline.
    pub(super) fn observe(&self, pipeline: &Pipeline, answers: Vec<WorkerStatus>) -> Seen {
        let cache = &self.context.cache;
        let names = pipeline.names();
        let set = cache
            .stateful_sets
            .get(&Key::new(&self.key.namespace, &names.workers()));
        let pods = cache.pods.of(self.key, Component::Workers);
        let workers = set.as_ref().and_then(|set| {
            let is_newest = |revision: &str| set.revision.as_deref() == Some(revision);
            Some(Workers {
                record: *set.record.clone()?,
                replicas: set.replicas,
                pods: count(pods.len()),
                ready: count(pods.iter().filter(|(_, pod)| pod.state.is_ready && !pod.ends).count()),
                updated: count(pods.iter().filter(|(_, pod)| is_newest(&pod.revision)).count()),
            })
        });
        let states: Vec<PodState> = pods.iter().map(|(_, pod)| pod.state.clone()).collect();
        let said = self.said();
        let epoch = measured::epoch(&answers).max(said.workers.and_then(|workers| workers.epoch));
        let has_rules = workers.as_ref().is_some_and(|workers| {
            let rules = &workers.record.rules;
            !rules.is_empty()
                && cache
                    .children
                    .has(&self.id, Resource::of::<ConfigMap>(), &names.rules(rules))
        });
        let pods_left = if set.is_none() { count(pods.len()) } else { 0 };
        Seen {
            image: set.map(|set| set.image.to_string()).unwrap_or_default(),
            has_pods: !pods.is_empty(),
            answers,
            pod_trouble: trouble(&self.key.namespace, &states, WORKER_IMAGE),
            savepoints: self.savepoints(),
            restore_from: self.restore_point(pipeline),
            has_rules,
            pods_left,
            epoch,
            workers,
        }
    }

    /// The snapshots of the pipeline.
    pub(super) fn savepoints(&self) -> BTreeMap<String, Savepoint> {
        let own = self.context.cache.snapshots_of(self.key).into_iter();
        let as_fact = |(name, snapshot): (String, Arc<Kept>)| {
            let status: PipelineSnapshotStatus = snapshot.status();
            let savepoint = Savepoint {
                state: status.state.unwrap_or(SnapshotState::Pending),
                path: status.path,
                epoch: status.epoch,
                error: status.error,
                ends: snapshot.annotation(ENDS_RUN).unwrap_or_default().to_owned(),
            };
            (name, savepoint)
        };
        own.map(as_fact).collect()
    }

    /// The newest savepoint of the pipeline.
    pub(super) fn last_savepoint(&self) -> Option<SavepointStatus> {
        let own = self.context.cache.snapshots_of(self.key);
        let statuses: Vec<(&str, PipelineSnapshotStatus)> = own
            .iter()
            .map(|(name, snapshot)| (name.as_str(), snapshot.status()))
            .collect();
        newest(statuses.iter().map(|(name, status)| (*name, status)))
    }

    fn restore_point(&self, pipeline: &Pipeline) -> Option<RestorePoint> {
        let from = pipeline.spec.state.restore_from.as_ref()?;
        if let Some(path) = &from.path {
            return Some(RestorePoint {
                path: path.clone(),
                epoch: None,
            });
        }
        let name = &from.snapshot_ref.as_ref()?.name;
        let snapshot = self.context.cache.snapshots.get(&Key::new(&self.key.namespace, name))?;
        let status: PipelineSnapshotStatus = snapshot.status();
        (status.state == Some(SnapshotState::Completed)).then_some(RestorePoint {
            path: status.path,
            epoch: status.epoch,
        })
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
