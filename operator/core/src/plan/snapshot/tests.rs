//! A snapshot is taken once, and what it says of itself is so.

#![allow(clippy::unwrap_used)]

use super::*;

/// A snapshot, its workers, and a clock.
struct World {
    spec: PipelineSnapshotSpec,
    status: PipelineSnapshotStatus,
    subject: Subject,
    seconds: i64,
}

impl World {
    fn with(workers: &[&str]) -> Self {
        Self {
            spec: PipelineSnapshotSpec {
                backoff_limit: 1,
                ..PipelineSnapshotSpec::default()
            },
            status: PipelineSnapshotStatus::default(),
            subject: Subject::Running {
                pipeline: "noc".to_owned(),
                workers: workers
                    .iter()
                    .map(|name| ((*name).to_owned(), Answer::Unknown))
                    .collect(),
                epoch: Some(3),
                time_out: Duration::from_secs(60),
            },
            seconds: 0,
        }
    }

    fn look(&mut self) -> Decision {
        let decision = decide(&Facts {
            name: "before-upgrade",
            uid: "5c0e7a8e-0000-4000-8000-000000000001",
            spec: &self.spec,
            status: &self.status,
            subject: &self.subject,
            created: Timestamp::UNIX_EPOCH,
            now: Timestamp::from_second(self.seconds).unwrap(),
        });
        self.status = decision.status.clone();
        decision
    }

    fn says(&mut self, worker: &str, state: SavepointState) {
        let Subject::Running { workers, .. } = &mut self.subject else {
            return;
        };
        for (name, answer) in workers {
            if name == worker {
                *answer = Answer::Is(Savepoint {
                    id: self.status.trigger_id.clone(),
                    state,
                    error: (state == SavepointState::Failed).then(|| "the store is full".to_owned()),
                    ..Savepoint::default()
                });
            }
        }
    }

    fn forgets(&mut self, worker: &str) {
        let Subject::Running { workers, .. } = &mut self.subject else {
            return;
        };
        for (_, answer) in workers.iter_mut().filter(|(name, _)| name == worker) {
            *answer = Answer::Unknown;
        }
    }
}

#[test]
fn the_id_is_written_before_a_worker_is_asked() {
    let mut world = World::with(&["noc-workers-0", "noc-workers-1"]);
    let first = world.look();
    assert_eq!(
        (first.ask.len(), first.status.trigger_id.as_str()),
        (0, "before-upgrade-5c0e7a8e-0")
    );
    assert_eq!(world.look().ask, ["noc-workers-0", "noc-workers-1"]);
}

#[test]
fn it_is_complete_when_one_worker_says_so() {
    let mut world = World::with(&["a", "b"]);
    world.look();
    world.says("a", SavepointState::InProgress);
    assert_eq!(world.look().ask, ["b"]);
    world.says("b", SavepointState::Completed);
    let decision = world.look();
    assert_eq!(decision.status.state, Some(SnapshotState::Completed));
    assert_eq!(decision.status.path, "noc/savepoints/before-upgrade-5c0e7a8e-0");
    world.subject = Subject::Missing;
    world.seconds = 100;
    assert_eq!(
        world.look().status.state,
        Some(SnapshotState::Completed),
        "it outlives its pipeline"
    );
}

#[test]
fn a_worker_that_was_started_anew_is_asked_again() {
    let mut world = World::with(&["a"]);
    world.look();
    world.says("a", SavepointState::InProgress);
    assert_eq!(world.look().ask.len(), 0);
    world.forgets("a");
    assert_eq!(world.look().ask, ["a"]);
}

