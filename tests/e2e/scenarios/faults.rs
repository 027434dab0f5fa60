//! Faults of what stands around a worker, and kills where they hurt: no result is lost, none is there twice.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::{END, PATIENCE, all_are_right, keep_state, object_store, or_tell};
use tocsin_e2e::http::HttpRule;
use tocsin_e2e::ids::{Ids, Pace, few_rounds, rounds};
use tocsin_e2e::kafka::{Record, SmallDisk, Topic, may_mount};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, KafkaOptions, Listener, Worker, WorkerOptions, home};

/// What a worker says when it has brought a shard back.
const RESTORED: &str = "state was restored";

#[test]
fn a_worker_killed_while_it_writes_or_reads_a_snapshot_loses_and_repeats_nothing() {
    let kafka = Kafka::shared().unwrap();
    let (_s3, proxy) = object_store().unwrap();
    for round in 0..rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut ids = Ids::new(kafka, &format!("killed-snapshot-{round}"), Listener::Plain).unwrap();
        keep_state(&mut ids, &proxy);
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let mut worker = ids.worker("w").unwrap();
        for kill in 0..3 {
            or_tell(&at("before"), &[&worker], tail.wait_for(stream.written(), PATIENCE));
            // Blocks, heads and manifests in turn: the request is held, so that the worker dies in the midst of it.
            let writing = proxy.add(HttpRule::nth(1 + (round * 3 + kill) % 7).method("PUT").hold());
            or_tell(&at("it writes"), &[&worker], writing.wait_for(1, PATIENCE));
            worker.kill().unwrap();
            writing.remove();
            let reading = proxy.add(HttpRule::nth(1 + (round + kill) % 5).method("GET").hold());
            worker = ids.worker("w").unwrap();
            or_tell(&at("it reads"), &[&worker], reading.wait_for(1, PATIENCE));
            worker.kill().unwrap();
            reading.remove();
            worker = ids.worker("w").unwrap();
        }
        all_are_right(&at("at the end"), &ids, stream, tail, &[&worker]);
    }
}

#[test]
fn a_full_disk_under_the_snapshots_holds_nothing_up() {
    if !may_mount() {
        println!("not run: small disks need root");
        return;
    }
    let kafka = Kafka::shared().unwrap();
    for round in 0..few_rounds() {
        let state = home::new_folder("state").unwrap();
        let log = home::new_folder("disk").unwrap().join("log");
        let disk = SmallDisk::mount(&state, 16 << 20, &log).unwrap();
        let mut ids = Ids::new(kafka, &format!("full-state-{round}"), Listener::Plain).unwrap();
        ids.state = Some(state.display().to_string());
        ids.through = disk.entering().to_vec();
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        let manifests = || {
            let found = walk(&disk.path()).into_iter();
            found.filter(|path| path.ends_with(".manifest")).count()
        };
        until("snapshots", PATIENCE, || Ok((manifests() > 3).then_some(()))).unwrap();
        disk.fill(0).unwrap();
        or_tell(
            "it says so",
            &[&worker],
            worker.wait_for_line("No space left", PATIENCE),
        );
        // Results come all the same.
        or_tell(
            "with a full disk",
            &[&worker],
            tail.wait_for(stream.written(), PATIENCE),
        );
        disk.relieve().unwrap();
        let before = newest(&disk);
        let again = until("another snapshot", PATIENCE, || {
            Ok((newest(&disk) > before).then_some(()))
        });
        or_tell("with room again", &[&worker], again);
        worker.kill().unwrap();
        let worker = ids.worker("w").unwrap();
        or_tell("it goes on", &[&worker], worker.wait_for_line(RESTORED, PATIENCE));
        all_are_right(&format!("round {round}, at the end"), &ids, stream, tail, &[&worker]);
    }
}

/// The name of the newest manifest: names ascend within a shard.
fn newest(disk: &SmallDisk) -> Option<String> {
    let manifests = walk(&disk.path())
        .into_iter()
        .filter(|path| path.ends_with(".manifest"));
    manifests
        .filter_map(|path| path.rsplit('/').next().map(str::to_owned))
        .max()
}

/// All files of a folder.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            walk(&path)
        } else {
            vec![path.display().to_string()]
        }
    });
    files.collect()
}

