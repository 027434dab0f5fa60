//! What a run did, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tocsin_worker_core::encode::rfc3339;
use tocsin_worker_core::engine::Engine;

use crate::dead_letter::DeadLetters;

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Records read.
    pub events: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Records per second of wall time.
    pub events_per_second: f64,
    /// Dead records, by cause.
    pub dead: BTreeMap<&'static str, u64>,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// The sources.
    pub sources: Vec<SourceSummary>,
    /// The stages.
    pub stages: Vec<StageSummary>,
}

/// What a source gave.
#[derive(Clone, Debug, Serialize)]
pub struct SourceSummary {
    /// Its name.
    pub name: String,
    /// Records read.
    pub records: u64,
    /// Dead records.
    pub dead: u64,
    /// Its newest event time.
    pub newest: Option<String>,
    /// Values that were NULL because their type was not that of their use, by column.
    pub mismatches: BTreeMap<String, u64>,
}

/// What a stage did.
#[derive(Clone, Debug, Serialize)]
pub struct StageSummary {
    /// Its name.
    pub name: String,
    /// Rows in.
    pub rows_in: u64,
    /// Rows out.
    pub rows_out: u64,
    /// Rows that came too late to count.
    pub late: u64,
    /// Keys with state.
    pub keys: u64,
    /// Operations in its expressions that failed and gave NULL.
    pub failed_operations: u64,
}

impl Summary {
    pub(super) fn of(engine: &Engine, dead: &DeadLetters, elapsed: Duration, interrupted: bool) -> Self {
        let plan = engine.plan();
        let sources: Vec<SourceSummary> = plan
            .sources
            .iter()
            .zip(engine.source_counters())
            .map(|(source, counters)| SourceSummary {
                name: source.name.clone(),
                records: counters.records,
                dead: counters.dead,
                newest: counters.newest.map(rfc3339),
                mismatches: source
                    .record
                    .columns
                    .iter()
                    .zip(&counters.mismatches)
                    .filter(|(_, n)| **n > 0)
                    .map(|(column, n)| (column.name.clone(), *n))
                    .collect(),
            })
            .collect();
        let stages = plan
            .stages
            .iter()
            .zip(engine.stage_counters())
            .zip(engine.state_size())
            .zip(engine.n_failures())
            .map(|(((stage, counters), (keys, _)), failed_operations)| StageSummary {
                name: stage.name.clone(),
                rows_in: counters.rows_in,
                rows_out: counters.rows_out,
                late: counters.late,
                keys: keys as u64,
                failed_operations,
            })
            .collect();
        let events: u64 = sources.iter().map(|source| source.records).sum();
        let seconds = elapsed.as_secs_f64();
        Self {
            events,
            seconds,
            events_per_second: events as f64 / seconds.max(1e-9),
            dead: dead.counts().clone(),
            interrupted,
            sources,
            stages,
        }
    }
}
