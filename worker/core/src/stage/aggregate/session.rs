//! Session windows: activity of a key, ended by a gap.
//!
//! A row belongs to the session whose rows are less than a gap away; a row between two sessions joins them. Each session
//! has a slot in the columns of states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::results::{Part, Results, before};
use super::{AggregatePlan, EmitOn, Rows, Windows, load_states, new_accumulators, save_states};
use crate::aggregate::{Accumulators, CorruptState};
use crate::key::{KeyId, KeyTable};
use crate::state::{decode, encode};
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
    /// When sessions are due to be given out: (time, key, start).
    due: BTreeSet<(Micros, Vec<u8>, Micros)>,
    /// When sessions that were given out are forgotten.
    gone: BTreeSet<(Micros, Vec<u8>, Micros)>,
    revised_at: Option<Micros>,
    revised: BTreeSet<(Vec<u8>, Micros)>,
    scratch: Vec<u8>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    /// Event time of the last row.
    last: Micros,
    slot: u32,
    given_out: bool,
    /// How often it was given out under its start, less one.
    revision: i64,
}

/// Key; sessions with start and states.
type SavedKey = (Vec<u8>, Vec<(Micros, Session, Vec<u8>)>);

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
            gone: BTreeSet::new(),
            revised_at: None,
            revised: BTreeSet::new(),
            scratch: Vec::new(),
        }
    }

    fn due_at(&self, last: Micros) -> Micros {
        let end = last.saturating_add(self.gap);
        if self.plan.emit == EmitOn::Final {
            end.saturating_add(self.plan.lateness)
        } else {
            end
        }
    }

    fn gone_at(&self, last: Micros) -> Micros {
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
        load_states(&mut moved, into, &mut states.as_slice())?;
        for (accumulator, moved) in self.accumulators.iter_mut().zip(&moved) {
            accumulator.merge(into, moved.as_ref());
        }
        self.free_slot(from);
        Ok(())
    }

    /// Gives out a session under its present revision.
    fn give_out(&self, key: &[u8], start: Micros, session: &Session, watermark: Micros, results: &mut Results) {
        let end = session.last.saturating_add(self.gap);
        let part = Part {
            window: Some((start, end)),
            watermark,
            time: before(end),
            ids: &[session.slot],
            revisions: vec![session.revision],
            last: self.plan.emit == EmitOn::Final || self.plan.lateness == 0,
        };
        results.push_named(std::iter::once(key), &self.accumulators, part);
    }

    fn session_mut(&mut self, key: &[u8], start: Micros) -> Option<&mut Session> {
        let id = self.keys.find(key)?;
        self.sessions.get_mut(&id)?.get_mut(&start)
    }

    fn revise(&mut self, results: &mut Results) {
        let Some(watermark) = self.revised_at.take() else {
            return;
        };
        for (key, start) in std::mem::take(&mut self.revised) {
            let Some(session) = self.session_mut(&key, start) else {
                continue;
            };
            session.revision += 1;
            let session = session.clone();
            self.give_out(&key, start, &session, watermark, results);
        }
    }

    fn forget(&mut self, key: &[u8], start: Micros) {
        let Some(id) = self.keys.find(key) else { return };
        let Some(sessions) = self.sessions.get_mut(&id) else {
            return;
        };
        let removed = sessions.remove(&start);
        if sessions.is_empty() {
            self.sessions.remove(&id);
            self.keys.release(id);
        }
        if let Some(session) = removed {
            self.free_slot(session.slot);
        }
    }

    /// Takes a session out of all timers.
    fn unschedule(&mut self, key: &[u8], start: Micros, session: &Session) {
        self.due.remove(&(self.due_at(session.last), key.to_vec(), start));
        self.gone.remove(&(self.gone_at(session.last), key.to_vec(), start));
        self.revised.remove(&(key.to_vec(), start));
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
            .map(|(start, session)| (*start, session.clone()))
            .collect();
        if near.is_empty() && self.gone_at(time) <= watermark {
            self.scratch = key;
            return false;
        }
        let (id, _) = self.keys.intern(&key);
        let mut start = time;
        let mut joined = Session {
            last: time,
            slot: 0,
            given_out: false,
            revision: -1,
        };
        let mut slot = None;
        for (other_start, other) in &near {
            self.unschedule(&key, *other_start, other);
            if let Some(sessions) = self.sessions.get_mut(&id) {
                sessions.remove(other_start);
            }
            match slot {
                None => slot = Some(other.slot),
                // The states were written by this very stage, so that they can be read back.
                Some(into) => drop(self.join(into, other.slot)),
            }
            if *other_start <= start {
                joined.revision = other.revision;
            }
            start = start.min(*other_start);
            joined.last = joined.last.max(other.last);
        }
        joined.slot = slot.unwrap_or_else(|| self.new_slot());
        rows.update(&mut self.accumulators, row, &[joined.slot], self.n_slots as usize);
        joined.given_out = self.due_at(joined.last) <= watermark;
        if joined.given_out {
            self.revised.insert((key.clone(), start));
            self.revised_at = Some(watermark);
            self.gone.insert((self.gone_at(joined.last), key.clone(), start));
        } else {
            self.due.insert((self.due_at(joined.last), key.clone(), start));
        }
        self.sessions.entry(id).or_default().insert(start, joined);
        self.scratch = key;
        true
    }
}

