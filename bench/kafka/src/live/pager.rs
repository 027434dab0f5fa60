//! From an alert to the pager: what is built of `samples/noc.yaml`, at the pace of a small team's alerts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tocsin_e2e::{HttpProxy, Worker, WorkerOptions, home};

use super::latencies::Latencies;
use super::sender::wait_until;
use crate::broker::Broker;
use crate::load::alerts::partition_of;
use crate::load::batch::{Builder, set_time};
use crate::load::fill::now;
use crate::load::producer::Producer;

/// Time between two of the alerts and metrics that page nobody.
const EVERY: Duration = Duration::from_millis(2);

/// One probe among so many of them.
const PROBE_AMONG: u32 = 50;

/// So many alerts of a service escalate.
const ESCALATES: u32 = 3;

/// Services of alerts and metrics.
const SERVICES: u32 = 100;

/// For so long nothing is measured.
const WARM_UP: Duration = Duration::from_secs(10);

/// An incident is posted within this.
const LATEST: Duration = Duration::from_secs(30);

/// For so long alerts and metrics go on behind the last probe: without them event time would not pass it.
const BEHIND: Duration = Duration::from_secs(7);

/// From the start of the engine to the first record.
const LEAD: Duration = Duration::from_secs(3);

/// Pages somebody again and again for so long; `order` is that of the incidents.
pub fn run(broker: &Broker, order: &str, seconds: Duration) -> anyhow::Result<Latencies> {
    let name = broker.new_name("pager");
    let [alerts, metrics] = ["alerts", "metrics"].map(|topic| format!("{name}-{topic}"));
    broker.create(&alerts)?;
    broker.create(&metrics)?;
    let receiver = HttpProxy::receiver()?;
    let folder = home::new_folder(&name)?;
    write(&folder.join("pipeline.yaml"), &text(&name, order))?;
    std::fs::create_dir_all(folder.join("secrets/pager"))?;
    write(&folder.join("secrets/pager/url"), &format!("{}/page", receiver.url()))?;
    let engine = Worker::start(&WorkerOptions {
        pipeline: folder.join("pipeline.yaml"),
        bootstrap: broker.bootstrap()?,
        name: "w".to_owned(),
        threads: broker.partitions() as usize,
        secrets: Some(folder.join("secrets")),
        further: ["--allow-address", "127.0.0.1"].map(str::to_owned).to_vec(),
        ..WorkerOptions::default()
    })?;
    let begin = Instant::now() + LEAD;
    let due = send(broker, [&alerts, &metrics], begin, WARM_UP + seconds)?;
    engine.check()?;
    let started = Instant::now();
    let mut came = posted(&receiver);
    while came.len() < due.len() && started.elapsed() < LATEST {
        std::thread::park_timeout(Duration::from_millis(50));
        came = posted(&receiver);
    }
    ensure!(
        !came.is_empty(),
        "nobody was paged; the last lines of the log:\n{}",
        engine.last_lines()
    );
    let counts = |due: &Instant| *due >= begin + WARM_UP;
    let measured: Vec<(&String, &Instant)> = due.iter().filter(|(_, due)| counts(due)).collect();
    let latencies = measured
        .iter()
        .filter_map(|(probe, due)| Some(came.get(*probe)?.saturating_duration_since(**due)));
    let latencies: Vec<Duration> = latencies.collect();
    let missing = measured.len() - latencies.len();
    engine.kill()?;
    broker.delete(&[&alerts, &metrics])?;
    Ok(Latencies::new(latencies, missing, LATEST))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// Sends alerts and metrics, and probes among them; answers when each probe was due.
fn send(
    broker: &Broker,
    [alerts, metrics]: [&str; 2],
    begin: Instant,
    seconds: Duration,
) -> anyhow::Result<BTreeMap<String, Instant>> {
    let partitions = broker.partitions();
    let address = broker.address()?;
    let mut alerts = Producer::connect(address, alerts, 64)?;
    let mut metrics = Producer::connect(address, metrics, 64)?;
    let mut due = BTreeMap::new();
    let until = begin + seconds;
    for number in 0..u32::try_from((seconds + BEHIND).as_millis() / EVERY.as_millis())? {
        let at = begin + EVERY * number;
        wait_until(at);
        let time = now();
        let service = format!("service-{}", number % SERVICES);
        let metric = format!(r#"{{"ts":{time},"service":"{service}","cpu":{}}}"#, number % 60);
        let calm = format!(r#"{{"ts":{time},"service":"{service}","severity":"MINOR"}}"#);
        put(&mut metrics, partitions, &service, &[metric])?;
        put(&mut alerts, partitions, &service, &[calm])?;
        if number % PROBE_AMONG == 0 && at < until {
            let probe = format!("probe-{number}");
            let alert = format!(r#"{{"ts":{time},"service":"{probe}","severity":"CRITICAL"}}"#);
            put(&mut alerts, partitions, &probe, &vec![alert; ESCALATES as usize])?;
            due.insert(probe, at);
        }
    }
    alerts.finish()?;
    metrics.finish()?;
    Ok(due)
}

fn put(producer: &mut Producer, partitions: u32, service: &str, records: &[String]) -> anyhow::Result<()> {
    let mut builder = Builder::default();
    for record in records {
        builder.push(service.as_bytes(), record.as_bytes());
    }
    let mut batch = builder.finish();
    set_time(&mut batch, now());
    producer.send(partition_of(service.as_bytes(), partitions), &batch)
}

/// When each probe was posted first.
fn posted(receiver: &HttpProxy) -> BTreeMap<String, Instant> {
    let mut posted = BTreeMap::new();
    for seen in receiver.seen() {
        let text = seen.request.text();
        let rest = text.split_once("\"service\":\"").map(|(_, rest)| rest);
        let service = rest.and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if service.starts_with("probe-") {
            posted.entry(service.to_owned()).or_insert(seen.at);
        }
    }
    posted
}

/// The pipeline.
fn text(name: &str, order: &str) -> String {
    format!(
        r#"apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {{name: {name}}}
spec:
  sources:
  - name: alerts
    kafka: {{topic: {name}-alerts}}
    partitionedBy: {{key: [service], partitioner: Murmur2}}
    format: {{fields: [{{name: service, type: String}}, {{name: severity, type: String}}]}}
    eventTime: {{field: ts, unit: Milliseconds, maxOutOfOrderness: 5s}}
  - name: metrics
    kafka: {{topic: {name}-metrics}}
    partitionedBy: {{key: [service], partitioner: Murmur2}}
    format: {{fields: [{{name: service, type: String}}, {{name: cpu, type: Float64}}]}}
    eventTime: {{field: ts, unit: Milliseconds, maxOutOfOrderness: 5s}}
  stages:
  - {{name: critical, from: alerts, filter: "severity = 'CRITICAL'"}}
  - {{name: escalated, from: critical, escalate: {{by: [service], count: {ESCALATES}, within: 1h, ttl: OnWrite, severity: ESCALATED}}}}
  - {{name: hot_cpu, from: metrics, alarm: {{by: [service], when: cpu > 80, for: 5m, clear: cpu < 70, severity: MAJOR}}}}
  - {{name: incidents, from: [escalated, hot_cpu], incident: {{by: [service], openFor: 30m, order: {order}}}}}
  sinks:
  - {{name: pager, from: incidents, webhook: {{urlSecretRef: {{name: pager, key: url}}}}}}
"#
    )
}
