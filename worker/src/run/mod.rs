//! Runs a plan: reads sources, feeds the engine, hands its rows to sinks. One thread, one loop.
//!
//! The loop decides nothing about records. It reads first from the source whose watermark is furthest behind, and does not
//! read from one that is too far ahead (`alignment`), so that what is held to be merged stays small.

mod error;
mod final_rows;
mod input;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tocsin_worker_core::alignment::Alignment;
use tocsin_worker_core::decode::{Decoder, Records};
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::engine::{Arrived, Engine, Outputs};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::stream::{END, Micros};

pub use self::error::RunError;
pub use self::final_rows::FinalRows;
pub use self::input::{Input, InputKind, open_inputs};
pub use self::summary::{SourceSummary, StageSummary, Summary};

use crate::dead_letter::{DeadLetter, DeadLetters};
use crate::sink::{EncodedRows, Sink, SinkError};
use crate::source::{Block, Clock, Interrupt, Polled, SystemClock};

/// How a plan is run.
pub struct Settings {
    /// Whether somebody wants [`Watcher::rows`], which costs time.
    pub watched: bool,
    /// Whether the first dead record ends the run.
    pub stop_on_error: bool,
    /// Where dead records go; without a file they are only counted.
    pub dead_letters: Option<PathBuf>,
    /// Ends the run from another thread: what was read is processed, outputs are flushed.
    pub interrupt: Interrupt,
}

/// Sees what happens, and changes nothing.
pub trait Watcher {
    /// Rows of a stage that a person watches. Only if [`Settings::watched`].
    fn rows(&mut self, stage: usize, rows: &Encoded);

    /// How far the run is. Called a few times a second.
    fn progress(&mut self, engine: &Engine, progress: &Progress);
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Time since the start.
    pub elapsed: Duration,
    /// Bytes read, and to read in all if that is known.
    pub bytes: (u64, Option<u64>),
    /// Dead records.
    pub dead: u64,
}

/// How often a watcher is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How long all polls together may wait when no source has anything.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs a plan to the end of its inputs, or until it is interrupted.
///
/// # Errors
/// If an input cannot be read on, or an output not be written. What was processed before is in the outputs.
pub fn run(
    plan: Plan,
    inputs: Vec<Input>,
    sinks: Vec<Box<dyn Sink>>,
    settings: &Settings,
    watcher: &mut dyn Watcher,
) -> Result<Summary, RunError> {
    run_by(&SystemClock::default(), plan, inputs, sinks, settings, watcher)
}

/// The same by a clock of the caller's.
fn run_by(
    clock: &dyn Clock,
    plan: Plan,
    mut inputs: Vec<Input>,
    mut sinks: Vec<Box<dyn Sink>>,
    settings: &Settings,
    watcher: &mut dyn Watcher,
) -> Result<Summary, RunError> {
    let decoders: Vec<Box<dyn Decoder>> = inputs
        .iter_mut()
        .zip(&plan.sources)
        .map(|(input, source)| input.decoder(source))
        .collect::<Result<_, _>>()?;
    let alignment = Alignment::new(&plan);
    let mut engine = Engine::new(plan, decoders);
    if settings.watched {
        engine.observe();
    }
    if settings.stop_on_error {
        engine.stop_at_dead();
    }
    let dead = match &settings.dead_letters {
        Some(path) => DeadLetters::to_file(path)?,
        None => DeadLetters::counting(),
    };
    let started = clock.now();
    inputs.iter_mut().for_each(|input| input.last_records = started);
    let mut state = Running {
        clock,
        alignment,
        engine,
        dead,
        started,
        told: started,
        settings,
        closed: BTreeMap::new(),
        stopped: None,
        block: Block::default(),
    };
    let outcome = state.read_all(&mut inputs, &mut sinks, watcher);
    // Also after an error: what was processed is worth having.
    let closed = close_all(sinks);
    let flushed = state.dead.flush();
    outcome?;
    closed?;
    flushed?;
    if let Some(error) = state.stopped.take() {
        return Err(error);
    }
    state.tell(&inputs, watcher);
    Ok(Summary::of(
        &state.engine,
        &state.dead,
        clock.now().saturating_sub(started),
        settings.interrupt.is_raised(),
    ))
}

