//! Deals the rows of a stage out by key: own ones go on, those of other shards are sent to them, theirs come in.
//!
//! What comes in comes from many writers, so that its running maximum is no watermark. Each record says how far its writer
//! is, and a shard is as far as the least of those that it waits for, itself among them. Rows that are late are sorted out
//! by the shard that read them, by its own watermark: what was on time there is never late elsewhere, and what is late
//! does not depend on how far others are.

mod ends;
mod form;
mod input;
mod owners;
mod record;
mod saved;

use std::sync::Arc;

use crate::aggregate::CorruptState;
use crate::plan::StagePlan;
use crate::plan::repartition::RepartitionPlan;
use crate::stage::aggregate::combine::combine;
use crate::stream::{Batch, END, Micros, NO_WATERMARK};
pub use ends::Ends;
pub use form::DealtOtherwise;
use input::{Input, State};
pub use owners::hashes;
use owners::owners;
pub use record::{DealtInput, DealtRecord};

/// A record has about so many bytes of rows at most, unless one row has more.
const RECORD_BYTES: usize = 512 << 10;

/// The rows of a stage's inputs, dealt out.
#[derive(Debug)]
pub struct Repartition {
    plan: RepartitionPlan,
    /// Name of the stage.
    stage: String,
    /// The number of the form of rows that are dealt out.
    form: u64,
    /// Number of the own shard.
    shard: u32,
    /// Whether the stage puts rows in order: their own watermark then says where they stand.
    is_sorted: bool,
    inputs: Vec<Input>,
    ends: Ends,
    /// Whether the inputs give nothing here, so that nobody needs to wait; and what the others were told of that.
    is_idle: bool,
    told_idle: bool,
}

/// What of the inputs goes on here.
#[derive(Debug)]
pub struct Dealt {
    /// The shard that read it.
    pub shard: u32,
    /// The next part of each input.
    pub parts: Vec<Batch>,
    /// Rows that are late.
    pub late: Vec<Batch>,
}

impl Repartition {
    /// For a stage in the shard with this number.
    pub fn new(plan: RepartitionPlan, stage: &StagePlan, shard: u32) -> Self {
        Self::of(plan, &stage.name, stage.inputs.len(), stage.sorted, shard)
    }

    fn of(plan: RepartitionPlan, stage: &str, n_inputs: usize, is_sorted: bool, shard: u32) -> Self {
        let input = Input {
            state: State::new(&plan),
            pending: vec![Vec::new(); plan.n_partitions as usize],
            pending_bytes: 0,
        };
        Self {
            stage: stage.to_owned(),
            form: plan.form_number(),
            inputs: vec![input; n_inputs],
            ends: Ends::new(plan.n_partitions),
            is_idle: false,
            told_idle: false,
            is_sorted,
            plan,
            shard,
        }
    }

    /// Rows that were sent to other shards, though the producers are said to have dealt out by key.
    pub fn n_misplaced(&self) -> Option<u64> {
        let sent = self.inputs.iter().map(|input| input.state.n_sent);
        self.plan.claimed.then(|| sent.sum())
    }

    /// Takes the next part of each input: rows of own keys, and those that are late, go on. The others wait for a cut.
    pub fn deal(&mut self, parts: Vec<Batch>) -> Dealt {
        let mut late = Vec::new();
        let mut own = Vec::new();
        for (number, part) in parts.into_iter().enumerate() {
            let (part, late_rows) = sort_out(&self.plan, part);
            late.extend(late_rows);
            let part = self.own(number, part);
            // Nothing is due between rows of one watermark: they are as good as one, however they were batched.
            own.push(match &self.plan.combined {
                Some(combined) => combine(combined, &self.plan.columns, part, true),
                None => part,
            });
        }
        Dealt {
            shard: self.shard,
            parts: own,
            late,
        }
    }

