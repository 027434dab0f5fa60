//! The keys that most rows of stages have, as a person reads them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Decoding, Results, engine, plan, push};

/// Alerts of a service `a` on two hosts, and as many of a thousand services each on a host of its own.
fn alerts() -> Vec<String> {
    let alert = |i: usize| {
        let (service, host) = match i % 4 {
            0 => ("\"a\"".to_owned(), "\"h1\"".to_owned()),
            2 => ("\"a\"".to_owned(), "null".to_owned()),
            _ => (format!("\"s{}\"", i % 1_000), format!("\"h{i}\"")),
        };
        format!("{{\"ts\":{},\"service\":{service},\"host\":{host}}}", 1_000 + i)
    };
    (0..40_000).map(alert).collect()
}

#[test]
fn keys_are_told_by_stage_with_the_names_of_their_columns() {
    let stages = "{name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 30s}, select: {'n': count(*)}}}, \
                  {name: all, from: alerts, aggregate: {window: {tumbling: 30s}, select: {'n': count(*)}}}, \
                  {name: loud, from: alerts, escalate: {by: [service, host], count: 1000, within: 30s}}";
    let plan = plan(&format!(
        "{{sources: [{{name: alerts, stdin: {{}}, eventTime: {{field: ts, unit: Milliseconds}}}}], stages: [{stages}], \
         sinks: [{{name: out, from: kpis, stdout: {{}}}}]}}"
    ));
    let mut engine = engine(&plan, Decoding::Own);
    assert_eq!(engine.top_keys(), []);
    push(&mut engine, 0, &alerts(), 0, &plan, &mut Results::default());
    let told = engine.top_keys();
    let mut keys: Vec<(&str, &str)> = told
        .iter()
        .map(|top| (plan.stages[top.stage].name.as_str(), top.key.as_str()))
        .collect();
    keys.sort_unstable();
    // A stage of one key says nothing of it.
    let expected = [
        ("kpis", "service=a"),
        ("loud", "service=a, host=NULL"),
        ("loud", "service=a, host=h1"),
    ];
    assert_eq!(keys, expected);
    assert!(
        (told[0].share - 0.5).abs() < 0.1 && (told[1].share - 0.25).abs() < 0.1,
        "{told:?}"
    );
}
