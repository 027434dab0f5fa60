//! Incidents that go out to a webhook: each transition once for a receiver that heeds its key, in the order of its incident,
//! while the receiver is away and while workers are killed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::or_tell;
use tocsin_e2e::http::HttpSeen;
use tocsin_e2e::kafka::{Isolation, Record, Topic};
use tocsin_e2e::wait::until;
use tocsin_e2e::{HttpProxy, HttpRule, Kafka, Listener, RigError, Worker, WorkerOptions, home};

const PATIENCE: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(20);

/// Partitions of the input, and so of the buffer.
const PARTITIONS: i32 = 2;

/// Each has one incident.
const SERVICES: usize = 10;

/// Each is higher than the one before, and so a transition of its incident.
const SEVERITIES: [&str; 9] = [
    "DEBUG",
    "INFO",
    "NOTICE",
    "WARNING",
    "MINOR",
    "MAJOR",
    "CRITICAL",
    "ALERT",
    "ESCALATED",
];

/// A pipeline that posts its incidents.
struct Posting<'a> {
    kafka: &'a Kafka,
    name: String,
    pipeline: PathBuf,
    secrets: PathBuf,
    receiver: HttpProxy,
    written: i64,
}

impl<'a> Posting<'a> {
    /// The pipeline, whose webhook is at `url`, or at the receiver.
    fn new(kafka: &'a Kafka, name: &str, url: Option<&str>) -> Self {
        kafka
            .create(&Topic::new(&format!("{name}-alerts")).partitions(PARTITIONS))
            .unwrap();
        let receiver = HttpProxy::receiver().unwrap();
        let folder = home::new_folder(name).unwrap();
        let pipeline = folder.join("pipeline.yaml");
        std::fs::write(&pipeline, text(name)).unwrap();
        let secrets = folder.join("secrets");
        std::fs::create_dir_all(secrets.join("pager")).unwrap();
        let url = url.map_or_else(|| format!("{}/hook", receiver.url()), str::to_owned);
        std::fs::write(secrets.join("pager/url"), format!("{url}\n")).unwrap();
        Self {
            kafka,
            name: name.to_owned(),
            pipeline,
            secrets,
            receiver,
            written: 0,
        }
    }

    fn worker(&self, allowed: &[&str]) -> Worker {
        self.named_worker("w", allowed)
    }

    fn named_worker(&self, name: &str, allowed: &[&str]) -> Worker {
        let allow = allowed
            .iter()
            .flat_map(|network| ["--allow-address".to_owned(), (*network).to_owned()]);
        Worker::start(&WorkerOptions {
            pipeline: self.pipeline.clone(),
            bootstrap: self.kafka.bootstrap(Listener::Plain).unwrap(),
            name: name.to_owned(),
            threads: 2,
            secrets: Some(self.secrets.clone()),
            state: None,
            further: allow.collect(),
            // Nobody listens there; the check of addresses must not be led around either.
            variables: ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"]
                .map(|name| (name.to_owned(), "http://127.0.0.1:1".to_owned()))
                .to_vec(),
            ..WorkerOptions::default()
        })
        .unwrap()
    }

    /// Writes an alert of these severities for each service.
    fn alerts(&mut self, severities: &[&str]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let mut records = Vec::new();
        for severity in severities {
            for service in 0..SERVICES {
                self.written += 1;
                let ts = i64::try_from(now).unwrap() + self.written;
                let service = format!("s{service}");
                let alert = json!({"ts": ts, "service": service, "severity": severity, "message": "it <burns>"});
                records.push(Record::new(alert.to_string()).key(service));
            }
        }
        self.kafka
            .produce(&format!("{}-alerts", self.name), None, &records)
            .unwrap();
    }

    /// What the receiver took, in its order: a service, the number of a transition, the key.
    fn taken(&self) -> Vec<(String, u64, String)> {
        let seen = self.receiver.seen().into_iter();
        seen.filter(|seen| seen.status == Some(200))
            .map(|seen| transition(&seen))
            .collect()
    }

    /// Waits until the receiver took so many transitions of each incident.
    fn wait_for(&self, transitions: usize, worker: &Worker) {
        let all = until("all transitions at the receiver", PATIENCE, || {
            worker.check()?;
            let known: BTreeSet<(String, u64)> = self.taken().into_iter().map(|(service, n, _)| (service, n)).collect();
            Ok((known.len() >= transitions * SERVICES).then_some(()))
        });
        all.unwrap_or_else(|error| panic!("{error}: {} came\n{}", self.taken().len(), worker.last_lines()));
    }

    /// Every transition is there, those of an incident in their order, repeats under the key that they had. Answers how
    /// many were repeats.
    fn check(&self, transitions: usize) -> usize {
        let mut keys: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut repeats = 0;
        for (service, n, key) in self.taken() {
            match keys.insert(key.clone(), (service.clone(), n)) {
                Some(before) => {
                    assert_eq!(before, (service, n), "{key}");
                    repeats += 1;
                }
                None => {
                    let expected = last.get(&service).map_or(0, |last| last + 1);
                    assert_eq!(n, expected, "{service}: a transition overtook another");
                    last.insert(service, n);
                }
            }
        }
        assert_eq!(keys.len(), transitions * SERVICES);
        repeats
    }

