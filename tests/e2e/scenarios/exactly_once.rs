//! Each result once: workers that are killed, and brokers that fall silent, at each request of a transaction.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use tocsin_e2e::ids::{Ids, Pace, rounds};
use tocsin_e2e::proxy::Fate;
use tocsin_e2e::{ApiKey, Kafka, Listener, Rule};

const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that nobody disturbs ends within this.
const END: Duration = Duration::from_secs(12);

/// What is said when the outcome of a transaction is not known.
const GIVEN_UP: &str = "the producer is given up";

/// How transactions are, and the requests of one in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transactions {
    /// Each has an epoch of its own (KIP-890).
    WithEpochs,
    /// As before Kafka 4.
    Older,
    /// As librdkafka makes them, wherever.
    OfLibrdkafka,
}

impl Transactions {
    /// A broker that has them.
    fn kafka(self) -> Kafka {
        let kafka = Kafka::proxied().unwrap();
        if self == Self::Older {
            kafka.older_transactions().unwrap();
        }
        kafka
    }

    /// A pipeline whose workers make them.
    fn ids<'a>(self, kafka: &'a Kafka, name: &str) -> Ids<'a> {
        let mut ids = Ids::new(kafka, name, Listener::Proxied).unwrap();
        if self == Self::OfLibrdkafka {
            ids.further = vec!["--client".to_owned(), "librdkafka".to_owned()];
        }
        ids
    }

    fn points(self) -> &'static [(&'static str, ApiKey)] {
        match self {
            Self::WithEpochs => &[
                ("InitProducerId", ApiKey::INIT_PRODUCER_ID),
                ("Produce", ApiKey::PRODUCE),
                ("TxnOffsetCommit", ApiKey::TXN_OFFSET_COMMIT),
                ("EndTxn", ApiKey::END_TXN),
            ],
            Self::Older | Self::OfLibrdkafka => &[
                ("InitProducerId", ApiKey::INIT_PRODUCER_ID),
                ("AddPartitionsToTxn", ApiKey::ADD_PARTITIONS_TO_TXN),
                ("Produce", ApiKey::PRODUCE),
                ("AddOffsetsToTxn", ApiKey::ADD_OFFSETS_TO_TXN),
                ("TxnOffsetCommit", ApiKey::TXN_OFFSET_COMMIT),
                ("EndTxn", ApiKey::END_TXN),
            ],
        }
    }
}

/// Kills a worker at each point, when a rule has taken the request there, and starts one of the same name. What the
/// rule holds is let go before the next worker comes, or when that has begun.
fn check_kills(name: &str, transactions: Transactions, rule_at: impl Fn(ApiKey, u64) -> Rule) {
    let kafka = transactions.kafka();
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..rounds() {
        // A pipeline of its own for each round: a worker that comes back does again all that its pipeline did.
        let mut ids = transactions.ids(&kafka, &format!("{name}-{round}"));
        let snapshots = tempfile::tempdir().unwrap();
        if round % 2 == 0 {
            ids.state = Some(snapshots.path().display().to_string());
        }
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let mut worker = ids.worker("w").unwrap();
        for (point, (named, api_key)) in (round..).zip(transactions.points().iter().copied()) {
            let started = Instant::now();
            let at = |what: &str| format!("round {round}, {named}: {what}");
            let works = tail.wait_for(stream.written(), PATIENCE);
            works.unwrap_or_else(|error| panic!("{}: {error}\n{}", at("before"), worker.last_lines()));
            let rule = if api_key == ApiKey::INIT_PRODUCER_ID {
                worker.kill().unwrap();
                let rule = proxy.add(rule_at(api_key, 1 + round % 2));
                worker = ids.worker("w").unwrap();
                rule
            } else {
                proxy.add(rule_at(api_key, 1 + point % 5))
            };
            let hit = rule.wait(PATIENCE);
            hit.unwrap_or_else(|error| panic!("{}: {error}", at("kill")));
            worker.kill().unwrap();
            let begun = proxy.count(ApiKey::INIT_PRODUCER_ID);
            if point.is_multiple_of(2) {
                rule.remove();
            }
            worker = ids.worker("w").unwrap();
            let comes = proxy.wait_for(ApiKey::INIT_PRODUCER_ID, begun + 1, PATIENCE);
            comes.unwrap_or_else(|error| panic!("{}: {error}\n{}", at("after"), worker.last_lines()));
            rule.remove();
            println!("{} after {:?}", at("done"), started.elapsed());
        }
        let works = tail.wait_for(stream.written(), PATIENCE);
        works.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", worker.last_lines()));
        let n_events = stream.end().unwrap();
        let end = tail.wait_for_all_passed(n_events, PATIENCE);
        end.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", worker.last_lines()));
        worker.end(END).unwrap();
        let checked = ids.check().unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(i64::try_from(checked).unwrap(), n_events);
    }
}

#[test]
fn a_worker_killed_before_the_broker_has_a_request_loses_and_repeats_nothing() {
    check_kills("held", Transactions::WithEpochs, |api_key, n| {
        Rule::nth(api_key, n).hold_request()
    });
}

