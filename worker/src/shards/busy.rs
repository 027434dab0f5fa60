//! How busy a shard keeps its thread.

use std::time::{Duration, Instant};

/// The ratio is of this time, or a little more.
const WINDOW: Duration = Duration::from_secs(5);

/// Adds up how long a shard's records were processed.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    since: Instant,
    busy: Duration,
    /// Of the last window that is over.
    last: f64,
}

impl Busy {
    /// Nothing done yet.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            busy: Duration::ZERO,
            last: 0.0,
        }
    }

    /// Records were processed for so long.
    pub fn add(&mut self, time: Duration) {
        self.busy += time;
    }

    /// Share of the last seconds that was spent on it.
    pub fn ratio(&mut self, now: Instant) -> f64 {
        let window = now.saturating_duration_since(self.since);
        if window >= WINDOW {
            self.last = (self.busy.as_secs_f64() / window.as_secs_f64()).min(1.0);
            (self.since, self.busy) = (now, Duration::ZERO);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_the_last_window() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut busy = Busy::new(start);
        busy.add(Duration::from_secs(2));
        let early = busy.ratio(after(1));
        let first = busy.ratio(after(8));
        let same = busy.ratio(after(9));
        let second = busy.ratio(after(14));
        assert_eq!([early, first, same, second], [0.0, 0.25, 0.25, 0.0]);
    }
}
