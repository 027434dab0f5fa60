//! Idle: when event time goes on by the clock, and when it does not.

use super::*;

/// Counts by windows of 10 s; a window's row comes out as soon as event time is past its end.
const COUNTS: &str = "\
spec:
  sources:
  - name: a
    kafka: {topic: a}
    eventTime: {field: ts, unit: Microseconds, maxOutOfOrderness: 2s, idleTimeout: 30s}
  stages:
  - {name: counts, from: a, aggregate: {select: {total: count(*)}, window: {tumbling: 10s}}}
  sinks:
  - {name: out, from: counts, kafka: {topic: out}}
";

/// When the windows' rows come out, in milliseconds.
fn check(live: bool, steps: &[Step], expected: &[u64]) {
    let (rows, _) = run_scripts(COUNTS, &[(live, steps.to_vec())]);
    let moments: Vec<u64> = rows.iter().map(|(_, at, _)| *at).collect();
    // A poll may wait for so long.
    let most = PATIENCE.as_millis() as u64;
    let close = |(at, expected): (&u64, &u64)| (*expected..=expected + most).contains(at);
    assert!(
        moments.len() == expected.len() && moments.iter().zip(expected).all(close),
        "{rows:?} instead of {expected:?}"
    );
}

#[test]
fn a_live_source_lets_event_time_go_on_when_its_idle_timeout_is_over_and_not_before() {
    // Event time could be past the window at 12 s; it goes on from 30 s.
    check(true, &[Step::Record(0.0, 0.0), Step::End(100.0)], &[30_000]);
    // Each record begins the timeout anew.
    check(
        true,
        &[Step::Record(0.0, 0.0), Step::Record(25.0, 1.0), Step::End(100.0)],
        &[55_000],
    );
    // What it holds back is the bound: the window ends at 40 s, and is over at 42 s.
    check(true, &[Step::Record(0.0, 31.0), Step::End(100.0)], &[42_000]);
}

#[test]
fn an_idle_source_takes_records_again() {
    let steps = [
        Step::Record(0.0, 0.0),
        Step::Record(50.0, 50.0),
        Step::Record(63.0, 63.0),
        Step::End(64.0),
    ];
    check(true, &steps, &[30_000, 63_000, 64_000]);
}

#[test]
fn a_file_is_never_idle() {
    check(false, &[Step::Record(0.0, 0.0), Step::End(100.0)], &[100_000]);
}
