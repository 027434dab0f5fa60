//! A pipeline goes in order, in bounded time, and says what stays.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::build::record::Record;

/// A pipeline that is being deleted, and what can be taken down of it.
#[derive(Clone, Debug)]
struct World {
    policy: DeletionPolicy,
    workers: Option<Workers>,
    savepoint: Option<Savepoint>,
    topics: Vec<String>,
    has_snapshots: bool,
    ended_runs: Vec<String>,
    kafka_answers: bool,
    storage_answers: bool,
    savepoint_succeeds: bool,
    since: Duration,
    is_forced: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            policy: DeletionPolicy::default(),
            workers: Some(Workers {
                record: Record {
                    was_ready: true,
                    ..Record::default()
                },
                replicas: 2,
                pods: 2,
                ready: 2,
                updated: 2,
            }),
            savepoint: None,
            topics: vec!["noc.journal".to_owned()],
            has_snapshots: true,
            ended_runs: Vec::new(),
            kafka_answers: true,
            storage_answers: true,
            savepoint_succeeds: true,
            since: Duration::ZERO,
            is_forced: false,
        }
    }
}

impl World {
    fn next(&self) -> Step {
        next(&Facts {
            policy: &self.policy,
            workers: self.workers.as_ref(),
            savepoint: self.savepoint.as_ref(),
            topics: self.kafka_answers.then_some(&self.topics[..]),
            kafka: KafkaLeft::Nothing,
            ended_runs: &self.ended_runs,
            has_snapshots: self.storage_answers.then_some(self.has_snapshots),
            since: self.since,
            is_forced: self.is_forced,
        })
    }

    /// Does what is to be done; a second passes. Gives what stays, in the end.
    fn go_on(&mut self) -> Option<Vec<Left>> {
        self.since += Duration::from_secs(1);
        match self.next() {
            Step::AskForSavepoint => {
                self.savepoint = Some(Savepoint {
                    state: SnapshotState::Pending,
                    path: String::new(),
                    epoch: None,
                    error: String::new(),
                    ends: String::new(),
                });
            }
            Step::AwaitSavepoint => {
                let savepoint = self.savepoint.as_mut().unwrap();
                savepoint.state = if self.savepoint_succeeds {
                    SnapshotState::Completed
                } else {
                    SnapshotState::Failed
                };
            }
            Step::StopWorkers => self.workers.as_mut().unwrap().replicas = 0,
            Step::AwaitWorkers => self.workers.as_mut().unwrap().pods -= 1,
            Step::RemoveTopics(_) => self.topics.clear(),
            Step::RemoveSnapshots => self.has_snapshots = false,
            Step::ForgetRuns(_) => {
                assert!(self.topics.is_empty(), "the journal is there: {self:?}");
                self.ended_runs.clear();
            }
            Step::AwaitKafka | Step::AwaitStorage => {}
            Step::Finish(left) => return Some(left),
        }
        None
    }

    fn run_out(&mut self) -> Vec<Left> {
        for _ in 0..10_000 {
            if let Some(left) = self.go_on() {
                return left;
            }
        }
        panic!("it never ends: {self:?}")
    }
}

#[test]
fn kafka_and_snapshots_stay_unless_they_are_to_go() {
    let left = World::default().run_out();
    assert_eq!(left, [Left::Topics(vec!["noc.journal".to_owned()]), Left::Snapshots]);
    let mut world = World::default();
    world.policy.kafka = Fate::Delete;
    assert_eq!(world.run_out(), [Left::Snapshots]);
    assert_eq!(
        world.savepoint.unwrap().state,
        SnapshotState::Completed,
        "the workers went behind a savepoint"
    );
    let mut world = World::default();
    world.policy.kafka = Fate::Delete;
    world.policy.snapshots = Fate::Delete;
    assert_eq!(world.run_out(), []);
    assert_eq!(world.savepoint, None, "it would have gone with the rest");
}

#[test]
fn what_stays_of_a_kafka_is_the_policy_s_and_the_disks_to_say() {
    let left = |kafka: &str, policy: &str| {
        let pipeline = crate::testing::pipeline(&format!(
            "{}  kafka: {{{kafka}}}\n  deletionPolicy: {{kafka: {policy}}}\n",
            crate::testing::HEAD
        ));
        KafkaLeft::of(&pipeline.spec)
    };
    assert_eq!(left("", "Retain"), KafkaLeft::All);
    assert_eq!(left("", "Delete"), KafkaLeft::Disks);
    assert_eq!(
        left("pools: [{name: nodes, storage: {deleteClaim: true}}]", "Delete"),
        KafkaLeft::Nothing
    );
    assert_eq!(left("mode: Strimzi", "Retain"), KafkaLeft::Strimzi);
    assert_eq!(left("mode: Strimzi", "Delete"), KafkaLeft::Nothing);
    assert_eq!(left("bootstrapServers: \"k:9092\"", "Retain"), KafkaLeft::Nothing);
}