    /// The rows of own keys.
    fn own(&mut self, number: usize, mut part: Batch) -> Batch {
        let Some(input) = self.inputs.get_mut(number) else {
            return part;
        };
        input.state.own = part.watermark;
        if part.n_rows() > 0 {
            let owners = owners(&self.plan, &part.rows);
            if owners.iter().any(|owner| *owner != self.shard) {
                let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.plan.n_partitions as usize];
                let mut own = Vec::new();
                for (row, owner) in (0_u32..).zip(&owners) {
                    if *owner == self.shard {
                        own.push(row);
                    } else if let Some(rows) = rows.get_mut(*owner as usize) {
                        rows.push(row);
                    }
                }
                for (to, rows) in rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
                    input.send(part.take(rows), to, self.plan.claimed);
                }
                part = part.take(&own);
            }
        }
        input.hold(part, self.shard, self.is_sorted)
    }

    /// Takes a record of another shard; nothing comes of one of another run epoch than `epoch`. A shard that is in a later one
    /// says nothing to those that are not yet: they begin again in front of it.
    ///
    /// # Errors
    /// If it is something else, or its rows are of another form.
    pub fn arrive(&mut self, bytes: &[u8], epoch: u32) -> Result<Option<Dealt>, NotTaken> {
        if let Some(version) = DealtRecord::newer(bytes) {
            let stage = self.stage.clone();
            return Err(DealtOtherwise::Newer { stage, version }.into());
        }
        let record = DealtRecord::decode(bytes)?;
        let corrupt = CorruptState {
            what: "a record of a repartition topic",
        };
        // In another there may be other shards, and a stage of other inputs.
        if record.epoch != epoch {
            return Ok(None);
        }
        if record.form.is_some_and(|form| form != self.form) {
            return Err(self.dealt_otherwise().into());
        }
        let is_known = record.from < self.plan.n_partitions && record.from != self.shard;
        if !is_known || record.inputs.len() != self.inputs.len() {
            return Err(corrupt.into());
        }
        let rows = record.inputs.iter().map(|input| input.rows(&self.plan.columns));
        // All of it, or nothing.
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        self.ends.others[record.from as usize] = record.end;
        let mut parts = Vec::new();
        for ((input, dealt), rows) in self.inputs.iter_mut().zip(record.inputs).zip(rows) {
            let state = &mut input.state;
            let other = &mut state.others[record.from as usize];
            other.watermark = other.watermark.max(dealt.watermark);
            // One that was written before the pipeline claimed anything says nothing of that.
            other.quiet = dealt.quiet || (self.plan.claimed && !record.claimed);
            let mut part = self.plan.nothing(state.own);
            if let Some(rows) = rows {
                // What it says of others is said behind its rows.
                part.watermarks = if self.is_sorted {
                    // Where nobody was waited for the stage may be further than they.
                    dealt.watermarks().iter().map(|own| (*own).max(state.given)).collect()
                } else {
                    vec![state.given; dealt.times.len()]
                };
                part.times = dealt.times;
                part.rows = rows;
            }
            parts.push(input.hold(part, self.shard, self.is_sorted));
        }
        Ok(Some(Dealt {
            shard: record.from,
            parts,
            late: Vec::new(),
        }))
    }

    /// How far those shards are that the stage waits for.
    pub fn elsewhere(&self) -> Micros {
        let inputs = self.inputs.iter();
        inputs
            .map(|input| input.state.least_other(self.shard))
            .min()
            .unwrap_or(END)
    }

    /// Whether it has not seen its inputs.
    pub fn is_new(&self) -> bool {
        self.inputs.iter().any(|input| input.state.own == NO_WATERMARK)
    }

    /// How far those are that are waited for; nothing if all are idle, or nothing more comes from them. Where producers are
    /// said to deal out by key nobody says that it is idle.
    pub fn active_elsewhere(&self) -> Option<Micros> {
        Some(self.elsewhere()).filter(|watermark| *watermark != END && !self.plan.claimed)
    }

    /// Says whether the inputs give nothing here. Where producers are said to deal out by key nobody waits as it is.
    pub fn set_idle(&mut self, is_idle: bool) {
        self.is_idle = is_idle && !self.plan.claimed;
    }

    /// Whether others must be told something. Who is idle, and known to be, has only rows to tell.
    pub fn is_due(&self) -> bool {
        let is_known = self.is_idle && self.told_idle;
        let is_due = |input: &Input| input.pending_bytes > 0 || (!is_known && input.is_due(&self.plan));
        self.is_idle != self.told_idle || self.inputs.iter().any(is_due)
    }

    /// Bytes of rows that wait for a cut, about.
    pub fn pending_bytes(&self) -> usize {
        self.inputs.iter().map(|input| input.pending_bytes).sum()
    }

    /// Whether the others must be told that nothing follows, once the stage's inputs have ended here.
    pub fn end_is_due(&self) -> bool {
        self.ends.has(self.shard) && (self.ends.own.is_none() || self.is_due())
    }

    /// Whether all others have said that nothing follows.
    pub fn are_ended(&self) -> bool {
        self.ends.are_heard(self.shard)
    }

    /// Who has said that nothing follows; nothing if this shard has no part in it.
    pub fn ends(&self) -> Option<&Ends> {
        Some(&self.ends).filter(|ends| ends.has(self.shard))
    }

    /// The pipeline is no longer held: what the shard has said of its end does not count any more.
    pub fn go_on(&mut self) {
        self.ends.own = None;
    }

    /// What was said of ends does not count in the run epoch that begins.
    pub fn begin_epoch(&mut self) {
        self.ends = Ends::new(self.plan.n_partitions);
    }

    /// What is sent to each shard at a cut, in order; with `end`, its number, that nothing follows.
    pub fn take_records(&mut self, epoch: u32, end: Option<u64>) -> Vec<(u32, Vec<u8>)> {
        if !self.is_due() && end.is_none() {
            return Vec::new();
        }
        self.ends.own = end;
        let quiet = self
            .inputs
            .iter_mut()
            .map(|input| input.tell(&self.plan) || self.is_idle);
        let quiet: Vec<bool> = quiet.collect();
        self.told_idle = self.is_idle;
        let mut records = Vec::new();
        for to in (0..self.plan.n_partitions).filter(|to| *to != self.shard) {
            let mut parts: Vec<Batch> = self.inputs.iter().map(|input| input.rows_of(to, &self.plan)).collect();
            // The watermark behind rows goes with the last of them.
            while let Some(rest) = split(&mut parts) {
                records.push((to, self.record((epoch, None), &parts, None)));
                parts = rest;
            }
            records.push((to, self.record((epoch, end), &parts, Some(&quiet))));
        }
        for input in &mut self.inputs {
            input.pending.iter_mut().for_each(Vec::clear);
            input.pending_bytes = 0;
        }
        records
    }

    /// A record of these rows; `last` says whether nobody needs to wait for an input any more, behind the last of them.
    fn record(&self, (epoch, end): (u32, Option<u64>), parts: &[Batch], last: Option<&[bool]>) -> Vec<u8> {
        let inputs = parts.iter().zip(&self.inputs).enumerate();
        let inputs = inputs.map(|(number, (part, input))| {
            let mut dealt = DealtInput {
                watermark: last.map_or(NO_WATERMARK, |_| input.state.told),
                quiet: last.is_some_and(|quiet| quiet[number]),
                ..DealtInput::default()
            };
            if part.n_rows() > 0 {
                dealt.put(part, self.is_sorted);
            }
            dealt
        });
        let record = DealtRecord {
            from: self.shard,
            epoch,
            claimed: self.plan.claimed,
            inputs: inputs.collect(),
            end,
            form: Some(self.form),
        };
        record.encode()
    }

    /// The form of rows that are dealt out.
    pub fn form(&self) -> String {
        self.plan.form()
    }

    fn dealt_otherwise(&self) -> DealtOtherwise {
        DealtOtherwise::Form {
            stage: self.stage.clone(),
            now: self.plan.form(),
        }
    }
}

