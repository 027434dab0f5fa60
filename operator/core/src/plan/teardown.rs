//! How a pipeline goes: what is taken down in which order, and what stays.
//!
//! ```text
//!   last savepoint ──► no workers ──► topics, snapshots that go by policy ──► runs forgotten ──► the finalizer
//! ```
//!
//! Each step has the time that `deletionPolicy.timeout` leaves. When it is over, or the annotation for it is set, the pipeline
//! goes, and what could not be taken down is named with the command that removes it.

use std::time::Duration;

use tocsin_contract::labels::{self, Component};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::deletion::{DeletionPolicy, Fate};
use tocsin_contract::pipeline::kafka::KafkaMode;
use tocsin_contract::snapshot::SnapshotState;

use super::workers::{Savepoint, Workers};
use crate::build::kafka::nodes::asked_for;
use crate::names::Names;

/// What is known when a pipeline that is being deleted is looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What is to go and to stay.
    pub policy: &'a DeletionPolicy,
    /// The workers, if there are any.
    pub workers: Option<&'a Workers>,
    /// The last savepoint, if it was asked for.
    pub savepoint: Option<&'a Savepoint>,
    /// What of Kafka the pipeline had made and is still there. None: it is not known.
    pub topics: Option<&'a [String]>,
    /// What stays of a Kafka that the operator ran.
    pub kafka: KafkaLeft,
    /// PipelineSnapshots that stay and say that they ended a run, of a journal that goes with the pipeline.
    pub ended_runs: &'a [String],
    /// Whether its folder with snapshots is still there. None: it is not known.
    pub has_snapshots: Option<bool>,
    /// Time since the deletion was asked for.
    pub since: Duration,
    /// Whether somebody set the annotation that gives up what cannot be taken down.
    pub is_forced: bool,
}

/// What stays of a Kafka that the operator ran, when all that goes with the pipeline has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaLeft {
    /// Nothing, or it ran none.
    Nothing,
    /// The disks of its nodes, and the Secrets without which nobody reads them.
    Disks,
    /// All of it.
    All,
    /// All that Strimzi makes it of.
    Strimzi,
}

impl KafkaLeft {
    /// What stays by the spec.
    pub fn of(spec: &IncidentPipelineSpec) -> Self {
        let disks_go = || asked_for(&spec.kafka).iter().all(|pool| pool.storage.delete_claim);
        match (spec.deletion_policy.kafka, spec.kafka.effective_mode()) {
            (Fate::Retain, KafkaMode::Strimzi) => Self::Strimzi,
            (_, KafkaMode::Strimzi | KafkaMode::External) => Self::Nothing,
            (Fate::Retain, KafkaMode::Managed) => Self::All,
            (Fate::Delete, KafkaMode::Managed) if disks_go() => Self::Nothing,
            (Fate::Delete, KafkaMode::Managed) => Self::Disks,
        }
    }
}

/// Whether the journal goes with the pipeline: nothing of an older run stands in the way of the next pipeline of that name.
pub fn journal_goes(spec: &IncidentPipelineSpec) -> bool {
    spec.deletion_policy.kafka == Fate::Delete
        && (spec.kafka.manage_topics || spec.kafka.effective_mode() != KafkaMode::External)
        && KafkaLeft::of(spec) == KafkaLeft::Nothing
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The last savepoint is asked for.
    AskForSavepoint,
    /// The last savepoint is being taken.
    AwaitSavepoint,
    /// The workers are taken away.
    StopWorkers,
    /// They are ending.
    AwaitWorkers,
    /// These topics are removed.
    RemoveTopics(Vec<String>),
    /// What is there in Kafka must be known first.
    AwaitKafka,
    /// The snapshots are removed.
    RemoveSnapshots,
    /// What is in the storage must be known first.
    AwaitStorage,
    /// These PipelineSnapshots no longer say that they ended a run: with its journal gone, a later pipeline of that name begins
    /// anew, unless it asks for one of them.
    ForgetRuns(Vec<String>),
    /// The finalizer goes, and with it the pipeline; this stays.
    Finish(Vec<Left>),
}

/// Something that stays behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The last savepoint was to be taken, and was not.
    NoSavepoint,
    /// Pods that have not ended.
    Workers(u32),
    /// Topics.
    Topics(Vec<String>),
    /// Whatever topics there are: Kafka did not answer.
    UnknownTopics,
    /// A Kafka that the operator ran, or its disks.
    Kafka(KafkaLeft),
    /// The folder with snapshots.
    Snapshots,
    /// Whatever snapshots there are: the storage did not answer.
    UnknownSnapshots,
}

