//! A topic that gets more partitions under a running pipeline: each result once, and what a recomputation gives.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use support::events::{Events, while_written};
use support::windows::{Key, Windows, newest, recomputed, severity};
use support::{END, PATIENCE, or_tell, wait_for_shards};
use tocsin_e2e::ids::{Event, Ids, Tail, rounds};
use tocsin_e2e::kafka::{Record, Topic};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, Listener, Worker, home};

/// What a worker says when it begins with the partitions that there are.
const BEGINS_ANEW: &str = "the worker begins anew";

/// A stage whose key is not the one that the topic is partitioned by.
const LEVELS: &str = "  - name: levels\n    from: events\n    aggregate: {by: [severity], window: {tumbling: 1s}, \
                      select: {events: count(*), ids: sum(id)}}\n  sinks:\n";

/// The pipeline of a test: a stage that is dealt out beside those that are not, and nothing is too late.
fn pipeline<'a>(kafka: &'a Kafka, name: &str, partitions: &str) -> Ids<'a> {
    beginning_with(2, kafka, name, partitions)
}

/// The same with so many partitions of the input at first.
fn beginning_with<'a>(n_partitions: i32, kafka: &'a Kafka, name: &str, partitions: &str) -> Ids<'a> {
    let ids = Ids::of_partitions(kafka, name, n_partitions).unwrap();
    let text = std::fs::read_to_string(&ids.pipeline).unwrap();
    let levels = format!("  - {{name: levels, from: levels, kafka: {{topic: {name}-levels}}}}\n");
    let text = text
        .replace("idleTimeout: 1h", "idleTimeout: 1h, allowedLateness: 1h")
        .replace("  sinks:\n", LEVELS)
        .replace("  sources:\n", &format!("  partitions: {{{partitions}}}\n  sources:\n"));
    std::fs::write(&ids.pipeline, text + &levels).unwrap();
    ids
}

/// Writes events, each to the partitions that there are.
fn write(events: &mut Events, ids: &Ids<'_>, n_events: i64) {
    let first = events.next_id();
    let next: Vec<Event> = (first..first + n_events)
        .map(|id| Event::of(id, events.time(id)))
        .collect();
    ids.write(&events.add(next)).unwrap();
}

/// Ends with events that close all windows.
fn close(events: &mut Events, ids: &Ids<'_>) {
    let first = events.next_id();
    let time = events.time(first) + 120_000;
    // Of further services too, so that each partition has one; each escalates once.
    let ends = (0..24 * 5).map(|number| Event {
        service: format!("end{}", number % 24),
        ..Event::closing(first + number, time)
    });
    ids.write(&events.add(ends)).unwrap();
}

/// What must come out of the windows that are closed.
fn closed(events: &Events, key: Key) -> Windows {
    let newest = events.all.last().unwrap().time;
    recomputed(events.all.iter().filter(|event| event.time < newest), key)
}

/// Holds all results against a recomputation.
fn compare(ids: &Ids<'_>, events: &Events, workers: &[&Worker]) {
    let parts: [(&str, &str, Key); 2] = [
        ("totals", "service", |event| event.service.clone()),
        ("levels", "severity", severity),
    ];
    for (part, key, of) in parts {
        let expected = closed(events, of);
        assert!(!expected.is_empty());
        let mut found = Windows::new();
        let right = until(part, PATIENCE, || {
            found = newest(ids, part, key);
            Ok((found == expected).then_some(()))
        });
        let differs = expected
            .iter()
            .filter(|(name, counted)| found.get(*name) != Some(*counted));
        let differs: Vec<String> = differs
            .take(8)
            .map(|row| format!("{row:?}: {:?}", found.get(row.0)))
            .collect();
        or_tell(&format!("{part}: {differs:?}"), workers, right);
    }
    let right = until("escalations", PATIENCE, || {
        ids.escalations_are_gathered().map(|right| right.then_some(()))
    });
    or_tell("escalations", workers, right);
    let mut passed: BTreeMap<i64, u32> = BTreeMap::new();
    for record in ids.kafka.consume_committed(&ids.topic("passed")).unwrap() {
        *passed
            .entry(Event::read(record.value.as_deref().unwrap()).unwrap().id)
            .or_default() += 1;
    }
    assert_eq!(passed.len(), events.n_pass());
    assert!(passed.values().all(|times| *times == 1));
}

/// Closes all windows, waits until everything is through, compares, and ends the workers.
fn finish(events: &mut Events, tail: &mut Tail, ids: &Ids<'_>, workers: &[&Worker]) {
    close(events, ids);
    events.wait_until_read(tail, workers);
    compare(ids, events, workers);
    for worker in workers {
        worker.end(END).unwrap();
    }
}

