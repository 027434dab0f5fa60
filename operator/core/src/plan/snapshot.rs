//! What becomes of a PipelineSnapshot: asked of each worker, awaited, tried again, checked, and in the end disposed of.
//!
//! A savepoint is one of all workers: each writes its shards, and whoever is last publishes it. So each worker is asked under
//! one id, and asked again when it does not know of it, since a worker that was started anew has forgotten. One that failed
//! leaves its parts behind, so the next try has an id of its own.

pub mod keeping;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tocsin_contract::names;
use tocsin_contract::snapshot::{
    PipelineSnapshotSpec, PipelineSnapshotStatus, SnapshotState, SnapshotType, StageState,
};
use tocsin_contract::worker::{Savepoint, SavepointState};

use crate::back_off::BackOff;
use crate::hash::hash_of;

/// Tries that follow one that failed: five seconds later, and at most two minutes.
const AGAIN: BackOff = BackOff {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(120),
};

/// The pipeline of a snapshot, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// There is none of that name.
    Missing,
    /// It has no workers, and is to have none.
    Stopped,
    /// It has no workers at the moment, and is to have some: it comes up, or is between two runs.
    ComesUp,
    /// It has workers.
    Running {
        /// The name of the pipeline, which its folder in the storage has.
        pipeline: String,
        /// All workers that there should be, each with what it said of the savepoint.
        workers: Vec<(String, Answer)>,
        /// The run epoch that the workers say they are in.
        epoch: Option<u32>,
        /// How long a savepoint may take.
        time_out: Duration,
    },
}

/// What a worker said of the savepoint.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing yet, or it could not be reached.
    Silent,
    /// It knows of none by that id.
    Unknown,
    /// It takes none, and says why.
    Refused(String),
    /// How far it is.
    Is(Savepoint),
}

/// What is known when a snapshot is looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its UID: one that was deleted and made again is another.
    pub uid: &'a str,
    /// What is asked for.
    pub spec: &'a PipelineSnapshotSpec,
    /// What was said of it last.
    pub status: &'a PipelineSnapshotStatus,
    /// Its pipeline.
    pub subject: &'a Subject,
    /// When it was made.
    pub created: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// What is to be done about a snapshot. The status is written first: an id is asked for only once it stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What is said of it from now on.
    pub status: PipelineSnapshotStatus,
    /// Workers that are asked for the savepoint, by the id of the status.
    pub ask: Vec<String>,
    /// The id of a try that failed: all workers are told that it is given up, so that none stands still for it.
    pub give_up: Option<String>,
    /// When it is looked at again. None: nothing changes any more by itself.
    pub look_again: Option<Duration>,
}

/// So long a snapshot waits for a pipeline that is applied after it.
const FOR_PIPELINE: Duration = Duration::from_secs(60);

/// So long it waits for workers that are on their way.
const FOR_WORKERS: Duration = Duration::from_secs(600);

/// How often it is looked whether they are there.
const LOOK_OUT: Duration = Duration::from_secs(2);

/// How often workers are looked at while they write.
const POLL: Duration = Duration::from_secs(1);

/// Decides about a snapshot that is not being deleted.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let settled = matches!(
        facts.status.state,
        Some(SnapshotState::Completed | SnapshotState::Failed | SnapshotState::Abandoned)
    );
    if settled {
        return Decision {
            status: facts.status.clone(),
            ..Decision::default()
        };
    }
    if facts.spec.already_exists {
        return taken_over(facts);
    }
    if facts.spec.kind == SnapshotType::Checkpoint {
        return end(
            facts,
            SnapshotState::Failed,
            "a Checkpoint cannot be asked for: workers take them by themselves; ask for a Savepoint",
        );
    }
    match facts.subject {
        Subject::Missing => wait(
            facts,
            FOR_PIPELINE,
            &format!("there is no IncidentPipeline {}", facts.spec.pipeline_ref.name),
        ),
        Subject::ComesUp => wait(facts, FOR_WORKERS, "the pipeline has no workers yet that could take it"),
        Subject::Stopped => end(
            facts,
            SnapshotState::Abandoned,
            "the pipeline has no workers that could take it: it is suspended",
        ),
        Subject::Running {
            pipeline,
            workers,
            epoch,
            time_out,
        } => match facts.status.trigger_time.as_ref() {
            Some(since) if facts.status.state == Some(SnapshotState::InProgress) => under_way(
                facts,
                (pipeline, *epoch),
                workers,
                elapsed(&since.0, facts.now),
                *time_out,
            ),
            since => begin(facts, since),
        },
    }
}

/// A snapshot that was there before.
fn taken_over(facts: &Facts<'_>) -> Decision {
    let mut status = facts.status.clone();
    status.state = Some(SnapshotState::Completed);
    status.path = facts.spec.path.clone().unwrap_or_default();
    status.completion_time = Some(Time(facts.now));
    Decision {
        status,
        ..Decision::default()
    }
}

