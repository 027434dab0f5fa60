//! Records from Kafka that are no JSON: Avro by a registry, line protocol, syslog.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tocsin_e2e::kafka::{Record, Topic};
use tocsin_e2e::wait::until;
use tocsin_e2e::{HttpProxy, HttpRule, Kafka, Listener, SchemaRegistry, Worker, WorkerOptions, home};

const PATIENCE: Duration = Duration::from_secs(40);
const END: Duration = Duration::from_secs(12);

const SCHEMA: &str = r#"{"type": "record", "name": "Alert", "fields": [{"name": "ts", "type": "long"},
    {"name": "service", "type": "string"}, {"name": "severity", "type": ["null", "string"]}]}"#;

/// A pipeline that lets the critical ones of a topic of one partition pass.
struct Passing {
    kafka: &'static Kafka,
    name: &'static str,
    pipeline: PathBuf,
    /// The column that tells rows apart.
    column: &'static str,
}

impl Passing {
    fn new(name: &'static str, format: &str, time: &str) -> Self {
        Self::by(name, format, time, "service")
    }

    fn by(name: &'static str, format: &str, time: &str, column: &'static str) -> Self {
        let kafka = Kafka::shared().unwrap();
        kafka.create(&Topic::new(&format!("{name}-in")).partitions(1)).unwrap();
        let pipeline = home::new_folder(name).unwrap().join("pipeline.yaml");
        let text = format!(
            "apiVersion: tocsin.dev/v1alpha1\nkind: IncidentPipeline\nmetadata: {{name: {name}}}\nspec:\n  sources:\n  \
             - name: events\n    kafka: {{topic: {name}-in}}\n    format: {{{format}}}\n    eventTime: {{{time}}}\n  stages:\n  \
             - {{name: critical, from: events, filter: \"severity = 'CRITICAL' AND {column} <> ''\"}}\n  sinks:\n  \
             - {{name: out, from: critical, kafka: {{topic: {name}-out}}}}\n"
        );
        std::fs::write(&pipeline, text).unwrap();
        Self {
            kafka,
            name,
            pipeline,
            column,
        }
    }

    fn worker(&self) -> Worker {
        Worker::start(&WorkerOptions {
            pipeline: self.pipeline.clone(),
            bootstrap: self.kafka.bootstrap(Listener::Plain).unwrap(),
            name: "w".to_owned(),
            threads: 1,
            ..WorkerOptions::default()
        })
        .unwrap()
    }

    /// Writes records, each with its place in a header.
    fn write(&self, values: &[Vec<u8>]) {
        let records = values.iter().zip(0..);
        let records = records
            .map(|(value, place): (_, u8)| Record::new(value).header("place", Some(&[place])))
            .collect::<Vec<Record>>();
        self.kafka.produce(&format!("{}-in", self.name), 0, &records).unwrap();
    }

    fn read(&self, topic: &str) -> Vec<Record> {
        self.kafka
            .consume_committed(&format!("{}{topic}", self.name))
            .unwrap_or_default()
    }

