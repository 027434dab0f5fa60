//! Feeds the live page with what a run gives out.

use std::time::{Duration, Instant};

use tocsin_worker::live::{
    Description, LiveState, Node, NodeProgress, Outcome, Progress, Role, SharedLive, StreamKind,
};
use tocsin_worker::page::{Page as Server, PageOptions};
use tocsin_worker::run::Summary;
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::describe::brief;

use crate::failure::{Failure, note};

/// The page of a run.
pub struct Page {
    server: Server,
    live: SharedLive,
    started: Instant,
    kinds: Vec<(String, StreamKind)>,
}

/// A handle that a run's watcher feeds the page with.
#[derive(Clone)]
pub struct Feed {
    live: SharedLive,
    started: Instant,
    kinds: Vec<(String, StreamKind)>,
}

impl Page {
    /// Serves the page of a plan that is about to run.
    pub fn serve(plan: &Plan, port: u16, extra: axum::Router) -> Result<Self, Failure> {
        let live = SharedLive::new(LiveState::new(describe(plan), 0));
        let options = PageOptions {
            port,
            extra: Some(extra),
        };
        let server = Server::start(options, live.clone()).map_err(|error| Failure::Io(error.to_string()))?;
        if let Some(taken) = server.taken_port() {
            note(format!("port {taken} is taken"));
        }
        let kinds = plan
            .stages
            .iter()
            .map(|stage| (stage.name.clone(), kind(stage.kind)))
            .collect();
        Ok(Self {
            server,
            live,
            started: Instant::now(),
            kinds,
        })
    }

    /// Where the page is.
    pub fn address(&self) -> String {
        self.server.url()
    }

    /// What feeds it.
    pub fn feed(&self) -> Feed {
        Feed {
            live: self.live.clone(),
            started: self.started,
            kinds: self.kinds.clone(),
        }
    }

    /// Says that the run is over.
    pub fn finish(&self, summary: &Summary) {
        let outcome = if summary.interrupted {
            Outcome::Stopped
        } else {
            Outcome::Finished
        };
        let now = millis(self.started.elapsed());
        self.live.with(|live| live.finish(now, outcome));
    }
}

impl Feed {
    /// Rows of a stage.
    pub fn rows(&self, stage: usize, rows: &Encoded) {
        let Some((name, kind)) = self.kinds.get(stage) else {
            return;
        };
        if *kind == StreamKind::Other {
            return;
        }
        // The rows of a page are few and small against the records that they are made of.
        let parsed: Vec<_> = rows.rows().filter_map(|row| serde_json::from_slice(row).ok()).collect();
        self.live.with(|live| {
            for row in &parsed {
                live.observe_row(name, *kind, row);
            }
        });
    }

    /// How far the run is.
    pub fn progress(&self, engine: &Engine, bytes: u64) {
        let plan = engine.plan();
        let (sources, stages) = (engine.source_counters(), engine.stage_counters());
        let mut nodes: Vec<NodeProgress> = Vec::new();
        for (source, counters) in plan.sources.iter().zip(&sources) {
            nodes.push(NodeProgress {
                name: source.name.clone(),
                rows_in: counters.records,
                rows_out: counters.records - counters.dead.min(counters.records),
                dead_letters: counters.dead,
                ..NodeProgress::default()
            });
        }
        for (stage, counters) in plan.stages.iter().zip(&stages) {
            nodes.push(NodeProgress {
                name: stage.name.clone(),
                rows_in: counters.rows_in,
                rows_out: counters.rows_out,
                late: counters.late,
                ..NodeProgress::default()
            });
        }
        let event_time = engine.event_time();
        let progress = Progress {
            events: sources.iter().map(|source| source.records).sum(),
            bytes,
            event_time_ms: event_time.map(|time| time.newest / 1000),
            watermark_ms: event_time.and_then(|time| time.watermark).map(|time| time / 1000),
            dead_letters: sources.iter().map(|source| source.dead).sum(),
            late: stages.iter().map(|stage| stage.late).sum(),
            nodes,
        };
        let now = millis(self.started.elapsed());
        self.live.with(|live| live.observe_progress(now, progress));
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn kind(kind: &str) -> StreamKind {
    match kind {
        "aggregate" | "sql" => StreamKind::Kpi,
        "alarm" => StreamKind::Alarm,
        "escalate" => StreamKind::Escalation,
        "incident" => StreamKind::Incident,
        _ => StreamKind::Other,
    }
}

fn describe(plan: &Plan) -> Description {
    let node = |name: &str, role, kind: &str, from: Vec<String>, key: Vec<String>| Node {
        name: name.to_owned(),
        role,
        kind: kind.to_owned(),
        detail: String::new(),
        from,
        key,
    };
    let sources = plan
        .sources
        .iter()
        .map(|source| node(&source.name, Role::Source, "source", Vec::new(), Vec::new()));
    let stages = plan.stages.iter().map(|stage| {
        let from = stage
            .inputs
            .iter()
            .map(|input| plan.stream_name(input.stream))
            .collect();
        let node = node(&stage.name, Role::Stage, stage.kind, from, stage.shown_key.clone());
        Node {
            detail: brief(stage),
            ..node
        }
    });
    let sinks = plan.sinks.iter().map(|sink| {
        node(
            &sink.name,
            Role::Sink,
            "sink",
            vec![plan.stream_name(sink.stream)],
            Vec::new(),
        )
    });
    Description {
        pipeline: plan.name.clone(),
        nodes: sources.chain(stages).chain(sinks).collect(),
    }
}
