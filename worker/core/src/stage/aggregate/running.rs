//! Aggregates without a window: running totals, given out at ticks of event time where they changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::results::{Part, Results, before};
use super::{AggregatePlan, Rows, Windows, load_states, new_accumulators, next_due, save_states};
use crate::aggregate::bytes::{put_i64, take_i64};
use crate::aggregate::{Accumulators, CorruptState};
use crate::capture::{Block, BlockId, Blocks, Captured, Extent, Row, RowWriter, expect};
use crate::key::{KeyId, KeyTable, Renumbered};
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
    blocks: Blocks,
    restoring: Restoring,
}

#[derive(Clone, Debug, Default)]
struct Group {
    live: bool,
    changed: bool,
    revision: i64,
    newest: Micros,
}

#[derive(Serialize, Deserialize)]
struct Head {
    tick: Option<Micros>,
    changed: Vec<KeyId>,
}

/// What is known only while state is taken back.
#[derive(Default)]
struct Restoring {
    changed: Vec<Vec<KeyId>>,
    numbers: Renumbered,
}

impl Captured for Running {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        for id in ids {
            let Some(group) = self.groups.get(id as usize).filter(|group| group.live) else {
                continue;
            };
            rows.row(id, self.keys.key(id), |out| {
                put_i64(out, group.revision);
                put_i64(out, group.newest);
                save_states(&self.accumulators, id, out);
            });
        }
    }
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
            blocks: Blocks::new(0),
            restoring: Restoring::default(),
        }
    }

    fn give_out(&mut self, ids: &[KeyId], due: Micros, deleted: bool, results: &mut Results) {
        ids.iter().for_each(|id| self.touch(*id));
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
            self.touch(id);
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
        self.touch(id);
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

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.blocks.begin(extent, self.keys.capacity());
        encode(&Head {
            tick: self.tick,
            changed: self.changed.clone(),
        })
    }

    fn next_block(&mut self) -> Option<Block> {
        Captured::next_block(self)
    }

    fn begin_restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        *self = Self::new(Arc::clone(&self.plan), self.every, self.ttl);
        for head in heads {
            let head: Head = decode(head, "running totals")?;
            // All that have one have the same: see `may_join`.
            self.tick = [self.tick, head.tick].into_iter().flatten().min();
            self.restoring.changed.push(head.changed);
        }
        Ok(())
    }

    fn restore_rows(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        let hashes = expect(&mut self.keys, block, rows);
        for (row, hash) in rows.iter().zip(hashes) {
            let (id, new) = self.keys.take_back(row.key, hash);
            if !new {
                return Err(CorruptState { what: "running totals" });
            }
            let mut state = row.state;
            let revision = take_i64(&mut state, "running totals")?;
            let newest = take_i64(&mut state, "running totals")?;
            load_states(&mut self.accumulators, (id, self.keys.n_expected()), &mut state)?;
            if self.groups.len() <= id as usize {
                self.groups.resize(id as usize + 1, Group::default());
            }
            self.groups[id as usize] = Group {
                live: true,
                changed: false,
                revision,
                newest,
            };
            if let Some(ttl) = self.ttl {
                let expires = self.expiry.entry(newest.saturating_add(ttl)).or_default();
                expires.insert(row.key.to_vec());
            }
            self.restoring.numbers.insert(from, row.id, id);
        }
        Ok(())
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        let Restoring { changed, numbers } = std::mem::take(&mut self.restoring);
        for (from, ids) in changed.into_iter().enumerate() {
            for id in ids.into_iter().filter_map(|id| numbers.get(from, id)) {
                self.groups[id as usize].changed = true;
                self.changed.push(id);
            }
        }
        self.tick = self.tick.filter(|_| !self.changed.is_empty());
        Ok(())
    }

    fn may_join(&self, watermark: Micros) -> bool {
        // The tick of a stream that had no watermark yet goes by its first event, and may be a later one.
        self.tick.is_none_or(|tick| tick <= next_due(watermark, self.every, 0))
    }

    fn next_timer(&self) -> Option<Micros> {
        let expiry = self.expiry.first_key_value().map(|(due, _)| *due);
        self.tick.into_iter().chain(expiry).min()
    }

    fn keys(&self) -> &KeyTable {
        &self.keys
    }

    fn memory(&self) -> usize {
        let states: usize = self.accumulators.iter().map(|accumulator| accumulator.memory()).sum();
        states + self.keys.memory() + self.groups.capacity() * size_of::<Group>()
    }
}