#[test]
fn what_cannot_be_taken_down_holds_nobody_up_for_ever() {
    let mut world = World {
        kafka_answers: false,
        storage_answers: false,
        savepoint_succeeds: false,
        ..World::default()
    };
    world.policy.kafka = Fate::Delete;
    let left = world.run_out();
    assert_eq!(left, [Left::NoSavepoint, Left::UnknownTopics, Left::UnknownSnapshots]);
    assert_eq!(world.since, Duration::from_secs(600), "deletionPolicy.timeout");
    let mut forced = World {
        is_forced: true,
        ..World::default()
    };
    assert!(forced.go_on().unwrap().contains(&Left::Workers(2)));
}

#[test]
fn what_stays_is_named_with_the_command_that_removes_it() {
    let places = |bucket| Places {
        namespace: "ops",
        pipeline: "noc",
        bootstrap: "kafka:9092",
        bucket,
    };
    let message = |left: &Left| left_message(left, places(Some("s3://bucket/ops")));
    let topics = message(&Left::Topics(vec!["noc.journal".to_owned()]));
    assert!(
        topics.contains("--bootstrap-server kafka:9092 --delete --topic noc.journal"),
        "{topics}"
    );
    assert!(message(&Left::Snapshots).contains("--state s3://bucket/ops --pipeline noc"));
    let volume = left_message(&Left::Snapshots, places(None));
    assert!(volume.ends_with("kubectl delete pvc -n ops noc-state"), "{volume}");
}

proptest! {
    #[test]
    fn it_ends_in_time_and_takes_nothing_down_that_is_to_stay(
        delete_kafka in any::<bool>(), delete_snapshots in any::<bool>(), save in any::<bool>(),
        kafka_answers in any::<bool>(), storage_answers in any::<bool>(), savepoint_succeeds in any::<bool>(),
        has_workers in any::<bool>()
    ) {
        let fate = |delete: bool| if delete { Fate::Delete } else { Fate::Retain };
        let mut world = World { kafka_answers, storage_answers, savepoint_succeeds, ..World::default() };
        world.policy.kafka = fate(delete_kafka);
        world.policy.snapshots = fate(delete_snapshots);
        world.policy.take_savepoint = save;
        if !has_workers {
            world.workers = None;
        }
        world.run_out();
        prop_assert!(world.since <= Duration::from_secs(601));
        prop_assert!(delete_kafka || !world.topics.is_empty());
        prop_assert!(delete_snapshots || world.has_snapshots);
        if delete_kafka && kafka_answers {
            prop_assert!(world.topics.is_empty());
        }
    }
}

#[test]
fn only_of_a_journal_that_goes_the_ends_are_forgotten() {
    let goes = |kafka: serde_json::Value, fate: Fate| {
        let mut spec = IncidentPipelineSpec {
            kafka: serde_json::from_value(kafka).unwrap(),
            ..IncidentPipelineSpec::default()
        };
        spec.deletion_policy.kafka = fate;
        journal_goes(&spec)
    };
    let external = || json!({"bootstrapServers": "broker:9092"});
    assert!(goes(external(), Fate::Delete));
    assert!(!goes(external(), Fate::Retain));
    let left_alone = json!({"bootstrapServers": "broker:9092", "manageTopics": false});
    assert!(!goes(left_alone, Fate::Delete));
    assert!(goes(json!({"mode": "Strimzi"}), Fate::Delete));
    assert!(!goes(json!({}), Fate::Delete), "its disks stay");
    let disks_go = || json!({"pools": [{"name": "nodes", "replicas": 1, "storage": {"deleteClaim": true}}]});
    assert!(goes(disks_go(), Fate::Delete));
    assert!(!goes(disks_go(), Fate::Retain));
}

#[test]
fn ends_of_runs_are_forgotten_once_the_journal_is_gone() {
    let mut world = World {
        ended_runs: vec!["noc-ending-0123456789ab-3".to_owned()],
        ..World::default()
    };
    world.policy.kafka = Fate::Delete;
    world.run_out();
    assert!(world.ended_runs.is_empty());
}
