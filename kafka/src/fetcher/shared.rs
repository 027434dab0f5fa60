//! What the threads of a fetcher share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tocsin_worker_core::kafka::fetching::{Ask, Fetching, Millis};

use super::{Event, FetcherSettings};
use crate::cluster::TopicInfo;
use crate::spare_memory::SpareMemory;
use crate::stream::HangUp;

/// What the threads share. The lock is held for an instant, once a question.
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    started: Instant,
    pub topics: Vec<TopicInfo>,
    pub settings: FetcherSettings,
    pub memory: SpareMemory,
    events: Sender<Event>,
}

/// What the lock protects.
pub struct State {
    pub fetching: Fetching,
    pub stopped: bool,
    /// Partitions whose position their log does not have: where it begins and ends must be looked up.
    pub out_of_range: Vec<Ask>,
    /// Open connections, to end them.
    pub connections: BTreeMap<i32, HangUp>,
    /// Addresses of the brokers that are read from.
    pub addresses: BTreeMap<i32, String>,
}

impl Shared {
    pub fn new(fetching: Fetching, topics: Vec<TopicInfo>, settings: FetcherSettings, events: Sender<Event>) -> Self {
        let state = State {
            fetching,
            stopped: false,
            out_of_range: Vec::new(),
            connections: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            started: Instant::now(),
            topics,
            settings,
            memory: SpareMemory::default(),
            events,
        }
    }

    /// The time that the core goes by.
    pub fn now(&self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes what is read, and lets the threads look.
    pub fn change<T>(&self, change: impl FnOnce(&mut Fetching) -> T) -> T {
        let outcome = change(&mut self.lock().fetching);
        self.changed.notify_all();
        outcome
    }

    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.connections.values().for_each(HangUp::hang_up);
        drop(state);
        self.changed.notify_all();
    }

    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits for a change, at most `wait`.
    pub fn wait(&self, state: &mut MutexGuard<'_, State>, wait: Duration) {
        self.changed.wait_for(state, wait);
    }

    /// Hands an event over; answers whether anybody is there to take it.
    pub fn tell(&self, event: Event) -> bool {
        self.events.send(event).is_ok()
    }
}