/// A try begins: with an id of its own, as parts of one that failed stay.
fn begin(facts: &Facts<'_>, failed_since: Option<&Time>) -> Decision {
    if facts.status.failures > 0 {
        let wait = AGAIN.wait(facts.status.failures, 1.0, None);
        let since = failed_since.map_or(Duration::MAX, |since| elapsed(&since.0, facts.now));
        if since < wait {
            return Decision {
                status: facts.status.clone(),
                look_again: Some(wait.saturating_sub(since)),
                ..Decision::default()
            };
        }
    }
    let mut status = facts.status.clone();
    status.state = Some(SnapshotState::InProgress);
    if status.failures == 0 {
        // What it waited for is there.
        status.error.clear();
    }
    status.trigger_time = Some(Time(facts.now));
    let uid = facts.uid.get(..8).unwrap_or(facts.uid);
    status.trigger_id = names::label(&format!("{}-{uid}-{}", facts.name, status.failures));
    Decision {
        status,
        // At once: what is asked for stands there now.
        look_again: Some(Duration::ZERO),
        ..Decision::default()
    }
}

fn under_way(
    facts: &Facts<'_>,
    (pipeline, epoch): (&str, Option<u32>),
    workers: &[(String, Answer)],
    since: Duration,
    time_out: Duration,
) -> Decision {
    let complete = workers.iter().find_map(|(_, answer)| match answer {
        Answer::Is(savepoint) if savepoint.state == SavepointState::Completed => Some(savepoint),
        _ => None,
    });
    if let Some(savepoint) = complete {
        let mut status = facts.status.clone();
        status.state = Some(SnapshotState::Completed);
        status.completion_time = Some(Time(facts.now));
        status.epoch = savepoint.contents.as_ref().map(|contents| contents.epoch).or(epoch);
        if let Some(contents) = &savepoint.contents {
            status.size_bytes = i64::try_from(contents.size_bytes).unwrap_or(i64::MAX);
            status.manifest_hash.clone_from(&contents.manifest_hash);
            let of_stage = |(name, shape): (&String, &String)| StageState {
                name: name.clone(),
                schema: hash_of(shape),
            };
            status.stages = contents.stages.iter().map(of_stage).collect();
        }
        let by_default = || format!("{pipeline}/savepoints/{}", savepoint.id);
        status.path = savepoint.path.clone().unwrap_or_else(by_default);
        status.error.clear();
        return Decision {
            status,
            ..Decision::default()
        };
    }
    let failed = workers.iter().find_map(|(worker, answer)| match answer {
        Answer::Is(savepoint) if savepoint.state == SavepointState::Failed => {
            let error = savepoint.error.as_deref().unwrap_or("it does not say why");
            Some(format!("{worker}: {error}"))
        }
        Answer::Refused(why) => Some(format!("{worker}: {why}")),
        _ => None,
    });
    if let Some(error) = failed {
        return fail(facts, error);
    }
    if since > time_out {
        let missing = workers.iter().filter(|(_, answer)| !matches!(answer, Answer::Is(_)));
        let missing: Vec<&str> = missing.map(|(worker, _)| worker.as_str()).collect();
        let who = if missing.is_empty() {
            "its workers still write; see spec.state.checkpoint.timeout".to_owned()
        } else {
            format!("no word of {}; see their logs", missing.join(", "))
        };
        return fail(
            facts,
            format!("it was not complete after {} s: {who}", time_out.as_secs()),
        );
    }
    let forgotten = workers.iter().filter(|(_, answer)| *answer == Answer::Unknown);
    Decision {
        status: facts.status.clone(),
        ask: forgotten.map(|(worker, _)| worker.clone()).collect(),
        look_again: Some(POLL),
        ..Decision::default()
    }
}

/// A try failed. As many follow as the snapshot allows.
fn fail(facts: &Facts<'_>, error: String) -> Decision {
    let mut status = facts.status.clone();
    let give_up = Some(status.trigger_id.clone());
    status.failures = status.failures.saturating_add(1);
    status.error = error;
    // The time of the failure: the next try waits from here.
    status.trigger_time = Some(Time(facts.now));
    let limit = facts.spec.backoff_limit;
    if u32::try_from(limit).is_ok_and(|limit| status.failures > limit) {
        status.state = Some(SnapshotState::Failed);
        return Decision {
            status,
            give_up,
            ..Decision::default()
        };
    }
    status.state = Some(SnapshotState::Pending);
    Decision {
        look_again: Some(AGAIN.wait(status.failures, 1.0, None)),
        status,
        give_up,
        ask: Vec::new(),
    }
}

/// It cannot be taken now, and perhaps later. Longer than so long after it was made, nobody waits.
fn wait(facts: &Facts<'_>, longest: Duration, why: &str) -> Decision {
    let since = elapsed(&facts.created, facts.now);
    if since >= longest {
        return end(facts, SnapshotState::Abandoned, why);
    }
    let mut status = facts.status.clone();
    status.state = Some(status.state.unwrap_or(SnapshotState::Pending));
    status.error = why.to_owned();
    Decision {
        status,
        look_again: Some(LOOK_OUT.min(longest.saturating_sub(since))),
        ..Decision::default()
    }
}

fn end(facts: &Facts<'_>, state: SnapshotState, error: &str) -> Decision {
    let mut status = facts.status.clone();
    status.state = Some(state);
    status.error = error.to_owned();
    Decision {
        status,
        ..Decision::default()
    }
}

/// The time since; none if clocks were set back.
fn elapsed(since: &Timestamp, now: Timestamp) -> Duration {
    let elapsed: SignedDuration = now.duration_since(*since);
    Duration::try_from(elapsed).unwrap_or_default()
}

#[cfg(test)]
mod tests;
