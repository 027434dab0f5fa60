//! Opens what stands for each source.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tocsin_contract::pipeline::source::{FormatKind, Source as SourceSpec};
use tocsin_worker_core::csv::CsvDecoder;
use tocsin_worker_core::decode::Decoder;
use tocsin_worker_core::formats::decoder;
use tocsin_worker_core::generator::Generator;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::SourcePlan;

use super::RunError;
use crate::source::{
    Block, Framing, GeneratorSource, HttpIntake, InputOptions, Interrupt, PacedSource, Pacer, Polled, Source, Speed,
    SystemClock, open_file, open_stdin,
};

/// A source that is open.
pub struct Input {
    /// Its name.
    pub name: String,
    /// Where its records come from.
    pub source: Box<dyn Source>,
    /// Whether nothing more will come.
    pub ended: bool,
    /// When records came last, by the clock of the run.
    pub(super) last_records: Duration,
    /// Without records for so long it no longer holds event time back, in microseconds.
    pub idle_timeout: i64,
    /// Records that were read before the run began.
    pub(super) waiting: Option<(Polled, Block)>,
}

/// What stands for a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// As the file says.
    AsDeclared,
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// A replay at a given speed wants small blocks: what was read is not far from being due.
const PACED_BLOCK: usize = 4 << 10;

/// Opens all inputs. Sources that take events by HTTP are made of `intake`.
///
/// # Errors
/// If one cannot be opened.
pub fn open_inputs(
    sources: &[SourceSpec],
    plans: &[SourcePlan],
    kinds: &[InputKind],
    speed: Speed,
    interrupt: &Interrupt,
    intake: &mut HttpIntake,
) -> Result<Vec<Input>, RunError> {
    let mut inputs = Vec::new();
    let pacer = Arc::new(Mutex::new(Pacer::new(speed)));
    for ((spec, plan), kind) in sources.iter().zip(plans).zip(kinds) {
        let framing = if spec.format.kind == FormatKind::Csv {
            Framing::Csv
        } else {
            Framing::Lines
        };
        let mut options = InputOptions::new(&spec.name, framing);
        options.interrupt = interrupt.clone();
        if speed != Speed::Max {
            options.block_bytes = PACED_BLOCK;
        }
        let paced = |source: Box<dyn Source>| -> Box<dyn Source> {
            if speed == Speed::Max {
                return source;
            }
            let clock = Box::new(SystemClock::default());
            Box::new(PacedSource::new(source, plan, Arc::clone(&pacer), clock))
        };
        let file = |path: PathBuf, options| -> Result<Box<dyn Source>, RunError> {
            Ok(paced(Box::new(open_file(&path, options)?)))
        };
        let stdin = |options| -> Result<Box<dyn Source>, RunError> { Ok(paced(Box::new(open_stdin(options)?))) };
        let source: Box<dyn Source> = match kind {
            InputKind::File(path) => file(path.clone(), options)?,
            InputKind::Stdin => stdin(options)?,
            InputKind::AsDeclared => {
                if let Some(declared) = &spec.file {
                    file(PathBuf::from(&declared.path), options)?
                } else if spec.stdin.is_some() {
                    stdin(options)?
                } else if let Some(generator) = &spec.generator {
                    let bound = spec.event_time.max_out_of_orderness.as_micros();
                    let generator = Generator::new(generator).with_bound(bound);
                    Box::new(GeneratorSource::new(generator, speed, interrupt.clone()))
                } else if let Some(http) = &spec.http {
                    Box::new(match &http.listen {
                        Some(address) => intake.source_at(&spec.name, address, interrupt.clone())?,
                        None => intake.source(&spec.name, interrupt.clone()),
                    })
                } else {
                    return Err(RunError::NoInput {
                        name: spec.name.clone(),
                        transport: "Kafka",
                    });
                }
            }
        };
        inputs.push(Input {
            name: spec.name.clone(),
            source,
            ended: false,
            last_records: Duration::ZERO,
            idle_timeout: plan.idle_timeout,
            waiting: None,
        });
    }
    Ok(inputs)
}

impl Input {
    /// The decoder for this input. For CSV it reads up to the first records, because the header says what there is.
    pub(super) fn decoder(&mut self, plan: &SourcePlan) -> Result<Box<dyn Decoder>, RunError> {
        // A record of Avro names its schema by a number that a registry gave out for a topic.
        if plan.format == FormatKind::Avro {
            return Err(RunError::OnlyFromKafka {
                name: self.name.clone(),
                format: plan.format,
            });
        }
        if let Some(decoder) = decoder(plan) {
            return Ok(decoder);
        }
        loop {
            let mut block = Block::default();
            let polled = self.source.poll(&mut block, Duration::from_secs(1))?;
            if polled == Polled::Idle {
                continue;
            }
            self.waiting = Some((polled, block));
            // An empty input has no header, and no record that would need one.
            let Some(header) = self.source.header() else {
                return Ok(Box::new(JsonDecoder::new(plan.record.clone())));
            };
            let decoder = CsvDecoder::new(plan.record.clone(), header).map_err(|error| RunError::Header {
                name: self.name.clone(),
                error,
            })?;
            return Ok(Box::new(decoder));
        }
    }

    /// The next records.
    pub(super) fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, RunError> {
        if let Some((polled, waiting)) = self.waiting.take() {
            *block = waiting;
            return Ok(polled);
        }
        Ok(self.source.poll(block, wait)?)
    }
}
