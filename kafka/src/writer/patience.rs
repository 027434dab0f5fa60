//! How long something is tried, and what is said of it meanwhile.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::KafkaError;

/// Trouble that lasts for so long is told, and then again after so long.
const LONGEST_UNSAID: Duration = Duration::from_secs(5);
const BETWEEN_WORDS: Duration = Duration::from_secs(60);

/// The time that answers may need.
const SHORT: Duration = Duration::from_secs(3);

/// By when something must be done, and whether somebody still wants it.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// When it is over.
    pub until: Instant,
    /// Whether it is worth going on.
    pub is_wanted: &'a dyn Fn() -> bool,
}

impl Patience<'_> {
    /// Whether there is time to wait so long, and still for answers behind it.
    pub(super) fn has_time_for(&self, wait: Duration) -> bool {
        self.until.saturating_duration_since(Instant::now()) > wait + SHORT
    }

    /// What is left of it; an error when nothing is.
    pub(super) fn check(&self, what: &'static str, of: &Cluster) -> Result<(), KafkaError> {
        if !(self.is_wanted)() {
            return Err(KafkaError::Stopped);
        }
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(KafkaError::Timeout {
            broker: of.settings().brokers.to_string(),
            what,
            seconds: of.settings().request_timeout.as_secs(),
        })
    }
}

/// What went wrong while something is tried again and again, for the log.
#[derive(Default)]
pub(super) struct Trouble {
    last: Option<String>,
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Trouble {
    /// The last try failed.
    pub(super) fn note(&mut self, error: KafkaError) {
        tracing::debug!(%error, "it is tried again");
        let since = *self.since.get_or_insert_with(Instant::now);
        let is_new = self.told.is_none_or(|at| at.elapsed() > BETWEEN_WORDS);
        if since.elapsed() > LONGEST_UNSAID && is_new {
            self.told = Some(Instant::now());
            tracing::warn!(%error, "brokers do not take what is to be written; it is tried again");
        }
        self.last = Some(error.to_string());
    }

    /// When the time is over: says what the last try came to.
    pub(super) fn or_too_late(&self, checked: Result<(), KafkaError>) -> Result<(), KafkaError> {
        if let (Err(KafkaError::Timeout { .. }), Some(last)) = (&checked, &self.last) {
            tracing::warn!(last, "it was tried again and again until the time was over");
        }
        checked
    }
}
