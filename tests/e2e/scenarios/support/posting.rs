//! A pipeline that posts its incidents, and what its receiver took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tocsin_e2e::http::HttpSeen;
use tocsin_e2e::kafka::{Record, Topic};
use tocsin_e2e::wait::until;
use tocsin_e2e::{HttpProxy, Kafka, Listener, RigError, Worker, WorkerOptions, home};

/// All is through within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Partitions of the input, and so of the buffer.
pub const PARTITIONS: i32 = 2;

/// Each has one incident.
pub const SERVICES: usize = 10;

/// Each is higher than the one before, and so a transition of its incident.
pub const SEVERITIES: [&str; 9] = [
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
pub struct Posting<'a> {
    pub kafka: &'a Kafka,
    pub name: String,
    pub pipeline: PathBuf,
    pub secrets: PathBuf,
    pub receiver: HttpProxy,
    pub written: i64,
}

impl<'a> Posting<'a> {
    /// The pipeline, whose webhook is at `url`, or at the receiver.
    pub fn new(kafka: &'a Kafka, name: &str, url: Option<&str>) -> Self {
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

    pub fn worker(&self, allowed: &[&str]) -> Worker {
        self.named_worker("w", allowed)
    }

    pub fn named_worker(&self, name: &str, allowed: &[&str]) -> Worker {
        self.worker_through(Listener::Plain, name, allowed)
    }

    pub fn worker_through(&self, listener: Listener, name: &str, allowed: &[&str]) -> Worker {
        let allow = allowed
            .iter()
            .flat_map(|network| ["--allow-address".to_owned(), (*network).to_owned()]);
        Worker::start(&WorkerOptions {
            pipeline: self.pipeline.clone(),
            bootstrap: self.kafka.bootstrap(listener).unwrap(),
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
    pub fn alerts(&mut self, severities: &[&str]) {
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
    pub fn taken(&self) -> Vec<(String, u64, String)> {
        let seen = self.receiver.seen().into_iter();
        seen.filter(|seen| seen.status == Some(200))
            .map(|seen| transition(&seen))
            .collect()
    }

    /// Waits until the receiver took so many transitions of each incident.
    pub fn wait_for(&self, transitions: usize, worker: &Worker) {
        let all = until("all transitions at the receiver", PATIENCE, || {
            worker.check()?;
            let known: BTreeSet<(String, u64)> = self.taken().into_iter().map(|(service, n, _)| (service, n)).collect();
            Ok((known.len() >= transitions * SERVICES).then_some(()))
        });
        all.unwrap_or_else(|error| panic!("{error}: {} came\n{}", self.taken().len(), worker.last_lines()));
    }

    /// Every transition is there, those of an incident in their order, repeats under the key that they had. Answers how
    /// many were repeats.
    pub fn check(&self, transitions: usize) -> usize {
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

    pub fn buffer(&self) -> String {
        format!("{}.pager.buffer", self.name)
    }

    /// Whether nothing in the buffer is left to be delivered.
    pub fn is_committed(&self) -> Result<bool, RigError> {
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

/// Whether a worker was given partitions of the buffer.
pub fn has_partitions(worker: &Worker) -> bool {
    let said = worker.said();
    let mut given = said
        .lines()
        .filter(|line| line.contains("partitions of a buffer were assigned"));
    given.any(|line| !line.contains("partitions=[]"))
}
