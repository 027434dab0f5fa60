//! What a worker tells about itself, and what may be asked of it, while it works on a real Kafka.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prometheus_parse::{Scrape, Value};
use serde_json::Value as Json;
use support::all_are_right;
use tocsin_e2e::http::request;
use tocsin_e2e::ids::{Ids, PARTITIONS, Pace, Placing};
use tocsin_e2e::kafka::Record;
use tocsin_e2e::wait::until;
use tocsin_e2e::worker::tocsin;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener, RigError, Rule, Worker, home};

const PATIENCE: Duration = Duration::from_secs(40);

/// A worker that is asked to end does so within this.
const END: Duration = Duration::from_secs(12);

/// Within this the others have the shards of a worker that was drained.
const HANDED_OVER: Duration = Duration::from_secs(2);

const TOKEN: &str = "the-token-of-this-scenario";

/// A worker with its admin server.
struct Watched {
    worker: Worker,
    admin: SocketAddr,
}

impl Watched {
    fn start(ids: &Ids<'_>, name: &str) -> Self {
        let token = token_file();
        let further = ["--admin", "127.0.0.1:0", "--admin-token-file", token.to_str().unwrap()];
        let worker = ids.worker_with(name, &further).unwrap();
        let admin = worker.admin(PATIENCE).unwrap();
        Self { worker, admin }
    }

    /// Status and body of an answer, which never shows the token.
    fn ask(&self, method: &str, path: &str) -> Result<(u16, String), RigError> {
        let token = format!("Bearer {TOKEN}");
        let answer = request(self.admin, method, path, &[("Authorization", &token)], &[])?;
        let text = answer.text();
        assert!(!text.contains(TOKEN), "{path} shows the token");
        Ok((answer.status(), text))
    }

    /// The savepoint that a request is about.
    fn savepoint(&self, method: &str, path: &str, body: &str) -> Result<Json, RigError> {
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        let answer = request(self.admin, method, path, &headers, body.as_bytes())?;
        assert!(matches!(answer.status(), 200 | 202), "{}", answer.text());
        Ok(serde_json::from_str(&answer.text()).unwrap())
    }

    fn status(&self) -> Json {
        let (status, text) = self.ask("GET", "/status").unwrap();
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Sum of a metric's values with these labels; nothing if there is none.
    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<Option<f64>, RigError> {
        let (status, text) = self.ask("GET", "/metrics")?;
        assert_eq!(status, 200, "{text}");
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let fits = |sample: &&prometheus_parse::Sample| {
            let mut labels = labels.iter();
            sample.metric == name && labels.all(|(label, value)| sample.labels.get(label) == Some(value))
        };
        let found = scrape.samples.iter().filter(fits);
        let values: Vec<f64> = found
            .map(|sample| match sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
                _ => panic!("{name} is no number"),
            })
            .collect();
        Ok((!values.is_empty()).then(|| values.iter().sum()))
    }

    fn wait_for(&self, what: &str, mut is_there: impl FnMut() -> Result<bool, RigError>) {
        let waited = until(what, PATIENCE, || {
            self.worker.check()?;
            Ok(is_there()?.then_some(()))
        });
        waited.unwrap_or_else(|error| panic!("{error}\n{}", self.worker.last_lines()));
    }

    fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) {
        self.wait_for(name, || Ok(self.metric(name, labels)?.is_some_and(&wanted)));
    }

    fn wait_until_ready(&self) {
        self.wait_for("a worker that is ready", || Ok(self.ask("GET", "/readyz")?.0 == 200));
    }

    /// Another has just left its group: all shards are here before its session would be over.
    fn takes_over_at_once(&self) {
        let left = Instant::now();
        self.wait_for("all shards", || Ok(self.n_shards() == PARTITIONS as usize));
        assert!(left.elapsed() < HANDED_OVER, "{:?}", left.elapsed());
    }

    fn n_shards(&self) -> usize {
        self.status()["shards"].as_array().map_or(0, Vec::len)
    }
}

fn token_file() -> PathBuf {
    let path = home::new_folder("token").unwrap().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    path
}

