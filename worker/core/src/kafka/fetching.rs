//! Which partitions are asked for next, and what an answer means.
//!
//! Facts in (leaders, answers, the time), decisions out: what to ask a broker for, when to look for leaders again, what
//! ends a partition. A partition is never read from another position than the one that was asked for: where the log
//! has lost it, reading stops with a name for the loss.

mod loss;

use std::collections::BTreeMap;

pub use self::loss::Loss;
use super::answer::{self, Answer, Meaning};
use super::throttling::Throttling;

/// A time of the caller's clock, in milliseconds.
pub type Millis = u64;

/// A question about quiet partitions is out for so long, at first, while another is left out: it may have enough waiting.
const SHORTEST_WAIT: Millis = 10;

/// A partition of a topic, by the caller's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Number of the topic.
    pub topic: u32,
    /// The partition.
    pub partition: u32,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The broker.
    pub broker: i32,
    /// Number of its reign.
    pub epoch: i32,
}

/// Where a partition is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Offset of the next record.
    pub offset: i64,
    /// Reign in which the last record was written; -1 if it is not known.
    pub epoch: i32,
}

/// What to ask a broker for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The broker that is asked: the leader, or a follower near by.
    pub broker: i32,
    /// The partition.
    pub partition: Partition,
    /// From where on.
    pub from: Position,
    /// The reign in which the leader is believed to be.
    pub leader_epoch: i32,
    /// Tells this question from others.
    pub number: u64,
}

/// How partitions are read.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A partition is not asked for while so many of its bytes wait to be processed.
    pub buffered: usize,
    /// Time until a partition is asked for again that could not be read.
    pub backoff: Millis,
    /// After so long a topic that is not there is believed to be none.
    pub patience: Millis,
    /// How often a damaged batch is asked for.
    pub tries: u32,
    /// How long a follower near by is read from.
    pub follower_for: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buffered: 8 << 20,
            backoff: 50,
            patience: 30_000,
            tries: 5,
            follower_for: 300_000,
        }
    }
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Records, or none: they are for the reader.
    Good,
    /// The partition is asked for again, after a while or at another broker.
    Later,
    /// The log has no such offset: the broker must be asked which it has, for [`Fetching::range`].
    OutOfRange,
    /// It is not read any more.
    Failed(Loss),
    /// Nobody wants it any more.
    Unwanted,
}

#[derive(Clone, Debug)]
struct State {
    position: Position,
    leader: Option<Leader>,
    /// A follower near by, and until when it is read from.
    follower: Option<(i32, Millis)>,
    buffered: usize,
    /// The question that is out.
    asked: Option<u64>,
    not_before: Millis,
    /// Since when nobody leads it.
    leaderless_since: Option<Millis>,
    /// The damaged batch that was seen last, and how often.
    damaged: (i64, u32),
}

/// The partitions that are being read.
#[derive(Debug)]
pub struct Fetching {
    settings: Settings,
    partitions: BTreeMap<Partition, State>,
    throttling: Throttling,
    /// For how long brokers may keep the next question that leaves out a partition, if it may be so long.
    waits: BTreeMap<i32, Millis>,
    wants_leaders: bool,
    n_questions: u64,
}