/// A record of another shard that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// No shard of the pipeline wrote it.
    #[error(transparent)]
    Corrupt(#[from] CorruptState),
    /// The pipeline was another one when it was written.
    #[error(transparent)]
    Otherwise(#[from] DealtOtherwise),
}

impl RepartitionPlan {
    fn nothing(&self, watermark: Micros) -> Batch {
        Batch::empty(Arc::clone(&self.columns), watermark)
    }
}

/// Takes the late rows out.
fn sort_out(plan: &RepartitionPlan, part: Batch) -> (Batch, Option<Batch>) {
    let is_behind = |(time, watermark): (&Micros, &Micros)| time < watermark;
    // As a rule there is none, and no window needs to be looked at.
    if !part.times.iter().zip(&part.watermarks).any(is_behind) {
        return (part, None);
    }
    let (mut kept, mut late) = (Vec::new(), Vec::new());
    for (row, (time, watermark)) in (0_u32..).zip(part.times.iter().zip(&part.watermarks)) {
        let rows = if plan.lateness.is_late(*time, *watermark) {
            &mut late
        } else {
            &mut kept
        };
        rows.push(row);
    }
    if late.is_empty() {
        return (part, None);
    }
    (part.take(&kept), Some(part.take(&late)))
}

/// Cuts rows that are too many for one record: answers what is left over.
fn split(parts: &mut [Batch]) -> Option<Vec<Batch>> {
    let bytes: usize = parts.iter().map(bytes_of).sum();
    let n_rows: usize = parts.iter().map(Batch::n_rows).sum();
    if bytes <= RECORD_BYTES || n_rows < 2 {
        return None;
    }
    // As many rows as have room, one at least: some may be far larger than others.
    let (mut room, mut is_first) = (RECORD_BYTES, true);
    let rest = parts.iter_mut().map(|part| {
        let all = part.n_rows() as u32;
        let mut n_first = 0;
        while n_first < all {
            let row = bytes_of_row(part, n_first as usize);
            if row > room && !is_first {
                room = 0;
                break;
            }
            (room, is_first) = (room.saturating_sub(row), false);
            n_first += 1;
        }
        let rest = part.take(&(n_first..all).collect::<Vec<_>>());
        *part = part.take(&(0..n_first).collect::<Vec<_>>());
        rest
    });
    Some(rest.collect())
}

/// How many bytes rows have, about.
fn bytes_of(rows: &Batch) -> usize {
    let columns = rows.rows.columns().iter();
    let data = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
    data.sum::<usize>() + 8 * rows.n_rows()
}

fn bytes_of_row(rows: &Batch, row: usize) -> usize {
    let columns = rows.rows.columns().iter();
    let data = columns.map(|column| column.slice(row, 1).to_data().get_slice_memory_size().unwrap_or(0));
    data.sum::<usize>() + 8
}

#[cfg(test)]
mod tests;
