//! A replay at a given speed: rows are out when they are due.

use super::*;
use crate::source::{PacedSource, Pacer, Speed};

const EACH: &str = "\
spec:
  sources:
  - {name: a, kafka: {topic: a}, eventTime: {field: ts, unit: Microseconds, maxOutOfOrderness: 2s}}
  - {name: b, kafka: {topic: b}, eventTime: {field: ts, unit: Microseconds, maxOutOfOrderness: 2s}}
  stages:
  - {name: from_a, from: a, filter: 'at >= 0'}
  - {name: from_b, from: b, filter: 'at >= 0'}
  sinks:
  - {name: a, from: from_a, kafka: {topic: a}}
  - {name: b, from: from_b, kafka: {topic: b}}
";

/// The sink and the moment of each row, with two files of records at these times, read at this speed.
fn check(speed: f64, files: [&[f64]; 2], expected: &[(&str, u64)]) {
    let (clock, plan) = (ManualClock::beginning_at(BEGAN), plan_of(EACH));
    let pacer = Arc::new(Mutex::new(Pacer::new(Speed::Times(speed))));
    let scripts = files.map(|times| (false, times.iter().map(|time| Step::Record(0.0, *time)).collect()));
    let inputs = scripted(&clock, &plan, &scripts)
        .into_iter()
        .zip(&plan.sources)
        .map(|(input, plan)| Input {
            source: Box::new(PacedSource::new(
                input.source,
                plan,
                pacer.clone(),
                Box::new(clock.clone()),
            )),
            ..input
        })
        .collect();
    let (rows, _) = run_inputs(&clock, plan, inputs);
    let came: Vec<(&str, u64)> = rows.iter().map(|(sink, at, _)| (sink.as_str(), *at)).collect();
    let tick = PATIENCE.as_millis() as u64;
    let close = |((sink, at), (of, due)): (&(&str, u64), &(&str, u64))| sink == of && (*due..=due + tick).contains(at);
    assert!(
        came.len() == expected.len() && came.iter().zip(expected).all(close),
        "{came:?} instead of {expected:?}"
    );
}

#[test]
fn rows_of_a_small_file_are_out_when_they_are_due() {
    check(
        1.0,
        [&[0.0, 0.0, 1.0, 5.5], &[]],
        &[("a", 0), ("a", 0), ("a", 1_000), ("a", 5_500)],
    );
    check(
        60.0,
        [&[0.0, 0.0, 60.0, 360.0], &[]],
        &[("a", 0), ("a", 0), ("a", 1_000), ("a", 6_000)],
    );
    // A first record counts once a second one confirms it.
    check(1.0, [&[0.0, 1.0], &[]], &[("a", 1_000), ("a", 1_000)]);
}

#[test]
fn files_keep_their_distance_to_one_another() {
    check(
        1.0,
        [&[0.0, 0.0, 10.0], &[4.0, 4.0, 12.0]],
        &[
            ("a", 0),
            ("a", 0),
            ("b", 4_000),
            ("b", 4_000),
            ("a", 10_000),
            ("b", 12_000),
        ],
    );
}