#[test]
fn a_topic_that_grows_under_load_is_gone_on_with_though_a_worker_is_killed() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let name = format!("growing-{round}");
        let mut ids = pipeline(kafka, &name, "onGrowth: Restore");
        ids.state = Some(home::new_folder("state").unwrap().display().to_string());
        let (mut events, mut tail) = (Events::new(), ids.tail().unwrap());
        let (a, b) = (ids.worker("a").unwrap(), ids.worker("b").unwrap());
        write(&mut events, &ids, 2_000);
        events.wait_until_read(&mut tail, &[&a, &b]);
        kafka.add_partitions(&ids.topic("events"), 4).unwrap();
        write(&mut events, &ids, 1_000);
        match round % 4 {
            // While it is held, or about to be.
            0 => or_tell("held", &[&a], a.wait_for_line("goes on from a savepoint", PATIENCE)),
            1 => or_tell("written", &[&a], a.wait_for_line("a savepoint was written", PATIENCE)),
            2 => or_tell("anew", &[&a], a.wait_for_line(BEGINS_ANEW, PATIENCE)),
            _ => or_tell("held", &[&a], a.wait_for_line("held=true", PATIENCE)),
        }
        a.kill().unwrap();
        write(&mut events, &ids, 1_000);
        let a = ids.worker("a").unwrap();
        or_tell("both begin anew", &[&a, &b], b.wait_for_line(BEGINS_ANEW, PATIENCE));
        write(&mut events, &ids, 1_000);
        events.wait_until_read(&mut tail, &[&a, &b]);
        // From now on it is a pipeline as any other.
        b.kill().unwrap();
        let b = ids.worker("b").unwrap();
        write(&mut events, &ids, 1_000);
        finish(&mut events, &mut tail, &ids, &[&a, &b]);
    }
}

/// So many events are written at once under load, fifty times a second.
const BURST: i64 = 20;

/// One worker, four, two, and two partitions more, with events all the while and a kill at each step.
#[test]
fn workers_come_and_go_and_partitions_are_added_and_each_result_is_there_once() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let mut ids = beginning_with(4, kafka, &format!("rescaling-{round}"), "onGrowth: Restore");
        ids.state = Some(home::new_folder("state").unwrap().display().to_string());
        let (mut events, mut tail) = (Events::new(), ids.tail().unwrap());
        let mut last = None;
        while_written(
            &mut events,
            |events| write(events, &ids, BURST),
            |load| {
                let first = ids.worker("a").unwrap();
                load.goes_on("one", &mut tail, &[&first]);
                let [b, c, d] = ["b", "c", "d"].map(|name| ids.worker(name).unwrap());
                for worker in [&b, &c, &d] {
                    or_tell("it has a shard", &[worker], wait_for_shards(worker, 1, PATIENCE));
                }
                load.goes_on("four", &mut tail, &[&first, &b, &c, &d]);
                c.kill().unwrap();
                d.end(END).unwrap();
                load.goes_on("two", &mut tail, &[&first, &b]);
                kafka.add_partitions(&ids.topic("events"), 6).unwrap();
                or_tell(
                    "it grows",
                    &[&first],
                    first.wait_for_line("goes on from a savepoint", PATIENCE),
                );
                first.kill().unwrap();
                let first = ids.worker("a").unwrap();
                or_tell("both begin anew", &[&first, &b], b.wait_for_line(BEGINS_ANEW, PATIENCE));
                load.goes_on("of six partitions", &mut tail, &[&first, &b]);
                b.kill().unwrap();
                load.goes_on("one is left", &mut tail, &[&first]);
                last = Some(first);
            },
        );
        finish(&mut events, &mut tail, &ids, &[&last.unwrap()]);
    }
}

/// Where the first transaction of a new shard was aborted, its journal has records, and none that counts.
#[test]
fn a_new_shard_begins_though_its_first_transaction_was_aborted() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = pipeline(kafka, "growing-aborted", "onGrowth: Restore");
    let state = home::new_folder("state").unwrap();
    ids.state = Some(state.display().to_string());
    let (mut events, mut tail) = (Events::new(), ids.tail().unwrap());
    let worker = ids.worker("w").unwrap();
    write(&mut events, &ids, 2_000);
    events.wait_until_read(&mut tail, &[&worker]);
    kafka.add_partitions(&ids.topic("events"), 4).unwrap();
    let savepoint = format!("{}/savepoints/grown-to-epoch-1/savepoint.manifest", ids.name);
    let is_written = until("the savepoint", PATIENCE, || {
        Ok(state.join(&savepoint).exists().then_some(()))
    });
    or_tell("written", &[&worker], is_written);
    worker.kill().unwrap();
    let journal = format!("{}.journal", ids.name);
    if kafka.describe(&journal).unwrap().len() < 4 {
        kafka.add_partitions(&journal, 4).unwrap();
    }
    let aborted = kafka.transactional("growing-aborted-first", Listener::Plain).unwrap();
    aborted.begin().unwrap();
    for partition in 2..4 {
        aborted
            .produce(&journal, partition, &[Record::new("never seen")])
            .unwrap();
    }
    aborted.abort().unwrap();
    write(&mut events, &ids, 1_000);
    let worker = ids.worker("w").unwrap();
    finish(&mut events, &mut tail, &ids, &[&worker]);
}