    fn buffer(&self) -> String {
        format!("{}.pager.buffer", self.name)
    }

    /// Whether nothing in the buffer is left to be delivered.
    fn is_committed(&self) -> Result<bool, RigError> {
        let committed = self
            .kafka
            .committed(&format!("{}.sink.pager", self.name), &self.buffer())?;
        let mut behind = 0;
        for partition in 0..PARTITIONS {
            let rows = self.kafka.consume_committed(&self.buffer())?;
            let last = rows
                .iter()
                .filter(|row| row.partition == partition)
                .map(|row| row.offset)
                .max();
            let at = committed.iter().find(|committed| committed.partition == partition);
            behind += usize::from(last.is_some_and(|last| at.is_none_or(|at| at.offset <= last)));
        }
        Ok(behind == 0)
    }
}

fn transition(seen: &HttpSeen) -> (String, u64, String) {
    let row: Value = serde_json::from_slice(&seen.request.body).unwrap();
    let key = seen.request.header("idempotency-key").unwrap().to_owned();
    let number = row["transition"].as_u64().unwrap();
    assert_eq!(key, format!("{}-{number}", row["incident"].as_str().unwrap()));
    (row["service"].as_str().unwrap().to_owned(), number, key)
}

fn text(name: &str) -> String {
    format!(
        r#"apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {{name: {name}}}
spec:
  sources:
  - name: alerts
    kafka: {{topic: {name}-alerts}}
    partitionedBy: {{key: [service], partitioner: Murmur2}}
    format: {{type: Json, fields: [{{name: service, type: String}}, {{name: severity, type: String}}]}}
    eventTime: {{field: ts, unit: Milliseconds, maxOutOfOrderness: 10ms, idleTimeout: 500ms, allowedLateness: 1h}}
  stages:
  - {{name: bad, from: alerts, filter: severity <> 'OK'}}
  - {{name: incidents, from: bad, incident: {{by: [service], openFor: 1d}}}}
  sinks:
  - name: pager
    from: incidents
    webhook: {{urlSecretRef: {{name: pager, key: url}}, timeout: 5s}}
"#
    )
}

#[test]
fn each_transition_comes_once_and_in_order() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "posted", None);
    let worker = posting.worker(&["127.0.0.1"]);
    posting.alerts(&SEVERITIES);
    posting.wait_for(SEVERITIES.len(), &worker);
    worker.end(END).unwrap();
    assert_eq!(posting.check(SEVERITIES.len()), 0);
    assert!(posting.is_committed().unwrap());
    assert!(
        worker.said().contains("pager: 90 rows delivered"),
        "{}",
        worker.last_lines()
    );
}

#[test]
fn a_worker_killed_before_it_commits_repeats_under_the_same_key_and_a_receiver_that_is_away_is_waited_for() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "killed", None);
    let mut worker = posting.worker(&["127.0.0.0/8"]);
    posting.alerts(&SEVERITIES[..3]);
    posting.wait_for(3, &worker);

    // The receiver has it, the worker does not know: it is killed in between.
    let taken = posting.taken().len();
    let silent = posting.receiver.add(HttpRule::every().drop_answer_silently());
    posting.alerts(&SEVERITIES[3..6]);
    silent.wait_for(3, PATIENCE).unwrap();
    worker.kill().unwrap();
    silent.remove();
    let unknown: BTreeSet<String> = posting.taken().into_iter().skip(taken).map(|(.., key)| key).collect();
    assert!(unknown.len() >= 3);
    worker = posting.worker(&["127.0.0.0/8"]);
    posting.wait_for(6, &worker);
    assert!(
        posting.check(6) >= unknown.len(),
        "what was not known to be delivered comes again"
    );

    // Away, as far as a sender can see: failures, then one row at a time that finds out.
    let before = posting.receiver.seen().len();
    let away = posting.receiver.add(HttpRule::every().answer(503, &[], b"not now"));
    posting.alerts(&SEVERITIES[6..]);
    away.wait_for(8, PATIENCE).unwrap();
    worker
        .wait_for_line("the receiver does not take rows", PATIENCE)
        .unwrap();
    away.remove();
    posting.wait_for(SEVERITIES.len(), &worker);
    worker.wait_for_line("the receiver takes rows again", PATIENCE).unwrap();
    let failed = posting
        .receiver
        .seen()
        .into_iter()
        .skip(before)
        .filter(|seen| seen.status == Some(503))
        .count();
    println!("{failed} requests failed while the receiver was away");
    // Fewer than the rows that waited: most were never tried in vain.
    assert!(failed < 3 * SERVICES, "{failed}");
    posting.check(SEVERITIES.len());
    until("all committed", PATIENCE, || Ok(posting.is_committed()?.then_some(()))).unwrap();
    worker.end(END).unwrap();
    assert_eq!(kafka.consume_committed("killed.dead-letter").unwrap(), []);
}

