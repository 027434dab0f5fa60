//! Session windows: activity of a key, ended by a gap.
//!
//! A row belongs to the session whose rows are less than a gap away; a row between two sessions joins them. So a late row
//! could take away a session that was given out, not only change it: sessions are given out once, when the allowed
//! lateness is over. Each session has a slot in the columns of states.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::results::{Part, Results, before};
use super::{AggregatePlan, Rows, Windows, load_states, new_accumulators, save_states};
use crate::aggregate::bytes::{put_i64, put_u64, take_i64, take_u64};
use crate::aggregate::{Accumulators, CorruptState};
use crate::capture::{Block, BlockId, Blocks, Captured, Extent, Row, RowWriter, expect};
use crate::key::{KeyId, KeyTable};
use crate::stream::Micros;

pub(super) struct Sessions {
    plan: Arc<AggregatePlan>,
    gap: Micros,
    keys: KeyTable,
    /// The sessions of each key, by start.
    sessions: BTreeMap<KeyId, BTreeMap<Micros, Session>>,
    accumulators: Vec<Box<dyn Accumulators>>,
    n_slots: u32,
    free_slots: Vec<u32>,
    /// When sessions are given out: (time, key, start).
    due: BTreeSet<(Micros, Vec<u8>, Micros)>,
    scratch: Vec<u8>,
    blocks: Blocks,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    /// Event time of the last row.
    last: Micros,
    slot: u32,
}

impl Captured for Sessions {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        for (id, sessions) in self.sessions.range(ids) {
            rows.row(*id, self.keys.key(*id), |out| {
                put_u64(out, sessions.len() as u64);
                for (start, session) in sessions {
                    put_i64(out, *start);
                    put_i64(out, session.last);
                    save_states(&self.accumulators, session.slot, out);
                }
            });
        }
    }
}

impl Sessions {
    pub fn new(plan: Arc<AggregatePlan>, gap: Micros) -> Self {
        Self {
            accumulators: new_accumulators(&plan),
            plan,
            gap,
            keys: KeyTable::default(),
            sessions: BTreeMap::new(),
            n_slots: 0,
            free_slots: Vec::new(),
            due: BTreeSet::new(),
            scratch: Vec::new(),
            blocks: Blocks::new(0),
        }
    }

    /// When a session is given out: no row that is not late can become part of it any more.
    fn due_at(&self, last: Micros) -> Micros {
        last.saturating_add(self.gap).saturating_add(self.plan.lateness)
    }

