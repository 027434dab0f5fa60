//! Shards that deal rows out by key come to what one shard comes to, and to the same whatever order they work in, wherever
//! one stops and follows its journal, and wherever state is captured and taken back.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use serde_json::{Map, Value};
use support::Results;
use support::alerts::records;
use support::cluster::{Action, CLAIM, Cluster, actions, known, plans, topic};
use support::dealt::STAGES;
use tocsin_contract::pipeline::source::Partitioner;
use tocsin_worker_core::kafka::partitioner::{hash, partition};
use tocsin_worker_core::plan::Plan;

fn run(plan: &Plan, records: &[(String, usize)], n_shards: usize, actions: &[(usize, Action)]) -> Results {
    let mut cluster = Cluster::new(plan, vec![topic(records, n_shards)], n_shards);
    for (number, action) in actions {
        cluster.act(number % n_shards, *action);
    }
    cluster.finish().0
}

proptest! {
    // Each case runs many shards.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn shards_that_deal_out_by_key_come_to_what_one_comes_to(
        which in 0..STAGES.len(),
        records in records(false),
        n_shards in 2..4_usize,
        actions in actions(),
    ) {
        let (one, many) = plans(which, "", n_shards);
        prop_assert!(many.repartitioned().next().is_some());
        let expected = run(&one, &records, 1, &[]);
        let found = run(&many, &records, n_shards, &actions);
        prop_assert_eq!(known(which, &found), known(which, &expected));
    }

    /// Of sliding windows only: one that is not given out takes a late row in, and which those are depends on the others.
    #[test]
    fn what_is_late_does_not_depend_on_how_far_other_shards_are(
        which in prop::sample::select(vec![0_usize, 1, 3, 4, 5, 6, 8]),
        records in records(true),
        n_shards in 2..4_usize,
        actions in actions(),
        others in actions(),
    ) {
        let (_, many) = plans(which, "", n_shards);
        let first = run(&many, &records, n_shards, &actions);
        let second = run(&many, &records, n_shards, &others);
        prop_assert_eq!(known(which, &first), known(which, &second));
    }

    #[test]
    fn records_that_stand_in_another_partition_than_their_key_count_once_with_their_key(
        records in records(true),
        n_shards in 2..4_usize,
        actions in actions(),
    ) {
        let (_, many) = plans(0, CLAIM, n_shards);
        prop_assert!(many.stages.iter().flat_map(|stage| &stage.repartition).all(|dealt| dealt.claimed));
        let found = run(&many, &records, n_shards, &actions);
        let [windows, late] = &known(0, &found)[..] else { panic!("two streams") };
        // Behind the end of their window they count as long as that is allowed.
        let counted: u64 = windows.values().map(|row| row["n"].as_u64().unwrap()).sum();
        prop_assert_eq!(counted as usize + late.len(), records.len());
    }

    #[test]
    fn where_the_claim_is_true_nothing_is_sent_and_nobody_waits(
        records in records(false),
        n_shards in 2..4_u32,
        actions in actions(),
    ) {
        let (one, many) = plans(0, CLAIM, n_shards as usize);
        let placed = records.into_iter().map(|(text, _)| {
            let record: Map<String, Value> = serde_json::from_str(&text).unwrap();
            let key = record["service"].as_str().unwrap_or_default().as_bytes();
            let at = partition(Partitioner::Murmur2, hash(Partitioner::Murmur2, key), n_shards);
            (text, at as usize)
        });
        let records: Vec<(String, usize)> = placed.collect();
        let mut cluster = Cluster::new(&many, vec![topic(&records, n_shards as usize)], n_shards as usize);
        // One that is held says so to the others.
        for (number, action) in actions.iter().filter(|(_, action)| !matches!(action, Action::Hold)) {
            cluster.act(number % n_shards as usize, *action);
        }
        let (found, topics) = cluster.finish();
        prop_assert!(topics[1].0.iter().all(|(_, n)| *n == 0));
        prop_assert_eq!(known(0, &found), known(0, &run(&one, &records, 1, &[])));
    }
}
