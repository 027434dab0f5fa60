//! Snapshots in a folder: what was written is read, and nothing half written or damaged ever is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tocsin_worker_core::snapshot::{Expected, FORMAT, Manifest, ShardNames, SourcePosition};

use super::*;

fn names() -> ShardNames {
    ShardNames::of("noc", 2)
}

fn store(folder: &TempDir) -> SnapshotStore {
    SnapshotStore::open(&StoreAddress::new(folder.path().display().to_string())).unwrap()
}

fn manifest(sequence: u64) -> Manifest {
    Manifest {
        format: FORMAT,
        pipeline: "noc".to_owned(),
        shard: 2,
        n_shards: 4,
        sequence,
        epoch: 0,
        journal_offset: 7,
        positions: vec![SourcePosition {
            source: "alerts".to_owned(),
            position: Some((sequence as i64 * 10, 0)),
        }],
        stages: vec!["kpis".to_owned()],
        files: Vec::new(),
    }
}

fn expected() -> Expected<'static> {
    Expected {
        pipeline: "noc",
        shard: 2,
        n_shards: 4,
        sources: vec!["alerts"],
        stages: vec!["kpis".to_owned()],
    }
}

fn write(store: &SnapshotStore, sequence: u64) {
    let file = names().file(sequence, "state", sequence);
    let state = format!("state {sequence}").into_bytes();
    store.write(&names(), manifest(sequence), vec![(file, state)]).unwrap();
}

/// The sequence and the state of the snapshot that a commit up to `committed` is brought back by.
fn newest(store: &SnapshotStore, committed: u64) -> Option<(u64, String)> {
    let found = store.newest(&names(), committed, &expected()).unwrap()?;
    let state = String::from_utf8(found.1[0].clone()).unwrap();
    Some((found.0.sequence, state))
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
    assert_eq!(newest(&store, 100), None);
    write(&store, 3);
    write(&store, 12);
    assert_eq!(newest(&store, 100), Some((12, "state 12".to_owned())));
    assert_eq!(newest(&store, 11), Some((3, "state 3".to_owned())));
    assert_eq!(newest(&store, 2), None);
}

#[test]
fn one_that_was_interrupted_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    write(&store, 3);
    write(&store, 12);
    std::fs::remove_file(folder.path().join(names().manifest(12))).unwrap();
    assert_eq!(newest(&store, 100), Some((3, "state 3".to_owned())));
}

#[test]
fn one_that_is_damaged_is_never_replaced_by_an_older_one() {
    for n in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        write(&store, 3);
        write(&store, 12);
        let damaged = &files(folder.path())[2 + n];
        let mut bytes = std::fs::read(damaged).unwrap();
        bytes[5] ^= 1;
        std::fs::write(damaged, bytes).unwrap();
        let error = store.newest(&names(), 100, &expected()).unwrap_err();
        assert!(matches!(error, SnapshotError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains("00000000000000000012"), "{error}");
    }
}

#[test]
fn a_manifest_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    write(&store, 3);
    let file = names().file(3, "state", 99);
    let again = store.write(&names(), manifest(3), vec![(file, b"other".to_vec())]);
    assert!(matches!(again, Err(SnapshotError::Store { .. })));
    assert_eq!(newest(&store, 3), Some((3, "state 3".to_owned())));
}

#[test]
fn as_many_as_asked_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    (1..=5).for_each(|sequence| write(&store, sequence));
    store.clear(&names(), 2).unwrap();
    assert_eq!(files(folder.path()).len(), 4);
    assert_eq!(newest(&store, 4), Some((4, "state 4".to_owned())));
    assert_eq!(newest(&store, 3), None);
}

#[test]
fn a_thread_writes_what_it_is_handed() {
    let folder = tempfile::tempdir().unwrap();
    let address = StoreAddress::new(folder.path().display().to_string());
    let writer = SnapshotWriter::start(&address, 3).unwrap();
    assert!(writer.write(Capture {
        manifest: manifest(8),
        state: b"state".repeat(1_000),
    }));
    let written = writer.written.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((written.shard, written.sequence), (2, 8));
    let (bytes, _) = written.outcome.unwrap();
    assert!(bytes < 5_000, "it is packed: {bytes} bytes");
    let (_, files) = store(&folder).newest(&names(), 8, &expected()).unwrap().unwrap();
    assert_eq!(zstd::decode_all(files[0].as_slice()).unwrap(), b"state".repeat(1_000));
}

#[test]
fn an_address_that_leads_nowhere_is_named() {
    for address in ["/dev/null/x", "nothing://x", "s3://"] {
        let error = SnapshotStore::open(&StoreAddress::new(address)).unwrap_err();
        assert!(error.to_string().contains(address), "{error}");
    }
}
