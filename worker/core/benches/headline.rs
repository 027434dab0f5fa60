//! The headline job and its relatives, as whole processes are measured: input in memory, one thread, wall and CPU time.
//!
//! Prints result lines (see `bench/README.md`); `bench/headline.sh` runs it. Not a Criterion target: each case keeps
//! state that grows with its input, so a run is one pass. Memory is measured in a process of its own a case, by what the
//! system says that the process holds.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::time::Instant;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::source::GeneratorSource;
use tocsin_worker_core::decode::{Records, Span};
use tocsin_worker_core::engine::{Arrived, Engine, Outputs};
use tocsin_worker_core::generator::Generator;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::{References, compile};

/// Rounds of each case.
const ROUNDS: usize = 5;

/// Records of a part; about a mebibyte.
const PART: usize = 5_000;

/// The stages of the cases.
const TUMBLING: &str =
    "{name: counts, from: critical, aggregate: {by: [service], window: {tumbling: 1m}, select: {n: count(*)}}}";
const SLIDING: &str = "{name: counts, from: critical, emit: OnChange, aggregate: {by: [service], \
                       window: {sliding: {size: 60s, every: 1s}}, select: {n: count(*)}}}";
const ESCALATE: &str = "{name: escalated, from: critical, escalate: {by: [service], count: 3, within: 1m}}";

/// A window in which all of ten million keys are live at once.
const WIDE: [&str; 2] = [
    "{name: counts, from: critical, aggregate: {by: [service], window: {tumbling: 1d}, select: {n: count(*)}}}",
    "{name: escalated, from: critical, escalate: {by: [service], count: 3, within: 1d}}",
];

/// Records that are prepared at once, outside of the time that is measured.
const PREPARED: u64 = 4_000_000;

/// Alerts, 50,000 a second of event time.
#[derive(Clone, Copy)]
struct Input {
    n_records: u64,
    services: u32,
}

fn engine(strict: bool, stages: &[&str]) -> Engine {
    let critical = "{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}";
    engine_of(strict, &[&[critical], stages].concat().join(", "))
}

fn engine_of(strict: bool, stages: &str) -> Engine {
    let spec = format!(
        "{{sources: [{{name: alerts, generator: {{}}, format: {{strict: {strict}}}, eventTime: {{field: ts, \
         unit: Milliseconds, maxOutOfOrderness: 5s}}}}], stages: [{stages}], sinks: []}}"
    );
    let spec: IncidentPipelineSpec = serde_yaml_ng::from_str(&spec).unwrap();
    let plan = compile("headline", &spec, &References::default()).unwrap();
    let decoder = Box::new(JsonDecoder::new(plan.sources[0].record.clone()));
    Engine::new(plan, vec![decoder])
}

/// What a key holds in memory: every key has one event in each round, and the rounds are a minute apart.
struct MemoryCase {
    name: &'static str,
    stage: &'static str,
    n_keys: u64,
    n_rounds: u64,
    note: &'static str,
}

const MEMORY: [MemoryCase; 3] = [
    MemoryCase {
        name: "bytes per key: tumbling count, one open window",
        stage: "{name: s, from: alerts, aggregate: {by: [service], window: {tumbling: 1d}, select: {n: count(*)}}}",
        n_keys: 1_000_000,
        n_rounds: 1,
        note: "at most 120 asked for; keys of 16 bytes",
    },
    MemoryCase {
        name: "bytes per key: sliding count of 1h every 1m, 60 open panes",
        stage: "{name: s, from: alerts, aggregate: {by: [service], window: {sliding: {size: 1h, every: 1m}}, select: {n: \
                count(*)}}}",
        n_keys: 100_000,
        n_rounds: 60,
        note: "keys of 16 bytes",
    },
    MemoryCase {
        name: "bytes per key: alarm with a baseline, 96 panes",
        stage: "{name: s, from: alerts, alarm: {by: [service], baseline: {value: latency_ms, over: 96m, sigmas: 3}}}",
        n_keys: 100_000,
        n_rounds: 97,
        note: "keys of 16 bytes",
    },
];

/// Names the case to a process that measures memory.
const MEMORY_CASE: &str = "TOCSIN_BENCH_MEMORY";

/// Bytes that a key of the case holds, in this process.
fn memory(case: &MemoryCase, n_keys: u64) -> f64 {
    let mut engine = engine_of(true, case.stage);
    let mut outputs = Outputs::default();
    let (mut bytes, mut spans): (Vec<u8>, Vec<Span>) = (Vec::new(), Vec::new());
    let mut before = 0;
    for round in 0..case.n_rounds {
        for first in (0..n_keys).step_by(PART) {
            bytes.clear();
            spans.clear();
            for key in first..(first + PART as u64).min(n_keys) {
                let start = bytes.len();
                let latency = (key + round * 7) % 50;
                write!(
                    bytes,
                    r#"{{"ts":{},"service":"service-{key:08}","severity":"MAJOR","latency_ms":{latency}}}"#,
                    round * 60_000
                )
                .unwrap();
                let (end, offset) = (bytes.len(), round * n_keys + key);
                spans.push(Span { start, end, offset });
            }
            engine.push(
                0,
                Records {
                    bytes: &bytes,
                    spans: &spans,
                },
                Arrived::Unknown,
                &mut outputs,
            );
            assert!(outputs.dead.is_empty());
            if before == 0 {
                before = resident();
            }
        }
    }
    (resident() - before) as f64 / n_keys as f64
}