#[test]
fn a_worker_killed_after_the_broker_did_the_work_loses_and_repeats_nothing() {
    check_kills("dropped", Transactions::WithEpochs, |api_key, n| {
        Rule::nth(api_key, n).drop_answer()
    });
}

/// Before the broker has a request, and after it did the work.
fn check_all_kills(name: &str, transactions: Transactions) {
    check_kills(&format!("held-{name}"), transactions, |api_key, n| {
        Rule::nth(api_key, n).hold_request()
    });
    check_kills(&format!("dropped-{name}"), transactions, |api_key, n| {
        Rule::nth(api_key, n).drop_answer()
    });
}

#[test]
fn with_older_transactions_nothing_is_lost_or_repeated_either() {
    check_all_kills("older", Transactions::Older);
}

#[test]
fn by_librdkafka_nothing_is_lost_or_repeated_either() {
    check_all_kills("librdkafka", Transactions::OfLibrdkafka);
}

/// How a worker must come out of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A new producer looks what became of the transaction.
    GivesUp,
    /// The producer asks again by itself, or is given up.
    Any,
}

/// Lets a rule have one EndTxn in each round, and sees that the worker goes on by itself.
fn check_end_txn(name: &str, transactions: Transactions, way: Way, rounds: u64, rule: impl Fn(u64) -> Rule) {
    let kafka = transactions.kafka();
    let proxy = kafka.proxy(0).unwrap();
    let ids = transactions.ids(&kafka, name);
    let stream = ids.stream(Pace::default()).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    for round in 0..rounds {
        tail.wait_for(stream.written(), PATIENCE).unwrap();
        let given_up = worker.lines_with(GIVEN_UP);
        let rule = proxy.add(rule(1 + round % 7));
        rule.wait(PATIENCE).unwrap();
        if way == Way::GivesUp {
            worker.wait_for_lines(GIVEN_UP, given_up + 1, PATIENCE).unwrap();
        }
        let written = stream.written();
        let works = tail.wait_for(written, PATIENCE);
        works.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", worker.last_lines()));
        rule.remove();
    }
    let n_events = stream.end().unwrap();
    let end = tail.wait_for_all_passed(n_events, PATIENCE);
    end.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
    worker.check().unwrap();
    let ends = proxy
        .seen()
        .into_iter()
        .filter(|seen| seen.head.api_key == ApiKey::END_TXN);
    let disturbed = ends.filter(|seen| seen.fate != Fate::Answered).count();
    println!(
        "{disturbed} EndTxn without an answer; {} producers given up",
        worker.lines_with(GIVEN_UP)
    );
    worker.end(END).unwrap();
    assert_eq!(i64::try_from(ids.check().unwrap()).unwrap(), n_events);
}

#[test]
fn an_end_of_a_transaction_whose_answer_never_comes_is_looked_up() {
    check_end_txn("silent", Transactions::WithEpochs, Way::GivesUp, rounds(), |n| {
        Rule::nth(ApiKey::END_TXN, n).drop_answer()
    });
}

#[test]
fn an_end_of_a_transaction_whose_answer_is_cut_off_does_no_harm() {
    check_end_txn("cut", Transactions::WithEpochs, Way::Any, rounds(), |n| {
        Rule::nth(ApiKey::END_TXN, n).drop_answer_and_cut()
    });
}

/// Behind the patience of a request.
const LATE: Duration = Duration::from_millis(9_500);

#[test]
fn an_end_of_a_transaction_that_comes_too_late_ends_no_other() {
    // The full form has a hundred trials: Jepsen found torn transactions behind such an end (Bufstream 0.1.0).
    let trials = if rounds() > 1 { 100 } else { 1 };
    check_end_txn("late", Transactions::WithEpochs, Way::GivesUp, trials, |n| {
        Rule::nth(ApiKey::END_TXN, n).delay_request(LATE)
    });
}

/// Where a late end could end a later transaction, if the producer were used again.
#[test]
fn with_older_transactions_an_end_that_is_not_answered_or_comes_too_late_does_no_harm_either() {
    check_end_txn("silent-older", Transactions::Older, Way::GivesUp, rounds(), |n| {
        Rule::nth(ApiKey::END_TXN, n).drop_answer()
    });
    check_end_txn("late-older", Transactions::Older, Way::GivesUp, rounds(), |n| {
        Rule::nth(ApiKey::END_TXN, n).delay_request(LATE)
    });
}

#[test]
fn by_librdkafka_an_end_that_is_not_answered_or_comes_too_late_does_no_harm_either() {
    check_end_txn(
        "silent-librdkafka",
        Transactions::OfLibrdkafka,
        Way::Any,
        rounds(),
        |n| Rule::nth(ApiKey::END_TXN, n).drop_answer(),
    );
    check_end_txn("late-librdkafka", Transactions::OfLibrdkafka, Way::Any, rounds(), |n| {
        Rule::nth(ApiKey::END_TXN, n).delay_request(LATE)
    });
}
