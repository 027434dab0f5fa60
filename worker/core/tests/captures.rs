//! What is captured while a pipeline goes on is the state at the cut, and captures of changes lie over one another.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::captured::{Captured, capture, content};
use support::pipelines::{PIPELINES, records, spec};
use support::{Decoding, Results, engine, plan, push};
use tocsin_worker_core::capture::Extent;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::plan::Plan;

/// Two engines that take the same records.
struct Twins {
    plan: Plan,
    engines: [Engine; 2],
    done: [usize; 2],
}

impl Twins {
    fn push(&mut self, inputs: &[(&str, &[String]); 2], source: usize, n: usize) {
        let (name, records) = inputs[source];
        let number = self.plan.sources.iter().position(|source| source.name == name).unwrap();
        let from = self.done[source].min(records.len());
        let to = (from + n).min(records.len());
        self.done[source] = to;
        for engine in &mut self.engines {
            let mut results = Results::default();
            push(engine, number, &records[from..to], from, &self.plan, &mut results);
        }
    }
}

proptest! {
    #[test]
    fn a_capture_holds_the_state_at_its_cut(
        which in 0..PIPELINES.len(),
        alerts in records("ms"),
        metrics in records("cpu"),
        steps in prop::collection::vec((0usize..2, 1usize..12, 0usize..3, any::<bool>()), 1..40),
    ) {
        let (stages, streams) = PIPELINES[which];
        let plan = plan(&spec(stages, streams));
        let inputs: [(&str, &[String]); 2] = [("alerts", &alerts), ("metrics", &metrics)];
        let engines = [engine(&plan, Decoding::Own), engine(&plan, Decoding::Own)];
        let mut twins = Twins { plan: plan.clone(), engines, done: [0; 2] };
        // The captures that lie over one another, and what the other engine says that the last of them holds.
        let mut kept = BTreeMap::new();
        let mut under_way: Option<(Captured, Captured)> = None;
        for (source, n, blocks, whole) in steps {
            if under_way.is_none() {
                let expected = capture(&mut twins.engines[1]);
                let extent = if whole || kept.is_empty() { Extent::Whole } else { Extent::Changes };
                if extent == Extent::Whole {
                    kept = BTreeMap::new();
                }
                let head = twins.engines[0].begin_capture(extent).save();
                under_way = Some((Captured { head, blocks: std::mem::take(&mut kept) }, expected));
            }
            twins.push(&inputs, source, n);
            let Some((captured, expected)) = &mut under_way else { continue };
            let ended = (0..blocks).any(|_| !captured.add(&mut twins.engines[0]));
            if ended {
                prop_assert_eq!(content(&plan, captured), content(&plan, expected));
                kept = std::mem::take(&mut captured.blocks);
                under_way = None;
            }
        }
    }
}
