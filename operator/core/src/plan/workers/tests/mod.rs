//! Workers come from what they run to what is asked for, whatever happens in between.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use tocsin_contract::pipeline::state::RestoreFrom;

use super::facts::RestorePoint;
use super::*;
use crate::testing::settings;
use world::{BAD, OLD, World, doing};

fn running() -> World {
    let mut world = World::default();
    assert_eq!(doing(&world.settle()), Doing::Running);
    assert_eq!(world.runs(), (1, 2));
    world
}

#[test]
fn a_new_pipeline_gets_its_workers_at_once() {
    running();
}

#[test]
fn more_or_fewer_workers_need_no_savepoint() {
    let mut world = running();
    world.change(|asked| asked.replicas = 5);
    assert_eq!(doing(&world.settle()), Doing::Running);
    assert_eq!((world.pods.len(), world.savepoints.len()), (5, 0));
}

#[test]
fn another_image_comes_with_the_savepoint_of_the_old_one() {
    let mut world = running();
    world.change(|asked| asked.image = 2);
    assert!(matches!(doing(&world.operator()), Doing::AskForSavepoint { .. }));
    assert!(matches!(doing(&world.operator()), Doing::AwaitSavepoint { .. }));
    assert_eq!(doing(&world.settle()), Doing::Running);
    let workers = world.workers.as_ref().unwrap();
    assert!(
        matches!(&workers.record.start, Start::Rewind { epoch: 1, .. }),
        "{workers:?}"
    );
    assert_eq!(world.pods.len(), 2);
}

#[test]
fn a_change_that_is_taken_back_behind_its_savepoint_goes_on_from_there() {
    let mut world = running();
    let before = world.workers.clone().unwrap().record.revision;
    world.change(|asked| asked.image = 2);
    world.operator();
    world.snapshots(true);
    world.snapshots(true);
    world.change(|asked| asked.image = 1);
    assert_eq!(doing(&world.operator()), Doing::Stop);
    world.settle();
    let workers = world.workers.as_ref().unwrap();
    assert_eq!(workers.record.revision, before);
    assert!(
        matches!(&workers.record.start, Start::Rewind { epoch: 1, .. }),
        "{workers:?}"
    );
}

#[test]
fn an_upgrade_whose_savepoint_fails_does_not_begin_and_is_tried_again_with_the_next_spec() {
    let mut world = running();
    world.change(|asked| asked.image = 2);
    world.operator();
    world.snapshots(false);
    world.snapshots(false);
    let decision = world.operator();
    assert!(
        matches!(doing(&decision), Doing::Refuse(Refusal::SavepointFailed { .. })),
        "{decision:?}"
    );
    assert_eq!(world.pods.len(), 2, "the old workers go on");
    world.change(|asked| asked.replicas = 3);
    assert_eq!(doing(&world.settle()), Doing::Running);
    assert_eq!(world.pods.len(), 3);
}

#[test]
fn workers_that_were_never_ready_stand_in_nobodys_way() {
    let mut world = World::default();
    world.change(|asked| asked.image = BAD);
    world.settle();
    assert_eq!(world.pods.len(), 2);
    world.change(|asked| asked.image = 1);
    assert_eq!(doing(&world.settle()), Doing::Running);
    assert_eq!((world.runs(), world.savepoints.len()), ((1, 2), 0));
    // Back from an upgrade that never came up: with the savepoint that was taken before it.
    world.change(|asked| asked.image = BAD);
    world.settle();
    let start = world.workers.clone().unwrap().record.start;
    assert!(matches!(start, Start::Rewind { epoch: 1, .. }), "{start:?}");
    world.change(|asked| asked.image = 1);
    world.settle();
    let workers = world.workers.as_ref().unwrap();
    assert_eq!(
        (&workers.record.start, world.savepoints.len(), world.epoch),
        (&start, 1, 1)
    );
}