    fn new_slot(&mut self) -> u32 {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.n_slots += 1;
            self.n_slots - 1
        });
        for accumulator in &mut self.accumulators {
            accumulator.grow(self.n_slots as usize);
        }
        slot
    }

    fn free_slot(&mut self, slot: u32) {
        for accumulator in &mut self.accumulators {
            accumulator.clear(slot);
        }
        self.free_slots.push(slot);
    }

    /// Adds the states of slot `from` to those of `into`.
    fn join(&mut self, into: u32, from: u32) -> Result<(), CorruptState> {
        let mut states = Vec::new();
        save_states(&self.accumulators, from, &mut states);
        let mut moved = new_accumulators(&self.plan);
        load_states(&mut moved, (into, 0), &mut states.as_slice())?;
        for (accumulator, moved) in self.accumulators.iter_mut().zip(&moved) {
            accumulator.merge(into, moved.as_ref());
        }
        self.free_slot(from);
        Ok(())
    }

    /// Gives out a session and forgets it.
    fn give_out(&mut self, due: Micros, key: &[u8], start: Micros, results: &mut Results) {
        let Some(id) = self.keys.find(key) else { return };
        self.touch(id);
        let Some(sessions) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(session) = sessions.remove(&start) else { return };
        if sessions.is_empty() {
            self.sessions.remove(&id);
            self.keys.release(id);
        }
        let end = session.last.saturating_add(self.gap);
        let part = Part {
            window: Some((start, end)),
            watermark: before(due),
            time: before(end),
            ids: &[session.slot],
            revisions: vec![0],
            last: true,
        };
        results.push_named(std::iter::once(key), &self.accumulators, part);
        self.free_slot(session.slot);
    }

    /// Adds a row; answers false if it is too late.
    fn add(&mut self, rows: &Rows<'_>, row: usize) -> bool {
        let (time, watermark) = (rows.input.times[row], rows.input.watermarks[row]);
        let mut key = std::mem::take(&mut self.scratch);
        rows.key(row, &mut key);
        let near: Vec<(Micros, Session)> = self
            .keys
            .find(&key)
            .and_then(|id| self.sessions.get(&id))
            .into_iter()
            .flat_map(|sessions| sessions.range(..time.saturating_add(self.gap)))
            .filter(|(_, session)| session.last.saturating_add(self.gap) > time)
            .map(|(start, session)| (*start, *session))
            .collect();
        if near.is_empty() && self.due_at(time) <= watermark {
            self.scratch = key;
            return false;
        }
        let (id, _) = self.keys.intern(&key);
        self.touch(id);
        let (mut start, mut last, mut slot) = (time, time, None);
        for (other_start, other) in &near {
            self.due.remove(&(self.due_at(other.last), key.clone(), *other_start));
            if let Some(sessions) = self.sessions.get_mut(&id) {
                sessions.remove(other_start);
            }
            match slot {
                None => slot = Some(other.slot),
                // The states were written by this very stage, so that they can be read back.
                Some(into) => drop(self.join(into, other.slot)),
            }
            start = start.min(*other_start);
            last = last.max(other.last);
        }
        let slot = slot.unwrap_or_else(|| self.new_slot());
        rows.update(&mut self.accumulators, row, &[slot], self.n_slots as usize);
        self.due.insert((self.due_at(last), key.clone(), start));
        self.sessions
            .entry(id)
            .or_default()
            .insert(start, Session { last, slot });
        self.scratch = key;
        true
    }
}

impl Windows for Sessions {
    fn advance(&mut self, watermark: Micros, _: Micros, results: &mut Results) {
        while self.due.first().is_some_and(|(due, _, _)| *due <= watermark) {
            let Some((due, key, start)) = self.due.pop_first() else {
                break;
            };
            self.give_out(due, &key, start, results);
        }
    }

    fn take(&mut self, rows: &Rows<'_>, from: usize, late: &mut Vec<u32>) -> usize {
        if !self.add(rows, from) {
            late.push(from as u32);
        }
        1
    }

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.blocks.begin(extent, self.keys.capacity());
        Vec::new()
    }

    fn next_block(&mut self) -> Option<Block> {
        Captured::next_block(self)
    }

    fn begin_restore(&mut self, _: &[&[u8]]) -> Result<(), CorruptState> {
        *self = Self::new(Arc::clone(&self.plan), self.gap);
        Ok(())
    }

    fn restore_rows(&mut self, _: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        let hashes = expect(&mut self.keys, block, rows);
        for (row, hash) in rows.iter().zip(hashes) {
            let mut state = row.state;
            let (id, _) = self.keys.take_back(row.key, hash);
            for _ in 0..take_u64(&mut state, "session windows")? {
                let start = take_i64(&mut state, "session windows")?;
                let last = take_i64(&mut state, "session windows")?;
                let slot = self.new_slot();
                load_states(&mut self.accumulators, (slot, 0), &mut state)?;
                self.due.insert((self.due_at(last), row.key.to_vec(), start));
                let sessions = self.sessions.entry(id).or_default();
                sessions.insert(start, Session { last, slot });
            }
        }
        Ok(())
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        Ok(())
    }

    fn next_timer(&self) -> Option<Micros> {
        self.due.first().map(|(due, ..)| *due)
    }

    fn keys(&self) -> &KeyTable {
        &self.keys
    }

    fn memory(&self) -> usize {
        let states: usize = self.accumulators.iter().map(|accumulator| accumulator.memory()).sum();
        states + self.keys.memory() + self.n_slots as usize * size_of::<Session>()
    }
}
