//! Records of a source to a part of its stream: decodes, keeps the clock, sorts out the dead.

mod saved;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::{Arrived, DeadLetter, SourceCounters};
use crate::avro::{SchemaAnswer, SchemaId};
use crate::decode::{Cause, Decoded, Decoder, Records};
use crate::plan::SourcePlan;
use crate::stream::{Batch, END, Micros, NO_WATERMARK, Progress, record_batch};
use crate::watermark::{EventClock, Released, Verdict};

/// A source that is being read.
pub(super) struct Ingest {
    columns: SchemaRef,
    decoder: Box<dyn Decoder>,
    clock: EventClock,
    bound: Micros,
    /// The record that the clock holds, from a part before.
    held: Option<Held>,
    /// What ticks raised the watermark to.
    ticked: Micros,
    ended: Option<Micros>,
    /// Whether it has been silent for so long that nobody waits for it.
    pub idle: bool,
    /// Whether it takes nothing behind its first record that does not decode.
    stops: bool,
    pub counters: SourceCounters,
}

/// A record that jumped ahead and waits for another to confirm it.
#[derive(Clone, Debug)]
struct Held {
    time: Micros,
    /// Its row, unless the predicate dropped it.
    row: Option<arrow_array::RecordBatch>,
    offset: u64,
    bytes: Vec<u8>,
}

impl Ingest {
    pub fn new(plan: &SourcePlan, decoder: Box<dyn Decoder>) -> Self {
        let mismatches = vec![0; plan.record.columns.len()];
        Self {
            columns: Arc::clone(&plan.columns),
            decoder,
            clock: EventClock::new(plan.max_out_of_orderness, plan.max_ahead),
            bound: plan.max_out_of_orderness,
            held: None,
            ticked: NO_WATERMARK,
            ended: None,
            idle: false,
            stops: false,
            counters: SourceCounters {
                mismatches,
                ..SourceCounters::default()
            },
        }
    }

    pub fn learn(&mut self, id: SchemaId, answer: &SchemaAnswer) {
        self.decoder.learn(id, answer);
    }

    pub fn learnt(&self) -> BTreeMap<SchemaId, bool> {
        self.decoder.learnt()
    }

    fn absent(&self) -> Vec<SchemaId> {
        let absent = self.learnt().into_iter().filter(|(_, is_there)| !is_there);
        absent.map(|(id, _)| id).collect()
    }

    pub fn stop_at_dead(&mut self) {
        self.stops = true;
    }

    pub fn ended(&self) -> Option<Micros> {
        self.ended
    }

    pub fn watermark(&self) -> Micros {
        if self.ended.is_some() {
            END
        } else {
            self.clock.watermark().max(self.ticked)
        }
    }

    pub fn counters(&self) -> SourceCounters {
        let watermark = Some(self.clock.watermark().max(self.ticked)).filter(|watermark| *watermark != NO_WATERMARK);
        SourceCounters {
            watermark,
            newest: self.clock.newest(),
            ended: self.ended.is_some(),
            ..self.counters.clone()
        }
    }

    /// No rows, and the watermark as it is.
    pub fn nothing(&self) -> Batch {
        Batch {
            ended: self.ended,
            ..Batch::empty(Arc::clone(&self.columns), self.watermark())
        }
    }

