//! Brokers that take no results for a while, or have forgotten a producer: nothing is lost, nothing is there twice.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Instant;

use support::{END, PATIENCE, all_are_right, or_tell};
use tocsin_e2e::ids::{Event, Ids, Pace, few_rounds};
use tocsin_e2e::kafka::{Isolation, may_mount};
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener, Rule};

/// What a worker is told where too few brokers have a copy: a batch is refused; or it was taken as the broker went,
/// and then the marker that ends its transaction is.
const REFUSED: [&str; 2] = ["NotEnoughReplicas", "ConcurrentTransactions"];

#[test]
fn results_wait_until_enough_brokers_have_a_copy() {
    let kafka = Kafka::start(KafkaOptions::default().brokers(3)).unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let ids = Ids::new(&kafka, &format!("few-copies-{round}"), Listener::Plain).unwrap();
        // Events are taken as before when a broker is gone, results are not.
        let passed = ids.topic("passed");
        kafka.configure(&passed, &[("min.insync.replicas", "3")]).unwrap();
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        or_tell(&at("before"), &[&worker], tail.wait_for(stream.written(), PATIENCE));
        let broker = usize::try_from(round).unwrap() % kafka.brokers();
        kafka.kill(broker).unwrap();
        let without = until("it is left out", PATIENCE, || {
            let partitions = kafka.describe(&passed)?;
            let all_without = partitions.iter().all(|partition| partition.in_sync.len() == 2);
            Ok(all_without.then_some(()))
        });
        or_tell(&at("without it"), &[&worker], without);
        let go_on = |n_events| {
            let until_then = stream.written() + n_events;
            let more = || Ok((stream.written() >= until_then).then_some(()));
            or_tell(&at("the stream goes on"), &[&worker], until("events", PATIENCE, more));
        };
        // A new leader says nothing of its end before enough brokers have what it has: the worker is who tells.
        let refused = until("the worker says why it waits", PATIENCE, || {
            let is_said = REFUSED.iter().any(|error| worker.lines_with(error) > 0);
            Ok(is_said.then_some(()))
        });
        or_tell(&at("results are refused"), &[&worker], refused);
        go_on(500);
        or_tell(&at("it waits"), &[&worker], worker.check());
        kafka.start_again(broker).unwrap();
        let back = Instant::now();
        or_tell(&at("after"), &[&worker], tail.wait_for(stream.written(), PATIENCE));
        println!("{} after {:?}", at("it goes on"), back.elapsed());
        all_are_right(&at("at the end"), &ids, stream, tail, &[&worker]);
    }
}

#[test]
fn a_broker_whose_disk_is_full_is_waited_for() {
    if !may_mount() {
        println!("not run: small disks need root");
        return;
    }
    let kafka = Kafka::start(KafkaOptions::default().small_disk(256 << 20)).unwrap();
    let ids = Ids::new(&kafka, "full-broker", Listener::Plain).unwrap();
    let stream = ids.stream(Pace::default()).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        or_tell(&at("before"), &[&worker], tail.wait_for(stream.written(), PATIENCE));
        kafka.fill_disk(0, 0).unwrap();
        or_tell(&at("the broker ends"), &[&worker], kafka.wait_for_end(0, PATIENCE));
        let until_then = stream.written() + 500;
        let more = until(
            "events",
            PATIENCE,
            || Ok((stream.written() >= until_then).then_some(())),
        );
        or_tell(&at("meanwhile"), &[&worker], more);
        or_tell(&at("it waits"), &[&worker], worker.check());
        kafka.relieve_disk(0).unwrap();
        kafka.start_again(0).unwrap();
        let back = Instant::now();
        or_tell(&at("after"), &[&worker], tail.wait_for(stream.written(), PATIENCE));
        println!("{} after {:?}", at("it goes on"), back.elapsed());
    }
    all_are_right("at the end", &ids, stream, tail, &[&worker]);
}

/// Brokers forget producers that have written nothing for some time, a week as a rule.
#[test]
fn a_worker_whose_producers_were_forgotten_goes_on_with_others() {
    let options = KafkaOptions::default()
        .setting("transactional.id.expiration.ms", "2000")
        .setting("transaction.remove.expired.transaction.cleanup.interval.ms", "200")
        .setting("producer.id.expiration.ms", "2000")
        .setting("producer.id.expiration.check.interval.ms", "200");
    let kafka = Kafka::start(options).unwrap();
    let ids = Ids::new(&kafka, "forgotten", Listener::Plain).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    let (mut next, mut n_passing) = (0, 0);
    for round in 0..=few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let events: Vec<Event> = (next..next + 1_000)
            .map(|id| Event::of(id, 1_767_225_600_000 + id * 10))
            .collect();
        next += 1_000;
        n_passing += events.iter().filter(|event| event.passes).count();
        ids.write(&events).unwrap();
        or_tell(&at("written"), &[&worker], tail.wait_for_count(n_passing, PATIENCE));
        // Of each transactional id there is a record without a value when it is forgotten.
        let forgotten = until("the producers are forgotten", PATIENCE, || {
            let states = kafka.consume("__transaction_state", Isolation::Uncommitted)?;
            let mut last = std::collections::BTreeMap::new();
            for state in states {
                last.insert(state.key, state.value.is_some());
            }
            Ok((!last.is_empty() && last.values().all(|known| !known)).then_some(()))
        });
        or_tell(&at("forgotten"), &[&worker], forgotten);
    }
    worker.end(END).unwrap();
    assert_eq!(i64::try_from(ids.check().unwrap()), Ok(next));
}

#[test]
fn a_worker_that_starts_as_its_broker_goes_down_waits_until_it_is_back() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for client in ["own", "librdkafka"] {
        let mut ids = Ids::new(&kafka, &format!("early-{client}"), Listener::Proxied).unwrap();
        ids.further = vec!["--client".to_owned(), client.to_owned()];
        let stream = ids.stream(Pace::default()).unwrap();
        let tail = ids.tail().unwrap();
        // It takes connections and closes them, as one does that expects TLS.
        let closes = proxy.add(Rule::every(ApiKey::API_VERSIONS).cut_before());
        let worker = ids.worker("w").unwrap();
        or_tell(client, &[&worker], closes.wait_for(3, PATIENCE));
        closes.remove();
        all_are_right(client, &ids, stream, tail, &[&worker]);
    }
}
