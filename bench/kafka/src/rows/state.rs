//! The rows over much state.

use std::time::Duration;

use anyhow::Context as _;

use crate::args::RunArgs;
use crate::broker::Broker;
use crate::live::{Load, Prepared, Recovered, Taker, recover};
use crate::report::figure;
use crate::snapshots::{self, SnapshotRun};

/// Seconds of load before a worker is killed: its snapshots come every 2 s.
const BEFORE: u64 = 7;

/// Seconds of load behind it.
const BEHIND: u64 = 20;

const GIGABYTE: f64 = 1e9;

/// Kills workers under load.
pub fn recovery_rounds(args: &RunArgs, broker: &Broker) -> anyhow::Result<()> {
    let load = Load {
        rate: args.recovery_rate,
        warm_up: Duration::from_secs(BEFORE),
        measured: Duration::from_secs(BEHIND),
    };
    let takers = [
        (
            Taker::Same,
            "the same worker is started again",
            "at most 5 s asked for, 1 s aimed at",
        ),
        (
            Taker::Other,
            "another takes over",
            "at most 10 s asked for, 7 s aimed at",
        ),
    ];
    let mut prepared = Prepared::new(load, args.partitions)?;
    let mut runs: [Vec<Recovered>; 2] = [Vec::new(), Vec::new()];
    for round in 1..=args.rounds {
        for ((taker, title, _), runs) in takers.iter().zip(&mut runs) {
            let run = recover(broker, load, &mut prepared, args.state_keys, *taker).context(*title)?;
            eprintln!(
                "round {round}: {title}: first new output after {:.2?} (other partitions {:.2?}), {:.2} GB of state",
                run.first_output,
                run.fastest,
                run.state.bytes as f64 / GIGABYTE
            );
            runs.push(run);
        }
    }
    for ((_, title, asked), runs) in takers.iter().zip(&runs) {
        let Some(last) = runs.last() else { continue };
        let note = format!(
            "{asked}; {} events/s, {:.2} GB of state of {} keys, a snapshot every 2 s",
            args.recovery_rate,
            last.state.bytes as f64 / GIGABYTE,
            last.state.keys
        );
        let of = |take: fn(&Recovered) -> Duration| runs.iter().map(|run| take(run).as_secs_f64()).collect();
        figure(
            &format!("kill -9 to the first new output, {title}"),
            "s",
            of(|run| run.first_output),
            &note,
        );
    }
    let pauses =
        |take: fn(&Recovered) -> Duration| runs.iter().flatten().map(|run| take(run).as_secs_f64() * 1e3).collect();
    let when = format!(
        "{} events/s, a whole snapshot and smaller ones every 2 s",
        args.recovery_rate
    );
    figure(
        "the longest that a snapshot keeps a thread from records, its own processor time",
        "ms",
        pauses(|run| run.pause.cpu),
        &format!("at most 10 ms asked for, 2 ms aimed at; {when}"),
    );
    figure(
        "the same by the clock",
        "ms",
        pauses(|run| run.pause.wall),
        &format!("with what other threads, the broker and the producer took of the two cores meanwhile; {when}"),
    );
    Ok(())
}

/// Writes savepoints, and begins with them.
pub fn snapshot_rounds(args: &RunArgs, broker: &Broker) -> anyhow::Result<()> {
    let mut runs: Vec<SnapshotRun> = Vec::new();
    for round in 1..=args.rounds {
        let run = snapshots::run(broker, args.state_keys)?;
        eprintln!("round {round}: {run:?}");
        runs.push(run);
    }
    let Some(last) = runs.last() else { return Ok(()) };
    let note = format!(
        "{:.2} GB of state of {} keys, {:.2} GB in files",
        last.state.bytes as f64 / GIGABYTE,
        last.state.keys,
        last.state.written as f64 / GIGABYTE
    );
    let of = |take: fn(&SnapshotRun) -> f64| runs.iter().map(take).collect::<Vec<f64>>();
    let gigabytes = |run: &SnapshotRun| run.state.bytes as f64 / GIGABYTE;
    figure(
        "savepoint, state a CPU-second",
        "GB/CPU-s",
        of(|run| run.state.bytes as f64 / GIGABYTE / run.save_cpu),
        &format!("at least 0.5 asked for, 1.5 aimed at; {note}"),
    );
    figure("savepoint, wall", "s", of(|run| run.save_wall), &note);
    let restore = runs.iter().map(|run| run.restore / gigabytes(run)).collect();
    figure(
        "restore, from the assignment of shards until all run",
        "s/GB",
        restore,
        &format!("at most 2 asked for, 0.5 aimed at; {} threads; {note}", args.partitions),
    );
    let restore_cpu = runs.iter().map(|run| run.restore_cpu / gigabytes(run)).collect();
    figure(
        "restore, CPU from the start of the process",
        "CPU-s/GB",
        restore_cpu,
        &note,
    );
    Ok(())
}
