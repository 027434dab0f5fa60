//! A pipeline made by `init` checks, and runs on the records that it was made from.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write;
use std::process::Stdio;

use support::{Folder, text};

#[test]
fn init_makes_a_pipeline_that_runs_on_the_records_it_was_made_from() {
    let folder = Folder::new();
    let records: Vec<String> = (0..300)
        .map(|i| {
            let level = if i % 3 == 0 { "ERROR" } else { "INFO" };
            format!(
                "{{\"time\":\"2026-03-01T10:{:02}:{:02}Z\",\"app\":\"app-{}\",\"level\":\"{level}\",\"took_ms\":{}}}",
                i / 60,
                i % 60,
                i % 4,
                i % 97
            )
        })
        .collect();
    folder.write("log.jsonl", records.join("\n"));
    let made = folder.output(&["init", "log.jsonl", "-o", "mine.yaml"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let checked = folder.output(&["check", "mine.yaml"]);
    assert!(
        checked.status.success(),
        "{}{}\n{}",
        text(&checked.stdout),
        text(&checked.stderr),
        folder.read("mine.yaml")
    );
    let ran = folder.output(&["run", "mine.yaml", "--no-page"]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(
        text(&ran.stdout).contains("\"status\":\"opened\""),
        "{}\n{}",
        text(&ran.stdout),
        folder.read("mine.yaml")
    );
    let again = folder.output(&["init", "log.jsonl", "-o", "mine.yaml"]);
    assert_eq!(again.status.code(), Some(2), "an existing file is not overwritten");
}

#[test]
fn init_understands_csv() {
    let folder = Folder::new();
    let rows: Vec<String> = (0..50)
        .map(|i| format!("2026-03-01 10:00:{i:02},host-{},{}.5", i % 3, i))
        .collect();
    folder.write("cpu.csv", format!("timestamp,host,cpu\n{}\n", rows.join("\n")));
    let made = folder.output(&["init", "cpu.csv", "-o", "mine.yaml"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let ran = folder.output(&["run", "mine.yaml", "--no-page"]);
    assert!(
        ran.status.success(),
        "{}\n{}",
        text(&ran.stderr),
        folder.read("mine.yaml")
    );
}

/// Makes a pipeline from a file, checks it and runs it: no record may be dead, and each part stands in the result.
fn check_made(file: &str, records: &str, expected: &[&str]) {
    let folder = Folder::new();
    folder.write(file, records);
    let made = folder.output(&["init", file, "-o", "mine.yaml"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    check_runs(&folder, &["run", "mine.yaml", "--no-page"], "", expected);
}

fn check_runs(folder: &Folder, run: &[&str], stdin: &str, expected: &[&str]) {
    let pipeline = folder.read("mine.yaml");
    let checked = folder.output(&["check", "mine.yaml"]);
    assert!(checked.status.success(), "{}\n{pipeline}", text(&checked.stderr));
    let mut ran = folder
        .tocsin(run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    ran.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let ran = ran.wait_with_output().unwrap();
    let (said, rows) = (text(&ran.stderr), text(&ran.stdout));
    assert!(
        ran.status.success() && !said.contains("bad record"),
        "{said}\n{pipeline}"
    );
    for part in expected {
        assert!(rows.contains(part), "expected `{part}` in:\n{rows}\n{said}\n{pipeline}");
    }
}

/// Records with a key and a number, one a second; the last number is by far the largest.
fn json_lines(key: &str, number: &str) -> String {
    let line = |i: usize| {
        let mut record = serde_json::json!({"time": format!("2026-03-01T10:00:{:02}Z", i % 60)});
        record[key] = "a".into();
        record[number] = (if i == 49 { 1000 } else { i }).into();
        format!("{record}\n")
    };
    (0..50).map(line).collect()
}

#[test]
fn odd_names_of_fields_are_quoted_and_read() {
    for (key, number) in [
        ("service", "took-ms"),
        ("service", "CPU (%)"),
        ("y", "n"),
        ("host.name", "cpu.load"),
        ("größe", "it's \"b\""),
        ("a: b", "{x}"),
    ] {
        let shown = serde_json::json!({key: "a"}).to_string();
        let parts = [shown.trim_matches(['{', '}']), "\"status\":\"opened\""];
        check_made("log.jsonl", &json_lines(key, number), &parts);
    }
}

#[test]
fn a_field_with_numbers_and_texts_is_no_measure() {
    let line = |i: usize| {
        let took = if i.is_multiple_of(20) {
            "\"n/a\"".to_owned()
        } else {
            i.to_string()
        };
        format!("{{\"ts\":{},\"host\":\"a\",\"took\":{took}}}\n", 1_700_000_000 + i)
    };
    check_made("log.jsonl", &(0..100).map(line).collect::<String>(), &["\"events\":"]);
    let row = |i: usize| {
        format!(
            "{},a,{}\n",
            1_700_000_000 + i,
            if i.is_multiple_of(20) {
                "n/a".to_owned()
            } else {
                i.to_string()
            }
        )
    };
    let csv = format!("ts,host,took\n{}", (0..100).map(row).collect::<String>());
    check_made("log.csv", &csv, &["\"events\":"]);
}

fn csv() -> String {
    let row = |i: usize| {
        format!(
            "2026-03-01 10:00:{i:02},\"host, {}\",{},{}\n",
            i % 3,
            if i.is_multiple_of(2) { "ERROR" } else { "INFO" },
            if i == 49 { 1000 } else { i }
        )
    };
    format!(
        "timestamp,host.name,level,CPU (%)\n{}",
        (0..50).map(row).collect::<String>()
    )
}

#[test]
fn csv_is_known_by_its_rows_whatever_the_file_is_called() {
    for file in ["cpu.csv", "cpu.log", "cpu"] {
        check_made(file, &csv(), &["\"host.name\":\"host, 1\"", "\"status\":\"opened\""]);
    }
    check_made("odd.csv", &json_lines("service", "n"), &["\"status\":\"opened\""]);
}

#[test]
fn csv_from_standard_input_is_run_as_csv() {
    let folder = Folder::new();
    let mut init = folder
        .tocsin(&["init", "-", "-o", "mine.yaml"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    init.stdin.take().unwrap().write_all(csv().as_bytes()).unwrap();
    assert!(init.wait().unwrap().success());
    check_runs(
        &folder,
        &["run", "mine.yaml", "--no-page"],
        &csv(),
        &["\"host.name\":\"host, 1\""],
    );
}

#[test]
fn a_long_name_of_a_file_gives_a_name_that_a_pipeline_may_have() {
    check_made(&format!("./--{}.jsonl", "x".repeat(90)), &json_lines("a", "n"), &[]);
    check_made(&format!("{}-y.jsonl", "x".repeat(39)), &json_lines("a", "n"), &[]);
}

#[test]
fn init_understands_line_protocol() {
    let line = |i: u64| {
        let time = 1_767_225_600 + i;
        format!(
            "cpu,host=host-{},cpu=cpu0 usage_idle={}.5,usage_user={},n={i}i {time}000000000\n",
            i % 3,
            i % 90,
            i % 7
        )
    };
    let lines: String = (0..200).map(line).collect();
    check_made("metrics.influx", &lines, &["host-1"]);
}

#[test]
fn init_understands_syslog() {
    let new = |i: u64| {
        let severity = 160 + i % 8;
        format!(
            "<{severity}>1 2026-03-01T10:{:02}:{:02}Z host-{} app 7 - - text {i}\n",
            i / 60,
            i % 60,
            i % 3
        )
    };
    let messages: String = (0..200).map(new).collect();
    check_made("messages", &messages, &["host-1"]);
    // Without priority and year, as files of rsyslog have them.
    let old = |i: u64| format!("Mar  1 10:{:02}:{:02} host-{} app[{i}]: text\n", i / 60, i % 60, i % 3);
    let messages: String = (0..200).map(old).collect();
    check_made("syslog", &messages, &["host-1"]);
}
