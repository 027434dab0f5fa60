//! What is said of brokers that throttle us.

use std::time::{Duration, Instant};

/// Between two words.
const BETWEEN_WORDS: Duration = Duration::from_secs(60);

/// Says now and then that a broker throttles us.
#[derive(Debug)]
pub(super) struct Throttled {
    /// What it throttles.
    what: &'static str,
    told: Option<Instant>,
}

impl Throttled {
    /// Of what is read of brokers.
    pub fn reading() -> Self {
        let what = "read of it";
        Self { what, told: None }
    }

    /// Of what is written to them.
    pub fn writing() -> Self {
        let what = "written to it";
        Self { what, told: None }
    }

    /// A broker wants to be left alone for a while.
    pub fn note(&mut self, broker: i32, millis: u64) {
        if self.told.is_none_or(|at| at.elapsed() > BETWEEN_WORDS) {
            self.told = Some(Instant::now());
            let what = self.what;
            tracing::warn!(
                broker,
                millis,
                "the broker throttles what is {what}: its quota for this client is used up"
            );
        }
    }
}