#[test]
fn a_worker_tells_how_far_it_is_and_what_it_could_not_read() {
    let kafka = Kafka::shared().unwrap();
    let ids = Ids::new(kafka, "told", Listener::Plain).unwrap();
    // A backlog from before the worker began.
    let stream = ids.stream(Pace::default()).unwrap();
    until("a backlog", PATIENCE, || Ok((stream.written() > 2_000).then_some(()))).unwrap();
    let watched = Watched::start(&ids, "w");
    watched.wait_until_ready();
    assert_eq!(watched.ask("GET", "/livez").unwrap(), (200, "alive\n".to_owned()));
    watched.wait_for_metric("tocsin_shards", &[("phase", "Running")], |n| n == f64::from(PARTITIONS));
    let n_bad = 3;
    for number in 0..n_bad {
        let bad = Record::new("{\"ts\":").key("s0");
        kafka
            .produce(&ids.topic("events"), number % PARTITIONS, &[bad])
            .unwrap();
    }
    let dead = [("source", "events"), ("cause", "Syntax")];
    watched.wait_for_metric("tocsin_dead_letters_total", &dead, |n| n == f64::from(n_bad));
    let n_events = stream.end().unwrap();
    let all = (n_events + i64::from(n_bad)) as f64;
    watched.wait_for_metric("tocsin_source_records_total", &[], |n| n == all);
    watched.wait_for_metric("tocsin_source_lag_records", &[], |n| n == 0.0);
    watched.wait_for_metric("tocsin_source_lag_seconds", &[], |n| n == 0.0);
    watched.wait_for_metric("tocsin_end_to_end_latency_seconds_count", &[], |n| n == all);
    for (name, labels) in [
        ("tocsin_stage_rows_in_total", [("stage", "passed")]),
        ("tocsin_stage_state_bytes", [("stage", "totals")]),
        ("tocsin_sink_rows_total", [("sink", "passed")]),
        ("tocsin_transactions_total", [("outcome", "Committed")]),
        ("tocsin_thread_busy_seconds_total", [("thread", "shards-0")]),
    ] {
        watched.wait_for_metric(name, &labels, |value| value > 0.0);
    }
    let status = watched.status();
    assert_eq!(status["ready"], true);
    assert_eq!(status["lag"]["records"], 0);
    let of_shard = |shard: &Json| shard["inputs"][0]["offset"].as_i64().unwrap();
    let shards = status["shards"].as_array().unwrap();
    assert!(shards.iter().all(|shard| of_shard(shard) > 0), "{status}");
    let (code, page) = watched.ask("GET", "/api/live").unwrap();
    assert!(code == 200 && page.contains("escalated"), "{page}");
    watched.worker.end(END).unwrap();
}

#[test]
fn a_worker_that_is_drained_ends_with_0_and_its_shards_are_free_at_once() {
    let kafka = Kafka::shared().unwrap();
    let ids = Ids::new(kafka, "drained", Listener::Plain).unwrap();
    let stream = ids.stream(Pace::default()).unwrap();
    let tail = ids.tail().unwrap();
    let leaves = Watched::start(&ids, "leaves");
    leaves.wait_until_ready();
    let stays = Watched::start(&ids, "stays");
    let half = PARTITIONS as usize / 2;
    stays.wait_for("two workers with half of the shards", || Ok(stays.n_shards() == half));
    stays.wait_until_ready();
    leaves.wait_until_ready();
    let (code, answer) = leaves.ask("POST", "/v1/drain").unwrap();
    assert_eq!(code, 202, "{answer}");
    let status = leaves.worker.wait(END).unwrap();
    assert_eq!(status.code(), Some(0), "{}", leaves.worker.last_lines());
    stays.takes_over_at_once();
    all_are_right("at the end", &ids, stream, tail, &[&stays.worker]);
}

