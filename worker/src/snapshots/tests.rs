//! Snapshots in a folder: what was written is read, and nothing half written or damaged ever is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_worker_core::capture::Extent;
use tocsin_worker_core::decode::{Records, Span};
use tocsin_worker_core::engine::{Arrived, Engine, Outputs};
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::{References, compile};
use tocsin_worker_core::snapshot::{BlockWriter, FORMAT, File, Manifest, ShardNames, SourcePosition, StageEntry};

use super::*;

fn names() -> ShardNames {
    ShardNames::of("noc", 2)
}

fn store(folder: &TempDir) -> SnapshotStore {
    SnapshotStore::open(&StoreAddress::new(folder.path().display().to_string())).unwrap()
}

fn manifest(sequence: u64, head: File, files: Vec<File>) -> Manifest {
    Manifest {
        format: FORMAT,
        pipeline: "noc".to_owned(),
        shard: 2,
        n_shards: 4,
        sequence,
        epoch: 0,
        journal_offset: 7,
        drained: None,
        restored_from: None,
        resumed_from: None,
        revisions: std::collections::BTreeMap::new(),
        positions: vec![SourcePosition {
            source: "alerts".to_owned(),
            position: Some((sequence as i64 * 10, 0)),
            topic: None,
            topic_id: None,
        }],
        stages: Vec::new(),
        head,
        files,
    }
}

/// Writes a snapshot that lies over `base`; answers its files of blocks.
fn write(store: &SnapshotStore, sequence: u64, base: &[File]) -> Vec<File> {
    let file = |what: &str| {
        let name = names().file(sequence, what, sequence);
        store
            .write_file(&names(), &name, format!("{what} {sequence}").into_bytes())
            .unwrap()
    };
    let head = file("head");
    let files = [&[file("blocks")], base].concat();
    store
        .publish(&names(), &manifest(sequence, head, files.clone()))
        .unwrap();
    files
}

/// The sequence of the snapshot that a commit up to `committed` is brought back by, and what its files hold.
fn newest(store: &SnapshotStore, committed: u64) -> Result<Option<(u64, Vec<String>)>, SnapshotError> {
    let Some(manifest) = store.newest(&names(), committed)? else {
        return Ok(None);
    };
    let read = |file| {
        let bytes = store.file(&names(), &manifest, file)?;
        Ok(String::from_utf8(bytes).unwrap())
    };
    let files: Result<Vec<String>, SnapshotError> = manifest.files.iter().chain([&manifest.head]).map(read).collect();
    Ok(Some((manifest.sequence, files?)))
}

fn check(store: &SnapshotStore, committed: u64, expected: Option<(u64, &[&str])>) {
    let found = newest(store, committed).unwrap();
    let found = found
        .as_ref()
        .map(|(at, files)| (*at, files.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(
        found.as_ref().map(|(at, files)| (*at, files.as_slice())),
        expected,
        "up to {committed}"
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("noc/shards/2")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_newest_that_the_commit_covers_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    check(&store, 100, None);
    write(&store, 3, &[]);
    write(&store, 12, &[]);
    check(&store, 100, Some((12, &["blocks 12", "head 12"])));
    check(&store, 11, Some((3, &["blocks 3", "head 3"])));
    check(&store, 2, None);
}

#[test]
fn the_files_of_several_snapshots_are_read_in_their_order_up_to_the_first_that_is_refused_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let first = write(&store, 3, &[]);
    let second = write(&store, 12, &first);
    let names = names();
    let manifests = [
        manifest(12, File::default(), second),
        manifest(3, File::default(), first.clone()),
    ];
    let snapshots: Vec<_> = manifests.iter().map(|manifest| (&names, manifest)).collect();
    let all = [(0, "blocks 12"), (0, "blocks 3"), (1, "blocks 3")];
    let read = |n_taken: usize| {
        let mut taken = Vec::new();
        let outcome = store.each_file(&snapshots, |number, bytes| {
            if taken.len() == n_taken {
                return Err(SnapshotError::NotSavepoint("enough".to_owned()));
            }
            taken.push((number, String::from_utf8(bytes).unwrap()));
            Ok(())
        });
        assert!(
            taken
                .iter()
                .map(|(number, text)| (*number, text.as_str()))
                .eq(all[..taken.len()].iter().copied())
        );
        (taken.len(), outcome.is_ok())
    };
    for n_taken in 0..3 {
        assert_eq!(read(n_taken), (n_taken, false));
    }
    assert_eq!(read(3), (3, true));
    store.each_file(&[], |_, _| panic!("there is none")).unwrap();
    store.remove_file(&names, &first[0]).unwrap();
    assert_eq!(read(3), (1, false));
}

#[test]
fn one_that_was_interrupted_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    write(&store, 3, &[]);
    write(&store, 12, &[]);
    std::fs::remove_file(folder.path().join(names().manifest(12))).unwrap();
    check(&store, 100, Some((3, &["blocks 3", "head 3"])));
}

#[test]
fn one_that_is_damaged_or_lacks_a_file_is_never_replaced_by_an_older_one() {
    for (n, removed) in [(0, false), (1, false), (2, false), (0, true), (1, true)] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        write(&store, 3, &[]);
        write(&store, 12, &[]);
        let damaged = &files(folder.path())[3 + n];
        if removed {
            std::fs::remove_file(damaged).unwrap();
        } else {
            let mut bytes = std::fs::read(damaged).unwrap();
            bytes[5] ^= 1;
            std::fs::write(damaged, bytes).unwrap();
        }
        let error = newest(&store, 100).unwrap_err();
        assert!(!error.may_pass(), "{error}");
        assert!(error.to_string().contains("00000000000000000012"), "{error}");
    }
}

