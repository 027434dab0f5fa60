//! What the program says when its user is mistaken: one clear error, the right exit code, nothing lost.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Folder, PIPELINE, RUN, alerts, text};

/// A wrong command line or pipeline: the exit code, and what the message says.
fn check_wrong(args: &[&str], pipeline: Option<&str>, code: i32, expected: &[&str]) {
    let folder = Folder::new();
    folder.write("alerts.jsonl", alerts().join("\n"));
    if let Some(pipeline) = pipeline {
        folder.write("p.yaml", pipeline);
    }
    let output = folder.output(args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in expected {
        assert!(said.contains(part), "expected `{part}` in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_missing_file_is_named_with_the_nearest() {
    check_wrong(
        &["run", "p.yaml", "--no-page", "--input", "alerts=alert.jsonl"],
        None,
        4,
        &["alert.jsonl", "alerts.jsonl"],
    );
    check_wrong(&["run", "q.yaml"], None, 4, &["q.yaml"]);
}

#[test]
fn an_unknown_input_is_named_with_what_there_is() {
    check_wrong(
        &["run", "p.yaml", "--input", "alert=x"],
        None,
        2,
        &["--input alert", "alerts"],
    );
    check_wrong(
        &["run", "p.yaml", "--no-page"],
        None,
        2,
        &["source `alerts`", "--input alerts=PATH"],
    );
    check_wrong(&["run", "p.yaml", "--input", "alerts"], None, 2, &["NAME=PATH"]);
}

#[test]
fn all_problems_of_a_pipeline_come_at_once() {
    let wrong = PIPELINE
        .replace("from: critical, escalate", "from: crticial, escalate")
        .replace("openFor: 30m", "openFor: soon")
        .replace("count: 3", "cuont: 3");
    check_wrong(
        &["check", "p.yaml"],
        Some(&wrong),
        3,
        &["cuont", "count", "openFor", "soon", "did you mean `critical`?"],
    );
    // A mistake in one part, and one in another that only the compiler sees.
    let wrong = PIPELINE
        .replace("severity = 'CRITICAL'", "severity + 1")
        .replace("openFor: 30m", "openFor: soon");
    check_wrong(
        &["check", "p.yaml"],
        Some(&wrong),
        3,
        &["openFor", "soon", "spec.stages[critical].filter"],
    );
    let wrong = PIPELINE
        .replace("from: critical, escalate", "from: crticial, escalate")
        .replace("severity = 'CRITICAL'", "severity = = 3");
    check_wrong(
        &["check", "p.yaml"],
        Some(&wrong),
        3,
        &["spec.stages[critical].filter", "^", "did you mean `critical`?"],
    );
}

#[test]
fn two_kinds_a_cycle_and_bad_expressions_are_each_one_clear_error() {
    let with = |stage: &str| PIPELINE.replace("  sinks:", &format!("  - {stage}\n  sinks:"));
    let two = with("{name: x, from: alerts, filter: 'true', sql: 'SELECT * FROM alerts'}");
    check_wrong(&["check", "p.yaml"], Some(&two), 3, &["spec.stages[x]", "exactly one"]);
    let cycle = with("{name: ping, from: pong, filter: 'true'}\n  - {name: pong, from: ping, filter: 'true'}");
    check_wrong(&["check", "p.yaml"], Some(&cycle), 3, &["circle", "ping -> pong"]);
    let long = with(&format!(
        "{{name: x, from: alerts, filter: \"{}\"}}",
        "a = 1 OR ".repeat(600)
    ));
    check_wrong(&["check", "p.yaml"], Some(&long), 3, &["spec.stages[x].filter", "4096"]);
    let deep = with(&format!(
        "{{name: x, from: alerts, filter: \"{}1{}\"}}",
        "(".repeat(2000),
        ")".repeat(2000)
    ));
    check_wrong(
        &["check", "p.yaml"],
        Some(&deep),
        3,
        &["spec.stages[x].filter", "nested"],
    );
    let clock = with("{name: x, from: alerts, filter: \"ts < now()\"}");
    check_wrong(&["check", "p.yaml"], Some(&clock), 3, &["clock", "event_time"]);
}

/// A run that would overwrite a file: refused with these words, and all files stay as they were.
fn check_overwriting(args: &[&str], sink: &str, expected: &[&str]) {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("sub")).unwrap();
    let pipeline = PIPELINE.replace("kafka: {topic: incidents}", sink);
    folder.write("p.yaml", &pipeline);
    folder.write("a.jsonl", alerts().join("\n"));
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl"], args].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in expected {
        assert!(said.contains(part), "expected `{part}` in:\n{said}");
    }
    assert_eq!(folder.read("a.jsonl"), alerts().join("\n"));
    assert_eq!(folder.read("p.yaml"), pipeline);
    let n_files = std::fs::read_dir(folder.path("")).unwrap().count();
    assert_eq!(n_files, 3, "nothing was created");
}

const TOPIC: &str = "kafka: {topic: incidents}";

#[test]
fn what_is_read_is_not_overwritten() {
    let expected = ["sink `pager`", "source `alerts`"];
    check_overwriting(&["--output", "pager=a.jsonl"], TOPIC, &expected);
    check_overwriting(&["--output", "pager=sub/../a.jsonl"], TOPIC, &expected);
    check_overwriting(&[], "file: {path: a.jsonl}", &expected);
    check_overwriting(
        &["--dead-letters", "./a.jsonl"],
        TOPIC,
        &["--dead-letters", "source `alerts`"],
    );
    check_overwriting(&["--output", "pager=p.yaml"], TOPIC, &["sink `pager`", "pipeline"]);
}

#[test]
fn no_file_is_written_twice() {
    let sinks = ["sink `pager`", "sink `escalations`", "out.jsonl"];
    let twice = [
        "--output",
        "pager=out.jsonl",
        "--output",
        "escalations=sub/../out.jsonl",
    ];
    check_overwriting(&twice, TOPIC, &sinks);
    check_overwriting(
        &["--output", "escalations=out.jsonl"],
        "file: {path: ./out.jsonl}",
        &sinks,
    );
    check_overwriting(
        &["--dead-letters", "out.jsonl"],
        "file: {path: out.jsonl}",
        &["sink `pager`", "--dead-letters"],
    );
}

#[test]
fn a_device_may_be_written_by_several() {
    let folder = Folder::new();
    folder.write("a.jsonl", alerts().join("\n"));
    let null = ["--output", "pager=/dev/null", "--output", "escalations=/dev/null"];
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl"], &null].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
}
