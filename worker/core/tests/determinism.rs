//! The same input gives the same output: whatever the parts it is cut into, with the filter in the decoder or behind it,
//! and with the state saved and loaded anywhere in between.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use support::pipelines::{PIPELINES, records, spec};
use support::{Cuts, Decoding, Results, plan, run};
use tocsin_worker_core::plan::Plan;

/// What a plan gives when nothing is filtered in the decoder.
fn without_push_down(plan: &Plan, spec: &str) -> Plan {
    // One more stage on each source, which reads everything.
    let spec = spec.replacen(
        "stages: [",
        "stages: [{name: all_a, from: alerts, filter: 'true'}, {name: all_m, from: metrics, filter: 'true'}, ",
        1,
    );
    let other = support::plan(&spec);
    assert!(other.sources.iter().all(|source| source.record.predicate.is_none()));
    assert_eq!(plan.sinks.len(), other.sinks.len());
    other
}

fn sorted_dead(mut results: Results) -> Results {
    results.dead.sort_by_key(|letter| (letter.source, letter.offset));
    results
}

/// Where the dead records stood; of their causes the reference decoder knows little.
fn places(results: &Results) -> Vec<(usize, u64)> {
    results
        .dead
        .iter()
        .map(|letter| (letter.source, letter.offset))
        .collect()
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_output(
        which in 0..PIPELINES.len(),
        alerts in records("ms"),
        metrics in records("cpu"),
        sizes in prop::collection::vec(1usize..40, 1..6),
        restored_at in prop::collection::vec(0usize..240, 0..4),
    ) {
        let (stages, streams) = PIPELINES[which];
        let spec = spec(stages, streams);
        let plan = plan(&spec);
        let inputs: [(&str, &[String]); 2] = [("alerts", &alerts), ("metrics", &metrics)];
        let whole = sorted_dead(run(&plan, &inputs, &Cuts::default()));
        let in_parts = sorted_dead(run(&plan, &inputs, &Cuts { sizes, ..Cuts::default() }));
        prop_assert_eq!(&in_parts, &whole, "cut into parts");
        let restored = sorted_dead(run(&plan, &inputs, &Cuts { sizes: vec![1], restored_at, ..Cuts::default() }));
        prop_assert_eq!(&restored, &whole, "record by record, saved and loaded");
        let other = without_push_down(&plan, &spec);
        let unfiltered = sorted_dead(run(&other, &inputs, &Cuts::default()));
        prop_assert_eq!(&unfiltered, &whole, "filtered behind the decoder");
        let decoding = Decoding::Reference;
        let reference = sorted_dead(run(&plan, &inputs, &Cuts { decoding, ..Cuts::default() }));
        prop_assert_eq!(&reference.sinks, &whole.sinks, "read by serde_json");
        prop_assert_eq!(places(&reference), places(&whole), "dead for serde_json");
    }
}