    /// Takes the next records.
    pub fn take(
        &mut self,
        source: usize,
        records: Records<'_>,
        arrived: Arrived<'_>,
        dead: &mut Vec<DeadLetter>,
    ) -> Batch {
        let (all, mut records) = (records.spans, records);
        let mut decoded = self.decoder.decode_arrived(records, arrived);
        let mut last = None;
        if self.stops
            && let Some(first) = decoded.dead.first().cloned()
        {
            // Once more without it and what stands behind it: this happens once.
            records.spans = &records.spans[..first.span as usize];
            last = Some(first);
            decoded = self.decoder.decode_arrived(records, arrived);
            self.counters.records += 1;
        }
        // The plan's schema knows more of the columns than a decoder does: which texts are JSON values.
        let n_rows = decoded.rows.num_rows();
        decoded.rows = record_batch(&self.columns, decoded.rows.columns().to_vec(), n_rows);
        self.counters.records += records.spans.len() as u64;
        for (column, n) in &decoded.mismatches {
            if let Some(counter) = self.counters.mismatches.get_mut(*column) {
                *counter += n;
            }
        }
        let letter = |span: u32, cause: Cause| {
            let span = all[span as usize];
            DeadLetter {
                source,
                offset: span.offset,
                cause,
                bytes: records.bytes[span.start..span.end].to_vec(),
                whole_bytes: span.end - span.start,
            }
        };
        dead.extend(
            decoded
                .dead
                .iter()
                .chain(&last)
                .map(|record| letter(record.span, record.cause.clone())),
        );
        let fates = match arrived {
            Arrived::Unknown => self.keep_clock(&decoded.event_times),
            Arrived::At(arrived) => self.keep_clock_by_arrival(&decoded.event_times, |_| arrived),
            Arrived::Each(arrived) => self.keep_clock_by_arrival(&decoded.event_times, |i| {
                let record = decoded.spans[i] as usize;
                arrived.get(record).copied().unwrap_or(Micros::MAX)
            }),
        };
        let ahead = fates
            .ahead
            .iter()
            .map(|&i| letter(decoded.spans[i], Cause::TimestampAhead));
        let mut dead_here: Vec<DeadLetter> = ahead.collect();
        let before = fates
            .before
            .map(|(released, at)| (self.release(released, source, dead), at));
        dead.append(&mut dead_here);
        if let Some(i) = fates.held {
            let span = records.spans[decoded.spans[i] as usize];
            let row = decoded
                .row_records
                .binary_search(&(i as u32))
                .ok()
                .map(|row| decoded.rows.slice(row, 1));
            self.held = Some(Held {
                time: decoded.event_times[i],
                row,
                offset: span.offset,
                bytes: records.bytes[span.start..span.end].to_vec(),
            });
        }
        let parts = self.part(decoded, &fates, before);
        Batch::concat(
            &self.columns,
            parts,
            &Progress {
                watermark: self.watermark(),
                ended: None,
            },
        )
    }

    /// The rows that count, with their times and watermarks, in the order in which they came to count. `before` is what
    /// became of the record held from the part before, and in front of which record of this part.
    fn part(&self, decoded: Decoded, fates: &Fates, before: Option<(Option<Batch>, usize)>) -> Vec<Batch> {
        let Decoded {
            event_times,
            rows,
            row_records,
            ..
        } = decoded;
        let gather = |of: &[Micros]| row_records.iter().map(|&i| of[i as usize]).collect::<Vec<Micros>>();
        let mut watermarks = gather(&fates.watermarks);
        if self.ticked != NO_WATERMARK {
            for watermark in &mut watermarks {
                *watermark = (*watermark).max(self.ticked);
            }
        }
        let part = Batch {
            rows,
            times: gather(&event_times),
            watermarks,
            watermark: self.watermark(),
            ended: None,
        };
        if fates.is_usual() {
            return vec![part];
        }
        let row_of = |record: usize| row_records.binary_search(&(record as u32)).ok().map(|row| row as u32);
        let mut order: Vec<u32> = Vec::with_capacity(row_records.len());
        let (mut moved, mut front) = (fates.moved.iter().peekable(), Vec::new());
        let mut before = before;
        for record in 0..event_times.len() {
            while let Some((from, _)) = moved.next_if(|(_, to)| *to <= record) {
                order.extend(row_of(*from));
            }
            if let Some((batch, _)) = before.take_if(|(_, at)| *at <= record) {
                front.push(part.take(&order));
                front.extend(batch);
                order.clear();
            }
            let is_moved = fates.moved.binary_search_by_key(&record, |(from, _)| *from).is_ok();
            if !is_moved && fates.held != Some(record) && fates.ahead.binary_search(&record).is_err() {
                order.extend(row_of(record));
            }
        }
        front.push(part.take(&order));
        front
    }

