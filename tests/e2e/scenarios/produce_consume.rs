//! `tocsin produce` and `tocsin consume` against a real Kafka.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tocsin_contract::pipeline::source::Partitioner;
use tocsin_e2e::kafka::{Isolation, Record, Topic};
use tocsin_e2e::worker::{tocsin, tocsin_reading};
use tocsin_e2e::{Kafka, Listener, home};
use tocsin_worker_core::kafka::partitioner;

/// Runs a command that must succeed; answers what it said.
fn run(arguments: &[&str], input: &str) -> String {
    let (code, said) = tocsin_reading(arguments, input.as_bytes()).unwrap();
    assert_eq!(code, Some(0), "tocsin {}\n{said}", arguments.join(" "));
    said
}

fn address(kafka: &Kafka, topic: &str) -> String {
    format!("{}/{topic}", kafka.bootstrap(Listener::Plain).unwrap())
}

/// Alerts of some services; every tenth has none.
fn alerts(n: usize) -> Vec<String> {
    let alert = |id: usize| match id % 10 {
        9 => format!(r#"{{"id": {id}}}"#),
        _ => format!(r#"{{"id": {id}, "at": {{"service": "service-{}"}}}}"#, id % 23),
    };
    (0..n).map(alert).collect()
}

/// Each record once, with its key, in the partition in which Kafka's Java client would put it.
fn check_placed(kafka: &Kafka, topic: &str, lines: &[String], n_partitions: u32) {
    let mut left: BTreeMap<&str, u32> = BTreeMap::new();
    for line in lines {
        *left.entry(line).or_default() += 1;
    }
    for record in kafka.consume_committed(topic).unwrap() {
        let text = record.text();
        let count = left.get_mut(text.as_str()).filter(|count| **count > 0);
        *count.unwrap_or_else(|| panic!("{text} was not written, or not so often")) -= 1;
        let value: Value = serde_json::from_str(&text).unwrap();
        let key = value["at"]["service"].as_str();
        assert_eq!(record.key.as_deref(), key.map(str::as_bytes), "{text}");
        if let Some(key) = key {
            let hash = partitioner::hash(Partitioner::Murmur2, key.as_bytes());
            let expected = partitioner::partition(Partitioner::Murmur2, hash, n_partitions);
            assert_eq!(record.partition as u32, expected, "{text}");
        }
    }
    assert!(left.values().all(|count| *count == 0), "not all were written");
}

#[test]
fn lines_of_a_file_and_of_standard_input_go_where_their_keys_belong() {
    let kafka = Kafka::shared().unwrap();
    let lines = alerts(500);
    let text = lines.join("\n");
    let file = home::new_folder("lines").unwrap().join("alerts.jsonl");
    std::fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap();
    for (topic, records, input, compression) in [
        ("from-a-file", file, "", "lz4"),
        ("from-input", "-", text.as_str(), "none"),
        ("by-zstd", file, "", "zstd"),
    ] {
        let to = address(kafka, topic);
        let said = run(
            &[
                "produce",
                "--to",
                &to,
                records,
                "--key",
                "at.service",
                "--partitions",
                "5",
                "--compression",
                compression,
            ],
            input,
        );
        assert!(
            said.contains("500 records") && said.contains("50 had no such key"),
            "{said}"
        );
        assert_eq!(kafka.describe(topic).unwrap().len(), 5);
        check_placed(kafka, topic, &lines, 5);
    }
}

#[test]
fn the_generator_writes_as_many_as_asked_for_and_no_faster() {
    let kafka = Kafka::shared().unwrap();
    let to = address(kafka, "generated");
    let arguments = [
        "produce",
        "--to",
        &to,
        "--generate",
        "1500",
        "--rate",
        "1000",
        "--key",
        "service",
    ];
    let (code, said) = tocsin(&arguments).unwrap();
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("no topic generated") && said.contains("--partitions"),
        "{said}"
    );
    let started = Instant::now();
    run(&[&arguments[..], &["--partitions", "2"]].concat(), "");
    assert!(
        started.elapsed() >= Duration::from_millis(1_450),
        "{:?}",
        started.elapsed()
    );
    let records = kafka.consume_committed("generated").unwrap();
    assert_eq!(records.len(), 1_500);
    assert!(records.iter().all(|record| record.key.is_some()));
}

#[test]
fn committed_records_are_printed_as_a_table_as_json_or_as_they_are() {
    let kafka = Kafka::shared().unwrap();
    let topic = "printed";
    kafka.create(&Topic::new(topic).partitions(2)).unwrap();
    let first = Record::new(r#"{"n": 1}"#).key("k").header("cause", Some(b"none"));
    kafka.produce(topic, Some(0), &[first, Record::new("no JSON")]).unwrap();
    let producer = kafka.transactional("printed", Listener::Plain).unwrap();
    producer.begin().unwrap();
    producer.produce(topic, 1, &[Record::new("aborted")]).unwrap();
    producer.abort().unwrap();
    let from = address(kafka, topic);
    let consume = |further: &[&str]| run(&[&["consume", "--from", from.as_str()], further].concat(), "");

    assert_eq!(consume(&[]), "{\"n\": 1}\nno JSON\n");
    let mut all: Vec<String> = consume(&["--uncommitted"]).lines().map(str::to_owned).collect();
    all.sort();
    assert_eq!(all, ["aborted", "no JSON", "{\"n\": 1}"]);
    assert_eq!(consume(&["--last", "1"]), "no JSON\n");

    let json: Vec<Value> = consume(&["--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json[0]["key"], "k");
    assert_eq!(json[0]["value"]["n"], 1);
    assert_eq!(json[0]["headers"]["cause"], "none");
    assert_eq!((&json[1]["value"], &json[1]["offset"]), (&"no JSON".into(), &1.into()));

    let table = consume(&["--format", "table"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["PARTITION", "OFFSET", "TIME", "KEY", "VALUE"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][3]), ("0", "0", "k"));
    assert_eq!(lines.len(), 3);
}

/// What comes while it follows is printed, and Ctrl-C ends it.
#[test]
fn what_is_followed_goes_on_until_it_is_ended() {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new("followed")).unwrap();
    kafka.produce("followed", Some(0), &[Record::new("before")]).unwrap();
    let follower =
        tocsin_e2e::Worker::command(&["consume", "--from", &address(kafka, "followed"), "--follow"]).unwrap();
    let patience = Duration::from_secs(20);
    follower.wait_for_line("before", patience).unwrap();
    kafka.produce("followed", Some(0), &[Record::new("meanwhile")]).unwrap();
    follower.wait_for_line("meanwhile", patience).unwrap();
    follower.end(patience).unwrap();
    let end = kafka.offsets("followed", 0, Isolation::Committed).unwrap();
    assert_eq!(end, (0, 2));
}
