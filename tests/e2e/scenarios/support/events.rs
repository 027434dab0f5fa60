//! Events that a test writes in parts, and knows all of.

use std::time::{SystemTime, UNIX_EPOCH};

use tocsin_e2e::Worker;
use tocsin_e2e::ids::{Event, Tail};

use super::{PATIENCE, or_tell};

/// Event time between two events, in milliseconds.
const STEP: i64 = 10;

/// The events that were made so far. They begin an hour ago: event time stays behind the clock.
pub struct Events {
    base: i64,
    /// In order; an event's number is its place.
    pub all: Vec<Event>,
}

impl Events {
    /// None yet.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let base = i64::try_from(now.as_millis()).unwrap_or_default() - 3_600_000;
        Self { base, all: Vec::new() }
    }

    /// The number of the next event.
    pub fn next_id(&self) -> i64 {
        i64::try_from(self.all.len()).unwrap_or_default()
    }

    /// The time of an event.
    pub fn time(&self, id: i64) -> i64 {
        self.base + id * STEP
    }

    /// Adds events.
    pub fn add(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Event> {
        let events: Vec<Event> = events.into_iter().collect();
        self.all.extend(events.iter().cloned());
        events
    }

    /// How many pass the filter.
    pub fn n_pass(&self) -> usize {
        self.all.iter().filter(|event| event.passes).count()
    }

    /// Waits until all that pass are through.
    pub fn wait_until_read(&self, tail: &mut Tail, workers: &[&Worker]) {
        or_tell("what passes", workers, tail.wait_for_count(self.n_pass(), PATIENCE));
    }
}