struct Running<'a> {
    clock: &'a dyn Clock,
    alignment: Alignment,
    engine: Engine,
    dead: DeadLetters,
    /// Both by the clock.
    started: Duration,
    told: Duration,
    settings: &'a Settings,
    /// Sinks that nobody reads any more.
    closed: BTreeMap<usize, ()>,
    stopped: Option<RunError>,
    /// Used again from poll to poll.
    block: Block,
}

/// Closes every sink, also behind one that fails: what is dropped unclosed loses rows. The first error is returned.
fn close_all(sinks: Vec<Box<dyn Sink>>) -> Result<(), SinkError> {
    let mut outcome = Ok(());
    for sink in sinks {
        let closed = sink.close();
        if !is_closed(&closed) {
            outcome = outcome.and(closed);
        }
    }
    outcome
}

fn is_closed(result: &Result<(), SinkError>) -> bool {
    result.as_ref().is_err_and(SinkError::is_closed)
}

impl Running<'_> {
    fn read_all(
        &mut self,
        inputs: &mut [Input],
        sinks: &mut [Box<dyn Sink>],
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        let mut wait = Duration::ZERO;
        while inputs.iter().any(|input| !input.ended) {
            if self.settings.interrupt.is_raised() {
                inputs.iter().for_each(|input| input.source.interrupt().raise());
            }
            let found = self.turn(wait, inputs, sinks, watcher)?;
            // What was given out is out before anybody waits.
            wait = if found { Duration::ZERO } else { PATIENCE };
            let tells = self.clock.now().saturating_sub(self.told) >= PROGRESS_EVERY;
            if !found || tells {
                self.flush(sinks)?;
            }
            if tells {
                self.tell(inputs, watcher);
            }
            if self.stopped.is_some() || (!sinks.is_empty() && self.closed.len() == sinks.len()) {
                break;
            }
        }
        Ok(())
    }

    /// Asks the sources, that which is furthest behind first, until one has something. Answers whether one had.
    fn turn(
        &mut self,
        wait: Duration,
        inputs: &mut [Input],
        sinks: &mut [Box<dyn Sink>],
        watcher: &mut dyn Watcher,
    ) -> Result<bool, RunError> {
        let watermarks: Vec<Option<Micros>> = (0..inputs.len())
            .map(|i| (!inputs[i].ended).then(|| self.engine.watermark(i)))
            .collect();
        let (held, mut order): (Vec<usize>, Vec<usize>) =
            (0..inputs.len()).filter(|&i| !inputs[i].ended).partition(|&i| {
                self.alignment
                    .holds(i, &watermarks, |source| self.engine.is_idle(source), END)
            });
        for i in held {
            // Whoever is not asked is not idle.
            inputs[i].last_records = self.clock.now();
        }
        order.sort_by_key(|&i| watermarks[i]);
        let wait = wait / order.len().max(1) as u32;
        let mut block = std::mem::take(&mut self.block);
        for i in order {
            match inputs[i].poll(&mut block, wait)? {
                Polled::Records => {
                    self.take(i, &mut inputs[i], &block, sinks, watcher)?;
                    self.block = block;
                    return Ok(true);
                }
                Polled::End => {
                    inputs[i].ended = true;
                    let mut outputs = Outputs::default();
                    self.engine.end(i, &mut outputs);
                    self.hand_out(&inputs[i], outputs, sinks, watcher)?;
                    return Ok(true);
                }
                Polled::Idle => self.idle(i, &inputs[i], sinks, watcher)?,
            }
        }
        self.block = block;
        Ok(false)
    }

    fn take(
        &mut self,
        number: usize,
        input: &mut Input,
        block: &Block,
        sinks: &mut [Box<dyn Sink>],
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        input.last_records = self.clock.now();
        let mut outputs = Outputs::default();
        let mut records = Records {
            bytes: &block.bytes,
            spans: &block.spans,
        };
        let mut too_long = block.too_long.as_slice();
        if self.settings.stop_on_error
            && let Some(first) = too_long.first()
        {
            let n_before = records.spans.partition_point(|span| span.offset < first.offset);
            records.spans = &records.spans[..n_before];
            too_long = &too_long[..1];
        }
        let arrived = if input.source.is_live() {
            Arrived::At(input.source.event_time_now(self.clock.unix_micros()))
        } else {
            Arrived::Unknown
        };
        self.engine.push(number, records, arrived, &mut outputs);
        self.alignment
            .note(number, block.bytes.len() as u64, self.engine.watermark(number));
        if self.settings.stop_on_error && !outputs.dead.is_empty() {
            // It stands in front of them.
            too_long = &[];
        }
        self.engine.count_unread(number, too_long.len() as u64);
        for long in too_long {
            let cause = long.cause();
            let letter = DeadLetter {
                source: &input.name,
                offset: long.offset,
                offset_is_line: input.source.offsets_are_lines(),
                cause: &cause,
                bytes: &long.head,
                whole_bytes: long.bytes,
            };
            self.dead.write(&letter)?;
            self.stop_on_dead(&input.name, long.offset, &cause);
        }
        self.hand_out(input, outputs, sinks, watcher)
    }

    /// Event time goes on with the clock where a live source has nothing.
    fn idle(
        &mut self,
        number: usize,
        input: &Input,
        sinks: &mut [Box<dyn Sink>],
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        let timeout = Duration::from_micros(input.idle_timeout.unsigned_abs());
        if !input.source.is_live() || self.clock.now().saturating_sub(input.last_records) < timeout {
            return Ok(());
        }
        let now = input.source.event_time_now(self.clock.unix_micros());
        let whole_second = now.saturating_sub(now.rem_euclid(1_000_000));
        let mut outputs = Outputs::default();
        self.engine.set_idle(number, true);
        let time = self.engine.idle_time(number, whole_second, true);
        self.engine.tick(number, time, &mut outputs);
        self.hand_out(input, outputs, sinks, watcher)
    }

    fn hand_out(
        &mut self,
        input: &Input,
        outputs: Outputs,
        sinks: &mut [Box<dyn Sink>],
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        for letter in &outputs.dead {
            self.dead.write(&DeadLetter {
                source: &input.name,
                offset: letter.offset,
                offset_is_line: input.source.offsets_are_lines(),
                cause: &letter.cause,
                bytes: &letter.bytes,
                whole_bytes: letter.bytes.len(),
            })?;
            self.stop_on_dead(&input.name, letter.offset, &letter.cause);
        }
        for (number, rows) in &outputs.sinks {
            if self.closed.contains_key(number) {
                continue;
            }
            let stream = self.engine.plan().sinks[*number].name.as_str();
            let written = sinks[*number].write(&EncodedRows {
                stream,
                bytes: &rows.bytes,
                ends: &rows.ends,
            });
            self.note(*number, written)?;
        }
        for (stage, rows) in &outputs.observed {
            watcher.rows(*stage, rows);
        }
        Ok(())
    }

    fn flush(&mut self, sinks: &mut [Box<dyn Sink>]) -> Result<(), RunError> {
        for (number, sink) in sinks.iter_mut().enumerate() {
            if !self.closed.contains_key(&number) {
                let flushed = sink.flush();
                self.note(number, flushed)?;
            }
        }
        Ok(self.dead.flush()?)
    }

    /// A reader that went away is no error; the sink is not written to any more.
    fn note(&mut self, number: usize, result: Result<(), SinkError>) -> Result<(), RunError> {
        match result {
            Err(error) if error.is_closed() => {
                self.closed.insert(number, ());
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn stop_on_dead(&mut self, source: &str, offset: u64, cause: &tocsin_worker_core::decode::Cause) {
        if self.settings.stop_on_error && self.stopped.is_none() {
            self.stopped = Some(RunError::DeadRecord {
                source_name: source.to_owned(),
                offset,
                cause: cause.clone(),
            });
        }
    }

    fn tell(&mut self, inputs: &[Input], watcher: &mut dyn Watcher) {
        self.told = self.clock.now();
        let read = inputs.iter().map(|input| input.source.read_bytes()).sum();
        let total = inputs
            .iter()
            .map(|input| input.source.total_bytes())
            .sum::<Option<u64>>();
        let progress = Progress {
            elapsed: self.clock.now().saturating_sub(self.started),
            bytes: (read, total),
            dead: self.dead.total(),
        };
        watcher.progress(&self.engine, &progress);
    }
}

#[cfg(test)]
mod tests;
