//! Sources that are idle: nobody waits for them, and whoever follows the journal comes to the same.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use support::alerts::records;
use support::cluster::{Action, Cluster, Topic, actions, plans, topic};
use support::dealt::STAGES;
use support::{Results, pipeline};
use tocsin_worker_core::plan::repartition::repartition;

/// What happens to shards whose sources are idle now and then.
fn idle_actions() -> impl Strategy<Value = Vec<(usize, Action)>> {
    let idle = prop::collection::vec((0..12_usize, Just(Action::Idle), any::<prop::sample::Index>()), 0..12);
    (actions(), idle).prop_map(|(mut actions, idle)| {
        for (number, action, at) in idle {
            actions.insert(at.index(actions.len() + 1), (number, action));
        }
        actions
    })
}

/// Runs shards of the first pipeline but one; where one ends or is captured it commits before, and does only that unless
/// `interrupted`.
fn run(
    which: usize,
    records: &[(String, usize)],
    actions: &[(usize, Action)],
    interrupted: bool,
) -> (Results, Vec<Topic>) {
    let (_, many) = plans(which, "", 3);
    let mut cluster = Cluster::new(&many, vec![topic(records, 3)], 3);
    for (number, action) in actions {
        let number = number % 3;
        if matches!(action, Action::Fail | Action::Restore) {
            cluster.act(number, Action::Cut);
        }
        if interrupted || !matches!(action, Action::Fail | Action::Restore) {
            cluster.act(number, *action);
        }
    }
    cluster.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn shards_that_end_and_are_taken_back_come_to_the_same_though_sources_were_idle(
        which in 0..STAGES.len(),
        records in records(false),
        actions in idle_actions(),
    ) {
        let (expected, _) = run(which, &records, &actions, false);
        let (found, _) = run(which, &records, &actions, true);
        prop_assert_eq!(found, expected);
    }
}

fn alert(seconds: i64, at: usize) -> (String, usize) {
    let text = format!(
        r#"{{"ts":{},"id":1,"service":"a","host":"h","ms":1.5,"severity":"MINOR"}}"#,
        seconds * 1_000
    );
    (text, at)
}

fn all_cut(cluster: &mut Cluster) {
    for _ in 0..3 {
        for number in 0..2 {
            cluster.act(number, Action::Take(100));
            cluster.act(number, Action::Cut);
        }
    }
}

/// One shard is at 100 s, the other at 1000 s and then at 2000 s: what it has is given out only once nobody waits for the first.
/// `interrupt` happens to the first while it is idle, and must not matter.
fn check(interrupt: Option<Action>) {
    let (_, many) = plans(0, "", 2);
    let records = [
        alert(100, 0),
        alert(1_000, 1),
        alert(2_000, 1),
        alert(2_500, 0),
        alert(4_000, 1),
    ];
    let mut cluster = Cluster::new(&many, vec![topic(&records, 2)], 2);
    let n_windows = |cluster: &Cluster| cluster.results.sinks.get("s0").map_or(0, Vec::len);
    let watermark = |cluster: &Cluster, number: usize| cluster.shards[number].engine().watermark(0) / 1_000_000;
    let act = |cluster: &mut Cluster, number: usize, action: Action| {
        cluster.act(number, action);
        all_cut(cluster);
        if let Some(interrupt) = interrupt {
            cluster.act(0, interrupt);
        }
    };
    act(&mut cluster, 0, Action::Read(1));
    act(&mut cluster, 1, Action::Read(2));
    assert_eq!(n_windows(&cluster), 0, "the first shard is at 94 s");
    act(&mut cluster, 0, Action::Idle);
    assert_eq!(watermark(&cluster, 0), 1_994, "it goes with the other");
    assert_eq!(n_windows(&cluster), 2, "of 100 s and 1000 s");
    let n_sent = |cluster: &Cluster| cluster.topics[1].0.iter().map(|(_, n)| n).sum::<i64>();
    let sent = n_sent(&cluster);
    act(&mut cluster, 0, Action::Idle);
    assert_eq!(watermark(&cluster, 0), 1_994, "the other is not idle");
    assert_eq!(n_sent(&cluster), sent, "that it is idle is known");
    act(&mut cluster, 0, Action::Read(1));
    act(&mut cluster, 1, Action::Read(1));
    assert_eq!(n_windows(&cluster), 3, "the first shard is at 2494 s, and waited for");
    act(&mut cluster, 1, Action::Idle);
    assert_eq!(watermark(&cluster, 1), 3_994);
    assert_eq!(n_windows(&cluster), 3, "the first is not idle");
    act(&mut cluster, 0, Action::Idle);
    act(&mut cluster, 1, Action::Idle);
    assert!(watermark(&cluster, 1) > 1_000_000_000, "all are idle");
    assert_eq!(n_windows(&cluster), 5);
}