impl Fetching {
    /// Nothing is read yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            partitions: BTreeMap::new(),
            throttling: Throttling::default(),
            waits: BTreeMap::new(),
            wants_leaders: false,
            n_questions: 0,
        }
    }

    /// Reads a partition from a position on.
    pub fn add(&mut self, partition: Partition, position: Position) {
        let state = State {
            position,
            leader: None,
            follower: None,
            buffered: 0,
            asked: None,
            not_before: 0,
            leaderless_since: None,
            damaged: (-1, 0),
        };
        self.partitions.insert(partition, state);
        self.wants_leaders = true;
    }

    /// Reads a partition no more. An answer that is under way is [`Verdict::Unwanted`].
    pub fn remove(&mut self, partition: Partition) {
        self.partitions.remove(&partition);
    }

    /// Bytes of a partition were processed.
    pub fn processed(&mut self, partition: Partition, bytes: usize) {
        if let Some(state) = self.partitions.get_mut(&partition) {
            state.buffered = state.buffered.saturating_sub(bytes);
        }
    }

    /// The partitions that are read.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.partitions.keys().copied()
    }

    /// Where a partition is read on.
    pub fn position(&self, partition: Partition) -> Option<Position> {
        self.partitions.get(&partition).map(|state| state.position)
    }

    /// Leaders must be looked for: the last look failed.
    pub fn want_leaders(&mut self) {
        self.wants_leaders = true;
    }

    /// Whether leaders must be looked for; asking clears it.
    pub fn take_wants_leaders(&mut self) -> bool {
        std::mem::take(&mut self.wants_leaders)
    }

    /// Who leads a partition, or nobody. Answers what ends the partition, if it has not been there for too long.
    pub fn led(&mut self, partition: Partition, leader: Option<Leader>, now: Millis) -> Option<Loss> {
        let settings = self.settings;
        let state = self.partitions.get_mut(&partition)?;
        match leader {
            // An old answer must not bring back a leader that was deposed.
            Some(new) if state.leader.is_some_and(|old| old.epoch > new.epoch) => None,
            Some(_) => {
                state.leader = leader;
                state.leaderless_since = None;
                None
            }
            None => {
                state.leader = None;
                state.not_before = now + settings.backoff;
                self.wants_leaders = true;
                let since = *state.leaderless_since.get_or_insert(now);
                let gone = now.saturating_sub(since) > settings.patience;
                gone.then(|| self.fail(partition, Loss::UnknownTopic))
            }
        }
    }

    /// Which offsets the log of a partition has, asked for behind a [`Verdict::OutOfRange`]. Answers what ends the
    /// partition, if the position is not among them.
    pub fn range(&mut self, partition: Partition, begins: i64, end: i64) -> Option<Loss> {
        let wanted = self.partitions.get(&partition)?.position.offset;
        let loss = if wanted < begins {
            Loss::ReplayGap { wanted, begins }
        } else if wanted > end {
            Loss::LogTruncated { end, read: wanted }
        } else {
            return None;
        };
        Some(self.fail(partition, loss))
    }

    /// A batch of a partition is damaged, in front of which all is processed up to `position`: it is asked for again. Answers
    /// what ends the partition, if it came like that too often.
    pub fn damaged(&mut self, partition: Partition, position: Position, offset: i64, now: Millis) -> Option<Loss> {
        let (backoff, tries) = (self.settings.backoff, self.settings.tries);
        let state = self.partitions.get_mut(&partition)?;
        state.position = position;
        state.buffered = 0;
        state.not_before = now + backoff;
        let before = if state.damaged.0 == offset { state.damaged.1 } else { 0 };
        state.damaged = (offset, before + 1);
        (before + 1 >= tries).then(|| self.fail(partition, Loss::Corrupt { offset }))
    }

    /// The topic of a partition has another id than before.
    pub fn recreated(&mut self, partition: Partition) -> Loss {
        self.fail(partition, Loss::TopicRecreated)
    }

    /// Brokers that lead a partition or are read from.
    pub fn brokers(&self) -> impl Iterator<Item = i32> + '_ {
        self.partitions.values().flat_map(|state| {
            let follower = state.follower.map(|(broker, _)| broker);
            state.leader.map(|leader| leader.broker).into_iter().chain(follower)
        })
    }

    /// A broker is asked for nothing until then: see [`Throttling`].
    pub fn throttled(&mut self, broker: i32, until: Millis) {
        self.throttling.note(broker, until);
    }

    /// What to ask a broker for now; each partition is asked for once at a time.
    pub fn ask(&mut self, broker: i32, now: Millis) -> Vec<Ask> {
        let limit = self.settings.buffered;
        let mut asks = Vec::new();
        if self.throttling.until(broker, now).is_some() {
            return asks;
        }
        for (&partition, state) in &mut self.partitions {
            let ready = state.asked.is_none() && state.buffered < limit && state.not_before <= now;
            let Some(leader) = state.leader.filter(|_| ready) else {
                continue;
            };
            if state.reads_from(leader, now) == broker {
                self.n_questions += 1;
                state.asked = Some(self.n_questions);
                asks.push(Ask {
                    broker,
                    partition,
                    from: state.position,
                    leader_epoch: leader.epoch,
                    number: self.n_questions,
                });
            }
        }
        // Answers are filled in the order of the questions: each comes first in its turn.
        let first = (self.n_questions % asks.len().max(1) as u64) as usize;
        asks.rotate_left(first);
        asks
    }

    /// For how long a broker may keep what it was asked just now, if it has no records: at most `longest`. While a partition of
    /// its is left out, which may have some, only for a moment, and longer each time until it has some of others.
    pub fn next_wait(&mut self, broker: i32, now: Millis, longest: Millis) -> Millis {
        let leaves_out = self.partitions.values_mut().any(|state| {
            let leader = state.leader.filter(|_| state.asked.is_none());
            leader.is_some_and(|leader| state.reads_from(leader, now) == broker)
        });
        if !leaves_out {
            self.waits.remove(&broker);
            return longest;
        }
        let next = self.waits.entry(broker).or_insert(SHORTEST_WAIT);
        let wait = longest.min(*next);
        *next = next.saturating_mul(2);
        wait
    }

    /// When a partition of a broker may be asked for that may not now.
    pub fn next_try(&self, broker: i32, now: Millis) -> Option<Millis> {
        let throttled = self.throttling.until(broker, now);
        if throttled.is_some() {
            return throttled;
        }
        let waiting = self.partitions.values().filter(|state| {
            let led_here = state.leader.is_some_and(|leader| leader.broker == broker);
            led_here && state.asked.is_none() && state.not_before > now
        });
        waiting.map(|state| state.not_before).min()
    }

    /// A broker did not answer: what was asked for is asked for again, where the leader is then.
    pub fn unanswered(&mut self, asks: &[Ask], now: Millis) {
        for ask in asks {
            let asked = |state: &&mut State| state.asked == Some(ask.number);
            if let Some(state) = self.partitions.get_mut(&ask.partition).filter(asked) {
                state.asked = None;
                state.wait(now + self.settings.backoff);
                self.wants_leaders = true;
            }
        }
    }

    /// A broker answered to `ask`.
    pub fn answered(&mut self, ask: &Ask, answer: &Answer<'_>, now: Millis) -> Verdict {
        let settings = self.settings;
        // Else it was removed, and perhaps added again, while the question was out.
        let asked = |state: &&mut State| state.asked == Some(ask.number);
        let Some(state) = self.partitions.get_mut(&ask.partition).filter(asked) else {
            return Verdict::Unwanted;
        };
        if state.position != ask.from {
            // A damaged batch was gone back to.
            state.asked = None;
            return Verdict::Unwanted;
        }
        let meaning = answer::meaning(ask.from, answer);
        if !matches!(meaning, Meaning::Good { .. }) {
            state.asked = None;
        }
        match meaning {
            Meaning::Good { next } => {
                state.position = next;
                // With the batch at the end that is cut: it takes memory until the others are processed.
                state.buffered += answer.records.len();
                if !answer.records.is_empty() {
                    self.waits.remove(&ask.broker);
                }
                if let Some(follower) = answer.follower {
                    state.follower = Some((follower, now + settings.follower_for));
                }
                Verdict::Good
            }
            // A leader that is not ready may be none any more.
            Meaning::OtherLeader | Meaning::NotYet => {
                state.wait(now + settings.backoff);
                self.wants_leaders = true;
                Verdict::Later
            }
            Meaning::OutOfRange => {
                state.wait(now + settings.backoff);
                Verdict::OutOfRange
            }
            Meaning::Damaged { offset } => {
                let position = state.position;
                match self.damaged(ask.partition, position, offset, now) {
                    Some(loss) => Verdict::Failed(loss),
                    None => Verdict::Later,
                }
            }
            Meaning::Lost(loss) => Verdict::Failed(self.fail(ask.partition, loss)),
        }
    }

    /// A good answer was handed on. Only now another may be asked for: two brokers could hand on in another order.
    pub fn told(&mut self, ask: &Ask) {
        let asked = |state: &&mut State| state.asked == Some(ask.number);
        if let Some(state) = self.partitions.get_mut(&ask.partition).filter(asked) {
            state.asked = None;
        }
    }

    /// The number of the newest question. Answers to this one and those before it are of before now.
    pub fn newest_question(&self) -> u64 {
        self.n_questions
    }

    fn fail(&mut self, partition: Partition, loss: Loss) -> Loss {
        self.partitions.remove(&partition);
        loss
    }
}

impl State {
    fn reads_from(&mut self, leader: Leader, now: Millis) -> i32 {
        self.follower = self.follower.filter(|(_, until)| *until > now);
        self.follower.map_or(leader.broker, |(broker, _)| broker)
    }

    fn wait(&mut self, until: Millis) {
        self.follower = None;
        self.not_before = until;
    }
}

#[cfg(test)]
mod tests;