    /// Waits until so many rows passed, and answers what tells them apart.
    fn passed(&self, n_rows: usize, worker: &Worker) -> Vec<String> {
        let enough = || {
            worker.check()?;
            let rows = self.read("-out");
            Ok((rows.len() >= n_rows).then_some(rows))
        };
        let rows = until("rows", PATIENCE, enough).unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
        let service = |record: &Record| {
            let row: serde_json::Value = serde_json::from_str(&record.text()).unwrap();
            // A line has its tags apart from its fields.
            let service = row.get(self.column).or_else(|| row["tags"].get(self.column));
            service
                .and_then(|service| service.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        rows.iter().map(service).collect()
    }

    fn causes(&self) -> Vec<String> {
        let letters = self.read(".dead-letter");
        letters.iter().map(|letter| header(letter, "tocsin.cause")).collect()
    }
}

/// A header of a record, as text.
fn header(record: &Record, name: &str) -> String {
    let header = record.headers.iter().find(|(found, _)| found == name);
    String::from_utf8(header.unwrap().1.clone().unwrap()).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// An alert by the schema with this number.
fn avro(id: i32, service: &str) -> Vec<u8> {
    let long = |mut value: u64| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    let text = |text: &str| [long(2 * text.len() as u64), text.as_bytes().to_vec()].concat();
    let fields = [long(2 * now() as u64), text(service), long(2), text("CRITICAL")];
    [vec![0], id.to_be_bytes().to_vec(), fields.concat()].concat()
}

#[test]
fn avro_records_wait_for_a_registry_and_are_dead_only_if_it_knows_no_schema() {
    let real = SchemaRegistry::start().unwrap();
    let proxy = HttpProxy::before(real.address()).unwrap();
    let id = real.register("avro-in-value", SCHEMA).unwrap();
    let url = real
        .url()
        .replace(&real.address().to_string(), &proxy.address().to_string());
    let away = proxy.add(HttpRule::every().answer(503, &[], b"away"));
    let passing = Passing::new(
        "avro",
        &format!("type: Avro, registry: {{url: '{url}'}}"),
        "field: ts, idleTimeout: 1h",
    );
    let (unknown, broken) = (avro(id + 1_000, "x"), vec![1, 2, 3]);
    passing.write(&[
        avro(id, "a"),
        avro(id, "b"),
        unknown.clone(),
        broken.clone(),
        avro(id, "c"),
        avro(id, "cut off").split_last().unwrap().1.to_vec(),
    ]);
    let worker = passing.worker();
    away.wait_for(2, PATIENCE)
        .unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
    assert_eq!(passing.read("-out").len(), 0);
    away.remove();
    assert_eq!(passing.passed(3, &worker), ["a", "b", "c"]);
    let dead = || Ok(Some(passing.causes()).filter(|causes| causes.len() >= 3));
    assert_eq!(
        until("dead letters", PATIENCE, dead).unwrap(),
        ["UnknownSchema", "Syntax", "Syntax"]
    );
    // Each as it came: its bytes, its headers, and where it stood.
    let letters = passing.read(".dead-letter");
    for (letter, (place, value)) in letters.iter().zip([(2, unknown), (3, broken)]) {
        assert_eq!(letter.value.as_ref(), Some(&value));
        assert_eq!(header(letter, "tocsin.offset"), place.to_string());
        assert_eq!(header(letter, "tocsin.topic"), "avro-in");
        assert!(
            letter.headers.contains(&("place".to_owned(), Some(vec![place]))),
            "{letter:?}"
        );
    }
    // What was done again asks the registry for what is there, and the journal for what is not.
    worker.kill().unwrap();
    let worker = passing.worker();
    passing.write(&[avro(id, "d"), avro(id + 1_000, "y")]);
    assert_eq!(passing.passed(4, &worker), ["a", "b", "c", "d"]);
    let dead = || Ok(Some(passing.causes()).filter(|causes| causes.len() >= 4));
    assert_eq!(
        until("dead letters", PATIENCE, dead).unwrap(),
        ["UnknownSchema", "Syntax", "Syntax", "UnknownSchema"]
    );
    worker.end(END).unwrap();
}

#[test]
fn lines_of_telegraf_are_events_each() {
    let passing = Passing::new("influx", "type: InfluxLine", "field: time, idleTimeout: 1h");
    let nanos = now() * 1_000_000;
    let lines =
        format!("alert,service=a,severity=CRITICAL v=1 {nanos}\nalert,service=b,severity=CRITICAL v=2 {nanos}\n");
    passing.write(&[lines.into_bytes(), b"alert,service=c".to_vec()]);
    let worker = passing.worker();
    assert_eq!(passing.passed(2, &worker), ["a", "b"]);
    let dead = || Ok(Some(passing.causes()).filter(|causes| !causes.is_empty()));
    assert_eq!(until("dead letters", PATIENCE, dead).unwrap(), ["Syntax"]);
    worker.end(END).unwrap();
}

/// Of both kinds in one topic; the year of the older kind is that of the record's timestamp.
#[test]
fn messages_of_syslog_are_events_of_either_kind() {
    let passing = Passing::by(
        "syslog",
        "type: Syslog",
        "field: timestamp, idleTimeout: 1h",
        "app_name",
    );
    let at = jiff::Timestamp::from_millisecond(now()).unwrap();
    let bsd = at.strftime("%b %e %H:%M:%S");
    passing.write(&[
        format!("<34>1 {at} web-1 su - ID47 - failed for root").into_bytes(),
        format!("<34>{bsd} web-2 sshd[7]: connection reset").into_bytes(),
        format!("<38>1 {at} web-1 cron - - - nothing").into_bytes(),
        b"<34>1 - web-1 su - - - no time".to_vec(),
    ]);
    let worker = passing.worker();
    assert_eq!(passing.passed(2, &worker), ["su", "sshd"]);
    let dead = || Ok(Some(passing.causes()).filter(|causes| !causes.is_empty()));
    assert_eq!(until("dead letters", PATIENCE, dead).unwrap(), ["EventTime"]);
    worker.end(END).unwrap();
}
