//! A pipeline under load.

use tocsin_e2e::ids::{Ids, Pace, Stream, Tail};
use tocsin_e2e::{Kafka, Listener, Worker};

use super::{PATIENCE, all_are_right, or_tell};

/// A pipeline whose events come at a steady pace, and what passes it.
pub struct Load<'a> {
    pub ids: Ids<'a>,
    pub stream: Stream,
    tail: Tail,
}

impl<'a> Load<'a> {
    /// Begins to write events; workers come through a listener.
    pub fn start(kafka: &'a Kafka, name: &str, listener: Listener) -> Self {
        let ids = Ids::new(kafka, name, listener).unwrap();
        let (stream, tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
        Self { ids, stream, tail }
    }

    /// Starts a worker.
    pub fn worker(&self, name: &str) -> Worker {
        self.ids.worker(name).unwrap()
    }

    /// Waits until all that was written by now is through.
    pub fn goes_on(&mut self, when: &str, workers: &[&Worker]) {
        let written = self.stream.written();
        or_tell(when, workers, self.tail.wait_for(written, PATIENCE));
    }

    /// Waits until everything is through, ends the workers, and compares.
    pub fn end(self, workers: &[&Worker]) {
        all_are_right("at the end", &self.ids, self.stream, self.tail, workers);
    }
}
