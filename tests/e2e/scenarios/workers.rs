//! Workers that come, go, and stand still, and a broker that goes away: no result is lost, none is there twice.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use support::load::Load;
use support::{ASSIGNED, END, MEMORY, PATIENCE, memory, or_tell, times_given_shards, wait_for_shards};
use tocsin_e2e::ids::{few_rounds, rounds};
use tocsin_e2e::wait::until;
use tocsin_e2e::worker::recoveries;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener, Rule};

/// Within this the others have the shards of a worker that left for good, and within this they have brought each back. To wait
/// for the end of its session, or of a transaction, would take 6 s and 10 s.
const HANDED_OVER: Duration = Duration::from_secs(2);

/// A shard that a dead worker's transaction may have been for is brought back within this, once it is somebody's.
const LEFT_OPEN: Duration = Duration::from_secs(3);

/// A session is over after 6 s, a transaction after 10 s, and brokers look every second.
const BOTH_TIME_OUTS: Duration = Duration::from_secs(12);

#[test]
fn a_worker_that_wakes_after_its_shards_went_to_another_writes_nothing_again() {
    let options = KafkaOptions::default().listener(Listener::Proxied);
    // As a rule brokers look every ten seconds.
    let kafka = Kafka::start(options.setting("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"));
    let kafka = kafka.unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let held = [ApiKey::TXN_OFFSET_COMMIT, ApiKey::END_TXN, ApiKey::PRODUCE];
    for (round, api_key) in (0..few_rounds()).zip(held.into_iter().cycle()) {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(&kafka, &format!("zombie-{round}"), Listener::Proxied);
        let zombie = load.worker("zombie");
        load.goes_on(&at("before"), &[&zombie]);
        let rule = proxy.add(Rule::nth(api_key, 1 + round % 5).hold_request());
        rule.wait(PATIENCE).unwrap();
        zombie.pause().unwrap();
        let other = load.worker("other");
        let started = Instant::now();
        load.goes_on(&at("the other takes over"), &[&other]);
        let time_outs = until("time-outs", 2 * BOTH_TIME_OUTS, || {
            Ok((started.elapsed() > BOTH_TIME_OUTS).then_some(()))
        });
        or_tell(&at("its transaction is over too"), &[&other], time_outs);
        println!("{} after {:?}", at("the other took over"), started.elapsed());
        // What it was about to ask comes to the broker first, as from a network that woke before it.
        rule.remove();
        let had = times_given_shards(&zombie);
        zombie.resume().unwrap();
        let back = wait_for_shards(&zombie, had + 1, PATIENCE);
        or_tell(&at("it comes back"), &[&zombie, &other], back);
        load.goes_on(&at("both work"), &[&zombie, &other]);
        other.end(END).unwrap();
        load.goes_on(&at("it works alone"), &[&zombie]);
        load.end(&[&zombie]);
    }
}

/// A shard goes from one member to another in two rounds: after the first it is nobody's, and only its former owner begins
/// the second.
#[test]
fn a_worker_that_is_killed_while_it_hands_shards_over_leaves_none_to_nobody() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let mut load = Load::start(kafka, &format!("handing-over-{round}"), Listener::Plain);
        let first = load.worker("first");
        load.goes_on("before", &[&first]);
        let second = load.worker("second");
        or_tell("first round", &[&second], second.wait_for_line(ASSIGNED, PATIENCE));
        first.kill().unwrap();
        let first = load.worker("first");
        load.goes_on("after", &[&first, &second]);
        load.end(&[&first, &second]);
    }
}

#[test]
fn workers_that_come_and_are_killed_under_load_lose_and_repeat_nothing() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(kafka, &format!("rescaled-{round}"), Listener::Plain);
        let first = load.worker("first");
        load.goes_on(&at("one"), &[&first]);
        let (second, third) = (load.worker("second"), load.worker("third"));
        or_tell(
            &at("two"),
            &[&first, &second, &third],
            wait_for_shards(&second, 1, PATIENCE),
        );
        if round % 2 == 0 {
            or_tell(
                &at("three"),
                &[&first, &second, &third],
                wait_for_shards(&third, 1, PATIENCE),
            );
            load.goes_on(&at("three work"), &[&first, &second, &third]);
        }
        second.kill().unwrap();
        let started = Instant::now();
        load.goes_on(&at("two are left"), &[&first, &third]);
        println!(
            "{} after {:?}",
            at("two had the shards of the third"),
            started.elapsed()
        );
        first.end(END).unwrap();
        load.goes_on(&at("one is left"), &[&third]);
        load.end(&[&third]);
    }
}

