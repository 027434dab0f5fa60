//! What all connections of a proxy share: how the network is, the rules, the record of what was seen.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::frames::{ApiKey, Head};
use super::link::Link;
use super::rules::{Action, Active};

/// So many requests are remembered; counts go on.
const REMEMBERED: usize = 20_000;

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Requests,
    /// To the client.
    Answers,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has come, and is not through yet.
    Held,
    /// The broker has it.
    Delivered,
    /// The client has the answer.
    Answered,
    /// The broker answered, and the client was not told.
    AnswerDropped,
    /// It never reached the broker.
    Lost,
}

/// A request that the proxy saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number in this proxy.
    pub number: u64,
    /// The number of its connection.
    pub connection: u64,
    /// Its head.
    pub head: Head,
    /// What became of it.
    pub fate: Fate,
}

/// How one direction is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    pub delay: Duration,
    pub swallow: bool,
    pub bytes_per_second: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub stopped: bool,
    pub cut: bool,
    pub listening: bool,
    pub failed: Option<String>,
    ways: [Way; 2],
    pub rules: Vec<Active>,
    pub next: u64,
    pub links: BTreeMap<u64, Arc<Link>>,
    pub seen: VecDeque<Seen>,
    pub counts: BTreeMap<ApiKey, u64>,
}

impl State {
    pub fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Requests => &mut self.ways[0],
            Direction::Answers => &mut self.ways[1],
        }
    }

    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Writes a request down and looks for a rule.
    pub fn note(&mut self, connection: u64, head: &Head) -> (u64, Option<(u64, Action)>) {
        let number = self.number();
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            number,
            connection,
            head: head.clone(),
            fate: Fate::Held,
        });
        *self.counts.entry(head.api_key).or_default() += 1;
        let mut taken = None;
        for rule in &mut self.rules {
            // Every rule counts the request, and the first whose turn it is has it.
            if rule.takes(head) && taken.is_none() {
                taken = Some((rule.id, rule.rule.action));
            }
        }
        (number, taken)
    }

    pub fn fate(&mut self, number: u64, fate: Fate) {
        let from = self.seen.partition_point(|seen| seen.number < number);
        if let Some(seen) = self.seen.get_mut(from).filter(|seen| seen.number == number) {
            seen.fate = fate;
        }
    }

    pub fn hit(&mut self, rule: u64) {
        if let Some(rule) = self.rules.iter_mut().find(|active| active.id == rule) {
            rule.hits += 1;
        }
    }

    pub fn holds(&self, rule: u64) -> bool {
        self.rules.iter().any(|active| active.id == rule && !active.released)
    }
}

/// The state, and a bell that rings at each change.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock())
    }

    /// Changes the state, and wakes whoever waits on it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ask` gives a value; none at the deadline. `ask` may set the deadline anew.
    pub fn wait<T>(&self, mut ask: impl FnMut(&mut State) -> Result<T, Instant>) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            let deadline = match ask(&mut state) {
                Ok(value) => return Some(value),
                Err(deadline) => deadline,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.changed.wait_for(&mut state, left);
        }
    }
}
