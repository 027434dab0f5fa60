//! `escalate`: enough events of a key within a time raise the severity of the last.
//!
//! Events are taken as they come; their event times say whether they are within the time. After firing, a key begins
//! anew. An event older than the newest of its key minus `within` does not count.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;
use smallvec::SmallVec;
use tocsin_contract::pipeline::stage::EscalateTtl;

use super::{Output, Stage, late_part};
use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{put_i64, put_u64, take_i64, take_u64};
use crate::capture::{Block, BlockId, Blocks, Captured, Extent, Row, RowWriter, expect};
use crate::key::{KeyId, KeyTable, encode_key, reserve};
use crate::stream::{Batch, Micros, NO_WATERMARK, record_batch};

/// What an escalation is asked for.
#[derive(Clone, Debug)]
pub struct EscalatePlan {
    /// Columns of the input that make the key.
    pub by: Vec<usize>,
    /// Events that escalate; at least 1.
    pub count: u32,
    /// The time that they must come within.
    pub within: Micros,
    /// What the time is counted from.
    pub ttl: EscalateTtl,
    /// Severity of the escalated event.
    pub severity: String,
    /// How long behind the watermark an event still counts.
    pub lateness: Micros,
    /// The output: the input's columns, `severity` replaced or added, `escalation_count`, `escalation_since`.
    pub output: SchemaRef,
    /// For each output column the input column that it is; none for those that the stage sets.
    pub kept: Vec<Option<usize>>,
}

/// A running escalation.
#[derive(Debug)]
pub struct Escalate {
    plan: EscalatePlan,
    keys: KeyTable,
    states: Vec<Counted>,
    watermark: Micros,
    /// Number of keys at which the next sweep for forgotten ones is due.
    sweep_at: usize,
    scratch: Vec<u8>,
    blocks: Blocks,
}

/// The events of a key that count and have not escalated.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counted {
    count: u32,
    /// `Sliding`: their times, ascending. Otherwise the first and the newest.
    times: SmallVec<[Micros; 2]>,
}

const FIRST_SWEEP: usize = 4096;

impl Escalate {
    /// An escalation without state.
    pub fn new(plan: EscalatePlan) -> Self {
        Self {
            plan,
            keys: KeyTable::default(),
            states: Vec::new(),
            watermark: NO_WATERMARK,
            sweep_at: FIRST_SWEEP,
            scratch: Vec::new(),
            blocks: Blocks::new(0),
        }
    }

    fn intern(&mut self, columns: &[ArrayRef], row: usize) -> KeyId {
        self.scratch.clear();
        encode_key(columns, row, &mut self.scratch);
        let (id, new) = self.keys.intern(&self.scratch);
        if new {
            if self.states.len() <= id as usize {
                self.states.resize(id as usize + 1, Counted::default());
            }
            self.states[id as usize] = Counted::default();
        }
        id
    }

    /// Forgets keys whose events can no longer count together with any event that is not late. Which keys are there
    /// never shows in the output, so it does not matter when this happens.
    fn sweep(&mut self) {
        let horizon = self.watermark.saturating_sub(self.plan.lateness);
        for id in 0..self.states.len() {
            let state = &self.states[id];
            let anchor = match self.plan.ttl {
                EscalateTtl::FromFirst => state.times.first(),
                EscalateTtl::Sliding | EscalateTtl::OnWrite => state.times.last(),
            };
            let forgotten = anchor.is_none_or(|anchor| anchor.saturating_add(self.plan.within) < horizon);
            if forgotten {
                if self.states[id].count > 0 {
                    self.touch(id as KeyId);
                }
                self.states[id] = Counted::default();
                self.keys.release(id as KeyId);
            }
        }
        self.sweep_at = (self.keys.len() * 2).max(FIRST_SWEEP);
    }
}

impl Captured for Escalate {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        for id in ids {
            let Some(state) = self.states.get(id as usize).filter(|state| state.count > 0) else {
                continue;
            };
            rows.row(id, self.keys.key(id), |out| state.save(out));
        }
    }
}