#[test]
fn what_failed_is_tried_again_under_another_id_as_often_as_it_may() {
    let mut world = World::with(&["a"]);
    world.look();
    world.says("a", SavepointState::Failed);
    let failed = world.look();
    assert_eq!(failed.status.state, Some(SnapshotState::Pending));
    assert_eq!(failed.status.error, "a: the store is full");
    assert_eq!(
        failed.give_up.as_deref(),
        Some("before-upgrade-5c0e7a8e-0"),
        "nobody stands still for it"
    );
    assert_eq!(failed.look_again, Some(Duration::from_secs(5)));
    world.seconds = 3;
    assert_eq!(world.look().look_again, Some(Duration::from_secs(2)));
    world.seconds = 5;
    world.forgets("a");
    assert_eq!(world.look().status.trigger_id, "before-upgrade-5c0e7a8e-1");
    world.says("a", SavepointState::Failed);
    let ended = world.look();
    assert_eq!(
        (ended.status.state, ended.status.failures),
        (Some(SnapshotState::Failed), 2)
    );
    assert_eq!(world.look().look_again, None);
}

#[test]
fn what_takes_too_long_fails_and_names_who_is_silent() {
    let mut world = World::with(&["a", "b"]);
    world.look();
    world.says("a", SavepointState::InProgress);
    world.seconds = 61;
    let error = world.look().status.error;
    assert!(
        error.contains("after 60 s") && error.contains("no word of b"),
        "{error}"
    );
}

#[test]
fn one_that_cannot_be_taken_says_why() {
    let mut world = World::with(&[]);
    world.subject = Subject::Stopped;
    assert_eq!(world.look().status.state, Some(SnapshotState::Abandoned));
    let mut world = World::with(&[]);
    world.spec.kind = SnapshotType::Checkpoint;
    let status = world.look().status;
    assert_eq!(status.state, Some(SnapshotState::Failed));
    assert!(status.error.contains("ask for a Savepoint"), "{}", status.error);
}

#[test]
fn one_that_is_asked_for_before_its_workers_are_there_waits_for_them() {
    let mut world = World::with(&["a"]);
    let workers = std::mem::replace(&mut world.subject, Subject::Missing);
    let status = world.look().status;
    assert_eq!(status.state, Some(SnapshotState::Pending));
    assert!(
        status.error.contains("there is no IncidentPipeline"),
        "{}",
        status.error
    );
    world.subject = Subject::ComesUp;
    world.seconds = 70;
    let decision = world.look();
    assert_eq!(decision.status.state, Some(SnapshotState::Pending));
    assert!(decision.look_again.is_some());
    world.subject = workers;
    world.look();
    assert_eq!(world.look().ask, ["a"]);
    assert_eq!(world.status.error, "");
}

#[test]
fn nobody_waits_for_ever_for_a_pipeline_or_its_workers() {
    for (subject, seconds) in [(Subject::Missing, 60), (Subject::ComesUp, 600)] {
        let mut world = World::with(&[]);
        world.subject = subject;
        world.seconds = seconds - 1;
        assert_eq!(world.look().look_again, Some(Duration::from_secs(1)));
        world.seconds = seconds;
        assert_eq!(world.look().status.state, Some(SnapshotState::Abandoned));
    }
}

#[test]
fn workers_that_are_between_two_runs_are_asked_for_what_was_begun() {
    let mut world = World::with(&["a"]);
    world.look();
    let workers = std::mem::replace(&mut world.subject, Subject::ComesUp);
    world.look();
    world.subject = workers;
    assert_eq!(world.look().ask, ["a"]);
    assert_eq!(world.status.trigger_id, "before-upgrade-5c0e7a8e-0");
}

#[test]
fn one_that_is_there_already_is_taken_over() {
    let mut world = World::with(&[]);
    world.spec.already_exists = true;
    world.spec.path = Some("noc/savepoints/old".to_owned());
    let status = world.look().status;
    assert_eq!(
        (status.state, status.path.as_str()),
        (Some(SnapshotState::Completed), "noc/savepoints/old")
    );
}

#[test]
fn a_worker_that_takes_none_is_not_waited_for() {
    let mut world = World::with(&["a"]);
    world.look();
    if let Subject::Running { workers, .. } = &mut world.subject {
        workers[0].1 = Answer::Refused("not available: the worker was started without --state".to_owned());
    }
    let status = world.look().status;
    assert_eq!(status.failures, 1);
    assert!(status.error.starts_with("a: not available"), "{}", status.error);
}
