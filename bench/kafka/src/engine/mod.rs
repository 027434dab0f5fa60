//! The engines that are measured, each as a child process.

pub mod flink;
pub mod librdkafka;
pub mod tocsin;

use std::fmt;

use tocsin_e2e::process::Process;

use crate::cpu::Moment;

/// How often each result is there after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once or more often.
    AtLeastOnce,
    /// Once.
    ExactlyOnce,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeastOnce => "at least once",
            Self::ExactlyOnce => "exactly once",
        })
    }
}

/// An engine that works.
pub struct Running {
    /// Its process; it is killed when this is dropped.
    pub process: Process,
    /// From when on it is measured.
    pub since: Moment,
}

/// Where a run reads and writes.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Name of the run, which no other has.
    pub run: String,
    /// Alerts.
    pub alerts: String,
    /// Counts of windows.
    pub counts: String,
    /// Escalations.
    pub escalations: String,
}

impl Topics {
    /// A run over these alerts.
    pub fn new(run: &str, alerts: &str) -> Self {
        Self {
            run: run.to_owned(),
            alerts: alerts.to_owned(),
            counts: format!("{run}-counts"),
            escalations: format!("{run}-escalations"),
        }
    }
}
