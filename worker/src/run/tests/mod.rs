//! The loop by a clock of the test's: scripted sources, and rows with the moment at which they came out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alignment;
mod closing;
mod counts;
mod generator;
mod idle;
mod paced;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tocsin_contract::document;
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_worker_core::decode::Span;
use tocsin_worker_core::plan::{References, compile};

use super::*;
use crate::source::{ManualClock, Source, SourceError, TooLong};

/// What the wall shows when a test begins: 2026-06-01T00:00:00Z.
const BEGAN: i64 = 1_780_272_000_000_000;

/// What a scripted source does at a moment, in seconds.
#[derive(Clone, Debug)]
enum Step {
    /// It gives a record with this event time, in seconds since [`BEGAN`].
    Record(f64, f64),
    /// It gives a record that is too long.
    TooLong(f64),
    /// It ends.
    End(f64),
}

/// A source that follows a script.
struct Script {
    clock: ManualClock,
    steps: VecDeque<Step>,
    live: bool,
    given: u64,
    bytes: u64,
    interrupt: Interrupt,
}

impl Source for Script {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        block.clear();
        let seconds = match self.steps.front() {
            Some(Step::Record(at, _) | Step::TooLong(at) | Step::End(at)) => *at,
            None => return Ok(Polled::End),
        };
        let left = Duration::from_secs_f64(seconds).saturating_sub(self.clock.now());
        if !left.is_zero() {
            self.clock.sleep(left.min(wait));
            return Ok(Polled::Idle);
        }
        let time = match self.steps.pop_front() {
            Some(Step::Record(_, time)) => time,
            Some(Step::TooLong(_)) => {
                block.too_long.push(TooLong {
                    offset: self.given,
                    bytes: 9,
                    limit: 5,
                    head: Vec::new(),
                });
                self.given += 1;
                return Ok(Polled::Records);
            }
            Some(Step::End(_)) | None => return Ok(Polled::End),
        };
        let time = BEGAN + (time * 1e6) as i64;
        block.bytes = format!("{{\"ts\":{time},\"at\":{seconds}}}").into_bytes();
        block.spans.push(Span {
            start: 0,
            end: block.bytes.len(),
            offset: self.given,
        });
        self.given += 1;
        self.bytes += block.bytes.len() as u64;
        Ok(Polled::Records)
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn read_bytes(&self) -> u64 {
        self.bytes
    }

    fn is_live(&self) -> bool {
        self.live
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

/// Rows, each with the sink's name and when it was flushed, in milliseconds since the start.
type Rows = Arc<Mutex<Vec<(String, u64, String)>>>;

struct TimedSink {
    name: String,
    clock: ManualClock,
    written: Vec<String>,
    rows: Rows,
}

impl Sink for TimedSink {
    fn write(&mut self, rows: &EncodedRows<'_>) -> Result<(), SinkError> {
        let new = rows.iter().map(|row| String::from_utf8(row.to_vec()).unwrap());
        self.written.extend(new);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let at = self.clock.now().as_millis() as u64;
        let flushed = self.written.drain(..).map(|row| (self.name.clone(), at, row));
        self.rows.lock().extend(flushed);
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }
}

/// Counts the rows that it is told.
#[derive(Default)]
struct Counting(usize);

impl Watcher for Counting {
    fn rows(&mut self, _: usize, rows: &Encoded) {
        self.0 += rows.rows().count();
    }

    fn progress(&mut self, _: &Engine, _: &Progress) {}
}

fn plan_of(spec: &str) -> Plan {
    let text = format!("apiVersion: tocsin.dev/v1alpha1\nkind: IncidentPipeline\nmetadata: {{name: t}}\n{spec}");
    let parsed = document::read::<IncidentPipeline>(&text).unwrap();
    compile("t", &parsed.value.spec, &References::default()).unwrap()
}

/// An input that reads `source` for the plan's source with this number.
fn input(plan: &Plan, number: usize, source: Box<dyn Source>) -> Input {
    let of = &plan.sources[number];
    Input {
        name: of.name.clone(),
        source,
        ended: false,
        last_records: Duration::ZERO,
        idle_timeout: of.idle_timeout,
        waiting: None,
    }
}

/// Runs inputs to their end; answers with the sink and the moment of each row.
fn run_inputs(clock: &ManualClock, plan: Plan, inputs: Vec<Input>) -> (Vec<(String, u64, String)>, Summary) {
    run_before(&mut Counting::default(), false, clock, plan, inputs)
}

/// The same before a watcher.
fn run_before(
    watcher: &mut Counting,
    watched: bool,
    clock: &ManualClock,
    plan: Plan,
    inputs: Vec<Input>,
) -> (Vec<(String, u64, String)>, Summary) {
    let rows = Rows::default();
    let sinks = plan
        .sinks
        .iter()
        .map(|sink| -> Box<dyn Sink> {
            Box::new(TimedSink {
                name: sink.name.clone(),
                clock: clock.clone(),
                written: Vec::new(),
                rows: rows.clone(),
            })
        })
        .collect();
    let settings = Settings {
        watched,
        stop_on_error: false,
        dead_letters: None,
        interrupt: Interrupt::default(),
    };
    let summary = run_by(clock, plan, inputs, sinks, &settings, watcher).unwrap();
    (std::mem::take(&mut rows.lock()), summary)
}

/// Inputs that follow scripts, each live or not.
fn scripted(clock: &ManualClock, plan: &Plan, scripts: &[(bool, Vec<Step>)]) -> Vec<Input> {
    (0..)
        .zip(scripts)
        .map(|(number, (live, steps))| {
            let script = Script {
                clock: clock.clone(),
                steps: steps.clone().into(),
                live: *live,
                given: 0,
                bytes: 0,
                interrupt: Interrupt::default(),
            };
            input(plan, number, Box::new(script))
        })
        .collect()
}

/// Runs scripted sources, each live or not.
fn run_scripts(spec: &str, scripts: &[(bool, Vec<Step>)]) -> (Vec<(String, u64, String)>, Summary) {
    let (clock, plan) = (ManualClock::beginning_at(BEGAN), plan_of(spec));
    let inputs = scripted(&clock, &plan, scripts);
    run_inputs(&clock, plan, inputs)
}