#[test]
fn snapshots_misplaced_keys_and_transactions_that_go_wrong_are_counted() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let mut ids = Ids::placed(&kafka, "counted", Placing::Misplaced).unwrap();
    ids.come_through(Listener::Proxied);
    ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    let stream = ids.stream(Pace::default()).unwrap();
    let first = Watched::start(&ids, "first");
    first.wait_until_ready();
    // Event time begins six hours ago, and comes nearer.
    let begin = 6.0 * 3_600.0;
    first.wait_for_metric("tocsin_source_watermark_delay_seconds", &[], |delay| {
        (1.0..begin + 60.0).contains(&delay)
    });
    let of_stage = [("stage", "totals")];
    first.wait_for_metric("tocsin_stage_misplaced_keys_total", &of_stage, |n| n > 0.0);
    first.wait_for("the share of misplaced keys", || {
        Ok(first.status()["degraded"].to_string().contains("KeyMisplaced"))
    });
    // One a second of each shard.
    first.wait_for_metric("tocsin_checkpoints_total", &[], |n| n >= f64::from(2 * PARTITIONS));
    first.wait_for_metric("tocsin_checkpoint_failures_total", &[], |n| n == 0.0);
    first.wait_for_metric("tocsin_checkpoint_age_seconds", &[], |age| (0.0..20.0).contains(&age));
    first.wait_for_metric("tocsin_checkpoint_duration_seconds", &[], |took| {
        (0.0..20.0).contains(&took) && took > 0.0
    });
    first.wait_for_metric("tocsin_checkpoint_size_bytes", &[], |bytes| bytes > 1_000.0);
    // Nobody says what became of a transaction.
    let outcome = |name| [("outcome", name)];
    assert_eq!(
        first.metric("tocsin_producers_reinitialised_total", &[]).unwrap(),
        Some(0.0)
    );
    let silent = proxy.add(Rule::nth(ApiKey::END_TXN, 1).drop_answer());
    first.wait_for_metric("tocsin_producers_reinitialised_total", &[], |n| n == 1.0);
    silent.remove();
    // The group goes on to another generation while a transaction is under way.
    let held = proxy.add(Rule::nth(ApiKey::TXN_OFFSET_COMMIT, 1).hold_request());
    held.wait(PATIENCE).unwrap();
    let second = Watched::start(&ids, "second");
    second.worker.wait_for_line("shards were assigned", PATIENCE).unwrap();
    held.remove();
    first.wait_for_metric("tocsin_transactions_total", &outcome("Aborted"), |n| n >= 1.0);
    let committed = first
        .metric("tocsin_transactions_total", &outcome("Committed"))
        .unwrap();
    first.wait_for_metric("tocsin_transactions_total", &outcome("Committed"), |n| {
        Some(n) > committed
    });
    stream.end().unwrap();
    for watched in [&first, &second] {
        watched.worker.end(END).unwrap();
    }
}

/// A rolling restart moves no shard, and none is recovered twice.
#[test]
fn a_worker_that_is_to_come_back_has_its_shards_again_and_none_moves() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::new(kafka, "comes-back", Listener::Plain).unwrap();
    ids.further = vec!["--leave-group".to_owned(), "on-drain".to_owned()];
    let stream = ids.stream(Pace::default()).unwrap();
    let tail = ids.tail().unwrap();
    let comes_back = Watched::start(&ids, "comes-back");
    comes_back.wait_until_ready();
    let stays = Watched::start(&ids, "stays");
    let half = PARTITIONS as usize / 2;
    stays.wait_for("two workers with half of the shards", || {
        Ok(stays.n_shards() == half && comes_back.n_shards() == half)
    });
    stays.wait_until_ready();
    let moved = |watched: &Watched| {
        let said = watched.worker.said();
        let moves = said.lines().filter(|line| line.contains("shards were "));
        moves.filter(|line| !line.contains("shards=[]")).count()
    };
    let before = moved(&stays);
    comes_back.worker.end(END).unwrap();
    let again = Watched::start(&ids, "comes-back");
    again.wait_for("its shards", || Ok(again.n_shards() == half));
    again.wait_until_ready();
    assert_eq!(moved(&stays), before, "{}", stays.worker.last_lines());
    // Drained it leaves at once.
    again.ask("POST", "/v1/drain").unwrap();
    again.worker.wait(END).unwrap();
    stays.takes_over_at_once();
    all_are_right("at the end", &ids, stream, tail, &[&stays.worker]);
}

