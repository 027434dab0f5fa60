//! Whether a thread makes progress.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::view::Named;

/// Nothing to do, and so nothing to show.
const RESTING: u64 = u64::MAX;

/// The pulse of a thread: it beats while it works, and rests when it waits for somebody to ask something of it.
#[derive(Debug)]
pub struct Pulse {
    name: String,
    started: Instant,
    /// When it last beat, in milliseconds since `started`.
    last: AtomicU64,
}

impl Pulse {
    pub(super) fn new(name: &str, started: Instant) -> Self {
        Self {
            name: name.to_owned(),
            started,
            last: AtomicU64::new(RESTING),
        }
    }

    /// It has come one step further.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    /// It had come one step further at that time.
    pub fn beat_at(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.started).as_millis();
        self.last
            .store(u64::try_from(passed).unwrap_or(RESTING - 1), Ordering::Relaxed);
    }

    /// It has nothing to do.
    pub fn rest(&self) {
        self.last.store(RESTING, Ordering::Relaxed);
    }

    /// How long ago it last beat; nothing while it rests.
    pub(super) fn look(&self, now: Instant) -> Named<Option<Duration>> {
        let last = self.last.load(Ordering::Relaxed);
        let age = now
            .saturating_duration_since(self.started)
            .saturating_sub(Duration::from_millis(last));
        Named {
            name: self.name.clone(),
            value: (last != RESTING).then_some(age),
        }
    }
}
