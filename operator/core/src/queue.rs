//! What is to be reconciled next: a work queue that is fair to namespaces.
//!
//! - An object waits once, however often it is asked for, and is given out to one worker at a time. Asked for meanwhile, it
//!   is given out once more when that worker is done.
//! - Namespaces take turns, and the one with the least work in hand goes first. So one with five hundred pipelines delays
//!   another's by what is in hand, and not by five hundred.
//! - A tenant takes up another worker only if more are idle than it has in hand. So those whose looks take long, as their
//!   Kafka does not answer, never have all of them.
//! - What somebody changed goes before what only wants to be looked at again; now and then one of those goes first, so
//!   that they are never forgotten.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;

use crate::lease::Moment;

/// What can be queued.
pub trait Item: Clone + Eq + Ord + Hash {
    /// Whose it is: its namespace.
    fn tenant(&self) -> &str;
}

/// How soon something wants to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// As its turn comes: a resync, a poll.
    Routine,
    /// Somebody changed something.
    Changed,
}

/// After so many changes in a row something of routine goes first.
const CHANGES_IN_A_ROW: u32 = 8;

/// The queue.
#[derive(Clone, Debug)]
pub struct Queue<K> {
    /// Those with something that waits or is in hand.
    tenants: HashMap<String, Tenant<K>>,
    /// Who may have changes waiting, the next one first.
    changed: BTreeSet<Turn>,
    /// Who may have routine waiting, the next one first.
    routine: BTreeSet<Turn>,
    /// How many turns were given.
    turns: u64,
    /// What is to come later.
    later: BTreeSet<(Moment, K)>,
    /// When each of them comes.
    due: HashMap<K, Moment>,
    waiting: HashMap<K, Urgency>,
    in_hand: HashSet<K>,
    /// What was asked for while in hand.
    again: HashMap<K, Urgency>,
    changes_in_a_row: u32,
    /// How many are given out at most.
    workers: usize,
}

/// A tenant's place among the others: who has less in hand goes first, then who waits longer for a turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    in_hand: usize,
    last_turn: u64,
    tenant: String,
}

/// What a tenant has waiting. An item that was forgotten, or became urgent, is left where it stands and passed over.
#[derive(Clone, Debug)]
struct Tenant<K> {
    changed: VecDeque<K>,
    routine: VecDeque<K>,
    in_hand: usize,
    last_turn: u64,
}

impl<K> Tenant<K> {
    fn queue(&mut self, urgency: Urgency) -> &mut VecDeque<K> {
        match urgency {
            Urgency::Changed => &mut self.changed,
            Urgency::Routine => &mut self.routine,
        }
    }

    fn is_idle(&self) -> bool {
        self.in_hand == 0 && self.changed.is_empty() && self.routine.is_empty()
    }

    fn turn(&self, name: &str) -> Turn {
        Turn {
            in_hand: self.in_hand,
            last_turn: self.last_turn,
            tenant: name.to_owned(),
        }
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            tenants: HashMap::new(),
            changed: BTreeSet::new(),
            routine: BTreeSet::new(),
            turns: 0,
            later: BTreeSet::new(),
            due: HashMap::new(),
            waiting: HashMap::new(),
            in_hand: HashSet::new(),
            again: HashMap::new(),
            changes_in_a_row: 0,
            workers: usize::MAX,
        }
    }
}

impl<K: Item> Queue<K> {
    /// An empty queue for so many workers.
    pub fn of_workers(workers: usize) -> Self {
        Self {
            workers,
            ..Self::default()
        }
    }

    /// Asks for `item` to be looked at. What was to come later for it comes now.
    pub fn add(&mut self, item: K, urgency: Urgency) {
        self.forget_later(&item);
        if self.in_hand.contains(&item) {
            let known = self.again.entry(item).or_insert(urgency);
            *known = urgency.max(*known);
            return;
        }
        if self.waiting.get(&item).is_some_and(|known| *known >= urgency) {
            return;
        }
        self.with_tenant(item.tenant(), |tenant, _| tenant.queue(urgency).push_back(item.clone()));
        self.waiting.insert(item, urgency);
    }

    /// Asks for `item` to be looked at at this moment, as routine. The earliest moment counts.
    pub fn add_at(&mut self, item: K, at: Moment) {
        if self.waiting.contains_key(&item) || self.again.contains_key(&item) {
            return;
        }
        match self.due.get(&item) {
            Some(known) if *known <= at => return,
            Some(_) => self.forget_later(&item),
            None => {}
        }
        self.later.insert((at, item.clone()));
        self.due.insert(item, at);
    }

