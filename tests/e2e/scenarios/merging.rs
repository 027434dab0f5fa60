//! Two topics make one stream, in the order of event time. What comes of it is what a run over files gives, whoever is killed
//! meanwhile and whichever topic is behind.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};
use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::rounds;
use tocsin_e2e::kafka::Topic;
use tocsin_e2e::wait::until;
use tocsin_e2e::worker::tocsin;
use tocsin_e2e::{Kafka, Listener, Worker, WorkerOptions, home};

const PARTITIONS: i32 = 4;

/// Events between two kills.
const PART: i64 = 2_000;

/// Event time between two events, in milliseconds.
const STEP: i64 = 10;

/// 2026-11-01.
const BASE: i64 = 1_793_491_200_000;

/// Which event is the third of its service depends on the order of both topics; so does what a window holds.
const PIPELINE: &str = "
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: NAME}
spec:
  sources:
  - name: alerts
    kafka: {topic: NAME-alerts}
    partitionedBy: {key: [service], partitioner: Murmur2}
    format: {type: Json}
    eventTime: {field: ts, unit: Milliseconds, maxOutOfOrderness: 2s, idleTimeout: 1h, maxAhead: 1d}
  - name: metrics
    kafka: {topic: NAME-metrics}
    partitionedBy: {key: [service], partitioner: Murmur2}
    format: {type: Json}
    eventTime: {field: ts, unit: Milliseconds, maxOutOfOrderness: 2s, idleTimeout: 1h, maxAhead: 1d}
  stages:
  - name: third
    from: [alerts, metrics]
    escalate: {by: [service], count: 3, within: 1h, severity: ESCALATED}
  - name: counted
    from: [alerts, metrics]
    aggregate: {by: [service], window: {tumbling: 1s}, select: {events: count(*), ids: sum(id)}}
  sinks:
  - {name: escalations, from: third, kafka: {topic: NAME-escalations}}
  - {name: windows, from: counted, kafka: {topic: NAME-windows}}
";

/// A pipeline over two topics, and all that was written to them.
struct Merged<'a> {
    kafka: &'a Kafka,
    name: String,
    folder: PathBuf,
    pipeline: PathBuf,
    /// Lines of both topics.
    written: [String; 2],
    next: i64,
}

const TOPICS: [&str; 2] = ["alerts", "metrics"];

impl<'a> Merged<'a> {
    fn new(kafka: &'a Kafka, name: &str) -> Self {
        let folder = home::new_folder(name).unwrap();
        let pipeline = folder.join("pipeline.yaml");
        std::fs::write(&pipeline, PIPELINE.replace("NAME", name)).unwrap();
        for topic in ["alerts", "metrics", "escalations", "windows"] {
            kafka
                .create(&Topic::new(&format!("{name}-{topic}")).partitions(PARTITIONS))
                .unwrap();
        }
        Self {
            kafka,
            name: name.to_owned(),
            folder,
            pipeline,
            written: [String::new(), String::new()],
            next: 0,
        }
    }

    fn worker(&self) -> Worker {
        let options = WorkerOptions {
            pipeline: self.pipeline.clone(),
            bootstrap: self.kafka.bootstrap(Listener::Plain).unwrap(),
            name: "w".to_owned(),
            threads: 2,
            state: Some(self.folder.join("state").display().to_string()),
            ..WorkerOptions::default()
        };
        Worker::start(&options).unwrap()
    }

    /// Writes lines to one of the topics.
    fn write(&mut self, which: usize, lines: &str) {
        let file = self.folder.join("part.jsonl");
        std::fs::write(&file, lines).unwrap();
        let to = format!(
            "{}/{}-{}",
            self.kafka.bootstrap(Listener::Plain).unwrap(),
            self.name,
            TOPICS[which]
        );
        let (code, said) = tocsin(&["produce", "--to", &to, "--key", "service", &file.display().to_string()]).unwrap();
        assert_eq!(code, Some(0), "{said}");
        self.written[which].push_str(lines);
    }

