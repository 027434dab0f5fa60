//! Where and how fast brokers let a worker read.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::{Ids, Pace};
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener};

/// Brokers have racks of their own here, and each has a copy of each partition: whatever leads, a worker reads of the
/// broker beside it.
#[test]
fn a_worker_reads_of_the_replica_in_its_own_rack() {
    let kafka = Kafka::start(KafkaOptions::default().brokers(3).listener(Listener::Proxied)).unwrap();
    let mut ids = Ids::new(&kafka, "racks", Listener::Proxied).unwrap();
    ids.further = vec!["--rack".to_owned(), "rack-2".to_owned()];
    let partitions = kafka.describe(&ids.topic("events")).unwrap();
    assert!(
        partitions.iter().any(|partition| partition.leader != Some(1)),
        "none would have to be read of another: {partitions:?}"
    );
    let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
    let worker = ids.worker("w").unwrap();
    or_tell("before", &[&worker], tail.wait_for(stream.written(), PATIENCE));
    let fetches = || [0, 1, 2].map(|broker| kafka.proxy(broker).unwrap().count(ApiKey::FETCH));
    // Leaders may be asked until they have said who is near.
    let settled = until("reading near by", PATIENCE, || {
        worker.check()?;
        let before = fetches();
        tail.wait_for(stream.written() + 1_000, PATIENCE)?;
        let after = fetches();
        let passed = [0, 1, 2].map(|broker| after[broker] - before[broker]);
        Ok((passed[0] == 0 && passed[1] > 0 && passed[2] == 0).then_some(()))
    });
    or_tell("near by", &[&worker], settled);
    let n_events = stream.end().unwrap();
    or_tell("at the end", &[&worker], tail.wait_for_all_passed(n_events, PATIENCE));
    worker.end(END).unwrap();
    ids.check().unwrap();
}

/// Writes events at once, some 300 KB of them, and answers how many: brokers look at what went through in ten seconds.
fn write_enough(ids: &Ids<'_>) -> i64 {
    let pace = Pace {
        at_once: 100,
        every: Duration::from_millis(1),
    };
    let stream = ids.stream(pace).unwrap();
    let enough = || Ok((stream.written() >= 10_000).then_some(()));
    until("enough to be throttled for", PATIENCE, enough).unwrap();
    stream.end().unwrap()
}

/// A broker that is asked for more than its quota allows answers with how long it wants to be left alone.
#[test]
fn a_worker_that_brokers_throttle_says_so_and_loses_nothing() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let ids = Ids::new(&kafka, "throttled", Listener::Plain).unwrap();
    let n_events = write_enough(&ids);
    kafka.read_quota("tocsin", Some(24 << 10)).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    let said = worker.wait_for_line("the broker throttles what is read of it", PATIENCE);
    or_tell("throttled", &[&worker], said);
    kafka.read_quota("tocsin", None).unwrap();
    or_tell("at the end", &[&worker], tail.wait_for_all_passed(n_events, PATIENCE));
    worker.end(END).unwrap();
    ids.check().unwrap();
}

/// A quota for what is written, of which one transaction takes so much that brokers do not listen for longer than a
/// transaction may last.
#[test]
fn a_worker_whose_results_are_throttled_says_so_and_goes_on_with_the_same_producer() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    for delivery in ["exactly", "at-least"] {
        let ids = Ids::new(&kafka, &format!("throttled-{delivery}"), Listener::Plain).unwrap();
        let ids = if delivery == "exactly" {
            ids
        } else {
            ids.at_least_once().unwrap()
        };
        let n_events = write_enough(&ids);
        kafka.write_quota("tocsin", Some(8 << 10)).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        let said = worker.wait_for_line("the broker throttles what is written to it", PATIENCE);
        or_tell(delivery, &[&worker], said);
        or_tell(delivery, &[&worker], tail.wait_for_all_passed(n_events, 2 * PATIENCE));
        kafka.write_quota("tocsin", None).unwrap();
        worker.end(END).unwrap();
        ids.check().unwrap();
        let given_up = worker.lines_with("the producer is given up") + worker.lines_with("was aborted");
        assert_eq!(given_up, 0, "{delivery}: {}", worker.last_lines());
    }
}
