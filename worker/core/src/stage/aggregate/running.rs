//! Aggregates without a window: running totals, given out at ticks of event time where they changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::results::{Part, Results, before};
use super::{AggregatePlan, Rows, Windows, load_states, new_accumulators, next_due, save_states};
use crate::aggregate::{Accumulators, CorruptState};
use crate::key::{KeyId, KeyTable};
use crate::state::{decode, encode};
use crate::stream::{Micros, NO_WATERMARK};

pub(super) struct Running {
    plan: Arc<AggregatePlan>,
    every: Micros,
    ttl: Option<Micros>,
    keys: KeyTable,
    accumulators: Vec<Box<dyn Accumulators>>,
    groups: Vec<Group>,
    /// Keys that changed since the last tick, in the order of their first change.
    changed: Vec<KeyId>,
    /// When the changed keys are due.
    tick: Option<Micros>,
    /// When keys without rows are gone, as far as known: a key may have had rows since.
    expiry: BTreeMap<Micros, BTreeSet<Vec<u8>>>,
    scratch: Vec<u8>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Group {
    live: bool,
    changed: bool,
    revision: i64,
    newest: Micros,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    tick: Option<Micros>,
    /// Key, group, states; the changed ones first, in their order.
    groups: Vec<(Vec<u8>, Group, Vec<u8>)>,
    n_changed: usize,
}

impl Running {
    pub fn new(plan: Arc<AggregatePlan>, every: Micros, ttl: Option<Micros>) -> Self {
        Self {
            accumulators: new_accumulators(&plan),
            plan,
            every,
            ttl,
            keys: KeyTable::default(),
            groups: Vec::new(),
            changed: Vec::new(),
            tick: None,
            expiry: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    fn give_out(&mut self, ids: &[KeyId], due: Micros, deleted: bool, results: &mut Results) {
        let revisions = ids
            .iter()
            .map(|id| {
                let group = &mut self.groups[*id as usize];
                group.changed = false;
                group.revision += 1;
                group.revision - 1
            })
            .collect();
        let part = Part {
            window: None,
            watermark: before(due),
            time: before(due),
            ids,
            revisions,
            last: deleted,
        };
        results.push(&self.keys, &self.accumulators, part);
    }

    /// Gives out what changed, at the tick.
    fn tick(&mut self, due: Micros, results: &mut Results) {
        let changed = std::mem::take(&mut self.changed);
        self.give_out(&changed, due, false, results);
        self.tick = None;
    }

    /// Forgets keys whose time to live is over, with a last row each that says so.
    fn expire(&mut self, due: Micros, results: &mut Results) {
        let Some(ttl) = self.ttl else { return };
        for key in self.expiry.remove(&due).unwrap_or_default() {
            let Some(id) = self.keys.find(&key) else { continue };
            let expires = self.groups[id as usize].newest.saturating_add(ttl);
            if expires > due {
                self.expiry.entry(expires).or_default().insert(key);
                continue;
            }
            for accumulator in &mut self.accumulators {
                accumulator.clear(id);
            }
            self.changed.retain(|changed| *changed != id);
            self.give_out(&[id], due, true, results);
            self.groups[id as usize] = Group::default();
            self.keys.release(id);
        }
    }
}

impl Windows for Running {
    fn advance(&mut self, watermark: Micros, elapsed: Micros, results: &mut Results) {
        loop {
            let expires = self.expiry.first_key_value().map(|(due, _)| *due);
            // At the end, a time to live is over only if event time came that far.
            let expires = expires.filter(|due| *due <= elapsed);
            let ticks = self.tick.filter(|due| *due <= watermark);
            match (ticks, expires) {
                (Some(tick), Some(expiry)) if expiry < tick => self.expire(expiry, results),
                (Some(tick), _) => self.tick(tick, results),
                (None, Some(expiry)) => self.expire(expiry, results),
                (None, None) => break,
            }
        }
    }

    fn take(&mut self, rows: &Rows<'_>, from: usize, late: &mut Vec<u32>) -> usize {
        let (time, watermark) = (rows.input.times[from], rows.input.watermarks[from]);
        if time < watermark.saturating_sub(self.plan.lateness) {
            late.push(from as u32);
            return 1;
        }
        let mut key = std::mem::take(&mut self.scratch);
        rows.key(from, &mut key);
        let (id, new) = self.keys.intern(&key);
        if new {
            if self.groups.len() <= id as usize {
                self.groups.resize(id as usize + 1, Group::default());
            }
            self.groups[id as usize] = Group {
                live: true,
                newest: time,
                ..Group::default()
            };
            if let Some(ttl) = self.ttl {
                self.expiry
                    .entry(time.saturating_add(ttl))
                    .or_default()
                    .insert(key.clone());
            }
        }
        let group = &mut self.groups[id as usize];
        group.newest = group.newest.max(time);
        if !group.changed {
            group.changed = true;
            self.changed.push(id);
        }
        if self.tick.is_none() {
            // Before the first event there is no watermark to count from.
            let from = if watermark == NO_WATERMARK { time } else { watermark };
            self.tick = Some(next_due(from, self.every, 0));
        }
        rows.update(&mut self.accumulators, from, &[id], self.keys.capacity());
        self.scratch = key;
        1
    }

    fn save(&self) -> Vec<u8> {
        let row = |id: &KeyId| {
            let mut states = Vec::new();
            save_states(&self.accumulators, *id, &mut states);
            (self.keys.key(*id).to_vec(), self.groups[*id as usize].clone(), states)
        };
        let unchanged: Vec<KeyId> = (0..self.groups.len() as KeyId)
            .filter(|id| self.groups[*id as usize].live && !self.groups[*id as usize].changed)
            .collect();
        encode(&Saved {
            tick: self.tick,
            groups: self.changed.iter().chain(&unchanged).map(row).collect(),
            n_changed: self.changed.len(),
        })
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        let saved: Saved = decode(bytes, "running totals")?;
        *self = Self::new(Arc::clone(&self.plan), self.every, self.ttl);
        self.tick = saved.tick;
        for (i, (key, group, states)) in saved.groups.into_iter().enumerate() {
            let (id, _) = self.keys.intern(&key);
            if id as usize != self.groups.len() {
                return Err(CorruptState { what: "running totals" });
            }
            if let Some(ttl) = self.ttl {
                self.expiry
                    .entry(group.newest.saturating_add(ttl))
                    .or_default()
                    .insert(key);
            }
            self.groups.push(group);
            load_states(&mut self.accumulators, id, &mut states.as_slice())?;
            if i < saved.n_changed {
                self.changed.push(id);
            }
        }
        Ok(())
    }

    fn n_keys(&self) -> usize {
        self.keys.len()
    }

    fn memory(&self) -> usize {
        let states: usize = self.accumulators.iter().map(|accumulator| accumulator.memory()).sum();
        states + self.keys.memory() + self.groups.capacity() * size_of::<Group>()
    }
}
