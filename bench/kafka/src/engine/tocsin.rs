//! Tocsin: `tocsin run --bootstrap`, as a user starts it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tocsin_e2e::home;
use tocsin_e2e::process::Process;

use super::{Delivery, Running, Topics};
use crate::broker::Broker;
use crate::cpu::Moment;

/// Names the program; `make bench` sets it.
const PROGRAM: &str = "TOCSIN_BIN";

/// How it runs.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What a crash does to results.
    pub delivery: Delivery,
    /// Whether it checks what it does not read.
    pub is_strict: bool,
    /// How many threads work.
    pub threads: u32,
    /// How far alerts may be out of order, such as `5s`.
    pub out_of_order: &'static str,
    /// Whether rows are dealt out by key: the source says nothing of its partitions, and escalations go by another key.
    pub is_dealt: bool,
    /// The processors that it may use, as `taskset` has them; none is all.
    pub processors: Option<&'static str>,
    /// What it keeps of its state; none is nothing.
    pub kept: Option<Kept<'a>>,
}

/// A run that keeps its state: windows last a day and count more, so that there is much of it.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Name of the worker.
    pub worker: &'a str,
    /// Where snapshots go.
    pub folder: &'a Path,
    /// Time between two of them, such as `2s`.
    pub interval: &'static str,
    /// The savepoint that it begins with.
    pub restore_from: Option<&'a str>,
    /// Where it can be asked for savepoints.
    pub admin: Option<SocketAddr>,
}

/// Starts it. It is measured from its start on, all that a process does at its start included.
pub fn start(broker: &Broker, topics: &Topics, options: Options<'_>) -> anyhow::Result<Running> {
    let folder = home::new_folder(&topics.run)?;
    let pipeline = folder.join("pipeline.yaml");
    std::fs::write(&pipeline, text(topics, options)).with_context(|| pipeline.display().to_string())?;
    let program = std::env::var_os(PROGRAM).map(PathBuf::from);
    let program =
        program.with_context(|| format!("{PROGRAM} does not name a build of tocsin; `make bench-flink` does"))?;
    let mut command = match options.processors {
        Some(processors) => {
            let mut pinned = Command::new("taskset");
            pinned.args(["--cpu-list", processors]).arg(program);
            pinned
        }
        None => Command::new(program),
    };
    command
        .arg("run")
        .arg(&pipeline)
        .args(["--bootstrap", &broker.bootstrap()?])
        .args(["--threads", &options.threads.to_string()])
        .env("NO_COLOR", "1");
    if let Some(kept) = options.kept {
        command
            .args(["--worker", kept.worker, "--state"])
            .arg(kept.folder)
            .env("TOCSIN_LOG", "info");
        if let Some(savepoint) = kept.restore_from {
            command.args(["--restore-from", savepoint]);
        }
        if let Some(admin) = kept.admin {
            command.args(["--admin", &admin.to_string()]);
        }
    }
    let before = Moment::now(None, broker.pid()?)?;
    Ok(Running {
        process: Process::start("tocsin", &command, &folder.join("log"))?,
        since: before,
    })
}

/// The headline job.
fn text(topics: &Topics, options: Options<'_>) -> String {
    let Topics {
        run,
        alerts,
        counts,
        escalations,
    } = topics;
    let delivery = match options.delivery {
        Delivery::AtLeastOnce => "AtLeastOnce",
        Delivery::ExactlyOnce => "ExactlyOnce",
    };
    let Options {
        is_strict,
        out_of_order,
        is_dealt,
        kept,
        ..
    } = options;
    let (window, select, state) = match kept {
        None => ("1m", "total: count(*)", String::new()),
        Some(kept) => (
            "1d",
            "total: count(*), first: min(ts), last: max(ts), host: first(host), message: last(message)",
            format!(
                "\n  state: {{checkpoint: {{interval: {}, minPause: 0s}}}}",
                kept.interval
            ),
        ),
    };
    let claim = if is_dealt {
        ""
    } else {
        "\n    partitionedBy: {key: [service], partitioner: Murmur2}"
    };
    // The ends of the topic lie hours ahead of its alerts, hence `maxAhead`.
    format!(
        r#"apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {{name: {run}}}
spec:
  delivery: {delivery}{state}
  sources:
  - name: alerts
    kafka: {{topic: {alerts}}}{claim}
    format: {{strict: {is_strict}}}
    eventTime: {{field: ts, unit: Milliseconds, maxOutOfOrderness: {out_of_order}, maxAhead: 1d, idleTimeout: 1h}}
  stages:
  - {{name: critical, from: alerts, filter: "severity = 'CRITICAL'"}}
  - {{name: counts, from: critical, aggregate: {{by: [service], window: {{tumbling: {window}}}, select: {{{select}}}}}}}
  - {{name: escalated, from: critical, escalate: {{by: [service], count: 3, within: 1m}}}}
  sinks:
  - {{name: counts, from: counts, kafka: {{topic: {counts}}}}}
  - {{name: escalations, from: escalated, kafka: {{topic: {escalations}}}}}
"#
    )
}
