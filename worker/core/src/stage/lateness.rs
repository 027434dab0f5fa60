//! Which rows come too late for a stage.
//!
//! Each stage sorts out its late rows by the watermark before them. Where rows are dealt out by key, the watermark of the
//! shard that they come to is another, so that it is decided before, by that of the shard that read them: else it would
//! depend on how far other shards are.

use super::aggregate::{AggregatePlan, Window, window_start};
use crate::plan::Step;
use crate::stream::Micros;

/// When rows are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// Never.
    Never,
    /// So far behind the watermark.
    Behind(Micros),
    /// When the last window that they belong to is over for so long.
    Window {
        /// Its size.
        size: Micros,
        /// Where windows begin.
        every: Micros,
        /// The allowed lateness.
        lateness: Micros,
    },
}

impl Lateness {
    /// For what a step does.
    pub fn of(step: &Step) -> Self {
        match step {
            Step::AddEventTime(_) | Step::Filter(_) | Step::Project(..) => Self::Never,
            Step::Aggregate(plan) => Self::of_aggregate(plan),
            Step::Escalate(plan) => Self::Behind(plan.lateness),
            Step::Alarm(plan, _) => Self::Behind(plan.lateness),
            Step::Incident(plan) => Self::Behind(plan.lateness),
        }
    }

    fn of_aggregate(plan: &AggregatePlan) -> Self {
        let lateness = plan.lateness;
        match plan.window {
            Window::Tumbling { size } => Self::Window {
                size,
                every: size,
                lateness,
            },
            Window::Sliding { size, every } => Self::Window { size, every, lateness },
            // What is further behind might belong to a session that is over, depending on how far others are.
            Window::Session { .. } | Window::Running { .. } => Self::Behind(lateness),
        }
    }

    /// Whether a row of this event time is late, when the watermark before it is `watermark`.
    pub fn is_late(&self, time: Micros, watermark: Micros) -> bool {
        match *self {
            Self::Never => false,
            Self::Behind(most) => time < watermark.saturating_sub(most),
            Self::Window { size, every, lateness } => {
                let end = window_start(time, every).saturating_add(size);
                end.saturating_add(lateness) <= watermark
            }
        }
    }
}
