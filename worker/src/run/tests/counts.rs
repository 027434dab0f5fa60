//! What is counted, and for whom rows are encoded.

use super::*;

const COUNTS: &str = "\
spec:
  sources:
  - {name: a, kafka: {topic: a}, eventTime: {field: ts, unit: Microseconds}}
  stages:
  - {name: counts, from: a, aggregate: {select: {total: count(*)}, window: {tumbling: 10s}}}
  sinks:
  - {name: out, from: counts, kafka: {topic: out}}
";

#[test]
fn a_record_that_is_too_long_is_a_dead_record_of_its_source() {
    let steps = vec![Step::Record(0.0, 0.0), Step::TooLong(0.0), Step::Record(0.0, 1.0)];
    let (_, summary) = run_scripts(COUNTS, &[(false, steps)]);
    let source = &summary.sources[0];
    assert_eq!((source.records, source.dead, summary.events), (3, 1, 3));
    assert_eq!(summary.dead.values().sum::<u64>(), source.dead);
}

#[test]
fn rows_are_told_only_if_somebody_watches() {
    let check = |watched: bool, expected: usize| {
        let (clock, plan) = (ManualClock::beginning_at(BEGAN), plan_of(COUNTS));
        let inputs = scripted(&clock, &plan, &[(false, vec![Step::Record(0.0, 0.0)])]);
        let mut watcher = Counting::default();
        run_before(&mut watcher, watched, &clock, plan, inputs);
        assert_eq!(watcher.0, expected, "watched: {watched}");
    };
    check(true, 1);
    check(false, 0);
}
