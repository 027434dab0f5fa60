//! The rig itself: one broker, its records and transactions, its proxy, and its end with the test process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tocsin_e2e::kafka::{Codec, Committed, Isolation, Record, Topic, Transactional, may_mount};
use tocsin_e2e::proxy::Fate;
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener, Rule, S3, home};

const PATIENCE: Duration = Duration::from_secs(15);

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(Record::text).collect()
}

#[test]
fn records_of_each_codec_come_back_whole() {
    let kafka = Kafka::shared().unwrap();
    for codec in Codec::ALL {
        let topic = format!("codec-{}", codec.name());
        kafka
            .create(&Topic::new(&topic).partitions(2).setting("retention.ms", "-1"))
            .unwrap();
        let written = [
            Record::new("first")
                .key("k")
                .at(1_000)
                .header("h", Some(b"v"))
                .header("null", None),
            Record::tombstone("k").at(2_000),
            Record::new("x".repeat(5_000)).at(3_000),
        ];
        let places = kafka.produce_encoded(codec, &topic, 1, &written).unwrap();
        assert_eq!(places, [(1, 0), (1, 1), (1, 2)]);

        let read = kafka.consume_committed(&topic).unwrap();
        let expected = written.into_iter().zip(0..).map(|(record, offset)| Record {
            partition: 1,
            offset,
            ..record
        });
        assert_eq!(read, expected.collect::<Vec<_>>(), "{codec:?}");
        assert_eq!(kafka.offset_at(&topic, 1, 1_500).unwrap(), Some(1));
    }
}

#[test]
fn topics_are_made_widened_and_deleted() {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new("widened")).unwrap();
    assert!(kafka.create(&Topic::new("widened")).is_err());
    kafka.add_partitions("widened", 3).unwrap();
    assert_eq!(kafka.describe("widened").unwrap().len(), 3);
    assert_eq!(kafka.describe("widened").unwrap()[2].replicas, [0]);
    kafka.configure("widened", &[("cleanup.policy", "compact")]).unwrap();
    kafka.delete("widened").unwrap();
    assert_eq!(kafka.describe("widened").unwrap(), []);
}

#[test]
fn an_aborted_transaction_is_not_seen_by_a_committed_reader() {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new("transactions")).unwrap();
    let producer = kafka.transactional("transactions", Listener::Plain).unwrap();
    producer.begin().unwrap();
    producer
        .produce("transactions", 0, &[Record::new("committed")])
        .unwrap();
    producer.commit().unwrap();
    producer.begin().unwrap();
    producer.produce("transactions", 0, &[Record::new("aborted")]).unwrap();
    assert_eq!(
        texts(&kafka.consume_committed("transactions").unwrap()),
        ["committed"],
        "while it is open"
    );
    producer.abort().unwrap();

    assert_eq!(texts(&kafka.consume_committed("transactions").unwrap()), ["committed"]);
    let all = kafka.consume("transactions", Isolation::Uncommitted).unwrap();
    assert_eq!(texts(&all), ["committed", "aborted"]);
}

#[test]
fn offsets_are_committed_with_a_transaction_and_with_it_alone() {
    let kafka = Kafka::shared().unwrap();
    kafka.create(&Topic::new("offsets")).unwrap();
    let producer = kafka.transactional("offsets", Listener::Plain).unwrap();
    let mut config = kafka.client(Listener::Plain).unwrap();
    let consumer: BaseConsumer = config.set("group.id", "offsets-group").create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("offsets", 0, Offset::Offset(7)).unwrap();
    let mut elements = offsets.elements();
    elements[0].set_metadata("epoch 3");
    for commits in [false, true] {
        producer.begin().unwrap();
        producer
            .send_offsets(&offsets, &consumer.group_metadata().unwrap())
            .unwrap();
        if commits {
            producer.commit().unwrap();
        } else {
            producer.abort().unwrap();
        }
        let committed = kafka.committed("offsets-group", "offsets").unwrap();
        let expected = Committed {
            partition: 0,
            offset: 7,
            metadata: "epoch 3".to_owned(),
        };
        assert_eq!(committed, if commits { vec![expected] } else { vec![] });
    }
}

