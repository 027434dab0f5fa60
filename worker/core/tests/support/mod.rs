//! Runs a pipeline in memory: texts in, JSON lines out.
#![allow(dead_code)]

pub mod alerts;
pub mod captured;
pub mod cluster;
pub mod dealt;
pub mod fleet;
pub mod log;
pub mod pipelines;
pub mod reference;
pub mod savepoint;

use std::collections::BTreeMap;

use captured::{capture, restored};
use tocsin_contract::document;
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::pipeline::source::Source;
use tocsin_contract::problem::Problem;
use tocsin_worker_core::decode::{Decoder, Records, Span};
use tocsin_worker_core::engine::{Arrived, DeadLetter, Engine, Outputs};
use tocsin_worker_core::formats::decoder as decoder_of;
use tocsin_worker_core::plan::{Plan, References, compile_beside};

/// Compiles the spec of a pipeline, written as YAML, as a user's file is.
pub fn plan(spec: &str) -> Plan {
    compile(spec).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong with a pipeline.
pub fn problems(spec: &str) -> String {
    compile(spec).map(drop).expect_err("it compiles")
}

/// The same, with the pipeline itself.
pub fn pipeline(spec: &str) -> (IncidentPipeline, Plan) {
    parse(spec).unwrap_or_else(|problems| panic!("{problems}"))
}

fn compile(spec: &str) -> Result<Plan, String> {
    parse(spec).map(|(_, plan)| plan)
}

/// The same, with the sources as the file has them.
pub fn compile_with_sources(spec: &str) -> Result<(Vec<Source>, Plan), String> {
    parse(spec).map(|(pipeline, plan)| (pipeline.spec.sources, plan))
}

fn parse(spec: &str) -> Result<(IncidentPipeline, Plan), String> {
    let head = "apiVersion: tocsin.dev/v1alpha1\nkind: IncidentPipeline\nmetadata: {name: test}\nspec: ";
    let compiled = document::read_and(&format!("{head}{spec}\n"), |pipeline: &IncidentPipeline, faults| {
        compile_beside(faults, "test", &pipeline.spec, &References::default())
    });
    let said = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    compiled.map(|(parsed, plan)| (parsed.value, plan)).map_err(said)
}

/// Which decoder reads the records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Decoding {
    /// The engine's own.
    #[default]
    Own,
    /// That of `reference`.
    Reference,
}

/// An engine for a plan.
pub fn engine(plan: &Plan, decoding: Decoding) -> Engine {
    let decoder = |source: &tocsin_worker_core::plan::SourcePlan| -> Box<dyn Decoder> {
        let record = source.record.clone();
        match decoding {
            Decoding::Own => decoder_of(source).expect("CSV has a header"),
            Decoding::Reference => Box::new(reference::Reference::new(record)),
        }
    };
    Engine::new(plan.clone(), plan.sources.iter().map(decoder).collect())
}

/// What came out: lines by sink, and dead letters.
#[derive(Debug, Default, PartialEq)]
pub struct Results {
    /// By name of the sink.
    pub sinks: BTreeMap<String, Vec<String>>,
    /// In order.
    pub dead: Vec<DeadLetter>,
}

impl Results {
    /// Adds what an engine gave out.
    pub fn add(&mut self, plan: &Plan, outputs: Outputs) {
        for (sink, rows) in outputs.sinks {
            let lines = self.sinks.entry(plan.sinks[sink].name.clone()).or_default();
            lines.extend(rows.rows().map(|row| String::from_utf8(row.to_vec()).unwrap()));
        }
        self.dead.extend(outputs.dead);
    }
}

/// How the records are given to the engine.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Sizes of the parts, one after the other, again and again. None: all at once.
    pub sizes: Vec<usize>,
    /// The state is saved and loaded into a new engine in front of each part whose number is here.
    pub restored_at: Vec<usize>,
    /// Who reads the records.
    pub decoding: Decoding,
}

/// Runs a pipeline over the records of its sources, in the order of the sources.
pub fn run(plan: &Plan, inputs: &[(&str, &[String])], cuts: &Cuts) -> Results {
    let mut engine = engine(plan, cuts.decoding);
    let mut results = Results::default();
    let mut done = vec![0; inputs.len()];
    let mut part = 0;
    let number = |name: &str| plan.sources.iter().position(|source| source.name == name).unwrap();
    // Turn by turn, so that inputs that are merged interleave.
    while inputs
        .iter()
        .zip(&done)
        .any(|((_, records), done)| *done < records.len())
    {
        for (i, (name, records)) in inputs.iter().enumerate() {
            let size = cuts
                .sizes
                .get(part % cuts.sizes.len().max(1))
                .copied()
                .unwrap_or(usize::MAX);
            let size = size.min(records.len() - done[i]);
            if cuts.restored_at.contains(&part) {
                engine = restored(plan, cuts.decoding, &capture(&mut engine));
            }
            part += 1;
            push(
                &mut engine,
                number(name),
                &records[done[i]..done[i] + size],
                done[i],
                plan,
                &mut results,
            );
            done[i] += size;
        }
    }
    for (name, _) in inputs {
        let mut outputs = Outputs::default();
        engine.end(number(name), &mut outputs);
        results.add(plan, outputs);
    }
    results
}

/// Gives records to an engine, the first of which has the offset `first`.
pub fn push(engine: &mut Engine, source: usize, records: &[String], first: usize, plan: &Plan, results: &mut Results) {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for (i, record) in records.iter().enumerate() {
        let start = bytes.len();
        bytes.extend_from_slice(record.as_bytes());
        spans.push(Span {
            start,
            end: bytes.len(),
            offset: (first + i) as u64,
        });
        bytes.push(b'\n');
    }
    let mut outputs = Outputs::default();
    engine.push(
        source,
        Records {
            bytes: &bytes,
            spans: &spans,
        },
        Arrived::Unknown,
        &mut outputs,
    );
    results.add(plan, outputs);
}