/// Decides the next step.
pub fn next(facts: &Facts<'_>) -> Step {
    let is_over =
        facts.is_forced || facts.since >= Duration::from_micros(facts.policy.timeout.as_micros().unsigned_abs());
    if is_over && facts.topics == Some(&[]) && !facts.ended_runs.is_empty() {
        return Step::ForgetRuns(facts.ended_runs.to_vec());
    }
    if is_over {
        return Step::Finish(left(facts, true));
    }
    if let Some(workers) = facts.workers {
        if workers.replicas > 0 {
            // Workers that were never ready have nothing to save.
            let can_be_saved = workers.record.was_ready || workers.ready > 0;
            if takes_savepoint(facts.policy) && can_be_saved {
                match facts.savepoint.map(|savepoint| savepoint.state) {
                    None => return Step::AskForSavepoint,
                    Some(SnapshotState::Pending | SnapshotState::InProgress) => return Step::AwaitSavepoint,
                    // Who deletes a pipeline gets it deleted; that there is no savepoint is said.
                    Some(SnapshotState::Completed | SnapshotState::Failed | SnapshotState::Abandoned) => {}
                }
            }
            return Step::StopWorkers;
        }
        if workers.pods > 0 {
            return Step::AwaitWorkers;
        }
    }
    if facts.policy.kafka == Fate::Delete {
        match facts.topics {
            None => return Step::AwaitKafka,
            Some([]) => {}
            Some(topics) => return Step::RemoveTopics(topics.to_vec()),
        }
    }
    if facts.policy.snapshots == Fate::Delete {
        match facts.has_snapshots {
            None => return Step::AwaitStorage,
            Some(true) => return Step::RemoveSnapshots,
            Some(false) => {}
        }
    }
    if !facts.ended_runs.is_empty() {
        return Step::ForgetRuns(facts.ended_runs.to_vec());
    }
    Step::Finish(left(facts, false))
}

/// One that would go with the rest is not taken.
fn takes_savepoint(policy: &DeletionPolicy) -> bool {
    policy.take_savepoint && policy.snapshots == Fate::Retain
}

/// What stays: by policy, and what could not be taken down.
fn left(facts: &Facts<'_>, gave_up: bool) -> Vec<Left> {
    let mut left = Vec::new();
    let was_saved = facts
        .savepoint
        .is_some_and(|savepoint| savepoint.state == SnapshotState::Completed);
    let ran = facts
        .workers
        .is_some_and(|workers| workers.record.was_ready || workers.ready > 0);
    if takes_savepoint(facts.policy) && ran && !was_saved {
        left.push(Left::NoSavepoint);
    }
    if let Some(workers) = facts.workers.filter(|workers| gave_up && workers.pods > 0) {
        left.push(Left::Workers(workers.pods));
    }
    match facts.topics {
        Some([]) => {}
        Some(topics) => left.push(Left::Topics(topics.to_vec())),
        None => left.push(Left::UnknownTopics),
    }
    if facts.kafka != KafkaLeft::Nothing {
        left.push(Left::Kafka(facts.kafka));
    }
    match facts.has_snapshots {
        Some(false) => {}
        Some(true) => left.push(Left::Snapshots),
        None => left.push(Left::UnknownSnapshots),
    }
    left
}

/// Where a pipeline's parts are, for those who are to find them.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub pipeline: &'a str,
    /// Where clients of its Kafka begin.
    pub bootstrap: &'a str,
    /// Address of its bucket; none if its snapshots are on a volume.
    pub bucket: Option<&'a str>,
}

/// What is said of what stays: each with the command that removes it.
pub fn left_message(left: &Left, places: Places<'_>) -> String {
    let Places {
        namespace,
        pipeline,
        bootstrap,
        bucket,
    } = places;
    match left {
        Left::NoSavepoint => {
            "the last savepoint could not be taken: the last checkpoint and the journal have the state".to_owned()
        }
        Left::Workers(pods) => format!(
            "{pods} pods have not ended: kubectl delete pod -n {namespace} -l tocsin.dev/pipeline={pipeline} --force"
        ),
        Left::Topics(topics) => {
            let remove =
                |topic: &String| format!("kafka-topics.sh --bootstrap-server {bootstrap} --delete --topic {topic}");
            format!(
                "topics stay: {}",
                topics.iter().map(remove).collect::<Vec<_>>().join("; ")
            )
        }
        Left::UnknownTopics => format!(
            "Kafka did not answer, so topics may stay: kafka-topics.sh --bootstrap-server {bootstrap} --list | grep {pipeline}"
        ),
        Left::Kafka(KafkaLeft::All) => format!(
            "Kafka stays, with its records: kubectl delete statefulset,service,configmap,poddisruptionbudget,networkpolicy,\
             secret,pvc -n {namespace} -l {}",
            labels::selector_text(&labels::selector(pipeline, Component::Kafka))
        ),
        Left::Kafka(KafkaLeft::Strimzi) => format!(
            "Kafka stays, as Strimzi runs it: kubectl delete kafka,kafkanodepool,kafkatopic,kafkauser -n {namespace} -l {}",
            labels::selector_text(&labels::selector(pipeline, Component::Kafka))
        ),
        Left::Kafka(_) => format!(
            "Kafka's disks stay, with its records: kubectl delete pvc,secret -n {namespace} -l {}",
            labels::selector_text(&labels::selector(pipeline, Component::Kafka))
        ),
        Left::Snapshots => format!("snapshots stay, {}", snapshots(places, bucket)),
        Left::UnknownSnapshots => format!(
            "the storage did not answer, so snapshots may stay, {}",
            snapshots(places, bucket)
        ),
    }
}

/// Where snapshots are, and how they go.
fn snapshots(places: Places<'_>, bucket: Option<&str>) -> String {
    let Places {
        namespace, pipeline, ..
    } = places;
    match bucket {
        Some(bucket) => format!("in {bucket}: tocsin snapshot remove --state {bucket} --pipeline {pipeline}"),
        None => {
            let claim = Names::of(pipeline).state();
            format!("on a volume: kubectl delete pvc -n {namespace} {claim}")
        }
    }
}

#[cfg(test)]
mod tests;
