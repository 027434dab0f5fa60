//! Metrics in Prometheus' text format (OpenMetrics), made from a view when somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tocsin_contract::metrics::{self, Kind, Metric};
use tocsin_contract::worker::ShardPhase;

use tocsin_worker_core::delivery::circuit::CircuitState;

use super::sample::{SourceTotals, StageTotals};
use super::{Histogram, Pause, View, not_ready};

/// The type of what [`expose`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics, as text.
pub fn expose(view: View) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition(view)));
    let mut text = String::new();
    // A text takes whatever is written to it.
    if let Err(error) = encode(&mut text, &registry) {
        tracing::error!(%error, "metrics cannot be written as text");
    }
    text
}

#[derive(Debug)]
struct Exposition(View);

/// A value, and what stands in its labels.
type Sample = (Vec<String>, Value);

#[derive(Clone, Copy, Debug)]
enum Value {
    Whole(u64),
    Real(f64),
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(encoder);
        let view = &self.0;
        of_worker(view, &mut out)?;
        of_sources(view, &mut out)?;
        of_stages(view, &mut out)?;
        of_deliveries(view, &mut out)?;
        of_threads(view, &mut out)?;
        of_transactions(view, &mut out)?;
        of_checkpoints(view, &mut out)?;
        of_process(view, &mut out)
    }
}

fn of_worker(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let about = &view.about;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let labels = vec![about.pipeline.clone(), about.worker.clone(), version];
    out.write(metrics::WORKER_INFO, [(labels, Value::Whole(1))])?;
    let ready = u64::from(not_ready(view).is_empty());
    out.write(metrics::READY, one(Value::Whole(ready)))?;
    let shards = view.shards();
    let in_phase = |phase: ShardPhase| shards.iter().filter(|shard| shard.phase == phase).count() as u64;
    let phases = ShardPhase::ALL.map(|phase| (vec![phase.as_str().to_owned()], Value::Whole(in_phase(phase))));
    out.write(metrics::SHARDS, phases)?;
    out.write(metrics::REBALANCES, one(Value::Whole(view.group.rebalances)))?;
    out.write(metrics::RECOVERIES, one(Value::Whole(view.all().recoveries)))?;
    let troubles = view.trouble.as_ref().map_or(0, |trouble| trouble.count);
    out.write(metrics::KAFKA_TROUBLES, one(Value::Whole(troubles)))
}

fn of_sources(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let all = view.all();
    let name = |source: usize| view.about.sources.get(source).map_or("", |(name, _)| name).to_owned();
    let each = |value: fn(&SourceTotals) -> u64| -> Vec<Sample> {
        let sources = all.sources.iter().enumerate();
        sources
            .map(|(source, totals)| (vec![name(source)], Value::Whole(value(totals))))
            .collect()
    };
    out.write(metrics::SOURCE_RECORDS, each(|totals| totals.records))?;
    out.write(metrics::SOURCE_BYTES, each(|totals| totals.bytes))?;
    out.write(metrics::SOURCE_MISMATCHES, each(|totals| totals.mismatches))?;
    let dead = all.sources.iter().enumerate().flat_map(|(source, totals)| {
        let causes = totals.dead.iter();
        causes.map(move |(cause, count)| (vec![name(source), (*cause).to_owned()], Value::Whole(*count)))
    });
    out.write(metrics::DEAD_LETTERS, dead)?;
    let partitions = view.partitions();
    let known = || {
        let known = partitions.iter();
        known.filter_map(|(source, shard, behind)| Some((vec![name(*source), shard.to_string()], (*behind)?)))
    };
    let records = known().map(|(labels, behind)| (labels, Value::Whole(behind.records)));
    out.write(metrics::LAG_RECORDS, records)?;
    let seconds = known().filter_map(|(labels, behind)| Some((labels, Value::Real(view.seconds_behind(behind)?))));
    out.write(metrics::LAG_SECONDS, seconds)?;
    let delays = view.watermarks().into_iter();
    let delays = delays.map(|(source, watermark)| (vec![name(source)], Value::Real(view.age(watermark))));
    out.write(metrics::WATERMARK_DELAY, delays)
}

