//! What the live page shows of a running pipeline, in bounded memory.
//!
//! The run loop feeds it with totals and result rows; the page reads it. Pure data: no clock (times are given), no IO,
//! no thread. Nothing here may influence the run: what does not fit is left out, never an error.

mod alarms;
mod description;
mod incidents;
mod kpi_key;
mod kpis;
mod progress;
mod rate;
mod row;
mod severity;
mod shared;
mod throughput;
mod view;

use std::collections::BTreeMap;

pub use self::description::{Description, Node, Role};
pub use self::progress::{NodeProgress, Progress};
pub use self::row::Row;
pub use self::shared::SharedLive;
pub use self::view::{Outcome, RunStatus, View};

use self::alarms::Alarms;
use self::incidents::Incidents;
use self::kpis::Kpis;
use self::progress::ProgressTracker;
use self::throughput::Throughput;
use self::view::{RunView, Version};

/// What a stage's rows mean to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Rows of an aggregate: key columns, `window_start`, `window_end`, values, `_rev`.
    Kpi,
    /// Rows of an alarm: key columns, `rule`, `status`, `severity`, `since`, `event_time`, `summary`.
    Alarm,
    /// Rows of an escalate stage: the event with its raised `severity`.
    Escalation,
    /// Transitions of incidents: `incident`, key columns, `status`, `severity`, times, `causes`, `events`.
    Incident,
    /// Anything else; the page only counts them.
    Other,
}

/// The state behind the page. Times are Unix milliseconds of a clock that does not go back.
#[derive(Clone, Debug)]
pub struct LiveState {
    description: Description,
    run: RunView,
    progress: ProgressTracker,
    throughput: Throughput,
    incidents: Incidents,
    alarms: Alarms,
    kpis: BTreeMap<String, (Kpis, Version)>,
    event_time_ms: Option<i64>,
    version: Version,
    versions: SectionVersions,
}

/// When each part last changed.
#[derive(Clone, Copy, Debug, Default)]
struct SectionVersions {
    run: Version,
    progress: Version,
    throughput: Version,
    incidents: Version,
    alarms: Version,
}

impl LiveState {
    /// Begins a run of this pipeline at `now_ms`.
    pub fn new(description: Description, now_ms: i64) -> Self {
        Self {
            description,
            run: RunView::begun(now_ms),
            progress: ProgressTracker::new(now_ms),
            throughput: Throughput::new(now_ms),
            incidents: Incidents::default(),
            alarms: Alarms::default(),
            kpis: BTreeMap::new(),
            event_time_ms: None,
            version: 1,
            versions: SectionVersions {
                run: 1,
                progress: 1,
                throughput: 1,
                incidents: 1,
                alarms: 1,
            },
        }
    }

    /// Takes the totals at `now_ms`. To be called a few times a second, also while no event comes.
    pub fn observe_progress(&mut self, now_ms: i64, progress: Progress) {
        self.version += 1;
        self.run.now_ms = now_ms;
        self.event_time_ms = progress.event_time_ms;
        if self.throughput.observe(now_ms, progress.events) {
            self.versions.throughput = self.version;
        }
        self.progress.observe(now_ms, progress);
        self.versions.progress = self.version;
    }

    /// Takes a row that a stage gave out.
    pub fn observe_row(&mut self, stage: &str, kind: StreamKind, row: &Row) {
        self.version += 1;
        let key = self.description.key_of(stage);
        match kind {
            StreamKind::Kpi => {
                // An aggregate that is not in the description would have no key, and is not shown.
                if self.description.stage(stage).is_none() {
                    return;
                }
                let (kpis, version) = self.kpis.entry(stage.to_owned()).or_default();
                if kpis.observe(key, row, self.event_time_ms) {
                    *version = self.version;
                }
            }
            StreamKind::Alarm => {
                self.alarms.observe_alarm(stage, key, row);
                self.versions.alarms = self.version;
            }
            StreamKind::Escalation => {
                self.alarms.observe_escalation(stage, key, row);
                self.versions.alarms = self.version;
            }
            StreamKind::Incident => {
                self.incidents.observe(stage, key, row);
                self.versions.incidents = self.version;
            }
            StreamKind::Other => {}
        }
    }

    /// The run is over. Later calls change nothing that the page shows of its end.
    pub fn finish(&mut self, now_ms: i64, outcome: Outcome) {
        if self.run.is_over() {
            return;
        }
        self.version += 1;
        self.versions.run = self.version;
        self.run.end(now_ms, outcome);
    }

    /// Grows with every call that feeds the state.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All there is to show.
    pub fn snapshot(&mut self) -> View {
        View {
            description: Some(self.description.clone()),
            ..self.changes_since(0)
        }
    }

    /// The parts that changed after `version`, each of them whole.
    pub fn changes_since(&mut self, version: u64) -> View {
        let at = self.versions;
        View {
            version: self.version,
            description: None,
            // The clock of the run goes with the totals.
            run: (at.run.max(at.progress) > version).then(|| self.run.clone()),
            progress: (at.progress > version).then(|| self.progress.view()),
            throughput: (at.throughput > version).then(|| self.throughput.view()),
            incidents: (at.incidents > version).then(|| self.incidents.view()),
            alarms: (at.alarms > version).then(|| self.alarms.view()),
            kpis: self
                .kpis
                .iter_mut()
                .filter(|(_, (_, changed))| *changed > version)
                .map(|(stage, (kpis, _))| kpis.view(stage))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
