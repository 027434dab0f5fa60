//! How fast state is written to the files of a snapshot and brought back from them: in memory, one thread, without the
//! checksums and the store. And for how long processing stands still at a time: where a capture begins, and for the largest
//! block of it.
//!
//! Prints result lines (see `bench/README.md`); `bench/snapshot.sh` runs it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::time::Instant;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_worker_core::capture::{Extent, rows};
use tocsin_worker_core::decode::{Decoder, Records, Span};
use tocsin_worker_core::engine::{Arrived, Engine, Outputs, SavedHead};
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::placement::{Placement, placements};
use tocsin_worker_core::plan::{References, SourcePlan, compile};
use tocsin_worker_core::snapshot::{BlockWriter, Restore};

const ROUNDS: usize = 5;

/// Records of a part.
const PART: u64 = 5_000;

/// Bytes of a file, about.
const FILE: usize = 64 << 20;

/// The state of `n_keys` services.
struct Case {
    name: &'static str,
    stages: &'static str,
    n_keys: u64,
    /// Whether it is kept by key; or else in rows that wait for those of another source.
    is_keyed: bool,
}

const CASES: [Case; 3] = [
    Case {
        name: "counts and escalations",
        stages: "{name: counts, from: alerts, aggregate: {by: [service], window: {tumbling: 1d}, select: {n: count(*)}}}, \
                 {name: escalated, from: alerts, escalate: {by: [service], count: 3, within: 1d}}",
        n_keys: 2_000_000,
        is_keyed: true,
    },
    Case {
        name: "ten figures a key",
        stages: "{name: counts, from: alerts, aggregate: {by: [service], window: {tumbling: 1d}, select: {n: count(*), \
                 mean: avg(latency_ms), low: min(latency_ms), high: max(latency_ms), total: sum(latency_ms), spread: \
                 stddev(latency_ms), first: 'first_value(latency_ms)', last: 'last_value(latency_ms)', worst: \
                 max(severity), p95: 'approx_percentile_cont(latency_ms, 0.95)'}}}",
        n_keys: 500_000,
        is_keyed: true,
    },
    Case {
        name: "rows that wait for another source",
        stages: "{name: counts, from: [alerts, others], aggregate: {by: [service], window: {tumbling: 1d}, select: {n: count(*)}}}",
        n_keys: 1_000_000,
        is_keyed: false,
    },
];

/// A source of alerts.
fn source(name: &str) -> String {
    format!(
        "{{name: {name}, kafka: {{topic: {name}, partitionedBy: {{fields: [service]}}}}, format: {{fields: [{{name: service, \
         type: String}}, {{name: severity, type: String}}, {{name: latency_ms, type: Float64}}]}}, eventTime: {{field: ts, \
         unit: Milliseconds, maxOutOfOrderness: 5s}}}}"
    )
}

fn engine(case: &Case) -> (Engine, Vec<Option<Placement>>) {
    let spec = format!(
        "{{sources: [{}, {}], stages: [{}], sinks: []}}",
        source("alerts"),
        source("others"),
        case.stages
    );
    let spec: IncidentPipelineSpec = serde_yaml_ng::from_str(&spec).unwrap();
    let plan = compile("snapshot", &spec, &References::default()).unwrap();
    let decoder = |source: &SourcePlan| -> Box<dyn Decoder> { Box::new(JsonDecoder::new(source.record.clone())) };
    let decoders = plan.sources.iter().map(decoder).collect();
    let placements = placements(&plan, &spec.sources);
    (Engine::new(plan, decoders), placements)
}

fn filled(case: &Case, n_keys: u64) -> Engine {
    let (mut engine, _) = engine(case);
    let mut outputs = Outputs::default();
    let (mut bytes, mut spans): (Vec<u8>, Vec<Span>) = (Vec::new(), Vec::new());
    for first in (0..n_keys).step_by(PART as usize) {
        bytes.clear();
        spans.clear();
        for key in first..(first + PART).min(n_keys) {
            let start = bytes.len();
            let latency = key * 7 % 50;
            write!(
                bytes,
                r#"{{"ts":1000,"service":"service-{key:08}","severity":"MAJOR","latency_ms":{latency}.5}}"#
            )
            .unwrap();
            let (end, offset) = (bytes.len(), key);
            spans.push(Span { start, end, offset });
        }
        let (bytes, spans) = (&bytes, &spans);
        engine.push(0, Records { bytes, spans }, Arrived::Unknown, &mut outputs);
        assert!(outputs.dead.is_empty());
    }
    engine
}

