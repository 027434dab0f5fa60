//! What a log has lost has a name, and is never read over.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use tocsin_e2e::kafka::{Record, Topic};
use tocsin_e2e::{Kafka, Listener};
use tocsin_kafka::{ClientKind, Cluster, FetcherSettings, KafkaError};
use tocsin_worker_core::kafka::fetching::{Loss, Settings};

use super::reading::{Reading, SOURCES, by, plain};

fn cluster(kafka: &Kafka) -> Cluster {
    Cluster::new(plain(kafka, Listener::Plain)).unwrap()
}

/// Reads from an offset of a topic with ten records, of which the first four are gone.
fn losses_at(topic: &str, offset: i64) -> [Loss; 2] {
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
    SOURCES.map(|source| {
        let mut cluster = Cluster::new(by(source, kafka, Listener::Plain)).unwrap();
        let info = cluster.topic(topic).unwrap();
        Reading::at(cluster, info, FetcherSettings::default(), &[offset]).loss()
    })
}

#[test]
fn records_that_retention_took_are_a_replay_gap() {
    let (wanted, begins) = (3, 4);
    let gap = Loss::ReplayGap { wanted, begins };
    assert_eq!(losses_at("fetch-gone", 3), [gap.clone(), gap]);
}

#[test]
fn a_position_behind_the_end_is_a_log_that_was_cut() {
    let (end, read) = (10, 12);
    let cut = Loss::LogTruncated { end, read };
    assert_eq!(losses_at("fetch-cut", 12), [cut.clone(), cut]);
}

#[test]
fn a_topic_that_was_made_again_is_another_one() {
    let kafka = Kafka::shared().unwrap();
    for (source, name) in SOURCES.into_iter().zip(["fetch-again", "fetch-again-too"]) {
        let topic = Topic::new(name);
        kafka.create(&topic).unwrap();
        kafka.produce(name, Some(0), &[Record::new("old")]).unwrap();
        let mut reading = Reading::start(by(source, kafka, Listener::Plain), name, FetcherSettings::default());
        reading.to(&[1]);
        kafka.delete(name).unwrap();
        kafka.create(&topic).unwrap();
        kafka
            .produce(name, Some(0), &[Record::new("new"), Record::new("newer")])
            .unwrap();
        assert_eq!(reading.loss(), Loss::TopicRecreated, "{source}");
        // librdkafka reads on in the new topic until somebody looks.
        if source == ClientKind::Own {
            assert_eq!(reading.records.len(), 1, "nothing of the new topic is read");
        }
    }
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
    let start = |source| Reading::start(by(source, kafka, Listener::Plain), "fetch-deleted", settings);
    let readings = SOURCES.map(start);
    kafka.delete("fetch-deleted").unwrap();
    for mut reading in readings {
        assert_eq!(reading.loss(), Loss::UnknownTopic);
    }
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
