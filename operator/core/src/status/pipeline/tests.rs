//! What a user reads.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use tocsin_contract::snapshot::SnapshotTrigger;
use tocsin_contract::worker::{self, ShardStatus};

use super::*;
use crate::build::record::Record;
use crate::testing::{self, HEAD};

/// Nobody has asked its Kafka.
static KAFKA: KafkaWord = KafkaWord {
    nodes: None,
    strimzi: None,
    brokers: None,
    topics: None,
};

fn pipeline() -> Pipeline {
    testing::pipeline(&format!(
        "{HEAD}  kafka: {{bootstrapServers: \"kafka.ops:9092\"}}\n  workers: {{replicas: 2}}\n"
    ))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn look(said: &IncidentPipelineStatus, second: i64) -> Look<'_> {
    Look {
        namespace: "ops",
        name: "noc",
        generation: 3,
        said,
        now: at(second),
    }
}

fn workers(replicas: u32, pods: u32, ready: u32) -> Workers {
    Workers {
        record: Record {
            was_ready: ready > 0,
            ..Record::default()
        },
        replicas,
        pods,
        ready,
        updated: pods,
    }
}

fn answer(lag_seconds: f64) -> WorkerStatus {
    WorkerStatus {
        version: "0.1.0".to_owned(),
        lag: worker::LagStatus {
            records: 10,
            seconds: lag_seconds,
            ..worker::LagStatus::default()
        },
        shards: vec![ShardStatus {
            shard: 11,
            epoch: Some(0),
            ..ShardStatus::default()
        }],
        ..WorkerStatus::default()
    }
}

fn of(doing: &Doing, workers: Option<&Workers>, answers: &[WorkerStatus]) -> IncidentPipelineStatus {
    let pipeline = pipeline();
    let planned = Planned {
        pipeline: &pipeline,
        doing,
        workers,
        image: "registry.example.com:5000/tocsin/worker:0.1.0",
        answers,
        kafka: &KAFKA,
        last_savepoint: None,
        pod_trouble: None,
    };
    status(&look(&IncidentPipelineStatus::default(), 1), &Outcome::Planned(planned))
}

fn told(status: &IncidentPipelineStatus) -> String {
    let mut text = format!("{:?}: {}\n", status.phase.unwrap(), status.message);
    for condition in &status.conditions {
        writeln!(
            text,
            "{}={} {}: {}",
            condition.type_, condition.status, condition.reason, condition.message
        )
        .unwrap();
    }
    text
}

fn check(status: &IncidentPipelineStatus, expected: &Expect) {
    expected.assert_eq(&told(status));
}

