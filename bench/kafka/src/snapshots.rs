//! How fast much state is written to a savepoint, and brought back from it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;
use tocsin_e2e::http::request;
use tocsin_e2e::ports;
use tocsin_e2e::worker::recoveries;

use crate::broker::Broker;
use crate::cpu::Moment;
use crate::engine::{Topics, tocsin};
use crate::live::{KeptRun, Probes, StateSize, first_results};
use crate::memory;

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(300);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotRun {
    /// What the savepoint holds.
    pub state: StateSize,
    /// Processor time that the worker used for the savepoint, and time on the clock, in seconds.
    pub save_cpu: f64,
    /// On the clock.
    pub save_wall: f64,
    /// From the assignment of its shards until the last of them ran, in seconds.
    pub restore: f64,
    /// Processor time that a worker used from its start until then, in seconds.
    pub restore_cpu: f64,
}

/// Fills a worker with state, takes a savepoint, and begins a pipeline with it.
pub fn run(broker: &Broker, services: u64) -> anyhow::Result<SnapshotRun> {
    let run = KeptRun::new(broker, "snapshots", services)?;
    let topics = &run.topics;
    let admin = format!("127.0.0.1:{}", ports::reserve()?).parse()?;
    let savepoint = format!("{}/savepoints/all", topics.run);
    let kept = tocsin::Kept {
        worker: "first",
        folder: &run.folder,
        interval: "1d",
        restore_from: None,
        admin: Some(admin),
    };
    let first = run.start(broker, topics, kept)?;
    // What escalates behind the state says that all of it is there.
    first_results(broker, topics, &Probes::new(Duration::ZERO), &first.process, WITHIN)?;
    let before = Moment::now(Some(first.process.pid()), broker.pid()?)?;
    let ask = |method: &str, path: &str, body: &str| -> anyhow::Result<Value> {
        let headers = [("Content-Type", "application/json")];
        let answer = request(admin, method, path, &headers, body.as_bytes())?;
        ensure!(matches!(answer.status(), 200 | 202), "{}", answer.text());
        Ok(serde_json::from_str(&answer.text())?)
    };
    ask("POST", "/v1/savepoints", r#"{"id": "all"}"#)?;
    let started = Instant::now();
    loop {
        let progress = ask("GET", "/v1/savepoints/all", "")?;
        if progress["state"] == "Completed" {
            break;
        }
        ensure!(
            progress["state"] != "Failed" && started.elapsed() < WITHIN,
            "{progress}"
        );
        std::thread::park_timeout(LOOK);
    }
    let save = Moment::now(Some(first.process.pid()), broker.pid()?)?.since(&before);
    let held = memory::most_held(first.process.pid())?;
    first.process.kill()?;
    memory::warm(held);
    let state = run.size(&savepoint)?;
    let clone = Topics {
        run: format!("{}-again", topics.run),
        ..topics.clone()
    };
    let kept = tocsin::Kept {
        restore_from: Some(&savepoint),
        admin: None,
        ..kept
    };
    let again = run.start(broker, &clone, kept)?;
    let restored = || {
        let took = recoveries(&again.process.said());
        let longest = took.iter().max().map(Duration::as_secs_f64);
        longest.filter(|_| took.len() == broker.partitions() as usize)
    };
    let restore = again.process.ready("all shards to run", WITHIN, restored)?;
    let used = Moment::now(Some(again.process.pid()), broker.pid()?)?.since(&again.since);
    again.process.kill()?;
    run.remove(broker)?;
    Ok(SnapshotRun {
        state,
        save_cpu: save.engine,
        save_wall: save.wall,
        restore,
        restore_cpu: used.engine,
    })
}
