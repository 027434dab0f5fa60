//! A pipeline's workers and all that stands around them: a user, the operator, the controller of StatefulSets, and whoever takes
//! savepoints, each a step at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::state::{RestoreFrom, RestoreMode};
use tocsin_contract::snapshot::SnapshotState;

use crate::build::arguments::Start;
use crate::hash::hash_of;
use crate::pipeline::{KafkaAccess, Pipeline};
use crate::plan::workers::facts::{Facts, RestorePoint, Savepoint, Workers};
use crate::plan::workers::{Decision, Doing, decide};
use crate::testing::{id, settings};
use crate::validate::compiled::Compiled;

/// What a user may change.
#[derive(Clone, Debug)]
pub struct Asked {
    pub image: u32,
    pub replicas: u32,
    pub suspend: bool,
    pub restore_nonce: i64,
    pub stages: Vec<(&'static str, &'static str)>,
    pub may_drop: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            image: 1,
            replicas: 2,
            suspend: false,
            restore_nonce: 0,
            stages: vec![("escalated", "escalate by service")],
            may_drop: false,
        }
    }
}

/// A pipeline, and all that stands around its workers.
#[derive(Debug, Default)]
pub struct World {
    pub asked: Asked,
    pub generation: i64,
    pub workers: Option<Workers>,
    pub savepoints: BTreeMap<String, Savepoint>,
    /// What each pod runs.
    pub pods: Vec<(String, Start)>,
    pub epoch: u32,
    /// Nothing was ever heard of its workers.
    pub is_new: bool,
    /// Revision and start of the pods that ran last, and whether their run was ended by a savepoint.
    pub last: Option<(String, Start)>,
    pub ended: Vec<(String, String)>,
    /// Revisions whose pods never become ready.
    pub bad: Vec<String>,
}

/// The snapshot that a restore is asked from.
pub const OLD: &str = "noc/savepoints/old";

/// An image whose pods never become ready.
pub const BAD: u32 = 9;

impl World {
    pub fn pipeline(&self) -> Pipeline {
        let mut spec = IncidentPipelineSpec::default();
        spec.workers.image = Some(format!("worker:{}", self.asked.image));
        spec.workers.replicas = self.asked.replicas;
        spec.suspend = self.asked.suspend;
        spec.state.allow_non_restored_state = self.asked.may_drop;
        spec.state.restore_nonce = self.asked.restore_nonce;
        if self.asked.restore_nonce != 0 {
            spec.state.restore_from = Some(RestoreFrom {
                path: Some(OLD.to_owned()),
                mode: RestoreMode::Rewind,
                ..RestoreFrom::default()
            });
        }
        let state = self.asked.stages.iter();
        Pipeline {
            id: id(),
            generation: self.generation,
            spec,
            compiled: Arc::new(Compiled {
                state: state
                    .map(|(name, shape)| ((*name).to_owned(), (*shape).to_owned()))
                    .collect(),
                ..Compiled::default()
            }),
            pod_template: PodTemplateSpec::default(),
            kafka: KafkaAccess {
                bootstrap_servers: "kafka:9092".to_owned(),
                tls: None,
                sasl: None,
                is_shared: true,
            },
        }
    }

    pub fn decide(&self) -> Decision {
        let mut workers = self.workers.clone();
        if let Some(workers) = &mut workers {
            workers.pods = self.pods.len() as u32;
            workers.ready = self.pods.iter().filter(|pod| !self.is_bad(&pod.0)).count() as u32;
        }
        decide(&Facts {
            pipeline: &self.pipeline(),
            settings: &settings(),
            rule_sets: &BTreeMap::new(),
            workers: workers.as_ref(),
            pods_left: if self.workers.is_none() {
                self.pods.len() as u32
            } else {
                0
            },
            has_rules: true,
            has_kafka: true,
            epoch: (!self.is_new).then_some(self.epoch),
            savepoints: &self.savepoints,
            restore_from: Some(&RestorePoint {
                path: OLD.to_owned(),
                epoch: Some(0),
            }),
        })
    }