    fn keep_clock_by_arrival(&mut self, times: &[Micros], arrived: impl Fn(usize) -> Micros) -> Fates {
        let mut fates = Fates {
            watermarks: Vec::with_capacity(times.len()),
            ..Fates::default()
        };
        for (i, &time) in times.iter().enumerate() {
            let counts = self.clock.arrive(time, arrived(i));
            fates.watermarks.push(counts.unwrap_or(NO_WATERMARK));
            if counts.is_none() {
                fates.ahead.push(i);
            }
        }
        fates
    }

    fn keep_clock(&mut self, times: &[Micros]) -> Fates {
        let mut fates = Fates {
            watermarks: Vec::with_capacity(times.len()),
            ..Fates::default()
        };
        let mut held_here = None;
        loop {
            let done = fates.watermarks.len();
            self.clock.run(&times[done..], &mut fates.watermarks);
            let at = fates.watermarks.len();
            let Some(&time) = times.get(at) else { break };
            let (released, verdict) = self.clock.step(time);
            match (released, held_here) {
                (Some(Released::Counts(watermark)), Some(i)) => {
                    fates.watermarks[i] = watermark;
                    fates.moved.push((i, at));
                    held_here = None;
                }
                (Some(Released::Ahead), Some(i)) => {
                    fates.ahead.push(i);
                    held_here = None;
                }
                (Some(released), None) => fates.before = Some((released, at)),
                (None, _) => {}
            }
            match verdict {
                Verdict::Counts(watermark) => fates.watermarks.push(watermark),
                Verdict::Held => {
                    held_here = Some(at);
                    fates.watermarks.push(NO_WATERMARK);
                }
            }
        }
        fates.held = held_here;
        fates
    }

    /// What becomes of the record that was held from a part before.
    fn release(&mut self, released: Released, source: usize, dead: &mut Vec<DeadLetter>) -> Option<Batch> {
        let held = self.held.take()?;
        match released {
            Released::Ahead => {
                let (offset, bytes) = (held.offset, held.bytes);
                dead.push(DeadLetter {
                    source,
                    offset,
                    cause: Cause::TimestampAhead,
                    whole_bytes: bytes.len(),
                    bytes,
                });
                None
            }
            Released::Counts(watermark) => {
                let watermark = watermark.max(self.ticked);
                let (times, watermarks) = (vec![held.time], vec![watermark]);
                held.row.map(|rows| Batch {
                    rows,
                    times,
                    watermarks,
                    watermark,
                    ended: None,
                })
            }
        }
    }

    /// No more records will come.
    pub fn end(&mut self, source: usize, dead: &mut Vec<DeadLetter>) -> Batch {
        let released = self.clock.end();
        let parts = released
            .and_then(|released| self.release(released, source, dead))
            .into_iter()
            .collect();
        let reached = self.clock.newest().unwrap_or(NO_WATERMARK).max(self.ticked);
        self.ended = Some(reached);
        Batch::concat(
            &self.columns,
            parts,
            &Progress {
                watermark: END,
                ended: self.ended,
            },
        )
    }

    /// How far event times may be behind one another, in microseconds.
    pub fn bound(&self) -> Micros {
        self.bound
    }

    /// Whether records may still come.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Lets event time come to `now` minus the bound, if that is further than it is.
    pub fn tick(&mut self, now: Micros) -> Option<Batch> {
        let to = now.saturating_sub(self.bound);
        if self.ended.is_some() || to <= self.watermark() || self.clock.holds() {
            return None;
        }
        self.ticked = to;
        Some(self.nothing())
    }
}

/// What the clock says of the records of a part. All lists ascend.
#[derive(Default)]
struct Fates {
    /// The watermark before each record as it came to count; of those in `ahead` and `held` it means nothing.
    watermarks: Vec<Micros>,
    /// Records that nobody confirmed.
    ahead: Vec<usize>,
    /// Records that were held, and in front of which record they came to count.
    moved: Vec<(usize, usize)>,
    /// The record that is held in the end.
    held: Option<usize>,
    /// What became of the record held from the part before, and in front of which record.
    before: Option<(Released, usize)>,
}

impl Fates {
    /// Whether each record counts, in its place.
    fn is_usual(&self) -> bool {
        let in_place = self.moved.iter().all(|(from, to)| *to == from + 1);
        in_place && self.ahead.is_empty() && self.held.is_none() && self.before.is_none()
    }
}
