//! What a shard thread publishes.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};
use std::time::{Duration, Instant};

use tocsin_contract::worker::ShardPhase;
use tocsin_worker_core::engine::{EventTime, Timer, TopKey};
use tocsin_worker_core::kafka::lag::Behind;
use tocsin_worker_core::stream::Micros;

use super::About;
use super::histogram::Histogram;

/// What a shard thread has done since the worker started, and how its shards stand.
#[derive(Clone, Debug, Default)]
pub struct ThreadSample {
    /// What it did with its time.
    pub times: Times,
    /// Share of the last seconds that it was busy.
    pub busy_ratio: f64,
    /// Share of the last seconds that commits held it back.
    pub held_back_ratio: f64,
    /// By number of the source.
    pub sources: Vec<SourceTotals>,
    /// By number of the stage.
    pub stages: Vec<StageTotals>,
    /// Rows that were committed, by number of the sink.
    pub sinks: Vec<u64>,
    /// From a record's timestamp until its commit was known.
    pub latency: Histogram,
    /// From handing a transaction over until its commit was known.
    pub durations: Histogram,
    /// What became of transactions.
    pub transactions: Transactions,
    /// Shards that came to where the pipeline had committed.
    pub recoveries: u64,
    /// Its shards.
    pub shards: Vec<ShardSample>,
    /// Keys with state, and bytes of it, by number of the stage.
    pub state: Vec<(usize, usize)>,
    /// How far its shards are in event time.
    pub event_time: Option<EventTime>,
}

impl ThreadSample {
    /// Nothing done yet.
    pub(super) fn of(about: &About) -> Self {
        Self {
            sources: vec![SourceTotals::default(); about.sources.len()],
            stages: vec![StageTotals::default(); about.stages.len()],
            sinks: vec![0; about.sinks.len()],
            state: vec![(0, 0); about.stages.len()],
            ..Self::default()
        }
    }
}

/// What a thread did with its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// It worked.
    pub busy: Duration,
    /// It had records and could not take them, because commits were outstanding.
    pub held_back: Duration,
    /// It had nothing to do.
    pub idle: Duration,
}

impl Times {
    /// All together.
    pub fn total(&self) -> Duration {
        self.busy + self.held_back + self.idle
    }
}

impl Sub for Times {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(other.busy),
            held_back: self.held_back.saturating_sub(other.held_back),
            idle: self.idle.saturating_sub(other.idle),
        }
    }
}

/// Of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// Records processed.
    pub records: u64,
    /// Bytes of batches that were done with.
    pub bytes: u64,
    /// Values that became NULL.
    pub mismatches: u64,
    /// Dead letters that were committed, by cause.
    pub dead: BTreeMap<&'static str, u64>,
}

impl AddAssign<&Self> for SourceTotals {
    fn add_assign(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.mismatches += other.mismatches;
        for (cause, count) in &other.dead {
            *self.dead.entry(cause).or_default() += count;
        }
    }
}

/// Of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTotals {
    /// Rows in.
    pub rows_in: u64,
    /// Rows out.
    pub rows_out: u64,
    /// Rows that came too late.
    pub late: u64,
    /// Rows in another partition than that of their key; nothing where nobody said that there would be none.
    pub misplaced: Option<u64>,
    /// Operations that failed.
    pub failures: u64,
}

impl AddAssign for StageTotals {
    fn add_assign(&mut self, other: Self) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.late += other.late;
        if let Some(misplaced) = other.misplaced {
            *self.misplaced.get_or_insert(0) += misplaced;
        }
        self.failures += other.failures;
    }
}

/// What became of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// Committed.
    pub committed: u64,
    /// Aborted, and sent again.
    pub aborted: u64,
    /// Given up: their shards were recovered.
    pub lost: u64,
    /// Producers that were given up for a new one.
    pub renewed: u64,
}

impl AddAssign for Transactions {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.lost += other.lost;
        self.renewed += other.renewed;
    }
}

/// How a shard stands.
#[derive(Clone, Debug)]
pub struct ShardSample {
    /// Its number.
    pub shard: u32,
    /// How far it is on its way into work.
    pub phase: ShardPhase,
    /// Number of its last cut.
    pub sequence: Option<u64>,
    /// Its run epoch.
    pub epoch: Option<u32>,
    /// Whether it is held.
    pub held: bool,
    /// Share of the last seconds in which its records were processed.
    pub busy_ratio: f64,
    /// Keys that many rows have.
    pub top_keys: Vec<TopKey>,
    /// The earliest timer of its stages.
    pub earliest_timer: Option<Timer>,
    /// Its partitions, by number of the source; none where the source has no such partition, or the shard is not there yet.
    pub inputs: Vec<Option<InputSample>>,
}

/// How a partition stands.
#[derive(Clone, Copy, Debug)]
pub struct InputSample {
    /// Offset of the next record to process.
    pub offset: i64,
    /// How far it is behind.
    pub behind: Option<Behind>,
    /// The source's watermark in this shard.
    pub watermark: Option<Micros>,
    /// Whether it has been silent for so long that the clock moves its watermark.
    pub idle: bool,
    /// Since when an open transaction of another producer has held it up.
    pub held_up_since: Option<Instant>,
    /// When a broker last answered for it.
    pub answered: Instant,
    /// Whether fetched records wait; then a broker need not be asked.
    pub waits: bool,
}