impl Windows for Sessions {
    fn advance(&mut self, watermark: Micros, _: Micros, results: &mut Results) {
        if self.revised_at.is_some_and(|revised| revised < watermark) {
            self.revise(results);
        }
        while self.due.first().is_some_and(|(due, _, _)| *due <= watermark) {
            let Some((due, key, start)) = self.due.pop_first() else {
                break;
            };
            let Some(session) = self.session_mut(&key, start) else {
                continue;
            };
            session.given_out = true;
            session.revision += 1;
            let session = session.clone();
            self.give_out(&key, start, &session, before(due), results);
            self.gone.insert((self.gone_at(session.last), key, start));
        }
        while self.gone.first().is_some_and(|(gone, _, _)| *gone <= watermark) {
            if let Some((_, key, start)) = self.gone.pop_first() {
                self.forget(&key, start);
            }
        }
    }

    fn take(&mut self, rows: &Rows<'_>, from: usize, late: &mut Vec<u32>) -> usize {
        if !self.add(rows, from) {
            late.push(from as u32);
        }
        1
    }

    fn save(&self) -> Vec<u8> {
        let sessions: Vec<SavedKey> = self
            .sessions
            .iter()
            .map(|(id, sessions)| {
                let rows = sessions.iter().map(|(start, session)| {
                    let mut states = Vec::new();
                    save_states(&self.accumulators, session.slot, &mut states);
                    // The slot is given anew when the state is loaded.
                    (
                        *start,
                        Session {
                            slot: 0,
                            ..session.clone()
                        },
                        states,
                    )
                });
                (self.keys.key(*id).to_vec(), rows.collect())
            })
            .collect();
        encode(&(self.revised_at, &self.revised, sessions))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        type Saved = (Option<Micros>, BTreeSet<(Vec<u8>, Micros)>, Vec<SavedKey>);
        let (revised_at, revised, saved): Saved = decode(bytes, "session windows")?;
        *self = Self::new(Arc::clone(&self.plan), self.gap);
        (self.revised_at, self.revised) = (revised_at, revised);
        for (key, rows) in saved {
            let (id, _) = self.keys.intern(&key);
            for (start, mut session, states) in rows {
                session.slot = self.new_slot();
                load_states(&mut self.accumulators, session.slot, &mut states.as_slice())?;
                let timers = if session.given_out {
                    &mut self.gone
                } else {
                    &mut self.due
                };
                let end = session.last.saturating_add(self.gap);
                let by_lateness = session.given_out || self.plan.emit == EmitOn::Final;
                let time = if by_lateness {
                    end.saturating_add(self.plan.lateness)
                } else {
                    end
                };
                timers.insert((time, key.clone(), start));
                self.sessions.entry(id).or_default().insert(start, session);
            }
        }
        Ok(())
    }

    fn n_keys(&self) -> usize {
        self.keys.len()
    }

    fn memory(&self) -> usize {
        let states: usize = self.accumulators.iter().map(|accumulator| accumulator.memory()).sum();
        states + self.keys.memory() + self.n_slots as usize * size_of::<Session>()
    }
}
