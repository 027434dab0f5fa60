//! The earliest timer that is pending, as a person reads it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Decoding, Results, engine, plan, push};

const SECOND: i64 = 1_000_000;

/// What is due next, in seconds, after events `(second, value)` of one key.
fn check(stage: &str, events: &[(i64, i64)], expected: Option<i64>) {
    let plan = plan(&format!(
        "{{sources: [{{name: events, stdin: {{}}, format: {{fields: [{{name: value, type: Int64}}]}}, \
         eventTime: {{field: ts, unit: Seconds, maxOutOfOrderness: 0s, maxAhead: 1d}}}}], \
         stages: [{stage}], sinks: [{{name: out, from: s, stdout: {{}}}}]}}"
    ));
    let mut engine = engine(&plan, Decoding::Own);
    // A first record is believed when others confirm it, and an alarm takes a sample once time has gone on.
    let confirming = events.first().map(|(second, _)| (*second, 0));
    let behind = events.last().map(|(second, _)| (*second + 1, 0));
    let events: Vec<String> = std::iter::repeat_n(confirming, 3)
        .flatten()
        .chain(events.iter().copied())
        .chain(behind)
        .map(|(second, value)| format!("{{\"ts\":{second},\"key\":\"a\",\"value\":{value}}}"))
        .collect();
    push(&mut engine, 0, &events, 0, &plan, &mut Results::default());
    let timer = engine.earliest_timer();
    assert_eq!(
        timer.map(|timer| timer.due),
        expected.map(|due| due * SECOND),
        "{stage}"
    );
    assert!(timer.is_none_or(|timer| plan.stages[timer.stage].name == "s"));
}

#[test]
fn windows_are_due_when_they_close() {
    let window = |window: &str| {
        format!("{{name: s, from: events, aggregate: {{by: [key], window: {window}, select: {{'n': count(*)}}}}}}")
    };
    check(&window("{tumbling: 10s}"), &[], None);
    check(&window("{tumbling: 10s}"), &[(1_003, 1)], Some(1_010));
    check(&window("{tumbling: 10s}"), &[(1_003, 1), (1_012, 1)], Some(1_020));
    check(&window("{sliding: {size: 10s, every: 2s}}"), &[(1_003, 1)], Some(1_006));
    check(&window("{session: {gap: 30s}}"), &[(1_003, 1), (1_013, 1)], Some(1_044));
}

#[test]
fn an_alarm_is_due_when_its_condition_has_held_long_enough() {
    let alarm =
        "{name: s, from: events, alarm: {by: [key], when: value > 5, for: 60s, maxGap: 30s, severity: WARNING}}";
    check(alarm, &[(1_000, 1)], None);
    check(alarm, &[(1_000, 9), (1_010, 9)], Some(1_060));
    check(alarm, &[(1_000, 9), (1_010, 9), (1_020, 1)], None);
}

#[test]
fn an_incident_is_due_when_nothing_was_reported_for_its_time() {
    let incident = "{name: loud, from: events, filter: value > 5}, \
                    {name: s, from: loud, incident: {by: [key], openFor: 15m}}";
    check(incident, &[(1_000, 1)], None);
    check(incident, &[(1_000, 9), (1_100, 9)], Some(2_000));
}
