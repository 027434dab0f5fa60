//! What is sent to the page: a snapshot, or the parts that changed.

use serde::Serialize;

use super::alarms::AlarmsView;
use super::description::Description;
use super::incidents::IncidentsView;
use super::kpis::KpiView;
use super::progress::ProgressView;
use super::throughput::ThroughputView;

/// Counts the calls that fed the state.
pub type Version = u64;

/// A snapshot (with the description), or the parts that changed since a version. A part that is there replaces the
/// one before; of the KPIs, a stage's.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Version of the state that this shows.
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<ProgressView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) throughput: Option<ThroughputView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) incidents: Option<IncidentsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alarms: Option<AlarmsView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kpis: Vec<KpiView>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All inputs were read to their end.
    Finished,
    /// The user stopped it; what was read is processed.
    Stopped,
    /// It could not go on.
    Failed {
        /// Why.
        message: String,
    },
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// It goes on.
    Running,
    /// All inputs were read to their end.
    Finished,
    /// The user stopped it.
    Stopped,
    /// It could not go on.
    Failed,
}

/// Where the run stands, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunView {
    pub(super) status: RunStatus,
    started_ms: i64,
    /// Time of the newest totals, or of the end.
    pub(super) now_ms: i64,
    message: Option<String>,
}

impl RunView {
    pub(super) fn begun(now_ms: i64) -> Self {
        Self {
            status: RunStatus::Running,
            started_ms: now_ms,
            now_ms,
            message: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.status != RunStatus::Running
    }

    pub(super) fn end(&mut self, now_ms: i64, outcome: Outcome) {
        self.now_ms = now_ms;
        (self.status, self.message) = match outcome {
            Outcome::Finished => (RunStatus::Finished, None),
            Outcome::Stopped => (RunStatus::Stopped, None),
            Outcome::Failed { message } => (RunStatus::Failed, Some(message)),
        };
    }
}
