//! A source whose records are handed over when they are due: a replay at a given speed.
//!
//! A block is cut by the event times in it. Which records move event time is decided by the same clock as in the engine,
//! so that a lone time far in the future is not waited for. Decides nothing else: every record is handed over.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tocsin_worker_core::csv::CsvDecoder;
use tocsin_worker_core::decode::{Decoder, RecordSchema, Records, Span};
use tocsin_worker_core::formats;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::SourcePlan;
use tocsin_worker_core::watermark::{EventClock, Released, Verdict};

use super::pace::{Clock, Pacer};
use super::{Block, Interrupt, Polled, Source, SourceError};

/// Shortest time between two parts of a block: fewer, larger parts cost less.
const BATCH: Duration = Duration::from_millis(10);

/// Hands over the records of another source at the pace of their event time.
pub struct PacedSource {
    inner: Box<dyn Source>,
    clock: Box<dyn Clock>,
    /// Sources of one pipeline share it, so that they keep their distance to one another.
    pacer: Arc<Mutex<Pacer>>,
    times: EventTimes,
    block: Block,
    /// For each record of the block the event time at which it is due; none if it does not wait.
    due: Vec<Option<i64>>,
    /// How many records of the block were handed over.
    given: usize,
    /// When the last part of a block was handed over, if something not yet due was left.
    last_part: Option<Duration>,
    ended: bool,
}

/// Reads event times and follows how far they have come.
struct EventTimes {
    plan: SourcePlan,
    decoder: Option<Box<dyn Decoder>>,
    clock: EventClock,
    /// The record that jumped ahead and waits for another to confirm it.
    held: Option<i64>,
    /// The first event time that counts.
    first: Option<i64>,
}

impl PacedSource {
    /// Paces `inner`, which is read as `plan` says.
    pub fn new(inner: Box<dyn Source>, plan: &SourcePlan, pacer: Arc<Mutex<Pacer>>, clock: Box<dyn Clock>) -> Self {
        Self {
            inner,
            clock,
            pacer,
            times: EventTimes::new(plan),
            block: Block::default(),
            due: Vec::new(),
            given: 0,
            last_part: None,
            ended: false,
        }
    }

    /// Reads the next block and finds out when its records are due.
    fn read(&mut self, wait: Duration) -> Result<Polled, SourceError> {
        self.given = 0;
        self.due.clear();
        let polled = self.inner.poll(&mut self.block, wait)?;
        match polled {
            Polled::Records => self.times.read(self.inner.header(), &self.block, &mut self.due),
            Polled::End => {
                self.ended = true;
                self.times.end();
            }
            Polled::Idle => {}
        }
        Ok(polled)
    }

    fn is_used_up(&self) -> bool {
        self.given == self.block.spans.len() && self.block.too_long.is_empty()
    }

    /// How many of the next records are due, and how long it is to the one behind them; nothing if there is none.
    fn n_due(&self, now: Duration) -> (usize, Option<Duration>) {
        let mut pacer = self.pacer.lock();
        if let Some(first) = self.times.first {
            // A stream begins with its first record, which may be held until the second.
            pacer.delay(first, now);
        }
        let mut delay = |due: &Option<i64>| due.map_or(Duration::ZERO, |due| pacer.delay(due, now));
        let left = self.due.get(self.given..).unwrap_or_default();
        let end = [self.times.clock.newest()];
        let left = if self.ended { &end } else { left };
        let delays = left.iter().map(&mut delay).enumerate();
        let later = delays.into_iter().find(|(_, delay)| !delay.is_zero());
        match later {
            Some((n, delay)) => (n, Some(delay)),
            None => (left.len(), None),
        }
    }

    /// Moves the next `n` records, and the longer ones between them, to `block`.
    fn hand_over(&mut self, n: usize, block: &mut Block) {
        if self.given == 0 && n == self.block.spans.len() {
            std::mem::swap(block, &mut self.block);
            self.block.clear();
            return;
        }
        let spans = &self.block.spans[self.given..self.given + n];
        let base = spans.first().map_or(0, |span| span.start);
        let end = spans.last().map_or(0, |span| span.end);
        block.bytes.extend_from_slice(&self.block.bytes[base..end]);
        block.spans.extend(spans.iter().map(|span| Span {
            start: span.start - base,
            end: span.end - base,
            offset: span.offset,
        }));
        self.given += n;
        let next = self.block.spans.get(self.given).map(|span| span.offset);
        let before = |offset: u64| next.is_none_or(|next| offset < next);
        let n_long = self.block.too_long.partition_point(|long| before(long.offset));
        block.too_long.extend(self.block.too_long.drain(..n_long));
    }
}