/// What a snapshot holds, and what it took.
#[derive(Default)]
struct Measured {
    /// Bytes of keys and state.
    bytes: u64,
    /// Bytes of the files.
    packed: u64,
    /// Bytes of memory that the state holds.
    memory: u64,
    /// Seconds.
    write: f64,
    read: f64,
    /// For how long processing stands still where the capture begins, and for the block that takes longest.
    begin: f64,
    block: f64,
}

fn run(case: &Case, filled: &mut Engine) -> Measured {
    let mut measured = Measured::default();
    let (mut engine, placements) = engine(case);
    let started = Instant::now();
    let head = filled.begin_capture(Extent::Whole);
    measured.begin = started.elapsed().as_secs_f64();
    let head = head.save();
    let mut files = Vec::new();
    let mut writer = BlockWriter::new(&placements);
    loop {
        let of_block = Instant::now();
        let Some(placed) = filled.next_block() else { break };
        measured.block = measured.block.max(of_block.elapsed().as_secs_f64());
        writer.add(&placed);
        if writer.len() >= FILE {
            files.push(std::mem::replace(&mut writer, BlockWriter::new(&placements)).finish());
        }
    }
    files.push(writer.finish());
    measured.write = started.elapsed().as_secs_f64();
    measured.packed = files.iter().map(|file| file.len() as u64).sum();
    files.reverse();

    let started = Instant::now();
    let head = SavedHead::decode(&head.encode()).unwrap();
    let mut restore = Restore::resume(&mut engine, head, false).unwrap();
    files.iter().for_each(|file| restore.file(0, file).unwrap());
    restore.end().unwrap();
    measured.read = started.elapsed().as_secs_f64();
    measured.memory = engine.state_size().iter().map(|(_, bytes)| *bytes as u64).sum();

    engine.begin_capture(Extent::Whole);
    while let Some(placed) = engine.next_block() {
        for row in rows(&placed.block.bytes).unwrap() {
            measured.bytes += (row.key.len() + row.state.len()) as u64;
        }
    }
    measured
}

fn report(name: &str, unit: &str, mut values: Vec<f64>, note: &str) {
    values.sort_by(f64::total_cmp);
    let (middle, low, high) = (values[values.len() / 2], values[0], values[values.len() - 1]);
    println!(
        "{{\"name\":\"{name}\",\"value\":{middle:.3},\"unit\":\"{unit}\",\"low\":{low:.3},\"high\":{high:.3},\"note\":\"{note}\"}}"
    );
}

fn main() {
    // `cargo test` runs benches too, to see that they work; it measures nothing.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, scale) = if quick { (1, 100) } else { (ROUNDS, 1) };
    for case in &CASES {
        let mut engine = filled(case, case.n_keys / scale);
        let runs: Vec<Measured> = (0..rounds).map(|_| run(case, &mut engine)).collect();
        let Measured {
            bytes, packed, memory, ..
        } = runs[0];
        let n_keys = case.n_keys / scale;
        let name = case.name;
        let pauses = |pause: fn(&Measured) -> f64| runs.iter().map(|run| pause(run) * 1e3).collect();
        let asked = "at most 10 ms asked for; processing stands still meanwhile";
        report(
            &format!("{name}, a capture begins"),
            "ms",
            pauses(|run| run.begin),
            &format!("{asked}; {n_keys} keys"),
        );
        if !case.is_keyed {
            continue;
        }
        let longest = format!("{asked}; the block of 128 keys that takes longest");
        report(
            &format!("{name}, a block is captured"),
            "ms",
            pauses(|run| run.block),
            &longest,
        );
        let a_key = |bytes: u64| bytes as f64 / n_keys as f64;
        let note = format!(
            "{n_keys} keys; a key holds {:.0} bytes of memory, is {:.0} bytes of key and state, and {:.0} in the files; by the memory",
            a_key(memory),
            a_key(bytes),
            a_key(packed)
        );
        let gigabytes = memory as f64 / 1e9;
        let speed = runs.iter().map(|run| gigabytes / run.write).collect();
        report(&format!("{name}, written"), "GB/s", speed, &note);
        let speed = runs.iter().map(|run| run.read / gigabytes).collect();
        report(&format!("{name}, brought back"), "s/GB", speed, &note);
    }
}
