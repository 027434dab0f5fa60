//! Alignment: a source that is ahead of those that it is merged with waits, and is not idle meanwhile.

use super::*;

const BOTH: &str = "\
spec:
  sources:
  - name: slow
    kafka: {topic: a}
    eventTime: {field: ts, unit: Microseconds, maxOutOfOrderness: 2s, idleTimeout: 30s}
  - name: ahead
    kafka: {topic: b}
    eventTime: {field: ts, unit: Microseconds, maxOutOfOrderness: 2s, idleTimeout: 30s, alignment: 20s}
  stages:
";
const MERGED: &str =
    "  - {name: both, from: [slow, ahead], aggregate: {select: {total: count(*)}, window: {tumbling: 1h}}}\n";
const APART: &str =
    "  - {name: counts, from: ahead, aggregate: {select: {total: count(*)}, window: {tumbling: 10s}}}\n";
const RECORDS: &str = "  - {name: each, from: ahead, filter: 'at >= 0'}\n";

/// At which second of the clock the rows of `ahead` come out, which gives all its records at once.
fn check(stages: &[&str], slow: (bool, &[Step]), times: &[f64], expected: &[u64]) {
    let ahead: Vec<Step> = times.iter().map(|time| Step::Record(0.0, *time)).collect();
    let ahead = [ahead, vec![Step::End(0.0)]].concat();
    check_rows(stages, "each", slow, (false, &ahead), expected);
}

fn check_rows(stages: &[&str], shown: &str, slow: (bool, &[Step]), ahead: (bool, &[Step]), expected: &[u64]) {
    let spec = format!(
        "{BOTH}{}  sinks:\n  - {{name: out, from: {shown}, kafka: {{topic: out}}}}\n",
        stages.concat()
    );
    let scripts = [(slow.0, slow.1.to_vec()), (ahead.0, ahead.1.to_vec())];
    let (rows, _) = run_scripts(&spec, &scripts);
    let seconds: Vec<u64> = rows.iter().map(|(_, at, _)| at / 1_000).collect();
    assert_eq!(seconds, expected, "{rows:?}");
}

#[test]
fn a_source_that_is_ahead_waits_until_the_others_follow() {
    let slow = [
        Step::Record(10.0, 5.0),
        Step::Record(40.0, 30.0),
        Step::Record(70.0, 31.0),
        Step::End(99.0),
    ];
    // A first record counts once a second one confirms it. The watermark of `slow` is at 28 s from 40 s on and at 29 s from
    // 70 s on; `ahead` reads on until its own is more than 20 s past that.
    check(
        &[MERGED, RECORDS],
        (false, &slow),
        &[0.0, 5.0, 25.0, 26.0, 51.0, 52.0, 53.0],
        &[0, 0, 40, 40, 40, 70, 99],
    );
}

#[test]
fn a_source_with_nothing_yet_holds_the_others_back_until_it_is_idle_or_ends() {
    check(
        &[MERGED, RECORDS],
        (true, &[Step::End(99.0)]),
        &[0.0, 1.0, 2.0],
        &[0, 0, 30],
    );
    check(
        &[MERGED, RECORDS],
        (false, &[Step::End(99.0)]),
        &[0.0, 1.0, 2.0],
        &[0, 0, 99],
    );
}

#[test]
fn sources_without_a_common_stage_do_not_wait() {
    check(&[RECORDS], (false, &[Step::End(99.0)]), &[0.0, 100.0], &[0, 0]);
}

#[test]
fn a_source_that_is_held_back_is_not_idle() {
    // Nothing comes from the one that is held either, but nobody asked it: it is idle 30 s behind the other's end.
    let ahead = [Step::Record(0.0, 0.0), Step::End(200.0)];
    let slow = [Step::End(99.0)];
    check_rows(&[MERGED, APART], "counts", (false, &slow), (true, &ahead), &[129]);
    check_rows(&[APART], "counts", (false, &slow), (true, &ahead), &[30]);
}