    /// Gives out what is to be looked at next.
    pub fn take(&mut self, now: Moment) -> Option<K> {
        self.bring_due(now);
        let routine_first = self.changes_in_a_row >= CHANGES_IN_A_ROW;
        let order = if routine_first {
            [Urgency::Routine, Urgency::Changed]
        } else {
            [Urgency::Changed, Urgency::Routine]
        };
        let (urgency, item) = order
            .into_iter()
            .find_map(|urgency| self.take_of(urgency).map(|item| (urgency, item)))?;
        self.changes_in_a_row = match urgency {
            Urgency::Changed => self.changes_in_a_row.saturating_add(1),
            Urgency::Routine => 0,
        };
        Some(item)
    }

    /// A worker is done with `item`.
    pub fn done(&mut self, item: &K) {
        if !self.in_hand.remove(item) {
            return;
        }
        self.with_tenant(item.tenant(), |tenant, _| {
            tenant.in_hand = tenant.in_hand.saturating_sub(1)
        });
        if let Some(urgency) = self.again.remove(item) {
            self.add(item.clone(), urgency);
        }
    }

    /// Forgets `item`: it is gone. What is in hand stays so until it is done, and what was told of it meanwhile counts: it may be
    /// there again.
    pub fn forget(&mut self, item: &K) {
        self.forget_later(item);
        self.waiting.remove(item);
    }

    /// When something comes that waits for its time. None if nothing does.
    pub fn next_due(&self) -> Option<Moment> {
        self.later.first().map(|(at, _)| *at)
    }

    /// How many wait for their turn.
    pub fn depth(&self) -> usize {
        self.waiting.len()
    }

    /// How many are given out.
    pub fn in_hand(&self) -> usize {
        self.in_hand.len()
    }

    fn bring_due(&mut self, now: Moment) {
        while let Some((at, _)) = self.later.first()
            && *at <= now
            && let Some((_, item)) = self.later.pop_first()
        {
            self.due.remove(&item);
            self.add(item, Urgency::Routine);
        }
    }

    /// The next of this urgency, of the tenant with the least in hand; among equals of the one that waits longest.
    fn take_of(&mut self, urgency: Urgency) -> Option<K> {
        loop {
            let turns = match urgency {
                Urgency::Changed => &self.changed,
                Urgency::Routine => &self.routine,
            };
            let next = turns.first()?;
            let idle = self.workers.saturating_sub(self.in_hand.len());
            if next.in_hand >= idle.max(1) {
                return None;
            }
            let name = next.tenant.clone();
            let taken = self.with_tenant(&name, |tenant, shared| {
                let queue = tenant.queue(urgency);
                while let Some(item) = queue.pop_front() {
                    if shared.waiting.get(&item) == Some(&urgency) {
                        shared.waiting.remove(&item);
                        shared.in_hand.insert(item.clone());
                        *shared.turns += 1;
                        tenant.last_turn = *shared.turns;
                        tenant.in_hand += 1;
                        return Some(item);
                    }
                }
                None
            });
            if taken.is_some() {
                return taken;
            }
        }
    }

    /// Changes a tenant, and puts it where it stands then. A tenant with nothing to do is forgotten.
    fn with_tenant<T>(&mut self, name: &str, change: impl FnOnce(&mut Tenant<K>, Shared<'_, K>) -> T) -> T {
        let mut tenant = match self.tenants.remove(name) {
            Some(tenant) => {
                let turn = tenant.turn(name);
                self.changed.remove(&turn);
                self.routine.remove(&turn);
                tenant
            }
            None => Tenant {
                changed: VecDeque::new(),
                routine: VecDeque::new(),
                in_hand: 0,
                last_turn: self.turns,
            },
        };
        let shared = Shared {
            waiting: &mut self.waiting,
            in_hand: &mut self.in_hand,
            turns: &mut self.turns,
        };
        let result = change(&mut tenant, shared);
        if !tenant.changed.is_empty() {
            self.changed.insert(tenant.turn(name));
        }
        if !tenant.routine.is_empty() {
            self.routine.insert(tenant.turn(name));
        }
        if !tenant.is_idle() {
            self.tenants.insert(name.to_owned(), tenant);
        }
        result
    }

    fn forget_later(&mut self, item: &K) {
        if let Some(at) = self.due.remove(item) {
            self.later.remove(&(at, item.clone()));
        }
    }
}

/// What belongs to no tenant.
struct Shared<'a, K> {
    waiting: &'a mut HashMap<K, Urgency>,
    in_hand: &'a mut HashSet<K>,
    turns: &'a mut u64,
}

#[cfg(test)]
mod tests;
