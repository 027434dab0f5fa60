//! Events of a key that stand in all partitions: they come together by repartition topics, each once.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::windows::{Windows, newest, recomputed};
use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::{Event, Ids, Pace, Placing, rounds};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, Worker};

/// Waits until what came out is what went in asks for.
fn wait_for_results(ids: &Ids<'_>, n_events: i64, workers: &[&Worker]) {
    let mut last = None;
    let right = until("all results", PATIENCE, || match ids.check_gathered() {
        Ok(checked) => Ok((i64::try_from(checked).ok() == Some(n_events)).then_some(())),
        Err(error) => {
            last = Some(error);
            Ok(None)
        }
    });
    if right.is_err() {
        or_tell("the results", workers, last.map_or(Ok(()), Err));
    }
}

#[test]
fn events_of_a_key_in_all_partitions_come_together_though_workers_come_and_are_killed() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut ids = Ids::placed(kafka, &format!("dealt-{round}"), Placing::Anywhere).unwrap();
        let snapshots = tempfile::tempdir().unwrap();
        if round % 2 == 0 {
            ids.state = Some(snapshots.path().display().to_string());
        }
        let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
        let first = ids.worker("first").unwrap();
        let mut goes_on = |when: &str, workers: &[&Worker]| {
            let written = stream.written();
            or_tell(when, workers, tail.wait_for(written, PATIENCE));
        };
        goes_on(&at("one"), &[&first]);
        let second = ids.worker("second").unwrap();
        goes_on(&at("two"), &[&first, &second]);
        first.kill().unwrap();
        goes_on(&at("one is left"), &[&second]);
        let third = ids.worker("third").unwrap();
        goes_on(&at("another comes"), &[&second, &third]);
        let n_events = stream.end().unwrap();
        wait_for_results(&ids, n_events, &[&second, &third]);
        for worker in [&second, &third] {
            worker.end(END).unwrap();
        }
        or_tell(&at("compared"), &[&second, &third], ids.check_gathered());
    }
}

#[test]
fn events_that_stand_elsewhere_than_said_count_with_their_key() {
    let kafka = Kafka::shared().unwrap();
    let ids = Ids::placed(kafka, "misplaced", Placing::Misplaced).unwrap();
    let stream = ids.stream(Pace::default()).unwrap();
    let (first, second) = (ids.worker("first").unwrap(), ids.worker("second").unwrap());
    let mut tail = ids.tail().unwrap();
    let written = stream.written() + 1_000;
    until("some events", PATIENCE, || {
        Ok((stream.written() >= written).then_some(()))
    })
    .unwrap();
    or_tell("under way", &[&first, &second], tail.wait_for(written, PATIENCE));
    first.kill().unwrap();
    or_tell("one is left", &[&second], tail.wait_for(stream.written(), PATIENCE));
    let third = ids.worker("third").unwrap();
    let workers = [&second, &third];
    let n_events = stream.end().unwrap();
    or_tell("at the end", &workers, tail.wait_for_all_passed(n_events, PATIENCE));
    let escalated = until("escalations", PATIENCE, || {
        ids.escalations_are_gathered().map(|right| right.then_some(()))
    });
    or_tell("escalations", &workers, escalated);
    let expected = closed(&ids);
    assert!(!expected.is_empty());
    let mut differs = Vec::new();
    let totals = until("totals", PATIENCE, || {
        let found = newest(&ids, "totals", "service");
        let wrong = expected
            .iter()
            .filter(|(name, counted)| found.get(*name) != Some(*counted));
        differs = wrong.map(|row| format!("{row:?}: {:?}", found.get(row.0))).collect();
        Ok(differs.is_empty().then_some(()))
    });
    or_tell(&format!("totals: {differs:?}"), &workers, totals);
    for worker in workers {
        worker.end(END).unwrap();
    }
}

/// What must come out of the windows that all partitions have passed.
fn closed(ids: &Ids<'_>) -> Windows {
    let partitions = ids.events(|_| false).unwrap();
    let newest = |events: &Vec<Event>| events.iter().map(|event| event.time).max();
    let passed = partitions.values().filter_map(newest).min().unwrap() / 1_000 - 2;
    let events = partitions.values().flatten();
    recomputed(events.filter(|event| event.time / 1_000 < passed), |event| {
        event.service.clone()
    })
}

/// What stands in the topics between shards means something else to it: it would take a column for another one.
#[test]
fn a_pipeline_that_deals_out_other_rows_ends_at_its_start_and_as_it_was_it_goes_on() {
    let kafka = Kafka::shared().unwrap();
    let ids = Ids::placed(kafka, "dealt-otherwise", Placing::Anywhere).unwrap();
    let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
    let worker = ids.worker("w").unwrap();
    or_tell("before", &[&worker], tail.wait_for(stream.written() + 500, PATIENCE));
    worker.end(END).unwrap();
    let as_it_was = std::fs::read_to_string(&ids.pipeline).unwrap();
    let changed = as_it_was.replace(
        "escalate: {by: [service], count: 5",
        "escalate: {by: [service, id], count: 5",
    );
    assert_ne!(changed, as_it_was);
    std::fs::write(&ids.pipeline, changed).unwrap();
    let other = ids.worker("w").unwrap();
    let ended = or_tell("it ends", &[&other], other.wait(PATIENCE));
    assert_eq!(ended.code(), Some(4), "{}", other.last_lines());
    let errors = other.said();
    let errors: Vec<&str> = errors.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(
        matches!(errors.as_slice(), [error] if error.contains("rows of stage escalated are on their way")),
        "{errors:?}"
    );
    std::fs::write(&ids.pipeline, as_it_was).unwrap();
    let worker = ids.worker("w").unwrap();
    let n_events = stream.end().unwrap();
    wait_for_results(&ids, n_events, &[&worker]);
    worker.end(END).unwrap();
    assert_eq!(kafka.consume_committed("dealt-otherwise.dead-letter").unwrap(), []);
}