    /// Whether pods of this revision never become ready.
    pub fn is_bad(&self, revision: &str) -> bool {
        self.bad.iter().any(|bad| bad == revision)
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.asked);
        self.generation += 1;
    }

    /// The operator looks, and does what it decides.
    pub fn operator(&mut self) -> Decision {
        let decision = self.decide();
        match &decision {
            Decision::Run { run, .. } => {
                let (revision, start) = (run.revision.name.clone(), run.record.start.clone());
                if run.revision.image == format!("worker:{BAD}") {
                    self.bad.push(revision.clone());
                }
                if run.replicas > 0 {
                    for (of_pod, began_with) in &self.pods {
                        assert!(
                            (of_pod, began_with) == (&revision, &start),
                            "pods of another run are there: {run:?}"
                        );
                    }
                }
                self.workers = Some(Workers {
                    record: run.record.clone(),
                    replicas: run.replicas,
                    pods: 0,
                    ready: 0,
                    updated: 0,
                });
            }
            Decision::Remember(record) => self.workers.as_mut().unwrap().record = (**record).clone(),
            Decision::ScaleToZero => self.workers.as_mut().unwrap().replicas = 0,
            Decision::Leave(Doing::AskForSavepoint { name, ends, .. }) => {
                let savepoint = Savepoint {
                    state: SnapshotState::Pending,
                    path: format!("noc/savepoints/{name}"),
                    epoch: None,
                    error: String::new(),
                    ends: ends.clone(),
                };
                assert_eq!(
                    self.savepoints.insert(name.clone(), savepoint),
                    None,
                    "{name} was there"
                );
            }
            Decision::Leave(_) => {}
        }
        decision
    }

    /// The controller of StatefulSets makes or removes a pod.
    pub fn controller(&mut self) {
        let Some(workers) = self.workers.clone() else { return };
        if self.pods.len() > workers.replicas as usize {
            self.pods.pop();
        } else if self.pods.len() < workers.replicas as usize {
            let run = (workers.record.revision.clone(), workers.record.start.clone());
            if self.is_bad(&run.0) {
                self.pods.push(run);
                return;
            }
            if let Some(last) = &self.last
                && last.0 != run.0
            {
                let ended = self.ended.iter().find(|(of, _)| *of == hash_of(&(&last.0, &last.1)));
                let with = ended.map(|(_, path)| path.as_str()).unwrap_or(OLD);
                assert!(
                    matches!(&run.1, Start::Rewind { savepoint, .. } if savepoint == with || savepoint == OLD),
                    "{run:?} does not begin with what {last:?} left: {ended:?}"
                );
            }
            if let Start::Rewind { epoch, .. } = &run.1 {
                if self.last.as_ref() != Some(&run) {
                    assert!(*epoch > self.epoch || self.last.as_ref().is_some_and(|last| last.1 == run.1));
                }
                self.epoch = self.epoch.max(*epoch);
            }
            self.last = Some(run.clone());
            self.pods.push(run);
        }
    }

    /// Whoever takes savepoints goes a step further.
    pub fn snapshots(&mut self, succeeds: bool) {
        let epoch = self.epoch;
        let ready = self.pods.first().filter(|pod| !self.is_bad(&pod.0));
        let running = ready.map(|(revision, start)| hash_of(&(revision, start)));
        for savepoint in self.savepoints.values_mut() {
            match savepoint.state {
                SnapshotState::Pending => savepoint.state = SnapshotState::InProgress,
                SnapshotState::InProgress if succeeds && running.as_ref() == Some(&savepoint.ends) => {
                    savepoint.state = SnapshotState::Completed;
                    savepoint.epoch = Some(epoch);
                    self.ended.push((savepoint.ends.clone(), savepoint.path.clone()));
                }
                SnapshotState::InProgress => {
                    savepoint.state = SnapshotState::Failed;
                    savepoint.error = "the store answered 503".to_owned();
                }
                _ => {}
            }
        }
    }

    /// Everything goes on until nothing changes any more.
    pub fn settle(&mut self) -> Decision {
        for _ in 0..100 {
            self.operator();
            self.controller();
            self.snapshots(true);
        }
        let decision = self.decide();
        self.operator();
        assert_eq!(decision, self.decide(), "it never comes to rest");
        decision
    }

    pub fn runs(&self) -> (u32, usize) {
        (self.asked.image, self.pods.len())
    }
}

pub fn doing(decision: &Decision) -> Doing {
    match decision {
        Decision::Run { doing, .. } | Decision::Leave(doing) => doing.clone(),
        Decision::Remember(_) => Doing::Running,
        Decision::ScaleToZero => Doing::Stop,
    }
}