#[test]
fn a_pipeline_that_runs_says_so() {
    let status = of(&Doing::Running, Some(&workers(2, 2, 2)), &[answer(0.5), answer(3.0)]);
    check(
        &status,
        &expect![[r#"
            Running: 2 of 2 workers are ready
            Ready=True AllComponentsReady: 2 of 2 workers are ready
            Reconciling=False Done: all is as the spec asks
            Stalled=False NotStalled: nothing stands in the way
            WorkersReady=True WorkersReady: 2 of 2 workers are ready
            StateHealthy=True VolumeOnly: snapshots are on a volume of the cluster, and lost with it; set spec.state.storage.s3 to keep them elsewhere
            SnapshotAvailable=False NoSnapshot: no snapshot has been taken yet
            UpgradeStable=True Stable: the workers run what the spec asks for
            ScalingActive=False Disabled: spec.autoscaling.mode is Off: kubectl scale says how many workers there are
            LagWithinTarget=True WithinTarget: less than 120 s behind
            Degraded=False AsExpected: no worker says that anything is wrong
            RulesApplied=True Applied: the pipeline refers to no rule set
        "#]],
    );
    let workers = status.workers.unwrap();
    assert_eq!(
        (workers.shards, workers.version.as_str(), workers.epoch),
        (12, "0.1.0", Some(0))
    );
}

#[test]
fn a_pipeline_that_is_new_says_what_is_awaited() {
    check(
        &of(&Doing::Running, None, &[]),
        &expect![[r#"
            Deploying: the workers are being made
            Ready=False ComponentNotReady: the workers are being made
            Reconciling=True Deploying: the workers are being made
            Stalled=False NotStalled: nothing stands in the way
            WorkersReady=False RollingOut: the workers are being made
            StateHealthy=Unknown CheckpointingOk: no worker has said yet
            SnapshotAvailable=False NoSnapshot: no snapshot has been taken yet
            UpgradeStable=True Stable: the workers run what the spec asks for
            ScalingActive=False Disabled: spec.autoscaling.mode is Off: kubectl scale says how many workers there are
            LagWithinTarget=Unknown Unknown: no worker has said yet
            Degraded=False AsExpected: no worker says that anything is wrong
            RulesApplied=True Applied: the pipeline refers to no rule set
        "#]],
    );
}

#[test]
fn a_pipeline_that_is_behind_says_what_helps() {
    let status = of(&Doing::Running, Some(&workers(2, 2, 2)), &[answer(500.0)]);
    let lag = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kinds::LAG_WITHIN_TARGET);
    expect!["more than 120 s behind; more workers may help: kubectl scale incidentpipeline noc"]
        .assert_eq(&lag.unwrap().message);
}

#[test]
fn a_change_that_is_refused_says_what_to_do() {
    let refusal = Refusal::StateLost(vec!["escalated".to_owned()]);
    check(
        &of(&Doing::Refuse(refusal), Some(&workers(2, 2, 2)), &[answer(0.0)]),
        &expect![[r#"
            Failed: the change would lose the state of escalated; the workers go on as they were. Leave these stages as they were, or set spec.state.allowNonRestoredState to true to drop their state
            Ready=False Stalled: the change would lose the state of escalated; the workers go on as they were. Leave these stages as they were, or set spec.state.allowNonRestoredState to true to drop their state
            Reconciling=False Done: nothing is to be done
            Stalled=True UnrecoverableError: the change would lose the state of escalated; the workers go on as they were. Leave these stages as they were, or set spec.state.allowNonRestoredState to true to drop their state
            WorkersReady=True WorkersReady: 2 of 2 workers are ready
            StateHealthy=True VolumeOnly: snapshots are on a volume of the cluster, and lost with it; set spec.state.storage.s3 to keep them elsewhere
            SnapshotAvailable=False NoSnapshot: no snapshot has been taken yet
            UpgradeStable=False StateIncompatible: the change would lose the state of escalated; the workers go on as they were. Leave these stages as they were, or set spec.state.allowNonRestoredState to true to drop their state
            ScalingActive=False Disabled: spec.autoscaling.mode is Off: kubectl scale says how many workers there are
            LagWithinTarget=True WithinTarget: less than 120 s behind
            Degraded=False AsExpected: no worker says that anything is wrong
            RulesApplied=True Applied: the pipeline refers to no rule set
        "#]],
    );
}

#[test]
fn an_upgrade_says_how_far_it_is() {
    let doing = Doing::AskForSavepoint {
        name: "noc-ending-x-3".to_owned(),
        ends: "x".to_owned(),
        trigger: SnapshotTrigger::Upgrade,
    };
    check(
        &of(&doing, Some(&workers(2, 2, 2)), &[answer(0.0)]),
        &expect![[r#"
            Savepointing: the savepoint noc-ending-x-3 is being taken; the pipeline stands still behind it until others go on with it
            Ready=False Reconciling: the savepoint noc-ending-x-3 is being taken; the pipeline stands still behind it until others go on with it
            Reconciling=True Upgrading: the savepoint noc-ending-x-3 is being taken; the pipeline stands still behind it until others go on with it
            Stalled=False NotStalled: nothing stands in the way
            WorkersReady=True WorkersReady: 2 of 2 workers are ready
            StateHealthy=True VolumeOnly: snapshots are on a volume of the cluster, and lost with it; set spec.state.storage.s3 to keep them elsewhere
            SnapshotAvailable=False NoSnapshot: no snapshot has been taken yet
            UpgradeStable=Unknown Verifying: the savepoint noc-ending-x-3 is being taken; the pipeline stands still behind it until others go on with it
            ScalingActive=False Disabled: spec.autoscaling.mode is Off: kubectl scale says how many workers there are
            LagWithinTarget=True WithinTarget: less than 120 s behind
            Degraded=False AsExpected: no worker says that anything is wrong
            RulesApplied=True Applied: the pipeline refers to no rule set
        "#]],
    );
}

#[test]
fn a_spec_that_cannot_be_built_says_what_is_wrong_with_it() {
    let problems = [Problem::new("spec.stages[hot].filter", "`cpu >` is no expression")];
    let said = IncidentPipelineStatus::default();
    check(
        &status(&look(&said, 1), &Outcome::Invalid(&problems)),
        &expect![[r#"
            Failed: spec.stages[hot].filter: `cpu >` is no expression
            Ready=False Stalled: spec.stages[hot].filter: `cpu >` is no expression
            Change the spec: kubectl edit incidentpipeline noc -n ops
            Reconciling=False Waiting: the spec must change first
            Stalled=True InvalidConfiguration: spec.stages[hot].filter: `cpu >` is no expression
            Change the spec: kubectl edit incidentpipeline noc -n ops
        "#]],
    );
}

#[test]
fn what_is_missing_is_named_and_awaited() {
    let missing = [Missing::Secret("pager".to_owned())];
    let said = IncidentPipelineStatus::default();
    check(
        &status(&look(&said, 1), &Outcome::Missing(&missing)),
        &expect![[r#"
        Created: the Secret pager does not exist in the namespace ops; make it: kubectl create secret generic pager -n ops --from-file=KEY=FILE
        Ready=False ComponentNotReady: the Secret pager does not exist in the namespace ops; make it: kubectl create secret generic pager -n ops --from-file=KEY=FILE
        Reconciling=True Waiting: the Secret pager does not exist in the namespace ops; make it: kubectl create secret generic pager -n ops --from-file=KEY=FILE
        Stalled=False NotStalled: nothing stands in the way
    "#]],
    );
}

#[test]
fn nothing_changes_when_nothing_happened() {
    let pipeline = pipeline();
    let workers = workers(2, 2, 2);
    let answers = [answer(0.0)];
    let planned = Planned {
        pipeline: &pipeline,
        doing: &Doing::Running,
        workers: Some(&workers),
        image: "worker:1",
        answers: &answers,
        kafka: &KAFKA,
        last_savepoint: None,
        pod_trouble: None,
    };
    let first = status(
        &look(&IncidentPipelineStatus::default(), 1),
        &Outcome::Planned(planned.clone()),
    );
    let second = status(&look(&first, 1_000), &Outcome::Planned(planned));
    assert_eq!(first, second);
}
