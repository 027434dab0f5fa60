//! Rows that shards of a pipeline have sent one another are taken by one that was changed only if it deals out the same.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::pipelines::spec;
use support::{Decoding, Results, engine, pipeline, push};
use tocsin_worker_core::capture::Extent;
use tocsin_worker_core::engine::{Engine, Outputs};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::repartition::repartition;
use tocsin_worker_core::repartition::NotTaken;
use tocsin_worker_core::snapshot::{Restore, RestoreError};

/// The plan for two partitions, of which only the sources' topics say by what they are dealt out.
fn compiled(stage: &str, claim: &str) -> Plan {
    let claimed = format!("kafka: {{topic: alerts}}{claim}");
    let spec = spec(&format!("{{name: s, from: alerts, {stage}}}"), &["s"]);
    let (pipeline, mut plan) = pipeline(&spec.replace("kafka: {topic: alerts}", &claimed));
    repartition(&mut plan, &pipeline.spec.sources, &[2, 2]);
    plan
}

fn shard(plan: &Plan, number: u32) -> Engine {
    let mut engine = engine(plan, Decoding::Own);
    engine.set_shard(number);
    engine
}

/// What became of rows, and of state, of a pipeline that was changed: `None` if it goes on.
fn after(before: &Plan, now: &Plan) -> (Option<String>, Option<String>) {
    let (mut sender, mut receiver) = (shard(before, 0), shard(before, 1));
    let records = (0..20)
        .map(|i| format!(r#"{{"ts":{i},"service":"s{i}","host":"h{i}","ms":{i},"cpu":{i},"severity":"CRITICAL"}}"#));
    push(
        &mut sender,
        0,
        &records.collect::<Vec<_>>(),
        0,
        before,
        &mut Results::default(),
    );
    let dealt = sender.take_dealt(0, 1);
    assert!(!dealt.is_empty());
    let head = receiver.begin_capture(Extent::Whole).save();
    let mut changed = shard(now, 1);
    let rows =
        dealt.iter().find_map(
            |(stage, _, record)| match changed.arrive(*stage, record, 0, &mut Outputs::default()) {
                Ok(()) => None,
                Err(NotTaken::Otherwise(otherwise)) => Some(otherwise.to_string()),
                Err(NotTaken::Corrupt(corrupt)) => panic!("{corrupt}"),
            },
        );
    let state = match Restore::resume(&mut shard(now, 1), head, true) {
        Ok(_) => None,
        Err(RestoreError::Otherwise(otherwise)) => Some(otherwise.to_string()),
        Err(other) => panic!("{other}"),
    };
    (rows, state)
}

const HOT: &str = "alarm: {by: [service], when: 'ms > 50', severity: MAJOR}";
const KPIS: &str = "aggregate: {by: [service], window: {tumbling: 30s}, select: {total: sum(ms)}}";

#[test]
fn a_change_that_deals_out_the_same_rows_goes_on_with_those_on_their_way() {
    for (before, now) in [
        (HOT, "alarm: {by: [service], when: 'ms > 90', severity: MAJOR}"),
        (HOT, "alarm: {by: [service], when: 'ms > 50', severity: MINOR}"),
        (
            KPIS,
            "emit: Final, aggregate: {by: [service], window: {tumbling: 30s}, select: {total: sum(ms)}}",
        ),
        (
            KPIS,
            "aggregate: {by: [service], window: {tumbling: 10s}, select: {total: sum(ms)}}",
        ),
    ] {
        let found = after(&compiled(before, ""), &compiled(now, ""));
        assert_eq!(found, (None, None), "{before} -> {now}");
    }
}

#[test]
fn rows_that_would_be_taken_for_others_are_refused_with_what_to_do() {
    for (before, now) in [
        // As many columns, of the same types.
        (HOT, "alarm: {by: [service], when: 'cpu > 50', severity: MAJOR}"),
        // More of them.
        (
            HOT,
            "alarm: {by: [service], when: 'ms > 50 AND cpu > 50', severity: MAJOR}",
        ),
        // Others' keys.
        (HOT, "alarm: {by: [host], when: 'ms > 50', severity: MAJOR}"),
        (
            KPIS,
            "aggregate: {by: [host], window: {tumbling: 30s}, select: {total: sum(ms)}}",
        ),
    ] {
        let (rows, state) = after(&compiled(before, ""), &compiled(now, ""));
        assert!(
            rows.is_some() && rows == state,
            "{before} -> {now}: {rows:?}, {state:?}"
        );
    }
    let (rows, _) = after(&compiled(HOT, ""), &compiled(KPIS.replace("ms", "cpu").as_str(), ""));
    expect_test::expect![[r#"rows of stage s are on their way between shards in another form than it has now ([service] by Murmur2 of (cpu: Float64, service: Utf8)): run the pipeline as it was, take a savepoint that drains (`"drain": true`), and begin a later run epoch with that (`--restore-from`, `--rewind-to-epoch`)"#]].assert_eq(&rows.unwrap());
}

#[test]
fn rows_that_were_added_up_otherwise_are_refused() {
    let two_phase = |window: &str, select: &str| {
        let stage = format!(
            "skew: TwoPhase, aggregate: {{by: [service], window: {{tumbling: {window}}}, select: {{{select}}}}}"
        );
        compiled(&stage, "")
    };
    let before = two_phase("30s", "total: sum(ms)");
    assert_eq!(after(&before, &two_phase("30s", "again: sum(ms)")), (None, None));
    for now in [
        two_phase("10s", "total: sum(ms)"),
        two_phase("30s", "total: 'max(ms + 0)'"),
    ] {
        let (rows, state) = after(&before, &now);
        assert!(rows.is_some() && state.is_some(), "{rows:?}, {state:?}");
    }
    // They go through another topic, which nobody reads any more.
    let (_, state) = after(&before, &compiled(KPIS, ""));
    assert!(state.is_some());
}

#[test]
fn where_producers_deal_out_by_key_a_change_stops_only_those_who_sent_rows() {
    let claim = ", partitionedBy: {key: [service]}";
    let other = "alarm: {by: [service], when: 'cpu > 50', severity: MAJOR}";
    let (rows, state) = after(&compiled(HOT, claim), &compiled(other, claim));
    assert!(rows.is_some() && state.is_none(), "{rows:?}, {state:?}");
}

#[test]
fn a_claim_comes_and_goes_where_rows_stay_of_their_form() {
    let claim = |partitioner: &str| format!(", partitionedBy: {{key: [service], partitioner: {partitioner}}}");
    let (no, same, other) = (
        compiled(HOT, ""),
        compiled(HOT, &claim("Murmur2")),
        compiled(HOT, &claim("Crc32")),
    );
    assert_eq!(after(&no, &same), (None, None));
    assert_eq!(after(&same, &no), (None, None));
    let (rows, state) = after(&no, &other);
    assert!(rows.is_some() && state.is_some(), "{rows:?}, {state:?}");
}

/// What becomes of the state of these stages when these others take it back, in one shard.
fn goes_on(before: &str, now: &str) -> Result<(), RestoreError> {
    let [before, now] = [before, now].map(|stages| {
        let (pipeline, mut plan) = pipeline(&spec(stages, &["critical"]));
        repartition(&mut plan, &pipeline.spec.sources, &[1, 1]);
        plan
    });
    let mut engine = shard(&before, 0);
    let record = |ts: u32| format!(r#"{{"ts":{ts},"service":"s","host":"h","ms":1,"cpu":1,"severity":"CRITICAL"}}"#);
    let records: Vec<String> = (0..20).map(record).collect();
    push(&mut engine, 0, &records, 0, &before, &mut Results::default());
    let head = engine.begin_capture(Extent::Whole).save();
    Restore::resume(&mut shard(&now, 0), head, false).map(drop)
}

#[test]
fn a_stage_that_has_no_state_may_change_and_others_come_beside_it() {
    const FILTER: &str = "{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}";
    const OTHER: &str = "{name: critical, from: alerts, filter: \"severity = 'MAJOR' AND event_time IS NOT NULL\"}";
    const ALARM: &str = "{name: hot, from: alerts, alarm: {by: [service], when: 'cpu > 50', severity: MAJOR}}";
    const LATER: &str = "{name: hot, from: alerts, alarm: {by: [service], when: 'cpu > 50 AND event_time IS NOT NULL', severity: MAJOR}}";
    for (before, now) in [
        (format!("{FILTER}, {ALARM}"), format!("{FILTER}, {LATER}")),
        (FILTER.to_owned(), OTHER.to_owned()),
        (FILTER.to_owned(), format!("{FILTER}, {ALARM}")),
        (format!("{FILTER}, {ALARM}"), format!("{ALARM}, {OTHER}")),
    ] {
        goes_on(&before, &now).unwrap_or_else(|error| panic!("{before} -> {now}: {error}"));
    }
}