#[test]
fn a_compacted_topic_forgets_what_was_written_over() {
    let kafka = Kafka::shared().unwrap();
    let topic = Topic::new("compacted")
        .setting("cleanup.policy", "compact")
        .setting("segment.ms", "100");
    kafka.create(&topic).unwrap();
    for value in ["old", "older", "new"] {
        kafka.produce("compacted", 0, &[Record::new(value).key("k")]).unwrap();
    }
    // The segment that is written to is not compacted; a record behind its time closes it.
    until("the compaction", Duration::from_secs(30), || {
        kafka.produce("compacted", 0, &[Record::new("tick").key("tick")])?;
        let read = kafka.consume_committed("compacted")?;
        let values: Vec<String> = read
            .iter()
            .filter(|record| record.text() != "tick")
            .map(Record::text)
            .collect();
        Ok((values == ["new"]).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_killed_broker_starts_again_with_its_data_and_its_port() {
    let started = Instant::now();
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    println!("one broker was ready after {:?}", started.elapsed());
    println!("and had used {:?} of processor time", kafka.cpu_time(0).unwrap());
    let bootstrap = kafka.bootstrap(Listener::Plain).unwrap();
    kafka.create(&Topic::new("kept")).unwrap();
    kafka.produce("kept", 0, &[Record::new("before")]).unwrap();
    kafka.kill(0).unwrap();
    assert!(kafka.cpu_time(0).is_err());

    let started = Instant::now();
    kafka.start_again(0).unwrap();
    println!("the killed broker was ready after {:?}", started.elapsed());
    kafka.produce("kept", 0, &[Record::new("after")]).unwrap();
    assert_eq!(texts(&kafka.consume_committed("kept").unwrap()), ["before", "after"]);
    assert_eq!(kafka.bootstrap(Listener::Plain).unwrap(), bootstrap);

    kafka.stop(0).unwrap();
    kafka.start_again(0).unwrap();
    assert_eq!(texts(&kafka.consume_committed("kept").unwrap()), ["before", "after"]);
}

#[test]
fn a_broker_that_cannot_start_is_told_with_its_log() {
    let error = Kafka::start(KafkaOptions::default().setting("log.segment.bytes", "none"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("broker 0 ended") && error.contains("log.segment.bytes"),
        "{error}"
    );
}

#[test]
fn the_answer_of_end_txn_is_dropped_while_the_broker_does_the_work() {
    // A broker of its own: the rules are for its proxy alone.
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Proxied)).unwrap();
    let proxy = kafka.proxy(0).unwrap();
    kafka.create(&Topic::new("dropped")).unwrap();
    let mut config = kafka.client(Listener::Proxied).unwrap();
    config.set("socket.timeout.ms", "5000");
    let producer = Transactional::new(config, "dropped").unwrap();
    producer.begin().unwrap();
    producer.produce("dropped", 0, &[Record::new("one")]).unwrap();
    let rule = proxy.add(Rule::nth(ApiKey::END_TXN, 1).drop_answer());
    // The commit cannot succeed within a time in which no answer comes.
    let error = producer.try_commit(Duration::from_secs(2)).unwrap_err();
    assert_eq!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::OperationTimedOut),
        "{error}"
    );
    rule.wait(PATIENCE).unwrap();
    let fates: Vec<Fate> = proxy
        .seen()
        .into_iter()
        .filter(|seen| seen.head.api_key == ApiKey::END_TXN)
        .map(|seen| seen.fate)
        .collect();
    assert_eq!(fates, [Fate::AnswerDropped]);
    assert_eq!(
        texts(&kafka.consume_committed("dropped").unwrap()),
        ["one"],
        "the broker committed"
    );

    // The same with a reset: the client asks again and is told.
    producer.try_commit(PATIENCE).unwrap();
    producer.begin().unwrap();
    producer.produce("dropped", 0, &[Record::new("two")]).unwrap();
    let rule = proxy.add(Rule::nth(ApiKey::END_TXN, 1).drop_answer_and_cut());
    producer.commit().unwrap();
    assert_eq!(rule.hits(), 1);
    assert_eq!(texts(&kafka.consume_committed("dropped").unwrap()), ["one", "two"]);
}

/// Set in the child of the next test.
const CHILD: &str = "TOCSIN_E2E_CHILD";

#[test]
fn everything_is_gone_after_the_test_process_was_killed() {
    if std::env::var_os(CHILD).is_some() {
        start_things_and_wait();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "everything_is_gone_after_the_test_process_was_killed",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .find_map(|line| line.split_once("started: ").map(|(_, told)| told.to_owned()));
    let told = told.unwrap();
    let paths: Vec<&Path> = told.split(' ').map(Path::new).collect();
    assert_eq!(paths.len(), 4, "{told}");
    for path in &paths {
        assert!(path.exists(), "{}", path.display());
    }

    child.kill().unwrap();
    child.wait().unwrap();
    for path in paths {
        until(&format!("the end of {}", path.display()), PATIENCE, || {
            Ok((!path.exists()).then_some(()))
        })
        .unwrap();
    }
}

/// In the child: starts a broker with a disk of its own and an S3 server, from a thread that ends, and tells of them.
fn start_things_and_wait() {
    let starting = thread::spawn(|| {
        let options = KafkaOptions::default();
        let options = if may_mount() {
            options.small_disk(32 << 20)
        } else {
            options
        };
        (Kafka::start(options).unwrap(), S3::start().unwrap())
    });
    let (kafka, s3) = starting.join().unwrap();
    kafka.create(&Topic::new("alive")).unwrap();
    let process = |pid: u32| format!("/proc/{pid}");
    let disk = kafka.data(0).unwrap();
    let home = home::home().unwrap();
    println!(
        "started: {} {} {} {}",
        process(kafka.pid(0).unwrap()),
        process(s3.pid()),
        disk.display(),
        home.display()
    );
    // Until it is killed.
    loop {
        thread::park();
    }
}
