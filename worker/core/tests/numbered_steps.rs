//! State finds its step by a number: among those that have state, and, in what earlier versions wrote, among all of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde::{Deserialize, Serialize};
use support::captured::{Captured, capture, restored};
use support::pipelines::spec;
use support::{Decoding, Results, engine, plan, push};
use tocsin_worker_core::engine::SavedHead;
use tocsin_worker_core::plan::Plan;

/// A stage with state, and one step more in front of that if it reads the event time.
fn alarm(condition: &str) -> Plan {
    let stage = format!("{{name: hot, from: alerts, alarm: {{by: [service], when: '{condition}', severity: MAJOR}}}}");
    plan(&spec(&stage, &["hot"]))
}

fn capture_of(plan: &Plan) -> Captured {
    let mut engine = engine(plan, Decoding::Own);
    let record = |ts: u32| format!(r#"{{"ts":{ts},"service":"s{}","cpu":{}}}"#, ts % 7, ts * 5);
    let records: Vec<String> = (0..40).map(record).collect();
    push(&mut engine, 0, &records, 0, plan, &mut Results::default());
    let captured = capture(&mut engine);
    assert!(!captured.blocks.is_empty());
    captured
}

const PLAIN: &str = "cpu > 50";
const LATER: &str = "cpu > 50 AND event_time IS NOT NULL";

#[test]
fn state_goes_on_though_a_step_without_any_comes_or_goes() {
    let (plain, later) = (alarm(PLAIN), alarm(LATER));
    assert_eq!((plain.stages[0].steps.len(), later.stages[0].steps.len()), (1, 2));
    let captured = capture_of(&plain);
    for plan in [&later, &plain] {
        let again = capture(&mut restored(plan, Decoding::Own, &captured));
        assert_eq!(
            again.blocks,
            capture(&mut restored(&plain, Decoding::Own, &captured)).blocks
        );
    }
}

/// A head, as it is written.
#[derive(Serialize, Deserialize)]
struct Head {
    sources: Vec<(String, Vec<u8>)>,
    stages: Vec<Stage>,
    lanes: Vec<()>,
}

#[derive(Serialize, Deserialize)]
struct Stage {
    name: String,
    shape: String,
    counters: Vec<u8>,
    merge: Option<Vec<u8>>,
    steps: Vec<Vec<u8>>,
}

#[test]
fn what_an_earlier_version_wrote_of_all_steps_is_taken_back() {
    let plan = alarm(LATER);
    let captured = capture_of(&plan);
    let mut head: Head = postcard::from_bytes(&captured.head.encode()).unwrap();
    assert_eq!(head.stages[0].steps.len(), 1);
    // The step in front counted, and had nothing to say.
    head.stages[0].steps.insert(0, Vec::new());
    let blocks = captured.blocks.iter();
    let earlier = Captured {
        head: SavedHead::decode(&postcard::to_allocvec(&head).unwrap()).unwrap(),
        blocks: blocks
            .map(|((stage, step, id), bytes)| ((*stage, step + 1, *id), bytes.clone()))
            .collect(),
    };
    let [then, now] = [&earlier, &captured].map(|captured| capture(&mut restored(&plan, Decoding::Own, captured)));
    assert_eq!(then, now);
}
