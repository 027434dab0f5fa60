//! Each result at least once, and sooner: `delivery: AtLeastOnce`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use tocsin_e2e::ids::{Ids, Pace, Stream, Tail, few_rounds, rounds};
use tocsin_e2e::{ApiKey, Kafka, Listener, Rule, Worker};

const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that nobody disturbs ends within this.
const END: Duration = Duration::from_secs(12);

/// Ends the stream and the worker in order, and compares. Returns how many results repeat.
fn end(ids: &Ids<'_>, stream: Stream, mut tail: Tail, worker: &Worker) -> usize {
    let n_events = stream.end().unwrap();
    let end = tail.wait_for_all_passed(n_events, PATIENCE);
    end.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
    worker.end(END).unwrap();
    ids.check_repeating().unwrap()
}

/// A pipeline whose results may repeat, with a worker, a stream of events, and who follows what passes.
fn under_load<'a>(kafka: &'a Kafka, name: &str, client: &str) -> (Ids<'a>, Stream, Tail, Worker) {
    let mut ids = Ids::new(kafka, name, Listener::Proxied)
        .unwrap()
        .at_least_once()
        .unwrap();
    ids.further = vec!["--client".to_owned(), client.to_owned()];
    let (stream, tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
    let worker = ids.worker("w").unwrap();
    (ids, stream, tail, worker)
}

#[test]
fn workers_that_are_killed_repeat_results_and_lose_and_invent_none() {
    let points = [
        ("Produce", ApiKey::PRODUCE),
        ("TxnOffsetCommit", ApiKey::TXN_OFFSET_COMMIT),
        ("EndTxn", ApiKey::END_TXN),
    ];
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..rounds() {
        let (ids, stream, mut tail, mut worker) = under_load(&kafka, &format!("again-{round}"), "own");
        for (point, (named, api_key)) in (round..).zip(points) {
            let works = tail.wait_for(stream.written(), PATIENCE);
            works.unwrap_or_else(|error| panic!("round {round}, {named}: {error}\n{}", worker.last_lines()));
            // Every other time the broker did the work.
            let rule = Rule::nth(api_key, 1 + point % 3);
            let rule = proxy.add(if point.is_multiple_of(2) {
                rule.hold_request()
            } else {
                rule.drop_answer()
            });
            rule.wait(PATIENCE).unwrap();
            worker.kill().unwrap();
            rule.remove();
            worker = ids.worker("w").unwrap();
        }
        let works = tail.wait_for(stream.written(), PATIENCE);
        works.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", worker.last_lines()));
        let repeats = end(&ids, stream, tail, &worker);
        println!("round {round}: {repeats} results repeat");
        assert!(repeats > 0, "nothing was given out ahead of a transaction");
    }
}

#[test]
fn a_result_is_there_before_its_transaction_is_committed() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let (ids, stream, mut tail, worker) = under_load(&kafka, "sooner", "own");
    let works = tail.wait_for(stream.written(), PATIENCE);
    works.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));

    let committed = || -> i64 {
        let committed = kafka.committed(&ids.name, &ids.topic("events")).unwrap();
        committed.iter().map(|of_partition| of_partition.offset).sum()
    };
    // Two threads commit: each is held before its next transaction ends.
    let rule = proxy.add(Rule::every(ApiKey::END_TXN).hold_request());
    rule.wait_for(2, PATIENCE).unwrap();
    let (before, written) = (committed(), stream.written());
    tail.wait_for(written + 100, PATIENCE).unwrap();
    assert_eq!(committed(), before, "progress was committed all the same");
    assert!(
        committed() < written,
        "what came out was read before the transaction that is held"
    );
    rule.release();
    rule.remove();

    tail.wait_for(stream.written(), PATIENCE).unwrap();
    assert_eq!(end(&ids, stream, tail, &worker), 0, "nobody was disturbed");
}

#[test]
fn connections_that_break_lose_and_reorder_nothing() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for client in ["own", "librdkafka"] {
        let (ids, stream, mut tail, worker) = under_load(&kafka, &format!("broken-{client}"), client);
        let mut works = |when: &str| {
            let works = tail.wait_for(stream.written(), PATIENCE);
            works.unwrap_or_else(|error| panic!("{client}, {when}: {error}\n{}", worker.last_lines()));
        };
        for _ in 0..5 * few_rounds() {
            works("before");
            // Answers are lost: what was asked is done, and asked again.
            let rule = proxy.add(Rule::nth(ApiKey::PRODUCE, 3).drop_answer_and_cut());
            rule.wait(PATIENCE).unwrap();
            rule.remove();
            proxy.reset_connections();
        }
        works("after");
        let repeats = end(&ids, stream, tail, &worker);
        println!("{client}: {repeats} results repeat");
    }
}