fn of_stages(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let all = view.all();
    let each = |value: fn(&StageTotals) -> u64| -> Vec<Sample> {
        let stages = view.about.stages.iter().zip(&all.stages);
        stages
            .map(|(name, totals)| (vec![name.clone()], Value::Whole(value(totals))))
            .collect()
    };
    out.write(metrics::STAGE_ROWS_IN, each(|totals| totals.rows_in))?;
    out.write(metrics::STAGE_ROWS_OUT, each(|totals| totals.rows_out))?;
    out.write(metrics::STAGE_LATE_ROWS, each(|totals| totals.late))?;
    let misplaced = view.about.stages.iter().zip(&all.stages);
    let misplaced = misplaced.filter_map(|(name, totals)| Some((vec![name.clone()], Value::Whole(totals.misplaced?))));
    out.write(metrics::STAGE_MISPLACED, misplaced)?;
    out.write(metrics::STAGE_FAILURES, each(|totals| totals.failures))?;
    let state = |size: fn(&(usize, usize)) -> usize| -> Vec<Sample> {
        let stages = view.about.stages.iter().zip(&all.state);
        stages
            .map(|(name, state)| (vec![name.clone()], Value::Whole(size(state) as u64)))
            .collect()
    };
    out.write(metrics::STAGE_STATE_KEYS, state(|(keys, _)| *keys))?;
    out.write(metrics::STAGE_STATE_BYTES, state(|(_, bytes)| *bytes))?;
    let sinks = view.about.sinks.iter().zip(&all.sinks);
    let rows = sinks.map(|(name, rows)| (vec![name.clone()], Value::Whole(*rows)));
    out.write(metrics::SINK_ROWS, rows)
}

fn of_deliveries(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let sinks = &view.deliveries;
    let outcomes = sinks.iter().flat_map(|sink| {
        let label = |outcome: &str| vec![sink.name.clone(), outcome.to_owned()];
        let outcomes = sink.value.outcomes.iter();
        outcomes.map(move |(outcome, rows)| (label(outcome), Value::Whole(*rows)))
    });
    out.write(metrics::SINK_DELIVERIES, outcomes)?;
    let waiting = sinks
        .iter()
        .map(|sink| (vec![sink.name.clone()], Value::Whole(sink.value.waiting)));
    out.write(metrics::SINK_WAITING, waiting)?;
    let oldest = sinks.iter().filter_map(|sink| {
        let age = view.age(sink.value.oldest?.saturating_mul(1_000));
        Some((vec![sink.name.clone()], Value::Real(age)))
    });
    out.write(metrics::SINK_OLDEST, oldest)?;
    let circuit = |state: CircuitState| match state {
        CircuitState::Closed => 0.0,
        CircuitState::HalfOpen => 0.5,
        CircuitState::Open => 1.0,
    };
    let circuits = sinks
        .iter()
        .map(|sink| (vec![sink.name.clone()], Value::Real(circuit(sink.value.circuit))));
    out.write(metrics::SINK_CIRCUIT, circuits)
}

fn of_threads(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let each = |value: fn(&super::ThreadSample) -> f64| -> Vec<Sample> {
        let threads = view.threads.iter();
        threads
            .map(|thread| (vec![thread.name.clone()], Value::Real(value(&thread.value))))
            .collect()
    };
    out.write(metrics::THREAD_BUSY, each(|sample| sample.times.busy.as_secs_f64()))?;
    let held_back = each(|sample| sample.times.held_back.as_secs_f64());
    out.write(metrics::THREAD_BACKPRESSURED, held_back)?;
    out.write(metrics::THREAD_IDLE, each(|sample| sample.times.idle.as_secs_f64()))?;
    out.write(metrics::BUSY_RATIO, each(|sample| sample.busy_ratio))?;
    out.write(metrics::BACKPRESSURE_RATIO, each(|sample| sample.held_back_ratio))?;
    let throttled = view.throttled.map(|lost| (Vec::new(), Value::Real(lost.as_secs_f64())));
    out.write(metrics::CPU_THROTTLED, throttled)
}

fn of_transactions(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let all = view.all();
    let transactions = all.transactions;
    let outcomes = [
        ("Committed", transactions.committed),
        ("Aborted", transactions.aborted),
        ("Lost", transactions.lost),
    ];
    let outcomes = outcomes.map(|(outcome, count)| (vec![outcome.to_owned()], Value::Whole(count)));
    out.write(metrics::TRANSACTIONS, outcomes)?;
    out.write(metrics::PRODUCERS_RENEWED, one(Value::Whole(transactions.renewed)))?;
    out.histogram(metrics::TRANSACTION_DURATION, &all.durations)?;
    out.histogram(metrics::LATENCY, &all.latency)
}

