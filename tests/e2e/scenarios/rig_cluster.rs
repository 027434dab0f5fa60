//! The rig's clusters: three brokers, and a broker whose disk is small.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use tocsin_e2e::kafka::{Record, Topic, may_mount, produce_with};
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn three_brokers_elect_another_leader_when_one_is_killed() {
    let started = Instant::now();
    let kafka = Kafka::start(KafkaOptions::default().brokers(3).listener(Listener::Proxied)).unwrap();
    println!("three brokers were ready after {:?}", started.elapsed());
    // Each broker is reached through its own proxy.
    kafka.create(&Topic::new("spread").partitions(3).replicas(1)).unwrap();
    for partition in 0..3 {
        let config = kafka.client(Listener::Proxied).unwrap();
        produce_with(config, "spread", partition, &[Record::new("x")]).unwrap();
    }
    for partition in kafka.describe("spread").unwrap() {
        assert!(kafka.proxy(partition.leader.unwrap()).unwrap().count(ApiKey::PRODUCE) >= 1);
    }

    kafka
        .create(&Topic::new("led").setting("min.insync.replicas", "2"))
        .unwrap();
    assert_eq!(kafka.describe("led").unwrap()[0].replicas.len(), 3);
    kafka.produce("led", 0, &[Record::new("before")]).unwrap();
    let first = kafka.leader("led", 0).unwrap();

    let started = Instant::now();
    kafka.kill(first).unwrap();
    let second = until("another leader", PATIENCE, || {
        Ok(kafka.describe("led")?[0].leader.filter(|leader| *leader != first))
    });
    println!("another led after {:?}", started.elapsed());
    assert_ne!(second.unwrap(), first);
    kafka.produce("led", 0, &[Record::new("after")]).unwrap();
    assert_eq!(kafka.consume_committed("led").unwrap().len(), 2);

    kafka.start_again(first).unwrap();
    until("the killed broker to catch up", PATIENCE, || {
        Ok(kafka.describe("led")?[0].in_sync.contains(&first).then_some(()))
    })
    .unwrap();

    // A broker that is only held back is left out as well.
    let leader = kafka.leader("led", 0).unwrap();
    kafka.pause(leader).unwrap();
    until("a leader in the place of the paused one", PATIENCE, || {
        Ok(kafka.describe("led")?[0].leader.filter(|found| *found != leader))
    })
    .unwrap();
    kafka.resume(leader).unwrap();
}

#[test]
fn a_broker_whose_disk_is_full_takes_nothing_and_starts_again_with_room() {
    if !may_mount() {
        println!("not run: small disks need root");
        return;
    }
    let kafka = Kafka::start(KafkaOptions::default().small_disk(48 << 20)).unwrap();
    kafka.create(&Topic::new("full")).unwrap();
    kafka.produce("full", 0, &[Record::new("before")]).unwrap();
    kafka.fill_disk(0, 0).unwrap();
    assert!(kafka.free_disk(0).unwrap() < 4096);
    let mut config = kafka.client(Listener::Plain).unwrap();
    config.set("message.timeout.ms", "3000");
    produce_with(config, "full", 0, &[Record::new(vec![1; 200_000])]).unwrap_err();
    kafka.wait_for_end(0, PATIENCE).unwrap();

    kafka.relieve_disk(0).unwrap();
    kafka.start_again(0).unwrap();
    kafka.produce("full", 0, &[Record::new("after")]).unwrap();
    let read = kafka.consume_committed("full").unwrap();
    assert_eq!(read.iter().map(Record::text).collect::<Vec<_>>(), ["before", "after"]);
}