#[test]
fn a_worker_that_is_asked_to_end_hands_its_shards_over_at_once() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(kafka, &format!("leaving-{round}"), Listener::Plain);
        let stays = load.worker("stays");
        load.goes_on(&at("one"), &[&stays]);
        let leaves = load.worker("leaves");
        or_tell(&at("two"), &[&stays, &leaves], wait_for_shards(&leaves, 1, PATIENCE));
        load.goes_on(&at("two work"), &[&stays, &leaves]);
        let (had, ran) = (times_given_shards(&stays), recoveries(&stays.said()).len());
        let asked = Instant::now();
        leaves.end(END).unwrap();
        let ended = Instant::now();
        println!("{} after {:?}", at("it ended"), ended - asked);
        let taken = wait_for_shards(&stays, had + 1, HANDED_OVER);
        or_tell(&at("handed over"), &[&leaves, &stays], taken);
        // How long it takes until what was written meanwhile is through hangs on the machine; this does not.
        load.goes_on(&at("through"), &[&leaves, &stays]);
        let recoveries = recoveries(&stays.said()).split_off(ran);
        assert!(!recoveries.is_empty(), "{}", stays.last_lines());
        for recovery in recoveries {
            assert!(recovery < HANDED_OVER, "{recovery:?}: {}", stays.last_lines());
        }
        println!("{} after {:?} more", at("its shards go on"), ended.elapsed());
        load.end(&[&stays]);
    }
}

/// Brokers end a transaction that nobody commits after 10 s, and look for such only every 10 s: whoever takes over ends it.
#[test]
fn a_transaction_that_a_dead_worker_has_left_open_holds_up_nobody() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Proxied)).unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(&kafka, &format!("left-open-{round}"), Listener::Proxied);
        let dead = load.worker("dead");
        load.goes_on(&at("before"), &[&dead]);
        let rule = proxy.add(Rule::nth(ApiKey::END_TXN, 1 + round % 5).hold_request());
        rule.wait(PATIENCE).unwrap();
        dead.kill().unwrap();
        let heir = load.worker("heir");
        or_tell(&at("taken over"), &[&heir], wait_for_shards(&heir, 1, PATIENCE));
        load.goes_on(&at("through"), &[&heir]);
        assert!(heir.lines_with("has left a transaction open") > 0, "{}", heir.said());
        for recovery in recoveries(&heir.said()) {
            assert!(recovery < LEFT_OPEN, "{recovery:?}: {}", heir.last_lines());
        }
        rule.remove();
        load.end(&[&heir]);
    }
}

/// Some threads' transactions nobody has begun anew: those of the worker itself, as it was.
#[test]
fn a_worker_that_comes_back_with_fewer_threads_ends_what_the_others_left_open() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Proxied)).unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let mut load = Load::start(&kafka, "fewer-threads", Listener::Proxied);
    let worker = load.worker("w");
    load.goes_on("before", &[&worker]);
    // Both threads': the first alone may be that of the thread that there is again.
    let rule = proxy.add(Rule::every(ApiKey::END_TXN).hold_request());
    rule.wait_for(2, PATIENCE).unwrap();
    worker.kill().unwrap();
    load.ids.threads = 1;
    let worker = load.worker("w");
    or_tell(
        "it comes back",
        &[&worker],
        worker.wait_for_line("has left a transaction open", PATIENCE),
    );
    rule.remove();
    load.goes_on("after", &[&worker]);
    load.end(&[&worker]);
}

#[test]
fn a_broker_that_goes_away_and_comes_back_makes_nothing_late_or_dead() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let mut load = Load::start(&kafka, "restarted", Listener::Plain);
    let worker = load.worker("w");
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        load.goes_on(&at("before"), &[&worker]);
        if round % 2 == 0 {
            kafka.kill(0).unwrap();
        } else {
            kafka.stop(0).unwrap();
        }
        // Half a second's events come meanwhile; in the last of many rounds a minute's.
        let meanwhile = if round > 0 && round + 1 == few_rounds() {
            60_000
        } else {
            500
        };
        let until_then = load.stream.written() + meanwhile;
        until("events without a broker", 2 * PATIENCE, || {
            Ok((load.stream.written() >= until_then).then_some(()))
        })
        .unwrap();
        or_tell(&at("without a broker"), &[&worker], worker.check());
        let taken = memory(&worker, "VmRSS:");
        assert!(taken < MEMORY, "{taken} bytes");
        kafka.start_again(0).unwrap();
        let back = Instant::now();
        load.goes_on(&at("after"), &[&worker]);
        println!("{} after {:?}", at("it goes on"), back.elapsed());
    }
    load.end(&[&worker]);
}

#[test]
fn of_two_workers_of_one_name_one_ends_and_says_so_and_no_result_is_lost() {
    let kafka = Kafka::shared().unwrap();
    let mut load = Load::start(kafka, "namesakes", Listener::Plain);
    let one = load.worker("same");
    load.goes_on("one", &[&one]);
    let other = load.worker("same");
    let workers = [&one, &other];
    let ended = until("one of them to end", 2 * PATIENCE, || {
        Ok(workers.iter().position(|worker| worker.check().is_err()))
    });
    let ended = or_tell("they fence each other", &workers, ended);
    let said = workers[ended].said();
    assert!(said.contains("another worker"), "{}", workers[ended].last_lines());
    let left = workers[1 - ended];
    load.goes_on("one is left", &[left]);
    load.end(&[left]);
}
