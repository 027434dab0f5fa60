//! The program as a user runs it: files in, lines out.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{Folder, PIPELINE, RUN, alerts, by_sink, text};

#[test]
fn a_pipe_gives_the_same_as_a_file() {
    let folder = Folder::new();
    folder.write("a.jsonl", alerts().join("\n"));
    let by_file = folder.output(&[&RUN[..], &["alerts=a.jsonl"]].concat());
    assert!(by_file.status.success(), "{}", text(&by_file.stderr));
    let mut child = folder
        .tocsin(&[&RUN[..], &["alerts=-"]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(alerts().join("\n").as_bytes())
        .unwrap();
    let by_pipe = child.wait_with_output().unwrap();
    assert_eq!(by_sink(&text(&by_pipe.stdout)), by_sink(&text(&by_file.stdout)));
}

#[test]
fn bad_records_become_dead_letters_and_no_good_one_is_lost() {
    let folder = Folder::new();
    let deep = format!("{{\"ts\":1,\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bad: Vec<Vec<u8>> = vec![
        b"not json".to_vec(),
        b"{\"ts\":1,\"service\":\"\xff\"}".to_vec(),
        deep.into_bytes(),
        b"{\"ts\":NaN}".to_vec(),
        b"{\"service\":\"api\"}".to_vec(),
        b"{\"ts\":4102444800,\"service\":\"api\",\"severity\":\"CRITICAL\"}".to_vec(),
        format!("{{\"ts\":1,\"service\":\"{}\"}}", "x".repeat(50 << 20)).into_bytes(),
    ];
    let mut file: Vec<Vec<u8>> = Vec::new();
    for (good, bad) in alerts().iter().zip(bad.iter().map(Some).chain(std::iter::repeat(None))) {
        file.push(good.clone().into_bytes());
        file.extend(bad.cloned());
    }
    folder.write("clean.jsonl", alerts().join("\n"));
    folder.write("a.jsonl", file.join(&b'\n'));
    let clean = folder.output(&[&RUN[..], &["alerts=clean.jsonl"]].concat());
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl", "--dead-letters", "dead.jsonl"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(by_sink(&text(&output.stdout)), by_sink(&text(&clean.stdout)));
    let dead: Vec<serde_json::Value> = folder
        .read("dead.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(dead.len(), bad.len(), "{dead:?}");
    let mut lines: Vec<u64> = dead.iter().map(|letter| letter["line"].as_u64().unwrap()).collect();
    // The one of 2100 is held until others have spoken against it.
    lines.sort_unstable();
    assert_eq!(lines, [2, 4, 6, 8, 10, 12, 14]);
    assert!(
        text(&output.stderr).contains("7 bad records"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_value_that_does_not_fit_its_declared_type_is_a_dead_letter_and_a_key_that_comes_twice_is_none() {
    let folder = Folder::new();
    let source = "kafka: {topic: incident_alerts}\n    format: {fields: [{name: id, type: Int64}]}";
    folder.write("p.yaml", PIPELINE.replace("kafka: {topic: incident_alerts}", source));
    let alert = |id: &str| format!("{{\"ts\":1,\"service\":\"api\",\"severity\":\"CRITICAL\",\"id\":{id}}}");
    let ids = [
        "9223372036854775808",
        "1e3",
        "1.5",
        "\"7\"",
        "true",
        "null",
        "1,\"id\":2",
    ];
    folder.write("a.jsonl", ids.map(alert).join("\n"));
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl", "--dead-letters", "dead.jsonl"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let dead = folder.read("dead.jsonl");
    let lines: Vec<u64> = dead
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["line"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(lines, [1, 3, 4, 5], "{dead}");
    assert!(dead.contains("9223372036854775808") && dead.contains("`id`"), "{dead}");
    // 1e3, null and the doubled key are three alerts.
    assert!(text(&output.stdout).contains("ESCALATED"), "{}", text(&output.stdout));
}

#[test]
fn a_record_of_1970_does_no_harm() {
    let folder = Folder::new();
    let with_old: Vec<String> = alerts()
        .iter()
        .map(|alert| alert.replace("\"ts\":", "\"ts\":176722560"))
        .collect();
    let mut lines = with_old.clone();
    lines.insert(4, "{\"ts\":0,\"service\":\"old\",\"severity\":\"CRITICAL\"}".to_owned());
    folder.write("clean.jsonl", with_old.join("\n"));
    folder.write("a.jsonl", lines.join("\n"));
    let clean = folder.output(&[&RUN[..], &["alerts=clean.jsonl"]].concat());
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl"]].concat());
    assert_eq!(text(&output.stdout), text(&clean.stdout));
    assert!(text(&output.stderr).contains("too late"), "{}", text(&output.stderr));
}

#[test]
fn the_first_bad_record_ends_the_run_if_so_asked() {
    let folder = Folder::new();
    // What stands behind it is not taken: alone it would escalate.
    let (front, behind) = ("{\"ts\":1}\n", alerts().join("\n"));
    folder.write("a.jsonl", format!("{front}nonsense\n{behind}"));
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl", "--on-error", "stop"]].concat());
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stdout), "");
    assert!(
        text(&output.stderr).contains("source `alerts`, record 1"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn an_empty_file_is_no_error() {
    let folder = Folder::new();
    folder.write("a.jsonl", "");
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl"]].concat());
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "");
    assert!(
        text(&output.stderr).contains("alerts: the input is empty"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn only_the_last_state_of_each_incident_comes_with_final() {
    let folder = Folder::new();
    folder.write("a.jsonl", alerts().join("\n"));
    let args = [&RUN[..], &["alerts=a.jsonl", "--final", "--output", "pager=out.jsonl"]].concat();
    let output = folder.output(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(folder.read("out.jsonl").lines().count(), 1);
}

#[test]
fn a_reader_that_goes_away_ends_the_run_without_an_error() {
    let folder = Folder::new();
    let many: Vec<String> = (0..60_000).flat_map(|_| alerts()).collect();
    folder.write("a.jsonl", many.join("\n"));
    let mut child = folder
        .tocsin(&[&RUN[..], &["alerts=a.jsonl"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panicked"));
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples")
}

#[test]
fn the_sample_of_the_design_is_checked_and_says_what_is_not_built() {
    let folder = Folder::new();
    let noc = samples().join("noc.yaml");
    let output = folder.output(&["check", noc.to_str().unwrap()]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(
        said.contains("stage incidents") && said.contains("not built yet"),
        "{said}"
    );
    let output = folder.output(&["run", noc.to_str().unwrap(), "--no-page"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).contains("spec.stages[known].enrich"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_demo_finds_incidents_and_says_how_fast_it_was() {
    let folder = Folder::new();
    let output = folder.output(&[
        "demo",
        "--port",
        "0",
        "--samples",
        samples().to_str().unwrap(),
        "--alerts",
        "60000",
    ]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    for part in [
        "Incidents in the real series",
        "office",
        "web",
        "windows that people labelled",
        "events in",
    ] {
        assert!(said.contains(part), "expected `{part}` in:\n{said}");
    }
}
