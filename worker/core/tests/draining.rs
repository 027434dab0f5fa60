//! Shards that are held until nothing is on its way between them, and go on as others: of another number, in another run
//! epoch. Each result is there once, and together they are what one shard comes to.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use support::Results;
use support::alerts::records;
use support::cluster::{Action, CLAIM, Cluster, actions, compiled, grown, known, plans, topic};
use support::dealt::STAGES;
use tocsin_worker_core::plan::repartition::repartition;

/// A time with so many shards: what happens, and what happens while it drains.
type Phase = (usize, Vec<(usize, Action)>, Vec<(usize, Action)>);

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    prop::collection::vec((1..5_usize, actions(), actions()), 2..4)
}

/// Whether a row of a stream was given out twice in the same revision.
fn given_twice(which: usize, results: &Results) -> Vec<String> {
    let mut twice = Vec::new();
    for (i, (_, key)) in STAGES[which].1.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for line in results.sinks.get(&format!("s{i}")).into_iter().flatten() {
            let row: Value = serde_json::from_str(line).unwrap();
            let of_row = key.iter().chain(&["_rev"]);
            let name: Vec<String> = of_row.map(|column| row[*column].to_string()).collect();
            if !seen.insert(name) {
                twice.push(line.clone());
            }
        }
    }
    twice
}

/// Runs a pipeline in phases, each with its part of the records.
fn run(which: usize, claim: &str, records: &[(String, usize)], phases: &[Phase]) -> Results {
    let (pipeline, one) = compiled(which, claim);
    let plan = |n_shards: usize| {
        let mut plan = one.clone();
        repartition(&mut plan, &pipeline.spec.sources, &[n_shards as u32]);
        plan
    };
    let mut parts = records.chunks(records.len().div_ceil(phases.len()));
    let mut cluster: Option<Cluster> = None;
    for (n_shards, actions, draining) in phases {
        let (n_shards, records) = (*n_shards, parts.next().unwrap_or_default());
        let mut now = match cluster {
            None => Cluster::new(&plan(n_shards), vec![topic(records, n_shards)], n_shards),
            Some(mut before) => {
                // A topic with fewer partitions is another one: what stands in the first must be read.
                let is_another = n_shards < before.shards.len();
                if is_another {
                    before.read_all();
                }
                before.drain(draining);
                let topic = match is_another {
                    true => topic(records, n_shards),
                    false => grown(&before.topics[0], records, n_shards),
                };
                before.go_on_with(&pipeline, &plan(n_shards), topic, is_another);
                before
            }
        };
        for (number, action) in actions {
            now.act(number % n_shards, *action);
        }
        cluster = Some(now);
    }
    cluster.unwrap().finish().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn shards_that_were_drained_go_on_as_others_and_give_each_result_once(
        which in 0..STAGES.len(),
        records in records(false),
        phases in phases(),
    ) {
        // What is computed for a key of one shard is not known where rows are dealt out no more.
        let has_expression = STAGES[which].0.contains("upper");
        let mut phases = phases;
        phases.iter_mut().for_each(|phase| phase.0 = phase.0.max(1 + usize::from(has_expression)));
        let (one, _) = plans(which, "", 1);
        let expected = Cluster::new(&one, vec![topic(&records, 1)], 1).finish().0;
        let found = run(which, "", &records, &phases);
        prop_assert_eq!(known(which, &found), known(which, &expected));
        prop_assert_eq!(given_twice(which, &found), [""; 0]);
    }

    #[test]
    fn records_outside_of_their_keys_partitions_count_once_over_a_drain(
        records in records(true),
        phases in phases(),
    ) {
        let found = run(0, CLAIM, &records, &phases);
        let [windows, late] = &known(0, &found)[..] else { panic!("two streams") };
        let counted: u64 = windows.values().map(|row| row["n"].as_u64().unwrap()).sum();
        prop_assert_eq!(counted as usize + late.len(), records.len());
        prop_assert_eq!(given_twice(0, &found), [""; 0]);
    }
}
