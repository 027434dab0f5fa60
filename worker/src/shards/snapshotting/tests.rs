//! When a snapshot may lie over another, and which savepoints are wanted.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::{References, compile};

use super::*;
use crate::admin::Manner;
use crate::metrics::About;
use crate::snapshots::StoreAddress;

const TERM: Term = 1;

/// What takes the snapshots of a shard, at every cut, and the shard.
fn begun(folder: &TempDir) -> (Snapshotting, Shard) {
    let spec: IncidentPipelineSpec = serde_json::from_value(serde_json::json!({
        "sources": [{"name": "alerts", "kafka": {"topic": "alerts"}, "eventTime": {"field": "ts"}}],
        "stages": [{"name": "n", "from": "alerts",
                    "aggregate": {"by": ["service"], "window": {"tumbling": "1m"}, "select": {"n": "count(*)"}}}],
        "sinks": [],
    }))
    .unwrap();
    let plan = compile("noc", &spec, &References::default()).unwrap();
    let decoder = JsonDecoder::new(plan.sources[0].record.clone());
    let engine = Engine::new(plan, vec![Box::new(decoder)]);
    let shard = Shard::new(engine, vec![Some(Position { offset: 0, epoch: -1 })], 0);
    let settings = SnapshotSettings {
        address: StoreAddress::new(folder.path().to_string_lossy()),
        interval: Duration::ZERO,
        min_pause: Duration::ZERO,
        retained: 3,
        incremental: true,
        may_drop: false,
        restore_from: None,
        resume_from: None,
        rewind_to_epoch: None,
    };
    let place = Place {
        pipeline: "noc".to_owned(),
        inputs: Vec::new(),
        n_shards: 1,
    };
    let measures = Measures::new(About::default());
    let savepoints = Arc::new(Savepoints::default());
    let snapshotting = Snapshotting::start(settings, place, vec![None], measures, savepoints).unwrap();
    (snapshotting, shard)
}

/// Takes a snapshot at the shard's next cut, up to where its manifest is on its way.
fn publish(snapshotting: &mut Snapshotting, shard: &mut Shard) {
    shard.ask_for_cut();
    let sequence = shard.cut().unwrap().sequence;
    snapshotting.cut(0, TERM, shard);
    snapshotting.go_on(|_, _| Some(shard));
    snapshotting.committed(0, sequence, Some(sequence as i64));
    assert!(snapshotting.under_way.as_ref().unwrap().published);
}

fn done(snapshotting: &mut Snapshotting) {
    let written = snapshotting.written().recv().unwrap();
    assert!(written.outcome.is_ok());
    snapshotting.done(written);
}

fn has_base(snapshotting: &Snapshotting) -> bool {
    snapshotting
        .shards
        .get(&0)
        .is_some_and(|of_shard| of_shard.base.is_some())
}

#[test]
fn a_snapshot_lies_over_the_last_one() {
    let folder = TempDir::new().unwrap();
    let (mut snapshotting, mut shard) = begun(&folder);
    publish(&mut snapshotting, &mut shard);
    done(&mut snapshotting);
    assert!(has_base(&snapshotting));
}

/// Its blocks are numbered otherwise when it was recovered.
#[test]
fn none_lies_over_one_that_was_published_when_the_shard_was_lost() {
    let folder = TempDir::new().unwrap();
    let (mut snapshotting, mut shard) = begun(&folder);
    publish(&mut snapshotting, &mut shard);
    snapshotting.lost(0);
    // It is back in the same term, and cut, before what became of the first is known.
    shard.ask_for_cut();
    shard.cut().unwrap();
    snapshotting.cut(0, TERM, &mut shard);
    done(&mut snapshotting);
    assert!(!has_base(&snapshotting));
}

#[test]
fn a_savepoint_that_is_asked_for_again_is_wanted_once() {
    let folder = TempDir::new().unwrap();
    let (mut snapshotting, shard) = begun(&folder);
    let savepoints = Arc::clone(&snapshotting.savepoints);
    savepoints.ask("a", Manner::Plain).unwrap();
    assert!(snapshotting.wants_cut(0, &shard));
    // Another thread could not write it.
    savepoints.failed("a", "the disk is full".to_owned());
    savepoints.ask("a", Manner::Plain).unwrap();
    assert!(snapshotting.wants_cut(0, &shard));
    assert_eq!(snapshotting.wanted.len(), 1);
}
