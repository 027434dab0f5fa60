//! What a log has lost has a name, and is never read over.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use tocsin_e2e::kafka::{Record, Topic};
use tocsin_e2e::{Kafka, Listener};
use tocsin_worker::kafka::{Cluster, FetcherSettings, KafkaError};
use tocsin_worker_core::kafka::fetching::{Loss, Settings};

use super::reading::{Reading, plain};

fn cluster(kafka: &Kafka) -> Cluster {
    Cluster::new(plain(kafka, Listener::Plain)).unwrap()
}

/// Reads from an offset of a topic with ten records, of which the first four are gone.
fn loss_at(topic: &str, offset: i64) -> Loss {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new(topic)).unwrap();
    let records: Vec<Record> = (0..10).map(|i| Record::new(format!("{i}"))).collect();
    kafka.produce(topic, Some(0), &records).unwrap();
    let mut gone = TopicPartitionList::new();
    gone.add_partition_offset(topic, 0, Offset::Offset(4)).unwrap();
    let admin = kafka.admin().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(admin.delete_records(&gone, &AdminOptions::new()))
        .unwrap();
    let mut cluster = cluster(kafka);
    let info = cluster.topic(topic).unwrap();
    Reading::at(cluster, info, FetcherSettings::default(), &[offset]).loss()
}

#[test]
fn records_that_retention_took_are_a_replay_gap() {
    let (wanted, begins) = (3, 4);
    assert_eq!(loss_at("fetch-gone", 3), Loss::ReplayGap { wanted, begins });
}

#[test]
fn a_position_behind_the_end_is_a_log_that_was_cut() {
    let (end, read) = (10, 12);
    assert_eq!(loss_at("fetch-cut", 12), Loss::LogTruncated { end, read });
}

#[test]
fn a_topic_that_was_made_again_is_another_one() {
    let kafka = Kafka::shared().unwrap();
    let topic = Topic::new("fetch-again");
    kafka.create(&topic).unwrap();
    kafka.produce("fetch-again", Some(0), &[Record::new("old")]).unwrap();
    let mut reading = Reading::start(plain(kafka, Listener::Plain), "fetch-again", FetcherSettings::default());
    reading.to(&[1]);
    kafka.delete("fetch-again").unwrap();
    kafka.create(&topic).unwrap();
    kafka
        .produce("fetch-again", Some(0), &[Record::new("new"), Record::new("newer")])
        .unwrap();
    assert_eq!(reading.loss(), Loss::TopicRecreated);
    assert_eq!(reading.records.len(), 1, "nothing of the new topic is read");
}

#[test]
fn a_topic_that_is_deleted_is_missed_after_a_while() {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new("fetch-deleted")).unwrap();
    let settings = FetcherSettings {
        reading: Settings {
            patience: 1_000,
            ..Settings::default()
        },
        max_wait: Duration::from_millis(50),
        ..FetcherSettings::default()
    };
    let mut reading = Reading::start(plain(kafka, Listener::Plain), "fetch-deleted", settings);
    kafka.delete("fetch-deleted").unwrap();
    assert_eq!(reading.loss(), Loss::UnknownTopic);
}

#[test]
fn a_topic_that_never_was_is_named() {
    let error = cluster(Kafka::shared().unwrap()).topic("fetch-nothing").unwrap_err();
    assert!(
        matches!(&error, KafkaError::UnknownTopic(name) if name == "fetch-nothing"),
        "{error}"
    );
    assert!(!error.is_transient());
}
