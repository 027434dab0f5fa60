//! Brokers and connections that fail under way: reading goes on where it was.

use std::time::Duration;

use tocsin_e2e::kafka::{Record, Topic};
use tocsin_e2e::{ApiKey, Direction, Kafka, KafkaOptions, Listener, Rule};
use tocsin_kafka::ClientKind;

use super::reading::{PATIENCE, Reading, SOURCES, by, small};

fn numbered(from: usize, to: usize) -> Vec<Record> {
    (from..to)
        .map(|i| Record::new(format!("{i}-{}", "x".repeat(300))))
        .collect()
}

/// The numbers that were read, in order.
fn check(reading: Reading, n: usize) {
    let numbers: Vec<usize> = reading
        .sorted()
        .iter()
        .map(|record| record.text().split_once('-').unwrap().0.parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..n).collect::<Vec<_>>());
}

#[test]
fn reading_goes_on_at_the_next_leader() {
    let kafka = Kafka::start(KafkaOptions::default().brokers(3)).unwrap();
    kafka.create(&Topic::new("moved").replicas(3)).unwrap();
    kafka.produce("moved", Some(0), &numbered(0, 500)).unwrap();
    let mut readings = SOURCES.map(|source| Reading::start(by(source, &kafka, Listener::Plain), "moved", small()));
    for reading in &mut readings {
        reading.to(&[200]);
    }
    let leader = kafka.leader("moved", 0).unwrap();
    kafka.kill(leader).unwrap();
    kafka.produce("moved", Some(0), &numbered(500, 600)).unwrap();
    for mut reading in readings {
        reading.to(&[600]);
        check(reading, 600);
    }
}

#[test]
fn a_broker_that_starts_again_is_read_on() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    kafka.create(&Topic::new("again")).unwrap();
    kafka.produce("again", Some(0), &numbered(0, 300)).unwrap();
    let mut readings = SOURCES.map(|source| Reading::start(by(source, &kafka, Listener::Plain), "again", small()));
    for reading in &mut readings {
        reading.to(&[100]);
    }
    kafka.kill(0).unwrap();
    kafka.start_again(0).unwrap();
    kafka.produce("again", Some(0), &numbered(300, 400)).unwrap();
    for mut reading in readings {
        reading.to(&[400]);
        check(reading, 400);
    }
}

#[test]
fn answers_that_are_cut_delayed_or_lost_are_asked_for_again() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Proxied)).unwrap();
    kafka.create(&Topic::new("broken")).unwrap();
    kafka.produce("broken", Some(0), &numbered(0, 400)).unwrap();
    for source in SOURCES {
        answers_that_break(source, &kafka);
    }
}

fn answers_that_break(source: ClientKind, kafka: &Kafka) {
    let mut settings = by(source, kafka, Listener::Proxied);
    settings.client_id = "broken-reader".to_owned();
    settings.request_timeout = Duration::from_secs(1);
    let mut reading = Reading::start(settings, "broken", small());
    reading.to(&[40]);
    let proxy = kafka.proxy(0).unwrap();
    for rule in [
        Rule::nth(ApiKey::FETCH, 2)
            .of_client("broken-reader")
            .drop_answer_and_cut(),
        Rule::nth(ApiKey::FETCH, 4).of_client("broken-reader").drop_answer(),
        Rule::nth(ApiKey::FETCH, 6).of_client("broken-reader").cut_before(),
    ] {
        let rule = proxy.add(rule);
        kafka.produce("broken", Some(0), &[]).unwrap();
        let end = reading.records.len() as i64 + 100;
        reading.to(&[end.min(400)]);
        rule.wait(PATIENCE).unwrap();
        rule.remove();
    }
    proxy.throttle(Direction::Answers, 200_000);
    reading.to(&[400]);
    proxy.pass().unwrap();
    check(reading, 400);
}