#[test]
fn a_change_that_would_lose_state_is_refused_unless_it_may() {
    let mut world = running();
    world.change(|asked| asked.stages = vec![("escalated", "escalate by host")]);
    // Another shape comes with another file; the image stands for it here.
    world.change(|asked| asked.image = 2);
    let decision = world.settle();
    assert_eq!(
        doing(&decision),
        Doing::Refuse(Refusal::StateLost(vec!["escalated".to_owned()]))
    );
    assert_eq!((world.pods.len(), world.savepoints.len()), (2, 0));
    world.change(|asked| asked.may_drop = true);
    assert_eq!(doing(&world.settle()), Doing::Running);
}

#[test]
fn a_suspended_pipeline_goes_on_where_it_was() {
    let mut world = running();
    world.change(|asked| asked.suspend = true);
    assert_eq!(doing(&world.settle()), Doing::Suspended);
    assert_eq!(world.pods.len(), 0);
    world.change(|asked| asked.image = 2);
    assert_eq!(doing(&world.settle()), Doing::Suspended);
    world.change(|asked| asked.suspend = false);
    assert_eq!(doing(&world.settle()), Doing::Running);
    assert_eq!(world.epoch, 1);
}

#[test]
fn who_suspends_a_pipeline_that_can_take_no_savepoint_gets_it_stopped_and_must_go_on_with_the_same() {
    let mut world = running();
    world.change(|asked| asked.suspend = true);
    world.operator();
    world.snapshots(false);
    world.snapshots(false);
    assert_eq!(doing(&world.settle()), Doing::Suspended);
    world.change(|asked| {
        asked.suspend = false;
        asked.image = 2;
    });
    assert_eq!(doing(&world.settle()), Doing::Refuse(Refusal::StoppedWithoutSavepoint));
    world.change(|asked| asked.image = 1);
    assert_eq!(doing(&world.settle()), Doing::Running);
    assert_eq!((world.pods.len(), world.epoch), (2, 0));
}

#[test]
fn workers_that_are_made_anew_go_on_behind_the_run_that_was_ended() {
    let mut world = running();
    world.change(|asked| asked.suspend = true);
    world.settle();
    assert_eq!(world.pods.len(), 0);
    // The pipeline was deleted and applied again, or somebody deleted the set.
    world.workers = None;
    world.change(|asked| asked.suspend = false);
    assert_eq!(doing(&world.settle()), Doing::Running);
    let start = world.workers.as_ref().unwrap().record.start.clone();
    assert!(matches!(start, Start::Rewind { epoch: 1, .. }), "{start:?}");
    // That run goes on: nothing ended it.
    world.workers = None;
    world.pods.clear();
    world.settle();
    assert_eq!(world.workers.as_ref().unwrap().record.start, start);
}

#[test]
fn no_workers_are_made_beside_pods_that_nobody_keeps() {
    let mut world = running();
    world.workers = None;
    assert_eq!(doing(&world.operator()), Doing::Stop);
    assert!(world.workers.is_none());
    world.pods.clear();
    assert_eq!(doing(&world.settle()), Doing::Running);
}

#[test]
fn a_restore_that_an_older_journal_refuses_can_be_taken_back() {
    let mut world = World {
        is_new: true,
        ..World::default()
    };
    world.change(|asked| asked.restore_nonce = 1);
    world.operator();
    let start = world.workers.as_ref().unwrap().record.start.clone();
    assert!(matches!(start, Start::Restore { .. }), "{start:?}");
    world.change(|asked| asked.restore_nonce = 0);
    world.operator();
    assert_eq!(world.workers.as_ref().unwrap().record.start, Start::Continue);
}

#[test]
fn a_restore_that_is_asked_for_takes_what_runs_away() {
    let mut world = running();
    world.change(|asked| asked.restore_nonce = 1);
    assert_eq!(doing(&world.settle()), Doing::Running);
    let workers = world.workers.as_ref().unwrap();
    assert_eq!(
        workers.record.start,
        Start::Rewind {
            savepoint: OLD.to_owned(),
            epoch: 1
        }
    );
    assert_eq!(world.savepoints.len(), 0);
}

