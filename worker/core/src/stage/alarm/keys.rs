//! The keys of an alarm stage: what is held of each under each rule, and when it is due to change by itself.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::baseline::{Baseline, BaselinePlan};
use super::level::{Level, Timing};
use crate::capture::{Block, Blocks, Captured, Extent, RowWriter};
use crate::key::{KeyId, KeyTable};
use crate::state::encode_behind;
use crate::stream::Micros;

/// Keys at which idle ones are first looked for.
const FIRST_SWEEP: usize = 4096;

/// The state of a key under a rule, and the values of its last sample.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Held {
    pub level: Level,
    /// A JSON object with the shown columns.
    pub values: String,
    pub summary: Option<String>,
    pub baseline: Baseline,
}

impl Held {
    fn is_at_rest(&self) -> bool {
        self.level.at_rest() && self.baseline.is_empty()
    }
}

/// The keys of all rules. A key that is at rest is not kept.
#[derive(Debug)]
pub(super) struct Keys {
    rules: Vec<OfRule>,
    /// (due, rule, key)
    timers: BTreeSet<(Micros, usize, Vec<u8>)>,
}

#[derive(Debug)]
struct OfRule {
    table: KeyTable,
    held: Vec<Held>,
    /// Number of keys at which idle ones are looked for.
    sweep_at: usize,
    blocks: Blocks,
}

impl Captured for OfRule {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        for id in ids {
            let Some(held) = self.held.get(id as usize).filter(|held| !held.is_at_rest()) else {
                continue;
            };
            rows.row(id, self.table.key(id), |out| encode_behind(held, out));
        }
    }
}

impl Keys {
    pub fn new(n_rules: usize) -> Self {
        let rule = |number| OfRule {
            table: KeyTable::default(),
            held: Vec::new(),
            sweep_at: FIRST_SWEEP,
            blocks: Blocks::new(number as u32),
        };
        Self {
            rules: (0..n_rules).map(rule).collect(),
            timers: BTreeSet::new(),
        }
    }

    pub fn find(&self, rule: usize, key: &[u8]) -> Option<KeyId> {
        self.rules[rule].table.find(key)
    }

    pub fn intern(&mut self, rule: usize, key: &[u8]) -> KeyId {
        let rule = &mut self.rules[rule];
        let (id, _) = rule.table.intern(key);
        if rule.held.len() <= id as usize {
            rule.held.resize_with(id as usize + 1, Held::default);
        }
        id
    }

    pub fn held(&self, rule: usize, id: KeyId) -> &Held {
        &self.rules[rule].held[id as usize]
    }

    pub fn held_mut(&mut self, rule: usize, id: KeyId) -> &mut Held {
        let of_rule = &mut self.rules[rule];
        of_rule.touch(id);
        &mut of_rule.held[id as usize]
    }

    /// When the first timer is due.
    pub fn next_timer(&self) -> Option<Micros> {
        self.timers.first().map(|(due, ..)| *due)
    }

    /// Takes out the first timer that is due by `watermark`.
    pub fn next_due(&mut self, watermark: Micros) -> Option<(Micros, usize, Vec<u8>)> {
        if self.timers.first()?.0 > watermark {
            return None;
        }
        self.timers.pop_first()
    }

    /// Sets the timer of a key anew, where it was due at `before`; forgets the key if it is at rest.
    pub fn settle(&mut self, rule: usize, id: KeyId, before: Option<Micros>, timing: &Timing) {
        let of_rule = &mut self.rules[rule];
        let held = &mut of_rule.held[id as usize];
        let due = held.level.due(timing);
        if due != before {
            let key = of_rule.table.key(id);
            if let Some(before) = before {
                self.timers.remove(&(before, rule, key.to_vec()));
            }
            if let Some(due) = due {
                self.timers.insert((due, rule, key.to_vec()));
            }
        }
        if held.is_at_rest() {
            of_rule.touch(id);
            of_rule.held[id as usize] = Held::default();
            of_rule.table.release(id);
        }
    }

    /// Forgets keys of which nothing from `horizon` on can need anything; looked for each time that the keys have
    /// doubled. Which keys are there never shows in the output, so it does not matter when this happens.
    pub fn sweep(&mut self, rule: usize, horizon: Micros, plan: &BaselinePlan) {
        let of_rule = &mut self.rules[rule];
        if of_rule.table.len() < of_rule.sweep_at {
            return;
        }
        for id in 0..of_rule.held.len() {
            if of_rule.held[id].baseline.is_empty() {
                continue;
            }
            of_rule.touch(id as KeyId);
            let held = &mut of_rule.held[id];
            held.baseline.forget(horizon, plan);
            if held.is_at_rest() {
                *held = Held::default();
                of_rule.table.release(id as KeyId);
            }
        }
        of_rule.sweep_at = (of_rule.table.len() * 2).max(FIRST_SWEEP);
    }

    /// Begins a capture.
    pub fn begin_capture(&mut self, extent: Extent) {
        for rule in &mut self.rules {
            rule.blocks.begin(extent, rule.table.capacity());
        }
    }

    /// The next block of the capture under way.
    pub fn next_block(&mut self) -> Option<Block> {
        self.rules.iter_mut().find_map(Captured::next_block)
    }

    /// Takes back what was held of a key.
    pub fn restore(&mut self, rule: usize, key: &[u8], held: Held, timing: &Timing) {
        let id = self.intern(rule, key);
        *self.held_mut(rule, id) = held;
        self.settle(rule, id, None, timing);
    }

    pub fn tables(&self) -> Vec<&KeyTable> {
        self.rules.iter().map(|rule| &rule.table).collect()
    }

    pub fn memory(&self) -> usize {
        let of_rule = |rule: &OfRule| {
            let held: usize = rule
                .held
                .iter()
                .map(|held| held.values.capacity() + held.baseline.memory())
                .sum();
            rule.table.memory() + rule.held.capacity() * size_of::<Held>() + held
        };
        self.rules.iter().map(of_rule).sum()
    }
}