impl Source for PacedSource {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        block.clear();
        let deadline = self.clock.now().saturating_add(wait);
        loop {
            let now = self.clock.now();
            let left = deadline.saturating_sub(now);
            if self.is_used_up() && !self.ended && self.read(left)? == Polled::Idle {
                return Ok(Polled::Idle);
            }
            let (n_due, later) = if self.inner.interrupt().is_raised() {
                (self.block.spans.len() - self.given, None)
            } else {
                self.n_due(self.clock.now())
            };
            if self.ended && later.is_none() {
                return Ok(Polled::End);
            }
            let now = self.clock.now();
            let pause = self
                .last_part
                .map(|last| last.saturating_add(BATCH).saturating_sub(now));
            let pause = pause.filter(|_| later.is_some()).unwrap_or_default();
            if !self.ended && (n_due > 0 || later.is_none()) && pause.is_zero() {
                self.hand_over(n_due, block);
                self.last_part = later.map(|_| now);
                return Ok(Polled::Records);
            }
            let left = deadline.saturating_sub(now);
            if left.is_zero() {
                return Ok(Polled::Idle);
            }
            let until = if n_due > 0 {
                pause
            } else {
                later.unwrap_or_default().max(pause)
            };
            self.clock.sleep(until.min(left).min(Interrupt::HEARD_WITHIN));
        }
    }

    fn header(&self) -> Option<&[u8]> {
        self.inner.header()
    }

    fn total_bytes(&self) -> Option<u64> {
        self.inner.total_bytes()
    }

    fn read_bytes(&self) -> u64 {
        self.inner.read_bytes()
    }

    fn is_live(&self) -> bool {
        self.inner.is_live()
    }

    fn offsets_are_lines(&self) -> bool {
        self.inner.offsets_are_lines()
    }

    fn interrupt(&self) -> Interrupt {
        self.inner.interrupt()
    }
}

impl EventTimes {
    fn new(plan: &SourcePlan) -> Self {
        Self {
            // The columns too: a record that one of them makes dead does not move event time.
            plan: SourcePlan {
                record: RecordSchema {
                    whole_record: false,
                    ..plan.record.clone()
                },
                ..plan.clone()
            },
            decoder: None,
            clock: EventClock::new(plan.max_out_of_orderness, plan.max_ahead),
            held: None,
            first: None,
        }
    }

    /// When each record of a block is due.
    fn read(&mut self, header: Option<&[u8]>, block: &Block, due: &mut Vec<Option<i64>>) {
        let plan = &self.plan;
        let decoder = self.decoder.get_or_insert_with(|| {
            let by_header =
                || -> Option<Box<dyn Decoder>> { Some(Box::new(CsvDecoder::new(plan.record.clone(), header?).ok()?)) };
            // A header that does not fit is reported by whoever reads the columns.
            let found = formats::decoder(plan).or_else(by_header);
            found.unwrap_or_else(|| Box::new(JsonDecoder::new(plan.record.clone())))
        });
        let decoded = decoder.decode(Records {
            bytes: &block.bytes,
            spans: &block.spans,
        });
        let mut good = decoded.spans.iter().zip(&decoded.event_times).peekable();
        for span in 0..block.spans.len() {
            while let Some((_, time)) = good.next_if(|(at, _)| **at as usize == span) {
                self.step(*time);
            }
            due.push(self.clock.newest());
        }
    }

    fn step(&mut self, time: i64) {
        let (released, verdict) = self.clock.step(time);
        let held = self.held.take();
        if matches!(released, Some(Released::Counts(_))) {
            self.first = self.first.or(held);
        }
        match verdict {
            Verdict::Held => self.held = Some(time),
            Verdict::Counts(_) => self.first = self.first.or(Some(time)),
        }
    }

    fn end(&mut self) {
        self.clock.end();
    }
}

#[cfg(test)]
mod tests;
