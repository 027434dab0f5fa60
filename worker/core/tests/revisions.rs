//! Revisions of what a pipeline works with: a shard that does again what its journal says, from its beginning or from a capture,
//! reads each record with the revision with which it read it before.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use support::alerts::records;
use support::cluster::{Action, Cluster, actions, plans, topic};

fn revised_actions() -> impl Strategy<Value = Vec<(usize, Action)>> {
    let revise = (
        0..12_usize,
        (1..6_u64).prop_map(Action::Revise),
        any::<prop::sample::Index>(),
    );
    let revised = prop::collection::vec(revise, 1..20);
    (actions(), revised).prop_map(|(mut actions, revised)| {
        for (number, action, at) in revised {
            actions.insert(at.index(actions.len() + 1), (number, action));
        }
        actions
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn records_are_read_again_with_the_revision_that_was_in_effect(
        records in records(false),
        actions in revised_actions(),
    ) {
        let (_, many) = plans(0, "", 2);
        let mut cluster = Cluster::new(&many, vec![topic(&records, 2)], 2);
        for (number, action) in actions {
            cluster.act(number % 2, action);
        }
        for number in 0..2 {
            cluster.act(number, Action::Cut);
            let before = cluster.shards[number].revisions().clone();
            // The harness compares each record.
            cluster.act(number, Action::Fail);
            prop_assert_eq!(cluster.shards[number].revisions(), &before);
            cluster.act(number, Action::Restore);
            prop_assert_eq!(cluster.shards[number].revisions(), &before);
        }
    }
}

#[test]
fn a_revision_is_a_decision_once_and_stands_between_the_records_that_it_is_between() {
    let (_, many) = plans(0, "", 1);
    let alert = |id: i64| (format!(r#"{{"ts":{},"id":{id},"service":"a"}}"#, id * 1_000), 0);
    let records: Vec<(String, usize)> = (0..6).map(alert).collect();
    let mut cluster = Cluster::new(&many, vec![topic(&records, 1)], 1);
    for action in [
        Action::Read(2),
        Action::Revise(7),
        Action::Revise(7),
        Action::Read(2),
        Action::Revise(8),
        Action::Read(2),
        Action::Cut,
    ] {
        cluster.act(0, action);
    }
    let revisions = |cluster: &Cluster| cluster.revisions_by_offset(0);
    let expected = vec![None, None, Some(7), Some(7), Some(8), Some(8)];
    assert_eq!(revisions(&cluster), expected);
    cluster.act(0, Action::Fail);
    assert_eq!(revisions(&cluster), expected);
}
