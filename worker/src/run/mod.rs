//! Runs a plan: reads sources, feeds the engine, hands its rows to sinks. One thread, one loop.
//!
//! The loop decides nothing about records. It reads first from the source whose watermark is furthest behind, so that
//! what is held to be merged stays small.

mod error;
mod final_rows;
mod input;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tocsin_worker_core::decode::{Decoder, Records};
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::engine::{Engine, Outputs};
use tocsin_worker_core::plan::Plan;

pub use self::error::RunError;
pub use self::final_rows::FinalRows;
pub use self::input::{Input, InputKind, open_inputs};
pub use self::summary::{SourceSummary, StageSummary, Summary};

use crate::dead_letter::{DeadLetter, DeadLetters};
use crate::sink::{EncodedRows, Sink, SinkError};
use crate::source::{Block, Interrupt, Pacer, Polled, Speed};

/// How a plan is run.
pub struct Settings {
    /// How fast inputs that are not paced by themselves are replayed.
    pub speed: Speed,
    /// Whether the first dead record ends the run.
    pub stop_on_error: bool,
    /// Where dead records go; without a file they are only counted.
    pub dead_letters: Option<PathBuf>,
    /// Ends the run from another thread: what was read is processed, outputs are flushed.
    pub interrupt: Interrupt,
}

/// Sees what happens, and changes nothing.
pub trait Watcher {
    /// Rows of a stage that a person watches.
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

/// How long a poll may wait when no other source has anything.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs a plan to the end of its inputs, or until it is interrupted.
///
/// # Errors
/// If an input cannot be read on, or an output not be written. What was processed before is in the outputs.
pub fn run(
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
    let mut engine = Engine::new(plan, decoders);
    engine.observe();
    let dead = match &settings.dead_letters {
        Some(path) => DeadLetters::to_file(path)?,
        None => DeadLetters::counting(),
    };
    let started = Instant::now();
    let mut state = Running {
        engine,
        dead,
        started,
        told: started,
        pacer: Pacer::new(settings.speed),
        settings,
        closed: BTreeMap::new(),
        stopped: None,
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
        started.elapsed(),
        settings.interrupt.is_raised(),
    ))
}

struct Running<'a> {
    engine: Engine,
    dead: DeadLetters,
    started: Instant,
    told: Instant,
    pacer: Pacer,
    settings: &'a Settings,
    /// Sinks that nobody reads any more.
    closed: BTreeMap<usize, ()>,
    stopped: Option<RunError>,
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
        let mut block = Block::default();
        while inputs.iter().any(|input| !input.ended) {
            if self.settings.interrupt.is_raised() {
                inputs.iter().for_each(|input| input.source.interrupt().raise());
            }
            let mut order: Vec<usize> = (0..inputs.len()).filter(|&i| !inputs[i].ended).collect();
            order.sort_by_key(|&i| self.engine.watermark(i));
            let mut found = false;
            for i in order {
                let polled = inputs[i].poll(&mut block, if found { Duration::ZERO } else { PATIENCE })?;
                match polled {
                    Polled::Records => {
                        self.take(i, &mut inputs[i], &block, sinks, watcher)?;
                        found = true;
                        break;
                    }
                    Polled::End => {
                        inputs[i].ended = true;
                        let mut outputs = Outputs::default();
                        self.engine.end(i, &mut outputs);
                        self.hand_out(&inputs[i], outputs, sinks, watcher)?;
                        found = true;
                        break;
                    }
                    Polled::Idle => self.idle(i, &inputs[i], sinks, watcher)?,
                }
            }
            // A result is not kept waiting for others to fill a buffer.
            if !found || self.told.elapsed() >= PROGRESS_EVERY {
                self.flush(sinks)?;
            }
            if self.told.elapsed() >= PROGRESS_EVERY {
                self.tell(inputs, watcher);
            }
            if self.stopped.is_some() || (!sinks.is_empty() && self.closed.len() == sinks.len()) {
                break;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        number: usize,
        input: &mut Input,
        block: &Block,
        sinks: &mut [Box<dyn Sink>],
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        input.last_records = Instant::now();
        let mut outputs = Outputs::default();
        let records = Records {
            bytes: &block.bytes,
            spans: &block.spans,
        };
        if input.source.is_live() {
            self.engine.push_arrived(number, records, now(), &mut outputs);
        } else {
            self.engine.push(number, records, &mut outputs);
        }
        for long in &block.too_long {
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
        self.hand_out(input, outputs, sinks, watcher)?;
        if !input.source.is_live() {
            self.pace(number);
        }
        Ok(())
    }

    /// Waits until the newest event is due, at a speed other than full.
    fn pace(&mut self, number: usize) {
        let newest = self
            .engine
            .source_counters()
            .get(number)
            .and_then(|counters| counters.newest);
        let Some(newest) = newest else { return };
        let mut delay = self.pacer.delay(newest, self.started.elapsed());
        // In steps, so that an interrupt is heard.
        while !delay.is_zero() && !self.settings.interrupt.is_raised() {
            let step = delay.min(Interrupt::HEARD_WITHIN);
            wait(step);
            delay = delay.saturating_sub(step);
        }
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
        if !input.source.is_live() || input.last_records.elapsed() < timeout {
            return Ok(());
        }
        let whole_second = now() / 1_000_000 * 1_000_000;
        let mut outputs = Outputs::default();
        self.engine.tick(number, whole_second, &mut outputs);
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
        self.told = Instant::now();
        let read = inputs.iter().map(|input| input.source.read_bytes()).sum();
        let total = inputs
            .iter()
            .map(|input| input.source.total_bytes())
            .sum::<Option<u64>>();
        let progress = Progress {
            elapsed: self.started.elapsed(),
            bytes: (read, total),
            dead: self.dead.total(),
        };
        watcher.progress(&self.engine, &progress);
    }
}

/// The clock, in microseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a replay at a given speed waits by the clock")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Error, ErrorKind};

    use super::*;
    use crate::sink::FileSink;

    /// Cannot be closed, for this reason.
    struct Failing(ErrorKind);

    impl Sink for Failing {
        fn write(&mut self, _: &EncodedRows<'_>) -> Result<(), SinkError> {
            Ok(())
        }

        fn flush(&mut self) -> Result<(), SinkError> {
            Ok(())
        }

        fn close(self: Box<Self>) -> Result<(), SinkError> {
            Err(SinkError::writing("failing", Error::from(self.0)))
        }
    }

    #[test]
    fn a_sink_that_fails_to_close_leaves_no_other_unclosed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.jsonl");
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::StorageFull, ErrorKind::Other];
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        for kind in kinds {
            sinks.push(Box::new(Failing(kind)));
        }
        let mut last = FileSink::create(&file).unwrap();
        let rows = EncodedRows {
            stream: "rows",
            bytes: b"{}",
            ends: &[2],
        };
        last.write(&rows).unwrap();
        sinks.push(Box::new(last));
        let closed = close_all(sinks);
        assert!(
            matches!(closed, Err(SinkError::NoSpace { .. })),
            "the first error that is one"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
    }
}
