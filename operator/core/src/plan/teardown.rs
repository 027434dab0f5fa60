//! How a pipeline goes: what is taken down in which order, and what stays.
//!
//! ```text
//!   last savepoint ──► no workers ──► topics, snapshots that go by policy ──► the finalizer
//! ```
//!
//! Each step has the time that `deletionPolicy.timeout` leaves. When it is over, or the annotation for it is set, the pipeline
//! goes, and what could not be taken down is named with the command that removes it.

use std::time::Duration;

use tocsin_contract::pipeline::deletion::{DeletionPolicy, Fate};
use tocsin_contract::snapshot::SnapshotState;

use super::workers::{Savepoint, Workers};

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
    /// Whether its folder with snapshots is still there. None: it is not known.
    pub has_snapshots: Option<bool>,
    /// Time since the deletion was asked for.
    pub since: Duration,
    /// Whether somebody set the annotation that gives up what cannot be taken down.
    pub is_forced: bool,
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
    /// The folder with snapshots.
    Snapshots,
    /// Whatever snapshots there are: the storage did not answer.
    UnknownSnapshots,
}

/// Decides the next step.
pub fn next(facts: &Facts<'_>) -> Step {
    let is_over =
        facts.is_forced || facts.since >= Duration::from_micros(facts.policy.timeout.as_micros().unsigned_abs());
    if is_over {
        return Step::Finish(left(facts, true));
    }
    if let Some(workers) = facts.workers {
        if workers.replicas > 0 {
            // Workers that were never ready have nothing to save.
            let can_be_saved = workers.record.was_ready || workers.ready > 0;
            if facts.policy.take_savepoint && can_be_saved {
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
    Step::Finish(left(facts, false))
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
    if facts.policy.take_savepoint && ran && !was_saved {
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
    match facts.has_snapshots {
        Some(false) => {}
        Some(true) => left.push(Left::Snapshots),
        None => left.push(Left::UnknownSnapshots),
    }
    left
}

/// What is said of what stays: each with the command that removes it.
pub fn left_message(left: &Left, namespace: &str, pipeline: &str, bootstrap: &str, storage: &str) -> String {
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
        Left::Snapshots => format!("snapshots stay: tocsin snapshot list --state {storage} {pipeline}"),
        Left::UnknownSnapshots => format!(
            "the storage did not answer, so snapshots may stay: tocsin snapshot list --state {storage} {pipeline}"
        ),
    }
}

#[cfg(test)]
mod tests;
