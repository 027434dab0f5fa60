//! Rows between their buffer and their receiver: which is sent next, and what of the buffer is done with.
//!
//! Rows of a key are sent in their order, each when the one before is done; rows of other keys do not wait for them. Times
//! count from any fixed moment.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::answer::Verdict;
use super::backoff::Backoff;
use super::circuit::{Admits, Circuit, CircuitState};
use super::progress::{Mark, Progress};
use crate::generator::random::Random;

/// How a failed row waits.
const BETWEEN_TRIES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};

/// How a queue works.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many rows are under way at once, each of another key.
    pub most_under_way: usize,
    /// So many rows are held.
    pub most_rows: usize,
    /// So many bytes of rows are held.
    pub most_bytes: usize,
    /// How long a row is sent again, from when it was written.
    pub retry_for: Duration,
}

impl Limits {
    /// The limits of a sink.
    pub fn new(retry_for: Duration) -> Self {
        Self {
            most_under_way: 8,
            most_rows: 1_000,
            most_bytes: 16 << 20,
            retry_for,
        }
    }
}

/// A row of a buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its record's key; rows without one are in no order.
    pub key: Option<Vec<u8>>,
    /// The row, as JSON.
    pub value: Vec<u8>,
    /// When it was written, in milliseconds since 1970.
    pub written_at: i64,
}

/// A row that is to be sent.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What the answer is handed in with.
    pub ticket: Ticket,
    /// The row.
    pub row: Arc<Row>,
}

/// A row that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    lane: LaneKey,
    offset: i64,
}

/// What is to be done now.
#[derive(Debug)]
pub enum Next {
    /// Send a row.
    Send(Attempt),
    /// Nothing, before this moment or before something happens.
    Wait(Option<Duration>),
}

/// What became of a row that was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Became {
    /// It is done.
    Delivered,
    /// It is sent again, not before this moment.
    Waiting(Duration),
    /// It is to be written to the dead letters after so many tries; the queue waits to hear of that.
    Dead(Arc<Row>, u32),
    /// It was revoked meanwhile.
    Forgotten,
}

/// What keeps an order: a key, or a row that has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneKey {
    Key(i32, Vec<u8>),
    Alone(i32, i64),
}

impl LaneKey {
    fn partition(&self) -> i32 {
        match self {
            Self::Key(partition, _) | Self::Alone(partition, _) => *partition,
        }
    }
}

/// The rows of a key.
#[derive(Debug)]
struct Lane {
    rows: VecDeque<Waiting>,
    /// When its first row is sent, at the earliest.
    due: Duration,
    /// How often its first row was sent.
    attempts: u32,
    is_under_way: bool,
}

#[derive(Debug)]
struct Waiting {
    row: Arc<Row>,
    /// The how-manieth row it was.
    number: u64,
    /// From when on a failure is its last.
    last_try: Duration,
}

/// Rows of a buffer.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    lanes: BTreeMap<LaneKey, Lane>,
    circuit: Circuit,
    partitions: BTreeMap<i32, Partition>,
    n_rows: usize,
    n_bytes: usize,
    n_under_way: usize,
    n_taken: u64,
    random: Random,
    n_drawn: u64,
}

#[derive(Debug)]
struct Partition {
    progress: Progress,
    committed: Mark,
}