#[test]
fn a_manifest_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let files = write(&store, 3, &[]);
    let again = store.publish(&names(), &manifest(3, files[0].clone(), Vec::new()));
    assert!(matches!(again, Err(SnapshotError::Store { .. })));
    check(&store, 3, Some((3, &["blocks 3", "head 3"])));
}

#[test]
fn as_many_as_asked_are_kept_and_the_files_that_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    write(&store, 1, &[]);
    let base = write(&store, 2, &[]);
    let over = write(&store, 3, &base);
    write(&store, 4, &over);
    // What an interrupted one left.
    store
        .write_file(&names(), &names().file(2, "blocks", 99), b"half".to_vec())
        .unwrap();
    store.clear(&names(), 2).unwrap();
    check(&store, 4, Some((4, &["blocks 4", "blocks 3", "blocks 2", "head 4"])));
    check(&store, 3, Some((3, &["blocks 3", "blocks 2", "head 3"])));
    check(&store, 2, None);
    assert_eq!(
        files(folder.path()).len(),
        7,
        "two manifests, two heads, three of blocks"
    );
}

/// The order in which keys came is no key.
#[test]
fn what_a_snapshot_holds_is_counted_by_key() {
    let spec: IncidentPipelineSpec = serde_json::from_value(serde_json::json!({
        "sources": [{"name": "alerts", "kafka": {"topic": "alerts"}, "eventTime": {"field": "ts", "unit": "Milliseconds"}}],
        "stages": [{"name": "n", "from": "alerts",
                    "aggregate": {"by": ["service"], "window": {"tumbling": "1m"}, "select": {"n": "count(*)"}}}],
        "sinks": [],
    }))
    .unwrap();
    let plan = compile("noc", &spec, &References::default()).unwrap();
    let decoder = JsonDecoder::new(plan.sources[0].record.clone());
    let mut engine = Engine::new(plan, vec![Box::new(decoder)]);
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for service in 0..9 {
        let start = bytes.len();
        bytes.extend(format!(r#"{{"ts": 1000, "service": "s{service}"}}"#).into_bytes());
        let (end, offset) = (bytes.len(), service);
        spans.push(Span { start, end, offset });
    }
    let (bytes, spans) = (&bytes, &spans);
    engine.push(0, Records { bytes, spans }, Arrived::Unknown, &mut Outputs::default());
    let head = engine.begin_capture(Extent::Whole).save();
    let mut blocks = BlockWriter::new(&[None]);
    let placed: Vec<_> = std::iter::from_fn(|| engine.next_block()).collect();
    assert!(placed.iter().any(|placed| placed.block.id.is_order()));
    placed.iter().for_each(|placed| blocks.add(placed));

    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let file = |what: &str, bytes| {
        let name = names().file(3, what, 3);
        store.write_file(&names(), &name, bytes).unwrap()
    };
    let mut manifest = manifest(3, file("head", head.encode()), vec![file("blocks", blocks.finish())]);
    let stage = &head.stages[0];
    manifest.stages = vec![StageEntry {
        name: stage.name.clone(),
        shape: stage.shape.clone(),
    }];
    store.publish(&names(), &manifest).unwrap();
    let parts = store.parts("noc").unwrap();
    assert_eq!(contents(&store, &parts).unwrap()["n"].keys, 9);
    assert_eq!(difference(&store, &parts, &parts).unwrap()["n"].same, 9);
}

#[test]
fn one_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let address = StoreAddress::new(folder.path().display().to_string());
    let writer = SnapshotWriter::start(&address, 3, Vec::new()).unwrap();
    writer.begin(names(), 8, None);
    writer.blocks(Vec::new()).unwrap();
    writer.abandon();
    let written = writer.written.clone();
    drop(writer);
    assert!(written.recv_timeout(Duration::from_secs(10)).is_err());
    assert!(!folder.path().join("noc").exists());
}

#[test]
fn an_address_that_leads_nowhere_is_named() {
    for address in ["/dev/null/x", "nothing://x", "s3://"] {
        let error = SnapshotStore::open(&StoreAddress::new(address)).unwrap_err();
        assert!(error.to_string().contains(address), "{error}");
    }
}
