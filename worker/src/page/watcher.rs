//! Feeds the live page with what a run gives out.

use std::time::{Duration, Instant};

use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::engine::{Engine, EventTime};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::describe::brief;

use crate::live::{Description, LiveState, Node, NodeProgress, Outcome, Progress, Role, SharedLive, StreamKind};

/// Feeds a page. Clones feed the same.
#[derive(Clone, Debug)]
pub struct Watcher {
    live: SharedLive,
    started: Instant,
    sources: Vec<String>,
    stages: Vec<(String, StreamKind)>,
}

/// How far a run is, summed up over all that work on it.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Records and dead ones among them, by number of the source.
    pub sources: Vec<(u64, u64)>,
    /// Rows in, rows out, and late ones, by number of the stage.
    pub stages: Vec<(u64, u64, u64)>,
    /// Bytes read.
    pub bytes: u64,
    /// How far event time has come.
    pub event_time: Option<EventTime>,
}

impl Totals {
    /// Of one engine that has read so many bytes.
    pub fn of(engine: &Engine, bytes: u64) -> Self {
        let sources = engine.source_counters();
        let stages = engine.stage_counters();
        Self {
            sources: sources.iter().map(|source| (source.records, source.dead)).collect(),
            stages: stages
                .iter()
                .map(|stage| (stage.rows_in, stage.rows_out, stage.late))
                .collect(),
            bytes,
            event_time: engine.event_time(),
        }
    }
}

impl Watcher {
    /// For a plan that is about to run.
    pub fn new(plan: &Plan) -> Self {
        let stages = plan.stages.iter().map(|stage| (stage.name.clone(), kind(stage.kind)));
        Self {
            live: SharedLive::new(LiveState::new(describe(plan), 0)),
            started: Instant::now(),
            sources: plan.sources.iter().map(|source| source.name.clone()).collect(),
            stages: stages.collect(),
        }
    }

    /// What the page shows.
    pub fn live(&self) -> SharedLive {
        self.live.clone()
    }

    /// Rows of a stage, by its number.
    pub fn rows(&self, stage: usize, rows: &Encoded) {
        let Some((name, kind)) = self.stages.get(stage) else {
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
    pub fn progress(&self, totals: &Totals) {
        let mut nodes: Vec<NodeProgress> = Vec::new();
        for (name, (records, dead)) in self.sources.iter().zip(&totals.sources) {
            nodes.push(NodeProgress {
                name: name.clone(),
                rows_in: *records,
                rows_out: records.saturating_sub(*dead),
                dead_letters: *dead,
                ..NodeProgress::default()
            });
        }
        for ((name, _), (rows_in, rows_out, late)) in self.stages.iter().zip(&totals.stages) {
            nodes.push(NodeProgress {
                name: name.clone(),
                rows_in: *rows_in,
                rows_out: *rows_out,
                late: *late,
                ..NodeProgress::default()
            });
        }
        let event_time = totals.event_time;
        let progress = Progress {
            events: totals.sources.iter().map(|(records, _)| records).sum(),
            bytes: totals.bytes,
            event_time_ms: event_time.map(|time| time.newest / 1000),
            watermark_ms: event_time.and_then(|time| time.watermark).map(|time| time / 1000),
            dead_letters: totals.sources.iter().map(|(_, dead)| dead).sum(),
            late: totals.stages.iter().map(|(_, _, late)| late).sum(),
            nodes,
        };
        let now = millis(self.started.elapsed());
        self.live.with(|live| live.observe_progress(now, progress));
    }

    /// The run is over.
    pub fn finish(&self, outcome: Outcome) {
        let now = millis(self.started.elapsed());
        self.live.with(|live| live.finish(now, outcome));
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