#[test]
fn brokers_that_go_away_one_after_the_other_take_no_result_with_them() {
    let options = KafkaOptions::default().brokers(3);
    let kafka = Kafka::start(options.setting("broker.session.timeout.ms", "3000")).unwrap();
    for round in 0..few_rounds() {
        let ids = Ids::new(&kafka, &format!("coordinators-{round}"), Listener::Plain).unwrap();
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let workers = [ids.worker("first").unwrap(), ids.worker("second").unwrap()];
        let workers: Vec<&Worker> = workers.iter().collect();
        // Each of them leads something and coordinates something: group, transactions, partitions.
        for broker in 0..kafka.brokers() {
            let at = |what: &str| format!("round {round}, broker {broker}: {what}");
            or_tell(&at("before"), &workers, tail.wait_for(stream.written(), PATIENCE));
            kafka.kill(broker).unwrap();
            let written = stream.written() + 500;
            let more = until("events", PATIENCE, || Ok((stream.written() >= written).then_some(())));
            or_tell(&at("the stream goes on"), &workers, more);
            or_tell(&at("without it"), &workers, tail.wait_for(written, PATIENCE));
            kafka.start_again(broker).unwrap();
        }
        all_are_right(&format!("round {round}, at the end"), &ids, stream, tail, &workers);
    }
}

/// An alarm that a timer fires, when its source has been silent.
const ALARM: &str = "apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: NAME}
spec:
  sources:
  - name: samples
    kafka: {topic: NAME-samples}
    partitionedBy: {key: [service]}
    eventTime: {field: ts, unit: Milliseconds, maxOutOfOrderness: 1s, idleTimeout: 1s}
  stages:
  - {name: hot, from: samples, alarm: {by: [service], when: 'v > 5', for: 6s, maxGap: 60s, severity: MAJOR}}
  sinks:
  - {name: alarms, from: hot, kafka: {topic: NAME-alarms}}
";

#[test]
fn a_worker_that_wakes_with_only_a_timers_alarm_to_write_writes_it_not_again() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        wake_with_an_alarm(kafka, &format!("timers-{round}"));
    }
}

fn wake_with_an_alarm(kafka: &Kafka, name: &str) {
    let (samples, alarms) = (format!("{name}-samples"), format!("{name}-alarms"));
    kafka.create(&Topic::new(&samples)).unwrap();
    let pipeline = home::new_folder(name).unwrap().join("pipeline.yaml");
    std::fs::write(&pipeline, ALARM.replace("NAME", name)).unwrap();
    let worker = |name: &str| {
        Worker::start(&WorkerOptions {
            pipeline: pipeline.clone(),
            bootstrap: kafka.bootstrap(Listener::Plain).unwrap(),
            name: name.to_owned(),
            threads: 1,
            ..WorkerOptions::default()
        })
        .unwrap()
    };
    let zombie = worker("zombie");
    or_tell(
        "it runs",
        &[&zombie],
        zombie.wait_for_line("shards were assigned", PATIENCE),
    );
    let services = ["a", "b", "c", "d"];
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    for service in services {
        for ago in [1_000, 500, 0] {
            let record = Record::new(format!("{{\"ts\":{},\"service\":\"{service}\",\"v\":9}}", now - ago));
            kafka.produce(&samples, 0, &[record]).unwrap();
        }
    }
    // It has read them, and what is left to do its clock will do.
    let read = until("its progress", PATIENCE, || {
        let committed = kafka.committed(name, &samples)?;
        Ok((committed.iter().map(|at| at.offset).sum::<i64>() == 12).then_some(()))
    });
    or_tell("it read", &[&zombie], read);
    zombie.pause().unwrap();
    let paused = Instant::now();
    let other = worker("other");
    let fired = |n: usize| {
        until("alarms", PATIENCE, || {
            Ok((kafka.consume_committed(&alarms)?.len() >= n).then_some(()))
        })
    };
    or_tell("the other fires", &[&other], fired(services.len()));
    // A session is over after 6 s, a transaction after 10 s.
    let time_outs = Duration::from_secs(12);
    let over = until("time-outs", 2 * time_outs, || {
        Ok((paused.elapsed() > time_outs).then_some(()))
    });
    or_tell("its transaction is over too", &[&other], over);
    zombie.resume().unwrap();
    // It hears that its shards went to another, and comes back.
    let back = until("it comes back", PATIENCE, || {
        zombie.check()?;
        Ok(
            (zombie.lines_with("shards were assigned") > 1 || zombie.lines_with("shards were revoked") > 0)
                .then_some(()),
        )
    });
    or_tell("it comes back", &[&zombie, &other], back);
    other.end(END).unwrap();
    zombie.end(END).unwrap();
    let fired = kafka.consume_committed(&alarms).unwrap();
    let texts: Vec<String> = fired.iter().map(Record::text).collect();
    assert_eq!(fired.len(), services.len(), "{name}: {texts:?}");
}