#[test]
fn an_idle_shard_goes_with_the_others_and_not_with_the_clock_until_all_are_idle() {
    check(None);
}

#[test]
fn an_idle_shard_that_ends_or_is_taken_back_is_idle_all_the_same() {
    check(Some(Action::Fail));
    check(Some(Action::Restore));
}

/// Two sources that lead to one stage, whose rows two shards deal out.
fn two_sources(alignment: &str) -> String {
    let source = |name: &str| {
        format!(
            "{{name: {name}, kafka: {{topic: {name}}}, eventTime: {{field: ts, unit: Milliseconds, maxOutOfOrderness: 6s, \
             alignment: {alignment}}}}}"
        )
    };
    format!(
        "{{sources: [{}, {}], stages: [{{name: both, from: [alerts, metrics], filter: \"service = 'a'\"}}, \
         {{name: kpis, from: both, aggregate: {{by: [service], window: {{tumbling: 30s}}, select: {{'n': count(*)}}}}}}], \
         sinks: [{{name: s0, from: kpis, stdout: {{}}}}]}}",
        source("alerts"),
        source("metrics")
    )
}

/// The shards of such a pipeline with these records, each in its partition.
fn two_shards(alignment: &str, alerts: &[(String, usize)], metrics: &[(String, usize)]) -> Cluster {
    let (document, mut plan) = pipeline(&two_sources(alignment));
    repartition(&mut plan, &document.spec.sources, &[2, 2]);
    Cluster::new(&plan, vec![topic(alerts, 2), topic(metrics, 2)], 2)
}

/// Long after all events.
const NOW: i64 = 3_000_000_000_000_000;

/// Each shard reads all that there is; `idle` are those that are then silent, as shard and source. Answers how many windows are
/// given out in the end.
fn windows_though(alerts: &[(String, usize)], metrics: &[(String, usize)], idle: &[(usize, usize)]) -> usize {
    let mut cluster = two_shards("1m", alerts, metrics);
    for number in 0..2 {
        cluster.read_some(number, 0, 100);
        cluster.read_some(number, 1, 100);
    }
    for _ in 0..5 {
        for (number, source) in idle {
            cluster.shards[*number].tick(*source, NOW);
        }
        all_cut(&mut cluster);
    }
    cluster.results.sinks.get("s0").map_or(0, Vec::len)
}

#[test]
fn a_source_that_is_idle_in_all_shards_holds_up_none() {
    let alerts = [alert(100, 0), alert(100, 1), alert(1_000, 0), alert(1_000, 1)];
    assert_eq!(windows_though(&alerts, &[], &[(0, 1), (1, 1)]), 1);
    // It was there before.
    let metrics = [alert(90, 0), alert(95, 1)];
    assert_eq!(windows_though(&alerts, &metrics, &[(0, 1), (1, 1)]), 1);
}

#[test]
fn shards_of_which_each_has_another_idle_source_do_not_wait_for_one_another() {
    let alerts = [alert(100, 0), alert(1_000, 0)];
    let metrics = [alert(100, 1), alert(1_000, 1)];
    assert_eq!(windows_though(&alerts, &metrics, &[(1, 0), (0, 1)]), 1);
}

#[test]
fn nobody_is_held_back_by_a_source_that_is_idle() {
    let alerts = [alert(100, 0), alert(101, 0), alert(160, 0)];
    let mut cluster = two_shards("0s", &alerts, &[]);
    cluster.read_some(0, 0, 1);
    assert!(cluster.shards[0].holds(0), "the other may have records of before");
    for _ in 0..3 {
        cluster.shards[0].tick(1, NOW);
        assert!(!cluster.shards[0].holds(0));
        cluster.read_some(0, 0, 1);
    }
}