fn of_checkpoints(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let checkpoints = &view.checkpoints;
    out.write(metrics::CHECKPOINTS, one(Value::Whole(checkpoints.written)))?;
    out.write(metrics::CHECKPOINT_FAILURES, one(Value::Whole(checkpoints.failed)))?;
    let newest = checkpoints.newest.values();
    let oldest = newest.clone().map(|checkpoint| checkpoint.at).min();
    let age = oldest.map(|at| (Vec::new(), Value::Real(view.age(at))));
    out.write(metrics::CHECKPOINT_AGE, age)?;
    let slowest = newest.clone().map(|checkpoint| checkpoint.duration).max();
    let pause = newest.clone().map(|checkpoint| checkpoint.pause).reduce(Pause::max);
    let bytes = slowest.map(|_| newest.map(|checkpoint| checkpoint.bytes).sum());
    let bytes = bytes.map(|bytes| (Vec::new(), Value::Whole(bytes)));
    out.write(metrics::CHECKPOINT_SIZE, bytes)?;
    let slowest = slowest.map(|slowest| (Vec::new(), Value::Real(slowest.as_secs_f64())));
    out.write(metrics::CHECKPOINT_DURATION, slowest)?;
    let wall = pause.map(|pause| (Vec::new(), Value::Real(pause.wall.as_secs_f64())));
    out.write(metrics::CHECKPOINT_PAUSE, wall)?;
    let cpu = pause.map(|pause| (Vec::new(), Value::Real(pause.cpu.as_secs_f64())));
    out.write(metrics::CHECKPOINT_PAUSE_CPU, cpu)
}

fn of_process(view: &View, out: &mut Out<'_>) -> fmt::Result {
    let process = view.process;
    let cpu = process.cpu.map(|cpu| (Vec::new(), Value::Real(cpu.as_secs_f64())));
    out.write(metrics::PROCESS_CPU, cpu)?;
    let whole = |value: u64| (Vec::new(), Value::Whole(value));
    out.write(metrics::PROCESS_MEMORY, process.memory.map(whole))?;
    out.write(metrics::PROCESS_FILES, process.files.map(whole))?;
    let start = view.started_at as f64 / 1e6;
    out.write(metrics::PROCESS_START, one(Value::Real(start)))
}

fn one(value: Value) -> [Sample; 1] {
    [(Vec::new(), value)]
}

/// Writes metrics as their definitions say.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// A metric with all its values; nothing where there is none.
    fn write(&mut self, metric: Metric, samples: impl IntoIterator<Item = Sample>) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        self.describe(metric, |mut encoder| {
            for (values, value) in samples {
                if metric.labels.is_empty() {
                    write_value(metric.kind, &mut encoder, value)?;
                    continue;
                }
                let labels: Vec<(&str, String)> = metric.labels.iter().copied().zip(values).collect();
                write_value(metric.kind, &mut encoder.encode_family(&labels)?, value)?;
            }
            Ok(())
        })
    }

    fn histogram(&mut self, metric: Metric, histogram: &Histogram) -> fmt::Result {
        self.describe(metric, |mut encoder| {
            let (sum, count, buckets) = (histogram.sum(), histogram.count(), histogram.buckets());
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// The encoder takes a name without the endings that it writes itself.
    fn describe(&mut self, metric: Metric, write: impl FnOnce(MetricEncoder<'_>) -> fmt::Result) -> fmt::Result {
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let units = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)];
        let found = units
            .into_iter()
            .find_map(|(ending, unit)| Some((name.strip_suffix(ending)?, unit)));
        let (name, unit) = found.map_or((name, None), |(name, unit)| (name, Some(unit)));
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        write(self.0.encode_descriptor(name, metric.help, unit.as_ref(), kind)?)
    }
}

fn write_value(kind: Kind, encoder: &mut MetricEncoder<'_>, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
        (Kind::Counter, Value::Real(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
        (_, Value::Whole(value)) => encoder.encode_gauge(&value),
        (_, Value::Real(value)) => encoder.encode_gauge(&value),
    }
}