/// Whether a worker was given partitions of the buffer.
fn has_partitions(worker: &Worker) -> bool {
    let said = worker.said();
    let mut given = said
        .lines()
        .filter(|line| line.contains("partitions of a buffer were assigned"));
    given.any(|line| !line.contains("partitions=[]"))
}

#[test]
fn transitions_stay_in_order_while_workers_share_a_buffer_come_and_are_killed() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "shared", None);
    let first = posting.named_worker("first", &["127.0.0.1"]);
    posting.alerts(&SEVERITIES[..2]);
    posting.wait_for(2, &first);
    // Requests are under way while the buffer is shared out.
    let slow = posting
        .receiver
        .add(HttpRule::every().delay(Duration::from_millis(300)));
    posting.alerts(&SEVERITIES[2..4]);
    slow.wait_for(1, PATIENCE).unwrap();
    let second = posting.named_worker("second", &["127.0.0.1"]);
    let shares = until("the second one's share", PATIENCE, || {
        second.check()?;
        Ok(has_partitions(&second).then_some(()))
    });
    or_tell("they share", &[&first, &second], shares);
    posting.alerts(&SEVERITIES[4..6]);
    posting.wait_for(6, &second);
    assert_eq!(
        posting.check(6),
        0,
        "no request is repeated where a partition is handed over"
    );
    // Killed with requests under way: the other repeats them under their keys.
    let taken = slow.hits();
    posting.alerts(&SEVERITIES[6..8]);
    slow.wait_for(taken + 1, PATIENCE).unwrap();
    first.kill().unwrap();
    posting.wait_for(8, &second);
    slow.remove();
    // Membership in the sink's group is no matter of the engine's: its transactions go on.
    posting.alerts(&SEVERITIES[8..]);
    posting.wait_for(SEVERITIES.len(), &second);
    posting.check(SEVERITIES.len());
    second.end(END).unwrap();
    assert_eq!(kafka.consume_committed("shared.dead-letter").unwrap(), []);
}

#[test]
fn a_row_that_is_refused_is_a_dead_letter_and_the_next_of_its_incident_goes_out() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "refused", None);
    posting
        .receiver
        .add(HttpRule::nth(1).answer(400, &[], b"invalid_payload /hook"));
    let worker = posting.worker(&["127.0.0.1"]);
    posting.alerts(&SEVERITIES[..2]);
    let all = 2 * SERVICES;
    until("all but one", PATIENCE, || {
        Ok((posting.taken().len() >= all - 1).then_some(()))
    })
    .unwrap();
    worker.end(END).unwrap();
    let mut letters = kafka.consume_committed("refused.dead-letter").unwrap();
    assert_eq!(letters.len(), 1);
    let letter = letters.remove(0);
    let row: Value = serde_json::from_str(&letter.text()).unwrap();
    let header = |name: &str| {
        let found = letter.headers.iter().find(|(key, _)| key == name);
        found
            .and_then(|(_, value)| value.clone())
            .map(|value| String::from_utf8(value).unwrap())
    };
    for (name, value) in [
        ("tocsin.topic", "refused.pager.buffer".to_owned()),
        ("tocsin.cause", "DeliveryRefused".to_owned()),
        (
            "tocsin.message",
            "the receiver will not take the row: invalid_payload /hook".to_owned(),
        ),
        ("tocsin.sink", "pager".to_owned()),
        ("tocsin.status", "400".to_owned()),
        ("tocsin.attempts", "1".to_owned()),
        (
            "tocsin.idempotency-key",
            format!("{}-0", row["incident"].as_str().unwrap()),
        ),
    ] {
        assert_eq!(header(name), Some(value), "{name}");
    }
    let service = row["service"].as_str().unwrap();
    let of_it: Vec<u64> = posting
        .taken()
        .into_iter()
        .filter(|(of, ..)| of == service)
        .map(|(_, n, _)| n)
        .collect();
    assert_eq!(of_it, [1]);
    let buffered = kafka.consume("refused.pager.buffer", Isolation::Committed).unwrap();
    assert_eq!(buffered.len(), all);
}

#[test]
fn an_address_inside_is_refused_unless_the_operator_allows_it() {
    let kafka = Kafka::shared().unwrap();
    let port = tocsin_e2e::ports::reserve().unwrap();
    let mut by_name = Posting::new(kafka, "by-name", Some(&format!("https://localhost:{port}/canary")));
    let worker = by_name.worker(&[]);
    by_name.alerts(&SEVERITIES[..1]);
    worker.wait_for_line("the address is refused: ", PATIENCE).unwrap();
    worker.end(END).unwrap();
    assert!(!worker.said().contains("canary"), "{}", worker.last_lines());
    for url in [
        "https://169.254.169.254/canary",
        "https://[::ffff:127.0.0.1]/canary",
        "http://localhost/canary",
    ] {
        std::fs::write(by_name.secrets.join("pager/url"), url).unwrap();
        let worker = by_name.worker(&[]);
        let status = worker.wait(PATIENCE).unwrap();
        assert_eq!(status.code(), Some(2), "{url}");
        let said = worker.said();
        assert!(
            said.contains("error: sink `pager`: the address ") && said.contains("--allow-address"),
            "{said}"
        );
        assert!(!said.contains("canary"), "{said}");
    }
}
