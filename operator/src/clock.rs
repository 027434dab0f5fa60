//! The time, for those who hand it on.

use std::time::Instant;

use jiff::Timestamp;
use tocsin_operator_core::lease::Moment;

/// Tells the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the process started: never goes back, whatever is done to the machine's clock.
    pub fn moment(&self) -> Moment {
        self.start.elapsed()
    }

    /// The time of day, for people.
    pub fn now(&self) -> Timestamp {
        // In whole seconds, as Kubernetes writes times: what is written reads back the same.
        let now = Timestamp::now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }
}