/// Bytes that this process holds in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    // The second number of proc(5), in pages of 4 KiB.
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs each memory case in a process of its own.
fn report_memory(rounds: usize, scale: u64) {
    for (i, case) in MEMORY.iter().enumerate() {
        let measured = (0..rounds).map(|_| {
            let program = std::env::current_exe().unwrap();
            let value = format!("{i} {}", case.n_keys / scale);
            let output = std::process::Command::new(program)
                .env(MEMORY_CASE, value)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        });
        report(case.name, "bytes", measured.collect(), case.note);
    }
}

struct Measured {
    /// Events per second of wall time, and of CPU time.
    wall: f64,
    cpu: f64,
    rows_out: u64,
}

fn run(input: Input, strict: bool, stages: &[&str]) -> Measured {
    let spec = GeneratorSource {
        count: Some(input.n_records),
        services: input.services,
        ..GeneratorSource::default()
    };
    let mut generator = Generator::new(&spec);
    let mut engine = engine(strict, stages);
    let mut outputs = Outputs::default();
    let (mut wall, mut cpu) = (0.0, 0.0);
    let (mut bytes, mut spans): (Vec<u8>, Vec<Span>) = (Vec::new(), Vec::new());
    loop {
        bytes.clear();
        spans.clear();
        while spans.len() < PREPARED as usize && generator.fill(&mut bytes, &mut spans, 1 << 31, PREPARED) > 0 {}
        let (started, cpu_before) = (Instant::now(), cpu_seconds());
        for spans in spans.chunks(PART) {
            engine.push(0, Records { bytes: &bytes, spans }, Arrived::Unknown, &mut outputs);
        }
        assert!(outputs.dead.is_empty());
        if spans.is_empty() {
            engine.end(0, &mut outputs);
        }
        wall += started.elapsed().as_secs_f64();
        cpu += cpu_seconds() - cpu_before;
        if spans.is_empty() {
            break;
        }
    }
    let n = input.n_records as f64;
    let rows_out = engine.stage_counters().iter().skip(1).map(|stage| stage.rows_out).sum();
    Measured {
        wall: n / wall,
        cpu: n / cpu,
        rows_out,
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), counted behind the name, in ticks of 1/100 s.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn report(name: &str, unit: &str, values: Vec<f64>, note: &str) -> f64 {
    let (middle, low, high) = median(values);
    println!(
        "{{\"name\":\"{name}\",\"value\":{middle:.3},\"unit\":\"{unit}\",\"low\":{low:.3},\"high\":{high:.3},\"note\":\"{note}\"}}"
    );
    middle
}

fn main() {
    if let Ok(case) = std::env::var(MEMORY_CASE) {
        let (case, n_keys) = case.split_once(' ').unwrap();
        println!(
            "{}",
            memory(&MEMORY[case.parse::<usize>().unwrap()], n_keys.parse().unwrap())
        );
        return;
    }
    // `cargo test` runs benches too, to see that they work; it measures nothing.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, scale) = if quick { (1, 100) } else { (ROUNDS, 1) };
    report_memory(rounds.min(3), scale);
    let small = Input {
        n_records: 8_000_000 / scale,
        services: 1_000,
    };
    let headline = [TUMBLING, ESCALATE];
    let cases: [(&str, bool, &[&str]); 4] = [
        ("headline strict", true, &headline),
        ("headline not strict", false, &headline),
        ("tumbling 1m", true, &[TUMBLING]),
        ("sliding 60s every 1s, emit OnChange", true, &[SLIDING]),
    ];
    // Rounds go through all cases, so that a change of the machine's speed meets all of them.
    let mut measured: Vec<Vec<Measured>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (case, results) in cases.iter().zip(&mut measured) {
            results.push(run(small, case.1, case.2));
        }
    }
    let mut cpu = Vec::new();
    for ((name, _, _), results) in cases.iter().zip(&measured) {
        let note = format!(
            "{} events, {} rows out, one thread",
            small.n_records, results[0].rows_out
        );
        report(
            &format!("{name}, wall"),
            "events/s",
            results.iter().map(|m| m.wall).collect(),
            &note,
        );
        cpu.push(report(
            &format!("{name}, CPU"),
            "events/CPU-s",
            results.iter().map(|m| m.cpu).collect(),
            &note,
        ));
    }
    report(
        "sliding against tumbling",
        "x CPU",
        vec![cpu[2] / cpu[3]],
        "at most 1.5 asked for",
    );
    let large = Input {
        n_records: 48_000_000 / scale,
        services: 10_000_000,
    };
    let few = Input {
        services: 1_000,
        ..large
    };
    let rounds = rounds.min(3);
    let (mut many_cpu, mut few_cpu) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        many_cpu.push(run(large, true, &WIDE).cpu);
        few_cpu.push(run(few, true, &WIDE).cpu);
    }
    let note = format!("{} events, windows of a day", large.n_records);
    let many = report("10 million keys, CPU", "events/CPU-s", many_cpu, &note);
    let few = report("1 thousand keys, CPU", "events/CPU-s", few_cpu, &note);
    report(
        "10 million keys against 1 thousand",
        "x CPU",
        vec![few / many],
        "at most 3 asked for",
    );
}