    /// The next events, out of order within each topic; one of three is a metric, and metrics come last: that topic is behind by
    /// all of them.
    fn write_part(&mut self) {
        let mut lines = [Vec::new(), Vec::new()];
        for id in self.next..self.next + PART {
            let place = id ^ 5;
            let line = format!(
                "{{\"id\":{place},\"ts\":{},\"service\":\"s{}\"}}\n",
                BASE + place * STEP,
                place * 7 % 16
            );
            lines[usize::from(place % 3 == 0)].push(line);
        }
        self.next += PART;
        for (which, lines) in lines.into_iter().enumerate() {
            self.write(which, &lines.concat());
        }
    }

    /// An hour later something happens in each partition of both topics: nothing before it is waited for any more.
    fn write_end(&mut self) {
        let time = BASE + self.next * STEP + 3_600_000;
        let line = |n: i64| format!("{{\"id\":{n},\"ts\":{time},\"service\":\"end-{n}\"}}\n");
        let lines: String = (0..64).map(line).collect();
        self.write(0, &lines);
        self.write(1, &lines);
    }

    /// What a run over files gives of the same events.
    fn recomputed(&self, sink: &str) -> Vec<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut arguments = vec!["run".to_owned(), self.pipeline.display().to_string()];
        for (which, topic) in TOPICS.iter().enumerate() {
            let input = file(&format!("{topic}.jsonl"));
            std::fs::write(&input, &self.written[which]).unwrap();
            arguments.extend(["--input".to_owned(), format!("{topic}={input}")]);
        }
        for sink in ["escalations", "windows"] {
            arguments.extend(["--output".to_owned(), format!("{sink}={}", file(sink))]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, said) = tocsin(&arguments).unwrap();
        assert_eq!(code, Some(0), "{said}");
        let rows = std::fs::read_to_string(Path::new(&file(sink))).unwrap();
        results(rows.lines())
    }

    /// What was committed.
    fn given(&self, sink: &str) -> Vec<String> {
        let records = self.kafka.consume_committed(&format!("{}-{sink}", self.name)).unwrap();
        let rows: Vec<String> = records.iter().map(|record| record.text()).collect();
        results(rows.iter().map(String::as_str))
    }
}

/// Rows in order, without what is the run's own, and without those of the end.
fn results<'a>(rows: impl Iterator<Item = &'a str>) -> Vec<String> {
    let row = |row: &str| {
        let row: Map<String, Json> = serde_json::from_str(row).unwrap();
        let of_end = row["service"].as_str().unwrap().starts_with("end-");
        let own = row.into_iter().filter(|(name, _)| !name.starts_with('_'));
        (!of_end).then(|| Json::Object(own.collect()).to_string())
    };
    let mut rows: Vec<String> = rows.filter_map(row).collect();
    rows.sort();
    rows
}

#[test]
fn two_topics_are_merged_in_the_order_of_event_time_whoever_is_killed() {
    let kafka = Kafka::shared().unwrap();
    let mut merged = Merged::new(kafka, "merged");
    let mut worker = merged.worker();
    for kill in 0..3 * rounds() {
        let before = merged.given("windows").len();
        merged.write_part();
        // Something of this part has come out, and much of it may be on its way.
        let begun = until("more windows", PATIENCE, || {
            Ok((merged.given("windows").len() > before).then_some(()))
        });
        or_tell(&format!("before kill {kill}"), &[&worker], begun);
        worker.kill().unwrap();
        worker = merged.worker();
    }
    merged.write_part();
    merged.write_end();
    for sink in ["escalations", "windows"] {
        let expected = merged.recomputed(sink);
        assert!(expected.len() > 100, "{sink}: {} rows", expected.len());
        let all = until(sink, PATIENCE, || {
            Ok((merged.given(sink).len() >= expected.len()).then_some(()))
        });
        or_tell(sink, &[&worker], all);
        assert_eq!(merged.given(sink), expected, "{sink}");
    }
    or_tell("the end", &[&worker], worker.end(END));
}
