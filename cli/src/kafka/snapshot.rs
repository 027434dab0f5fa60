//! Lists snapshots, and shows what they hold.

use std::time::SystemTime;

use tocsin_worker::snapshots::{SnapshotError, SnapshotStore, StoreAddress, contents, difference};

use crate::args::SnapshotCommand;
use crate::failure::{Failure, say};
use crate::run::grouped;

/// Does what was asked for with snapshots.
pub fn snapshot(command: &SnapshotCommand) -> Result<(), Failure> {
    let failed = |error: SnapshotError| Failure::Io(error.to_string());
    let open = |address: &str| SnapshotStore::open_existing(&StoreAddress::new(address)).map_err(failed);
    match command {
        SnapshotCommand::List { state, pipeline } => list(&open(&state.state)?, pipeline.as_deref()),
        SnapshotCommand::Inspect { state, name } => inspect(&open(&state.state)?, name),
        SnapshotCommand::Verify { state, names } => return verify(&open(&state.state)?, names),
        SnapshotCommand::Remove { state, names, pipeline } => {
            return remove(&open(&state.state)?, names, pipeline.as_deref());
        }
        SnapshotCommand::Diff { state, first, second } => diff(&open(&state.state)?, first, second),
    }
    .map_err(failed)?
    .into_iter()
    .try_for_each(|line| say(&line))
}

type Lines = Result<Vec<String>, SnapshotError>;

fn list(store: &SnapshotStore, pipeline: Option<&str>) -> Lines {
    let entries = store.catalog(pipeline)?;
    let now = SystemTime::now();
    let rows = entries.iter().map(|entry| {
        let kind = if entry.is_savepoint { "savepoint" } else { "checkpoint" };
        let age = now.duration_since(entry.taken).unwrap_or_default().as_secs();
        [entry.name.clone(), kind.to_owned(), bytes(entry.bytes), ago(age)]
    });
    Ok(table(&["SNAPSHOT", "KIND", "SIZE", "TAKEN"], rows.collect()))
}

fn inspect(store: &SnapshotStore, name: &str) -> Lines {
    let parts = store.parts(name)?;
    let shards = parts.iter().map(|part| {
        let manifest = &part.manifest;
        let positions = manifest.positions.iter().map(|position| match position.position {
            Some((offset, _)) => format!("{}@{offset}", position.source),
            None => format!("{}: none", position.source),
        });
        let resumed = manifest
            .resumed_from
            .as_ref()
            .map(|from| format!("resumed from {from}"));
        let begun = manifest.restored_from.as_ref().map(|from| format!("begun with {from}"));
        [
            format!("{} of {}", manifest.shard, manifest.n_shards),
            manifest.epoch.to_string(),
            manifest.sequence.to_string(),
            bytes(manifest.bytes()),
            manifest.files.len().to_string(),
            positions.collect::<Vec<_>>().join(", "),
            resumed.or(begun).unwrap_or_default(),
        ]
    });
    let heads = ["SHARD", "EPOCH", "CUT", "SIZE", "FILES", "READ ON AT", ""];
    let mut lines = table(&heads, shards.collect());
    let stages = contents(store, &parts)?;
    let stages = stages.into_iter();
    let stages = stages.map(|(name, stage)| [name, grouped(stage.keys), bytes(stage.bytes), stage.shape]);
    lines.push(String::new());
    lines.extend(table(&["STAGE", "KEYS", "STATE", "OF"], stages.collect()));
    Ok(lines)
}

/// Reads every byte of the snapshots; all that is wrong is told.
fn verify(store: &SnapshotStore, names: &[String]) -> Result<(), Failure> {
    let failed = |error: SnapshotError| Failure::Io(error.to_string());
    let names = if names.is_empty() {
        let entries = store.catalog(None).map_err(failed)?;
        entries.into_iter().map(|entry| entry.name).collect()
    } else {
        names.to_vec()
    };
    let (mut n_bad, mut n_unread) = (0, 0);
    for name in &names {
        let read = store.parts(name).and_then(|parts| contents(store, &parts));
        match read {
            Ok(stages) => {
                let keys: u64 = stages.values().map(|stage| stage.keys).sum();
                say(&format!("good  {name}  {} keys", grouped(keys)))?;
            }
            Err(error) if error.is_of_the_snapshot() => {
                n_bad += 1;
                say(&format!("bad   {name}  {error}"))?;
            }
            Err(error) => {
                n_unread += 1;
                say(&format!("?     {name}  {error}"))?;
            }
        }
    }
    match (n_bad, n_unread) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Io(format!(
            "{n_unread} of {} snapshots could not be read",
            names.len()
        ))),
        _ => Err(Failure::Snapshots(format!(
            "{n_bad} of {} snapshots cannot be used",
            names.len()
        ))),
    }
}

fn remove(store: &SnapshotStore, names: &[String], pipeline: Option<&str>) -> Result<(), Failure> {
    let failed = |error: SnapshotError| Failure::Io(error.to_string());
    let removed = |name: &str, n: usize| say(&format!("removed  {name}  {} objects", grouped(n as u64)));
    if let Some(pipeline) = pipeline {
        return removed(pipeline, store.remove_pipeline(pipeline).map_err(failed)?);
    }
    for name in names {
        removed(name, store.remove_savepoint(name).map_err(failed)?)?;
    }
    Ok(())
}

fn diff(store: &SnapshotStore, first: &str, second: &str) -> Lines {
    let (first, second) = (store.parts(first)?, store.parts(second)?);
    let rows = difference(store, &first, &second)?.into_iter();
    let rows = rows.map(|(stage, difference)| {
        let counts = [
            difference.added,
            difference.removed,
            difference.changed,
            difference.same,
        ];
        let [added, removed, changed, same] = counts.map(grouped);
        [stage, added, removed, changed, same]
    });
    Ok(table(&["STAGE", "NEW KEYS", "GONE", "CHANGED", "SAME"], rows.collect()))
}

/// Lines with columns as wide as they must be.
fn table<const N: usize>(heads: &[&str; N], rows: Vec<[String; N]>) -> Vec<String> {
    let heads = heads.map(str::to_owned);
    let width = |i: usize| rows.iter().chain([&heads]).map(|row| row[i].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|i| width(i).unwrap_or_default()).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&heads).chain(&rows).map(line).collect()
}

fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = n as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0);
    format!("{size:.digits$} {}", units[unit])
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
