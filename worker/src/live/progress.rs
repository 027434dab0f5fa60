//! How far the run is: totals, rates, event time and watermark, and the rows of each node.

use serde::Serialize;

use super::rate::Rate;

const SMOOTHING_MS: f64 = 2_000.0;
/// Event time advances in the steps of a batch, so its speed needs a longer look.
const SPEED_SMOOTHING_MS: f64 = 4_000.0;

/// The totals of a run at one moment, as the run loop counts them. All of them only grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Records read, dead letters and late ones included.
    pub events: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// Latest event time read, in milliseconds since 1970.
    pub event_time_ms: Option<i64>,
    /// The watermark of what that event is merged with, in milliseconds since 1970.
    pub watermark_ms: Option<i64>,
    /// Records that could not be decoded.
    pub dead_letters: u64,
    /// Rows that came after their window had closed, in all stages.
    pub late: u64,
    /// Rows of each source, table, stage and sink.
    pub nodes: Vec<NodeProgress>,
}

/// Rows that went through one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeProgress {
    /// Name as in the description.
    pub name: String,
    /// Whether this is the sink of that name.
    pub is_sink: bool,
    /// Rows taken in; for a source, records read.
    pub rows_in: u64,
    /// Rows given out; for a sink, rows written.
    pub rows_out: u64,
    /// Rows that were late here.
    pub late: u64,
    /// Records that this source could not decode.
    pub dead_letters: u64,
}

/// The totals with their rates.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressView {
    events: u64,
    bytes: u64,
    events_per_second: f64,
    bytes_per_second: f64,
    event_time_ms: Option<i64>,
    watermark_ms: Option<i64>,
    /// Seconds of event time that pass in a second.
    speed: f64,
    dead_letters: u64,
    late: u64,
    nodes: Vec<NodeView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeView {
    name: String,
    is_sink: bool,
    rows_in: u64,
    rows_out: u64,
    late: u64,
    dead_letters: u64,
    rows_per_second: f64,
}

/// Keeps the newest totals and derives the rates.
#[derive(Clone, Debug)]
pub struct ProgressTracker {
    latest: Progress,
    events: Rate,
    bytes: Rate,
    event_time: Rate,
    /// In the order of `latest.nodes`.
    nodes: Vec<Rate>,
}

impl ProgressTracker {
    /// Begins at `now_ms` with nothing read.
    pub fn new(now_ms: i64) -> Self {
        let mut tracker = Self {
            latest: Progress::default(),
            events: Rate::new(SMOOTHING_MS),
            bytes: Rate::new(SMOOTHING_MS),
            event_time: Rate::new(SPEED_SMOOTHING_MS),
            nodes: Vec::new(),
        };
        tracker.events.observe(now_ms, 0.0);
        tracker.bytes.observe(now_ms, 0.0);
        tracker
    }

    /// Takes the totals at `now_ms`.
    pub fn observe(&mut self, now_ms: i64, progress: Progress) {
        self.events.observe(now_ms, progress.events as f64);
        self.bytes.observe(now_ms, progress.bytes as f64);
        if let Some(event_time_ms) = progress.event_time_ms {
            self.event_time.observe(now_ms, event_time_ms as f64 / 1e3);
        }
        let same_nodes = self.latest.nodes.len() == progress.nodes.len()
            && self
                .latest
                .nodes
                .iter()
                .zip(&progress.nodes)
                .all(|(a, b)| a.name == b.name && a.is_sink == b.is_sink);
        if !same_nodes {
            self.nodes = vec![Rate::new(SMOOTHING_MS); progress.nodes.len()];
        }
        for (rate, node) in self.nodes.iter_mut().zip(&progress.nodes) {
            rate.observe(now_ms, node.rows_out as f64);
        }
        self.latest = progress;
    }

    /// The newest totals and rates.
    pub fn view(&self) -> ProgressView {
        let latest = &self.latest;
        ProgressView {
            events: latest.events,
            bytes: latest.bytes,
            events_per_second: round(self.events.per_second()),
            bytes_per_second: round(self.bytes.per_second()),
            event_time_ms: latest.event_time_ms,
            watermark_ms: latest.watermark_ms,
            speed: round(self.event_time.per_second()),
            dead_letters: latest.dead_letters,
            late: latest.late,
            nodes: latest
                .nodes
                .iter()
                .zip(&self.nodes)
                .map(|(node, rate)| node.view(rate))
                .collect(),
        }
    }
}

impl NodeProgress {
    fn view(&self, rate: &Rate) -> NodeView {
        NodeView {
            name: self.name.clone(),
            is_sink: self.is_sink,
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            late: self.late,
            dead_letters: self.dead_letters,
            rows_per_second: round(rate.per_second()),
        }
    }
}

/// Two places are more than the page shows.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