#[test]
fn a_restore_that_cannot_begin_can_be_taken_back() {
    let mut world = running();
    let before = world.workers.clone().unwrap().record.start;
    world.change(|asked| asked.restore_nonce = 1);
    world.operator();
    while !world.pods.is_empty() {
        world.controller();
    }
    world.operator();
    assert!(matches!(
        world.workers.as_ref().unwrap().record.start,
        Start::Rewind { .. }
    ));
    // Its pods do not start; `restoreFrom` goes.
    world.change(|asked| asked.restore_nonce = 0);
    world.settle();
    let workers = world.workers.as_ref().unwrap();
    assert_eq!(
        (&workers.record.start, workers.replicas, world.savepoints.len()),
        (&before, 2, 0)
    );
}

#[test]
fn what_goes_on_where_it_stands_takes_no_state_of_another_epoch() {
    let mut world = running();
    world.change(|asked| asked.image = 2);
    world.settle();
    let mut pipeline = world.pipeline();
    pipeline.spec.state.restore_nonce = 1;
    pipeline.spec.state.restore_from = Some(RestoreFrom {
        path: Some(OLD.to_owned()),
        ..RestoreFrom::default()
    });
    let workers = Workers {
        pods: 2,
        ready: 2,
        ..world.workers.clone().unwrap()
    };
    let decision = decide(&Facts {
        pods_left: 0,
        pipeline: &pipeline,
        settings: &settings(),
        rule_sets: &BTreeMap::new(),
        workers: Some(&workers),
        has_kafka: true,
        has_rules: true,
        // What was said last is older than the run.
        epoch: Some(0),
        savepoints: &world.savepoints,
        restore_from: Some(&RestorePoint {
            path: OLD.to_owned(),
            epoch: Some(0),
        }),
    });
    let path = OLD.to_owned();
    assert_eq!(
        doing(&decision),
        Doing::Refuse(Refusal::OtherEpoch { path, of: 0, is: 1 })
    );
}

#[derive(Clone, Debug)]
enum Event {
    Image(u32),
    Replicas(u32),
    Suspend(bool),
    Restore,
    Operator,
    Controller,
    Snapshots(bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (1..4_u32).prop_map(Event::Image),
        1 => Just(Event::Image(BAD)),
        1 => (0..4_u32).prop_map(Event::Replicas),
        1 => any::<bool>().prop_map(Event::Suspend),
        1 => Just(Event::Restore),
        8 => Just(Event::Operator),
        8 => Just(Event::Controller),
        6 => prop::bool::weighted(0.8).prop_map(Event::Snapshots),
    ];
    prop::collection::vec(event, 0..150)
}

proptest! {
    /// The checks stand in the steps of the world: pods of two runs are never there together, and each begins with what the
    /// one before it left.
    #[test]
    fn whatever_is_asked_for_no_two_runs_overlap_and_none_loses_what_the_last_one_did(events in events()) {
        let mut world = World::default();
        for event in events {
            match event {
                Event::Image(image) => world.change(|asked| asked.image = image),
                Event::Replicas(replicas) => world.change(|asked| asked.replicas = replicas),
                Event::Suspend(suspend) => world.change(|asked| asked.suspend = suspend),
                Event::Restore => world.change(|asked| asked.restore_nonce += 1),
                Event::Operator => {
                    world.operator();
                }
                Event::Controller => world.controller(),
                Event::Snapshots(succeeds) => world.snapshots(succeeds),
            }
        }
        let decision = world.settle();
        let wanted = if world.asked.suspend { 0 } else { world.asked.replicas };
        match doing(&decision) {
            Doing::Running | Doing::Suspended => prop_assert_eq!(world.pods.len(), wanted as usize),
            Doing::Refuse(_) => {}
            other => prop_assert!(false, "it comes to rest at {:?}", other),
        }
    }
}