/// Whether a pipeline goes on though its topic, of one partition at first, grows again and again: stages that one shard had for
/// itself are dealt out, then dealt out anew.
fn check_grows_again(mut ids: Ids<'_>) {
    ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    let (mut events, mut tail) = (Events::new(), ids.tail().unwrap());
    let worker = ids.worker("w").unwrap();
    write(&mut events, &ids, 1_000);
    for (times, n_partitions) in [(1, 2), (2, 4)] {
        events.wait_until_read(&mut tail, &[&worker]);
        ids.kafka.add_partitions(&ids.topic("events"), n_partitions).unwrap();
        write(&mut events, &ids, 1_000);
        let begins = worker.wait_for_lines(BEGINS_ANEW, times, PATIENCE);
        or_tell(&format!("with {n_partitions} partitions"), &[&worker], begins);
        write(&mut events, &ids, 1_000);
    }
    finish(&mut events, &mut tail, &ids, &[&worker]);
}

#[test]
fn a_topic_of_one_partition_may_grow_and_grow_again() {
    let kafka = Kafka::shared().unwrap();
    check_grows_again(beginning_with(1, kafka, "growing-again", "onGrowth: Restore"));
}

/// Nobody is disturbed, so no result repeats.
#[test]
fn a_topic_may_grow_where_results_may_repeat() {
    let kafka = Kafka::shared().unwrap();
    let ids = beginning_with(1, kafka, "growing-sooner", "onGrowth: Restore");
    check_grows_again(ids.at_least_once().unwrap());
}

/// Without leave to manage topics a worker names the one that lacks partitions, and goes on when all have them.
#[test]
fn who_manages_topics_adds_partitions_to_those_of_the_pipeline_and_it_goes_on() {
    let kafka = Kafka::shared().unwrap();
    let name = "growing-managed";
    let mut ids = pipeline(kafka, name, "onGrowth: Restore");
    let text = std::fs::read_to_string(&ids.pipeline).unwrap();
    std::fs::write(&ids.pipeline, text.replace("kafka: {}", "kafka: {manageTopics: false}")).unwrap();
    ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    let sinks = ["-escalations", "-totals", "-levels", ".dead-letter"];
    // The journal last: how many partitions it has counts for those who start meanwhile.
    let own = [".escalated.by", ".totals.by", ".levels.by", ".journal"];
    for topic in sinks.iter().chain(&own) {
        kafka
            .create(&Topic::new(&format!("{name}{topic}")).partitions(2))
            .unwrap();
    }
    let (mut events, mut tail) = (Events::new(), ids.tail().unwrap());
    let mut worker = ids.worker("w").unwrap();
    write(&mut events, &ids, 1_000);
    events.wait_until_read(&mut tail, &[&worker]);
    kafka.add_partitions(&ids.topic("events"), 4).unwrap();
    write(&mut events, &ids, 1_000);
    for topic in own.map(|topic| format!("{name}{topic}")) {
        let ends = worker.wait(PATIENCE);
        assert_eq!(
            or_tell(&topic, &[&worker], ends).code(),
            Some(4),
            "{}",
            worker.last_lines()
        );
        let said = format!("topic {topic} has 2 partitions; it must have 4");
        assert_eq!(worker.lines_with(&said), 1, "{said}\n{}", worker.said());
        kafka.add_partitions(&topic, 4).unwrap();
        worker = ids.worker("w").unwrap();
    }
    write(&mut events, &ids, 1_000);
    finish(&mut events, &mut tail, &ids, &[&worker]);
}

/// Whether a worker of such a pipeline ends when its topic grows, and says so once.
fn check_ends(name: &str, partitions: &str, state: bool, said: &str) {
    let kafka = Kafka::shared().unwrap();
    let mut ids = pipeline(kafka, name, partitions);
    if state {
        ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    }
    let (mut events, mut tail) = (Events::new(), ids.tail().unwrap());
    let worker = ids.worker("w").unwrap();
    write(&mut events, &ids, 500);
    events.wait_until_read(&mut tail, &[&worker]);
    kafka.add_partitions(&ids.topic("events"), 4).unwrap();
    for worker in [worker, ids.worker("w").unwrap()] {
        assert_eq!(
            worker.wait(PATIENCE).unwrap().code(),
            Some(4),
            "{}",
            worker.last_lines()
        );
        assert_eq!(worker.lines_with(said), 1, "{}", worker.said());
    }
}

#[test]
fn a_worker_that_may_not_go_on_by_itself_ends_when_a_topic_grows() {
    check_ends("growing-stop", "onGrowth: Stop", true, "set it to Restore");
}

#[test]
fn a_worker_without_state_ends_when_a_topic_grows() {
    check_ends("growing-bare", "onGrowth: Restore", false, "say with --state");
}
