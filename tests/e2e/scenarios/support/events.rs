//! Events that a test writes in parts, and knows all of.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tocsin_e2e::Worker;
use tocsin_e2e::ids::{Event, Tail};

use super::{PATIENCE, or_tell};

/// Event time between two events, in milliseconds.
const STEP: i64 = 10;

/// Time between two writes of a load.
const PACE: Duration = Duration::from_millis(20);

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

/// Events that are written at a steady pace while something else is done.
pub struct Written<'a> {
    events: Mutex<&'a mut Events>,
    is_over: AtomicBool,
}

impl Written<'_> {
    /// Waits until all that was written by now is through.
    pub fn goes_on(&self, when: &str, tail: &mut Tail, workers: &[&Worker]) {
        let n_pass = self.events.lock().unwrap().n_pass();
        or_tell(when, workers, tail.wait_for_count(n_pass, PATIENCE));
    }
}

/// Writes events again and again while `steps` are done.
pub fn while_written(events: &mut Events, write: impl Fn(&mut Events) + Send + Sync, steps: impl FnOnce(&Written<'_>)) {
    /// Ends the load, also when a step panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let written = Written {
        events: Mutex::new(events),
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !written.is_over.load(Ordering::Relaxed) {
                let mut events = written.events.lock().unwrap();
                write(&mut events);
                drop(events);
                std::thread::park_timeout(PACE);
            }
        });
        let _over = Over(&written.is_over);
        steps(&written);
    });
}