#[test]
fn workers_that_are_asked_for_a_savepoint_of_one_name_write_one() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::new(kafka, "savepoint", Listener::Plain).unwrap();
    let state = home::new_folder("state").unwrap();
    let address = state.to_str().unwrap();
    ids.state = Some(address.to_owned());
    let stream = ids.stream(Pace::default()).unwrap();
    let workers = ["a", "b"].map(|name| Watched::start(&ids, name));
    let all = || workers.iter().map(Watched::n_shards).sum::<usize>() == PARTITIONS as usize;
    let shared = || Ok((all() && workers.iter().all(|worker| worker.n_shards() > 0)).then_some(()));
    until("both have shards", PATIENCE, shared).unwrap();
    workers.iter().for_each(Watched::wait_until_ready);
    let asked = r#"{"id": "before-upgrade"}"#;
    for worker in &workers {
        let begun = worker.savepoint("POST", "/v1/savepoints", asked).unwrap();
        assert_eq!(begun["id"], "before-upgrade");
    }
    for worker in &workers {
        let completed = || {
            let savepoint = worker.savepoint("GET", "/v1/savepoints/before-upgrade", "")?;
            assert_ne!(savepoint["state"], "Failed", "{savepoint}");
            Ok((savepoint["state"] == "Completed").then_some(savepoint))
        };
        let savepoint = until("the savepoint", PATIENCE, completed).unwrap();
        assert_eq!(savepoint["path"], "savepoint/savepoints/before-upgrade");
    }
    let (code, said) = tocsin(&[
        "snapshot",
        "verify",
        "--state",
        address,
        "savepoint/savepoints/before-upgrade",
    ])
    .unwrap();
    assert_eq!(code, Some(0), "{said}");
    let (_, said) = tocsin(&[
        "snapshot",
        "inspect",
        "--state",
        address,
        "savepoint/savepoints/before-upgrade",
    ])
    .unwrap();
    let shards = said.lines().filter(|line| line.contains(&format!(" of {PARTITIONS} ")));
    assert_eq!(shards.count(), PARTITIONS as usize, "{said}");
    stream.end().unwrap();
    workers.iter().for_each(|watched| watched.worker.end(END).unwrap());
}

#[test]
fn a_worker_without_a_broker_is_alive_and_not_ready_until_it_is_back() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let ids = Ids::new(&kafka, "away", Listener::Plain).unwrap();
    let watched = Watched::start(&ids, "w");
    watched.wait_until_ready();
    kafka.stop(0).unwrap();
    watched.wait_for("a worker that is not ready", || {
        Ok(watched.ask("GET", "/readyz")?.0 == 503)
    });
    // A transaction that broke off lets its shards be recovered, and a session may end; the others are only silent.
    let (_, reasons) = watched.ask("GET", "/readyz").unwrap();
    let known = [
        "no broker has answered",
        "shards are not recovered yet",
        "the consumer group has not said",
    ];
    assert!(
        reasons
            .lines()
            .all(|line| known.iter().any(|known| line.starts_with(known))),
        "{reasons}"
    );
    watched.wait_for_metric("tocsin_kafka_troubles_total", &[], |n| n > 0.0);
    assert_eq!(watched.ask("GET", "/livez").unwrap().0, 200);
    assert_ne!(watched.status()["lastError"], Json::Null);
    kafka.start_again(0).unwrap();
    watched.wait_until_ready();
    watched.worker.end(END).unwrap();
}

/// Takes what a client sends until one of these texts is in it for each, and answers every request with 200.
fn collected(listener: &TcpListener, wanted: &[&str]) -> Result<(), RigError> {
    listener.set_nonblocking(true).map_err(RigError::io("a collector"))?;
    let mut bytes = Vec::new();
    until("spans at a collector", PATIENCE, || {
        if let Ok((mut client, _)) = listener.accept() {
            client.set_nonblocking(false).ok();
            client.set_read_timeout(Some(Duration::from_millis(500))).ok();
            let mut part = [0; 4_096];
            while let Ok(length) = client.read(&mut part) {
                if length == 0 {
                    break;
                }
                bytes.extend_from_slice(&part[..length]);
            }
            client
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .ok();
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(wanted.iter().all(|wanted| text.contains(wanted)).then_some(()))
    })
}

#[test]
fn traces_go_to_the_collector_that_is_named() {
    let kafka = Kafka::shared().unwrap();
    let ids = Ids::new(kafka, "traced", Listener::Plain).unwrap();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", collector.local_addr().unwrap());
    let stream = ids.stream(Pace::default()).unwrap();
    let worker = ids.worker_with("w", &["--otlp", &address]).unwrap();
    let wanted = [
        "POST /v1/traces",
        "tocsin.pipeline",
        "traced",
        "recover a shard",
        "transaction",
    ];
    collected(&collector, &wanted).unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
    drop(collector);
    stream.end().unwrap();
    worker.end(END).unwrap();
}