impl Queue {
    /// An empty queue; the seed spreads waits.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
            circuit: Circuit::default(),
            partitions: BTreeMap::new(),
            n_rows: 0,
            n_bytes: 0,
            n_under_way: 0,
            n_taken: 0,
            random: Random::new(seed),
            n_drawn: 0,
        }
    }

    /// Takes a partition, from what is committed of it.
    pub fn assign(&mut self, partition: i32, committed: Mark) {
        self.revoke(partition);
        let progress = Progress::resume(&committed);
        self.partitions.insert(partition, Partition { progress, committed });
    }

    /// Forgets a partition. Answers to what is under way of it are passed over.
    pub fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
        let lanes = std::mem::take(&mut self.lanes);
        let (gone, kept) = lanes.into_iter().partition(|(lane, _)| lane.partition() == partition);
        self.lanes = kept;
        let gone: BTreeMap<LaneKey, Lane> = gone;
        let mut lost_one = false;
        for lane in gone.values() {
            self.n_rows -= lane.rows.len();
            self.n_bytes -= lane.rows.iter().map(|waiting| waiting.row.value.len()).sum::<usize>();
            self.n_under_way -= usize::from(lane.is_under_way);
            lost_one |= lane.is_under_way;
        }
        if lost_one {
            self.circuit.lost();
        }
    }

    /// Takes the next row of a partition, read at `now`, written `age` ago.
    pub fn push(&mut self, row: Row, now: Duration, age: Duration) {
        let Some(partition) = self.partitions.get_mut(&row.partition) else {
            return;
        };
        if !partition.progress.take(row.offset) {
            return;
        }
        let key = match &row.key {
            Some(key) => LaneKey::Key(row.partition, key.clone()),
            None => LaneKey::Alone(row.partition, row.offset),
        };
        self.n_rows += 1;
        self.n_bytes += row.value.len();
        self.n_taken += 1;
        let lane = self.lanes.entry(key).or_insert(Lane {
            rows: VecDeque::new(),
            due: now,
            attempts: 0,
            is_under_way: false,
        });
        lane.rows.push_back(Waiting {
            row: Arc::new(row),
            number: self.n_taken,
            last_try: now + self.limits.retry_for.saturating_sub(age),
        });
    }

    /// Whether rows should be read, by whether they are: who stopped goes on when half of the room is free.
    pub fn wants(&self, is_reading: bool) -> bool {
        let part = if is_reading { 1 } else { 2 };
        self.n_rows < self.limits.most_rows / part && self.n_bytes < self.limits.most_bytes / part
    }

    /// What is to be done at `now`.
    pub fn next(&mut self, now: Duration) -> Next {
        let idle = self.lanes.iter().filter(|(_, lane)| !lane.is_under_way);
        let first = |lane: &Lane| lane.rows.front().map_or(0, |waiting| waiting.number);
        let chosen = match self.circuit.admits(now) {
            Admits::Nothing => return Next::Wait(None),
            Admits::NothingUntil(until) => return Next::Wait(Some(until)),
            // A row that was tried least says most of the receiver: another may be at fault itself.
            Admits::One => idle.min_by_key(|(_, lane)| (lane.attempts, first(lane))),
            Admits::All if self.n_under_way >= self.limits.most_under_way => return Next::Wait(None),
            Admits::All => {
                let soonest = idle.min_by_key(|(_, lane)| (lane.due, first(lane)));
                match soonest {
                    Some((_, lane)) if lane.due > now => return Next::Wait(Some(lane.due)),
                    soonest => soonest,
                }
            }
        };
        let Some((key, row)) = chosen.and_then(|(key, lane)| Some((key.clone(), Arc::clone(&lane.rows.front()?.row))))
        else {
            return Next::Wait(None);
        };
        if self.circuit.state() == CircuitState::Open {
            self.circuit.probe();
        }
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.is_under_way = true;
            lane.attempts += 1;
        }
        self.n_under_way += 1;
        let offset = row.offset;
        Next::Send(Attempt {
            ticket: Ticket { lane: key, offset },
            row,
        })
    }

    /// Hears at `now` what an answer says of a row.
    pub fn answered(&mut self, ticket: &Ticket, verdict: Verdict, now: Duration) -> Became {
        if self.under_way(ticket).is_none() {
            return Became::Forgotten;
        }
        let random = self.draw();
        let rest = match verdict {
            Verdict::Again { rest } => {
                self.circuit.failed(now, rest, random);
                rest.unwrap_or_default()
            }
            Verdict::Delivered | Verdict::Never => {
                if self.circuit.succeeded() {
                    // They failed because the receiver was away, and it is back.
                    self.lanes.values_mut().for_each(|lane| lane.due = lane.due.min(now));
                }
                Duration::ZERO
            }
        };
        if verdict == Verdict::Delivered {
            self.done(ticket, now);
            return Became::Delivered;
        }
        let random = self.draw();
        let Some(lane) = self.under_way(ticket) else {
            return Became::Forgotten;
        };
        let attempts = lane.attempts;
        if let Some(waiting) = lane
            .rows
            .front()
            .filter(|waiting| verdict == Verdict::Never || waiting.last_try <= now)
        {
            return Became::Dead(Arc::clone(&waiting.row), attempts);
        }
        let due = now + BETWEEN_TRIES.wait(attempts, random).max(rest);
        self.put_back(ticket, due);
        Became::Waiting(due)
    }

    /// Hears at `now` that a row is among the dead letters.
    pub fn buried(&mut self, ticket: &Ticket, now: Duration) {
        self.done(ticket, now);
    }

    /// Hears at `now` that the dead letters did not take a row: it is sent again.
    pub fn not_buried(&mut self, ticket: &Ticket, now: Duration) {
        let random = self.draw();
        if let Some(attempts) = self.under_way(ticket).map(|lane| lane.attempts) {
            self.put_back(ticket, now + BETWEEN_TRIES.wait(attempts, random));
        }
    }

    /// What can be committed and is not yet.
    pub fn marks(&self) -> Vec<(i32, Mark)> {
        let marks = self
            .partitions
            .iter()
            .map(|(number, partition)| (*number, partition, partition.progress.mark()));
        marks
            .filter(|(_, partition, mark)| partition.committed != *mark)
            .map(|(number, _, mark)| (number, mark))
            .collect()
    }

    /// Hears that a mark is committed.
    pub fn committed(&mut self, partition: i32, mark: Mark) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.committed = mark;
        }
    }

    /// The partitions that it has.
    pub fn partitions(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    /// How many rows of a partition are under way; of all, if none is named.
    pub fn n_under_way(&self, partition: Option<i32>) -> usize {
        let of = |lane: &LaneKey| partition.is_none_or(|partition| lane.partition() == partition);
        self.lanes
            .iter()
            .filter(|(key, lane)| lane.is_under_way && of(key))
            .count()
    }

    /// How many rows are held.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// When the oldest row was written that is held, in milliseconds since 1970.
    pub fn oldest(&self) -> Option<i64> {
        let fronts = self.lanes.values().filter_map(|lane| lane.rows.front());
        fronts.map(|waiting| waiting.row.written_at).min()
    }

    /// How the circuit stands.
    pub fn circuit(&self) -> CircuitState {
        self.circuit.state()
    }

    fn draw(&mut self) -> u64 {
        self.n_drawn += 1;
        self.random.of(self.n_drawn)[0]
    }

    /// The lane of a row that is under way.
    fn under_way(&mut self, ticket: &Ticket) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(&ticket.lane).filter(|lane| lane.is_under_way)?;
        let is_first = lane
            .rows
            .front()
            .is_some_and(|waiting| waiting.row.offset == ticket.offset);
        is_first.then_some(lane)
    }

    fn put_back(&mut self, ticket: &Ticket, due: Duration) {
        if let Some(lane) = self.under_way(ticket) {
            lane.is_under_way = false;
            lane.due = due;
            self.n_under_way -= 1;
        }
    }

    fn done(&mut self, ticket: &Ticket, now: Duration) {
        let Some(lane) = self.under_way(ticket) else { return };
        let taken = lane.rows.pop_front();
        lane.is_under_way = false;
        lane.attempts = 0;
        lane.due = now;
        let is_empty = lane.rows.is_empty();
        if is_empty {
            self.lanes.remove(&ticket.lane);
        }
        self.n_under_way -= 1;
        self.n_rows -= 1;
        self.n_bytes -= taken.map_or(0, |taken| taken.row.value.len());
        if let Some(partition) = self.partitions.get_mut(&ticket.lane.partition()) {
            partition.progress.done(ticket.offset);
        }
    }
}

#[cfg(test)]
mod tests;
