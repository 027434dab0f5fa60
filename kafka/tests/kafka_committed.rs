//! Committed offsets, asked for where a broker takes itself for the group's coordinator though another is.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use tocsin_e2e::kafka::Topic;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, KafkaOptions, Listener};
use tocsin_kafka::{Barrier, Brokers, Cluster, ClusterSettings, CommittedNow, CommittedOffsets, Membership};

const GROUP: &str = "sleepers";
const TOPIC: &str = "sleepers-events";
const JOURNAL: &str = "sleepers-journal";
const BROKERS: usize = 3;

/// Within this a broker that stands still is out of its cluster, and another coordinates in its place.
const PATIENCE: Duration = Duration::from_secs(40);

/// The broker that coordinates the group. Source: `GroupCoordinatorService.partitionFor` of Kafka, and Java's `String.hashCode`.
fn coordinator(kafka: &Kafka) -> usize {
    let offsets = "__consumer_offsets";
    let n_partitions = kafka.describe(offsets).unwrap().len() as i32;
    let hash = |hash: i32, byte: u8| hash.wrapping_mul(31).wrapping_add(i32::from(byte));
    let number = GROUP.bytes().fold(0, hash).wrapping_abs() % n_partitions;
    kafka.leader(offsets, number).unwrap()
}

fn asked() -> (String, u32) {
    (TOPIC.to_owned(), 0)
}

fn offset_in(found: &CommittedOffsets) -> Option<i64> {
    found.get(&asked()).map(|committed| committed.offset)
}

/// Of a group without members all are members who say that they are none.
fn nobody() -> Membership {
    Membership {
        group: GROUP.to_owned(),
        generation: -1,
        member: String::new(),
        instance: None,
    }
}

#[test]
fn what_a_broker_remembers_from_when_it_was_the_coordinator_is_not_taken_for_what_is_committed_now() {
    let options = KafkaOptions::default().brokers(BROKERS);
    let kafka = Kafka::start(options.setting("broker.session.timeout.ms", "3000")).unwrap();
    for topic in [TOPIC, JOURNAL] {
        let topic = Topic::new(topic).partitions(1).replicas(BROKERS as i32);
        kafka.create(&topic).unwrap();
    }
    kafka.commit(GROUP, TOPIC, 0, 10).unwrap();
    let former = coordinator(&kafka);
    let others = (0..BROKERS).filter(|broker| *broker != former);
    kafka.pause(former).unwrap();
    until("another coordinator", PATIENCE, || {
        Ok(kafka.commit(GROUP, TOPIC, 0, 20).ok())
    })
    .unwrap();
    // It wakes in a network that has it alone: nobody tells it that there is another.
    others.clone().for_each(|broker| kafka.pause(broker).unwrap());
    kafka.resume(former).unwrap();
    let bootstrap = kafka.bootstrap(Listener::Plain).unwrap();
    let of_former = bootstrap.split(',').nth(former).unwrap();
    let mut cluster = Cluster::new(ClusterSettings::plain(Brokers::parse(of_former).unwrap())).unwrap();
    let remembered = cluster.committed(GROUP, &[asked()]).unwrap().unwrap();
    assert_eq!(offset_in(&remembered), Some(10), "it knows more than this test wants");

    let by = nobody();
    let barrier = Barrier {
        by: &by,
        commit: &|_| Ok(()),
        topic: JOURNAL,
        partition: 0,
        text: "one",
        is_written: false,
    };
    // Nobody takes a copy of the barrier.
    let alone = cluster.committed_now(&barrier, &[asked()]).unwrap_err();
    let said = alone.to_string();
    assert!(alone.may_pass() && said.contains("answers to OffsetCommit"), "{said}");

    others.clone().for_each(|broker| kafka.resume(broker).unwrap());
    let now = until("what is committed now", PATIENCE, || {
        match cluster.committed_now(&barrier, &[asked()]) {
            Ok(CommittedNow::Offsets(found)) => Ok(Some(found)),
            Ok(_) => Ok(None),
            Err(error) => {
                assert!(error.may_pass(), "{error}");
                Ok(None)
            }
        }
    });
    let now = now.unwrap();
    assert_eq!(offset_in(&now), Some(20));
    // The barrier itself is no offset.
    assert_eq!(now.len(), 1);
    let journal = [(JOURNAL.to_owned(), 0)];
    assert_eq!(cluster.committed(GROUP, &journal).unwrap().unwrap().len(), 0);

    // A broker that does not show the barrier is not believed, and who has written one only reads.
    for (text, is_shown) in [("one", true), ("another", false)] {
        let barrier = Barrier {
            text,
            is_written: true,
            ..barrier
        };
        let told = cluster.committed_now(&barrier, &[asked()]).unwrap();
        assert_eq!(matches!(told, CommittedNow::Offsets(_)), is_shown, "{text}: {told:?}");
    }

    // Who says that it is a member, and is none, is told nothing.
    let foreign = Membership {
        generation: 3,
        member: "somebody".to_owned(),
        ..nobody()
    };
    let barrier = Barrier {
        by: &foreign,
        ..barrier
    };
    let told = cluster.committed_now(&barrier, &[asked()]).unwrap();
    assert_eq!(told, CommittedNow::NotShown);
}