impl Counted {
    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, u64::from(self.count));
        put_u64(out, self.times.len() as u64);
        self.times.iter().for_each(|time| put_i64(out, *time));
    }

    fn load(mut bytes: &[u8]) -> Result<Self, CorruptState> {
        let what = "an escalation";
        let count = u32::try_from(take_u64(&mut bytes, what)?).map_err(|_| CorruptState { what })?;
        let mut times = SmallVec::new();
        for _ in 0..take_u64(&mut bytes, what)? {
            times.push(take_i64(&mut bytes, what)?);
        }
        match bytes {
            [] => Ok(Self { count, times }),
            _ => Err(CorruptState { what }),
        }
    }

    /// Counts an event; answers since when, if that makes `count`.
    fn add(&mut self, time: Micros, plan: &EscalatePlan) -> Option<Micros> {
        let newest = self.times.last();
        if newest.is_some_and(|newest| time < newest.saturating_sub(plan.within)) {
            return None;
        }
        match plan.ttl {
            EscalateTtl::Sliding => {
                let at = self.times.partition_point(|other| *other <= time);
                self.times.insert(at, time);
                let newest = self.times.last().copied().unwrap_or(time);
                self.times.retain(|other| *other >= newest.saturating_sub(plan.within));
                self.count = self.times.len() as u32;
            }
            EscalateTtl::FromFirst | EscalateTtl::OnWrite => {
                let expired = match (plan.ttl, self.times.first(), self.times.last()) {
                    (EscalateTtl::FromFirst, Some(first), _) => time > first.saturating_add(plan.within),
                    (_, _, Some(newest)) => time > newest.saturating_add(plan.within),
                    _ => true,
                };
                if expired {
                    self.count = 0;
                    self.times.clear();
                }
                self.count += 1;
                let first = self.times.first().map_or(time, |first| time.min(*first));
                let newest = self.times.last().map_or(time, |newest| time.max(*newest));
                self.times = SmallVec::from_slice(&[first, newest]);
            }
        }
        if self.count < plan.count {
            return None;
        }
        let since = self.times.first().copied();
        *self = Self::default();
        since
    }
}

impl Stage for Escalate {
    fn process(&mut self, input: Batch) -> Output {
        let columns: Vec<ArrayRef> = self.plan.by.iter().map(|&i| Arc::clone(input.rows.column(i))).collect();
        let (mut fired, mut since, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..input.n_rows() {
            let time = input.times[row];
            if time < input.watermarks[row].saturating_sub(self.plan.lateness) {
                late.push(row as u32);
                continue;
            }
            let id = self.intern(&columns, row);
            self.touch(id);
            if let Some(first) = self.states[id as usize].add(time, &self.plan) {
                fired.push(row as u32);
                since.push(first);
            }
        }
        self.watermark = input.watermark;
        if self.keys.len() >= self.sweep_at {
            self.sweep();
        }
        let late = late_part(&input, &late);
        let kept = input.take(&fired);
        let n_fired = fired.len();
        let mut set: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(since).with_timezone("UTC")),
            Arc::new(Int64Array::from(vec![i64::from(self.plan.count); n_fired])),
            Arc::new(StringArray::from(vec![self.plan.severity.as_str(); n_fired])),
        ];
        // The set columns stand in the output in the order severity, count, since.
        let columns = self.plan.kept.iter().map(|from| match from {
            Some(i) => Some(Arc::clone(kept.rows.column(*i))),
            None => set.pop(),
        });
        let rows = record_batch(&self.plan.output, columns.flatten().collect(), n_fired);
        Output {
            main: kept.with_rows(rows),
            late,
        }
    }

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.blocks.begin(extent, self.keys.capacity());
        Vec::new()
    }

    fn next_block(&mut self) -> Option<Block> {
        Captured::next_block(self)
    }

    fn begin_restore(&mut self, _: &[&[u8]]) -> Result<(), CorruptState> {
        *self = Self::new(self.plan.clone());
        Ok(())
    }

    fn restore_rows(&mut self, _: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        let hashes = expect(&mut self.keys, block, rows);
        reserve(&mut self.states, self.keys.n_expected());
        for (row, hash) in rows.iter().zip(hashes) {
            let (id, _) = self.keys.take_back(row.key, hash);
            let state = Counted::load(row.state)?;
            if self.states.len() <= id as usize {
                self.states.resize(id as usize, Counted::default());
                self.states.push(state);
            } else {
                self.states[id as usize] = state;
            }
        }
        Ok(())
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.sweep_at = (self.keys.len() * 2).max(FIRST_SWEEP);
        Ok(())
    }

    fn key_tables(&self) -> Vec<&KeyTable> {
        vec![&self.keys]
    }

    fn memory(&self) -> usize {
        self.keys.memory() + self.states.capacity() * size_of::<Counted>()
    }
}
