//! Record for record what librdkafka reads.

use tocsin_e2e::kafka::{Codec, Isolation, Record, Topic};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, Listener};
use tocsin_kafka::ClientKind;

use super::reading::{PATIENCE, SOURCES, read};

/// What librdkafka reads, of tombstones only what ours tells.
fn expected(kafka: &Kafka, topic: &str, isolation: Isolation) -> Vec<Record> {
    let mut records = kafka.consume(topic, isolation).unwrap();
    for record in &mut records {
        if record.value.is_none() {
            record.timestamp = None;
            record.headers.clear();
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

fn check(kafka: &Kafka, topic: &str) -> usize {
    let wanted = expected(kafka, topic, Isolation::Committed);
    let all_wanted = expected(kafka, topic, Isolation::Uncommitted);
    for source in SOURCES {
        let committed = read(source, kafka, topic, true);
        assert_eq!(committed, wanted, "{topic} by {source}");
        let all = read(source, kafka, topic, false);
        assert_eq!(all, all_wanted, "{topic} by {source}");
    }
    wanted.len()
}

/// Records of many sizes, some alike, some without key or value.
fn mixed(n: usize) -> Vec<Record> {
    let record = |i: usize| {
        let value = format!("{i}-").repeat(1 + i * 37 % 150);
        match i % 11 {
            0 => Record::tombstone(format!("k{i}")).at(1_700_000_000_000),
            1 => Record::new(value).at(1_700_000_000_000 + i as i64),
            2 => Record::new("").key("").at(0),
            _ => Record::new(value)
                .key(format!("k{}", i % 7))
                .at(1_700_000_000_000 - i as i64)
                .header("trace", Some(format!("{i}").as_bytes()))
                .header("none", None),
        }
    };
    (0..n).map(record).collect()
}

#[test]
fn every_codec_is_read_as_librdkafka_reads_it() {
    let kafka = Kafka::shared().unwrap();
    for codec in Codec::ALL {
        let topic = format!("fetch-{}", codec.name());
        kafka
            .create(&Topic::new(&topic).partitions(2).setting("retention.ms", "-1"))
            .unwrap();
        for partition in 0..2 {
            kafka.produce_encoded(codec, &topic, partition, &mixed(600)).unwrap();
        }
        assert_eq!(check(kafka, &topic), 1_200);
    }
}

#[test]
fn codecs_that_change_from_batch_to_batch_are_read() {
    let kafka = Kafka::shared().unwrap();
    kafka
        .create(&Topic::new("fetch-mixed").setting("retention.ms", "-1"))
        .unwrap();
    for round in 0..4 {
        for codec in Codec::ALL {
            kafka
                .produce_encoded(codec, "fetch-mixed", 0, &mixed(1 + round * 5))
                .unwrap();
        }
    }
    check(kafka, "fetch-mixed");
}

#[test]
fn aborted_transactions_and_markers_are_passed_over_as_librdkafka_does() {
    let kafka = Kafka::shared().unwrap();
    kafka
        .create(&Topic::new("fetch-transactions").setting("retention.ms", "-1"))
        .unwrap();
    let one = kafka.transactional("fetch-one", Listener::Plain).unwrap();
    let other = kafka.transactional("fetch-other", Listener::Plain).unwrap();
    for round in 0..12 {
        one.begin().unwrap();
        other.begin().unwrap();
        one.produce("fetch-transactions", 0, &mixed(3)).unwrap();
        other.produce("fetch-transactions", 0, &mixed(2)).unwrap();
        one.produce("fetch-transactions", 0, &mixed(1)).unwrap();
        kafka.produce("fetch-transactions", Some(0), &mixed(1)).unwrap();
        if round % 3 == 0 {
            one.abort().unwrap()
        } else {
            one.commit().unwrap()
        }
        if round % 2 == 0 {
            other.abort().unwrap()
        } else {
            other.commit().unwrap()
        }
    }
    assert_eq!(check(kafka, "fetch-transactions"), 8 * 4 + 6 * 2 + 12);
}

#[test]
fn an_open_transaction_holds_committed_readers_back() {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new("fetch-open")).unwrap();
    kafka.produce("fetch-open", Some(0), &[Record::new("before")]).unwrap();
    let producer = kafka.transactional("fetch-open", Listener::Plain).unwrap();
    producer.begin().unwrap();
    producer.produce("fetch-open", 0, &[Record::new("open")]).unwrap();
    kafka.produce("fetch-open", Some(0), &[Record::new("behind")]).unwrap();
    assert_eq!(check(kafka, "fetch-open"), 1);
    producer.commit().unwrap();
    // The brokers answer before they have written the marker.
    until("the marker", PATIENCE, || {
        let end = |isolation| kafka.offsets("fetch-open", 0, isolation).map(|(_, end)| end);
        Ok((end(Isolation::Committed)? == end(Isolation::Uncommitted)?).then_some(()))
    })
    .unwrap();
    assert_eq!(check(kafka, "fetch-open"), 3);
}

#[test]
fn gaps_of_a_compacted_log_are_read_over() {
    let kafka = Kafka::shared().unwrap();
    let topic = Topic::new("fetch-compacted")
        .setting("cleanup.policy", "compact")
        .setting("segment.ms", "100");
    kafka.create(&topic).unwrap();
    for round in 0..20 {
        let records: Vec<Record> = (0..100)
            .map(|i| Record::new(format!("{round}-{i}-{}", "x".repeat(100))).key(format!("k{}", i % (round + 3))))
            .collect();
        kafka
            .produce_encoded(Codec::Lz4, "fetch-compacted", 0, &records)
            .unwrap();
    }
    // The segment that is written to is not compacted; a record behind its time closes it.
    until("the log is compacted", PATIENCE, || {
        kafka.produce("fetch-compacted", 0, &[Record::new("tick").key("tick")])?;
        let n_left = kafka.consume_committed("fetch-compacted")?.len();
        Ok((n_left < 1_500).then_some(()))
    })
    .unwrap();
    // The cleaner may still be at work between two readings.
    until("both read the same", PATIENCE, || {
        let theirs = expected(kafka, "fetch-compacted", Isolation::Committed);
        let same = |source: &ClientKind| read(*source, kafka, "fetch-compacted", true) == theirs;
        Ok(SOURCES.iter().all(same).then_some(()))
    })
    .unwrap();
}
