//! Workers that live and are disturbed: a group that goes on without them, a network that swallows, an end that must wait.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use support::load::Load;
use support::{MEMORY, PATIENCE, memory, or_tell};
use tocsin_e2e::ids::few_rounds;
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Direction, Kafka, Listener, Rule};

/// A session is over after 6 s.
const ALMOST_A_SESSION: Duration = Duration::from_millis(4_500);

/// A worker that is asked to end commits what it has, or gives it up, within ten seconds; then it still leaves its group.
const LONGEST_END: Duration = Duration::from_secs(14);

/// Whatever waits on a connection that lost bytes gives that up within this, and begins anew.
const LONGEST_BEHIND_SILENCE: Duration = Duration::from_secs(25);

/// The group has gone on to another generation while a transaction was under way: by the grant under which it began it is refused,
/// and sent again under the new one, by those who still have the shards.
fn check_stale_grants(kafka: &Kafka, name: &str) {
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("{name}, round {round}: {what}");
        let mut load = Load::start(kafka, &format!("{name}-{round}"), Listener::Proxied);
        let first = load.worker("first");
        load.goes_on(&at("before"), &[&first]);
        let rule = proxy.add(Rule::nth(ApiKey::TXN_OFFSET_COMMIT, 1 + round % 3).hold_request());
        rule.wait(PATIENCE).unwrap();
        // Who joins makes the group go on: first without, then with what the first gives up.
        let second = load.worker("second");
        or_tell(
            &at("joined"),
            &[&first, &second],
            second.wait_for_line("shards were assigned", PATIENCE),
        );
        rule.release();
        rule.remove();
        or_tell(
            &at("refused"),
            &[&first, &second],
            first.wait_for_line("a transaction was aborted and is sent again", PATIENCE),
        );
        load.goes_on(&at("after"), &[&first, &second]);
        load.end(&[&first, &second]);
    }
}

#[test]
fn a_transaction_under_way_while_the_group_goes_on_is_sent_again_under_the_new_grant() {
    check_stale_grants(&Kafka::proxied().unwrap(), "stale");
}

/// Here a producer goes on in its epoch behind an abort, and brokers go on counting its records.
#[test]
fn with_older_transactions_too_one_is_sent_again_under_the_new_grant() {
    let kafka = Kafka::proxied().unwrap();
    kafka.older_transactions().unwrap();
    check_stale_grants(&kafka, "stale-older");
}

/// A worker loses its shards while a transaction is under way, and has them again before it is over: the grant under which that
/// began counts for nothing any more, though the shards are the worker's.
#[test]
fn a_transaction_of_a_grant_that_was_lost_is_not_committed_though_the_shards_came_back() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(&kafka, &format!("lost-and-won-{round}"), Listener::Proxied);
        let worker = load.worker("w");
        load.goes_on(&at("before"), &[&worker]);
        // Nobody hears that it lives: its session ends some seconds behind that, in the midst of a transaction.
        let heartbeats = proxy.add(Rule::every(ApiKey::HEARTBEAT).hold_request());
        let deaf = Instant::now();
        let soon = until("its session is nearly over", PATIENCE, || {
            Ok((deaf.elapsed() > ALMOST_A_SESSION).then_some(()))
        });
        or_tell(&at("deaf"), &[&worker], soon);
        let offsets = proxy.add(Rule::nth(ApiKey::TXN_OFFSET_COMMIT, 1).hold_request());
        or_tell(&at("held"), &[&worker], offsets.wait(PATIENCE));
        or_tell(&at("lost"), &[&worker], worker.wait_for_line("lost=true", PATIENCE));
        heartbeats.remove();
        let back = worker.wait_for_lines("shards were assigned", 2, PATIENCE);
        or_tell(&at("won again"), &[&worker], back);
        offsets.remove();
        load.goes_on(&at("after"), &[&worker]);
        load.end(&[&worker]);
    }
}

/// A worker is thrown out while it asks to join the next generation. librdkafka joins as a new member then, and says of the shards
/// only that they go to another in good order: what was done with them since is not committed by the new member's grant.
#[test]
fn a_worker_that_is_thrown_out_while_it_joins_commits_nothing_of_shards_that_others_had_meanwhile() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(&kafka, &format!("thrown-out-{round}"), Listener::Proxied);
        let late = load.worker("late");
        load.goes_on(&at("before"), &[&late]);
        let joins = proxy.add(Rule::nth(ApiKey::JOIN_GROUP, 2).hold_request());
        let other = load.worker("other");
        or_tell(&at("it joins"), &[&late, &other], joins.wait(PATIENCE));
        // Who joins says nothing else: its session ends.
        let taken = other.wait_for_line("the shard runs", PATIENCE);
        or_tell(&at("taken over"), &[&late, &other], taken);
        load.goes_on(&at("the other works"), &[&late, &other]);
        let assigned = "shards were assigned";
        let had = late.said().matches(assigned).count();
        joins.remove();
        let thrown_out = late.wait_for_line("threw this worker out while it joined", PATIENCE);
        or_tell(&at("it leaves"), &[&late, &other], thrown_out);
        let back = late.wait_for_lines(assigned, had + 1, PATIENCE);
        or_tell(&at("it comes back"), &[&late, &other], back);
        load.goes_on(&at("both work"), &[&late, &other]);
        load.end(&[&late, &other]);
    }
}

/// Whoever hands shards over waits for what is under way, and not for ever: then the next owner does it again.
#[test]
fn shards_are_handed_over_though_their_transaction_does_not_end() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    for round in 0..few_rounds() {
        let at = |what: &str| format!("round {round}: {what}");
        let mut load = Load::start(&kafka, &format!("handed-over-{round}"), Listener::Proxied);
        let first = load.worker("first");
        load.goes_on(&at("before"), &[&first]);
        let ends = proxy.add(Rule::every(ApiKey::END_TXN).hold_request());
        or_tell(&at("held"), &[&first], ends.wait_for(1, PATIENCE));
        let second = load.worker("second");
        let has_shards = until("the second one's shards", PATIENCE, || {
            second.check()?;
            let said = second.said();
            let mut given = said.lines().filter(|line| line.contains("shards were assigned"));
            Ok(given.any(|line| !line.contains("shards=[]")).then_some(()))
        });
        or_tell(&at("handed over"), &[&first, &second], has_shards);
        ends.remove();
        load.goes_on(&at("after"), &[&first, &second]);
        load.end(&[&first, &second]);
    }
}

/// Whoever is asked to end waits for what is under way, and not for ever: then others do it again.
#[test]
fn a_worker_that_cannot_commit_ends_within_its_deadline_and_another_goes_on() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let mut load = Load::start(&kafka, "held-end", Listener::Proxied);
    let worker = load.worker("w");
    load.goes_on("before", &[&worker]);
    let rule = proxy.add(Rule::every(ApiKey::END_TXN).hold_request());
    rule.wait_for(1, PATIENCE).unwrap();
    let asked = Instant::now();
    worker.ask_to_end().unwrap();
    let ended = or_tell("it ends", &[&worker], worker.wait(LONGEST_END));
    assert_eq!(ended.code(), Some(0), "{}", worker.last_lines());
    println!("it ended after {:?}", asked.elapsed());
    rule.remove();
    let worker = load.worker("w");
    load.goes_on("after", &[&worker]);
    load.end(&[&worker]);
}

/// Bytes vanish in both directions, as behind a firewall that forgot its connections: nobody hangs up.
#[test]
fn a_network_that_swallows_everything_for_a_while_makes_nothing_late_and_takes_no_memory() {
    let kafka = Kafka::proxied().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let mut load = Load::start(&kafka, "swallowed", Listener::Proxied);
    let worker = load.worker("w");
    let full = few_rounds() > 1;
    for round in 0..few_rounds().min(3) {
        let at = |what: &str| format!("round {round}: {what}");
        load.goes_on(&at("before"), &[&worker]);
        for direction in [Direction::Requests, Direction::Answers] {
            proxy.swallow(direction);
        }
        // Longer than a session; in the full form a minute.
        let long = if full {
            Duration::from_secs(60)
        } else {
            Duration::from_secs(8)
        };
        let since = Instant::now();
        until("events meanwhile", 2 * long, || {
            worker.check()?;
            let taken = memory(&worker, "VmRSS:");
            assert!(taken < MEMORY, "{taken} bytes");
            Ok((since.elapsed() > long).then_some(()))
        })
        .unwrap();
        proxy.pass().unwrap();
        // Connections that lost bytes are of no use: whoever waits on one finds out by itself.
        let back = Instant::now();
        load.goes_on(&at("after"), &[&worker]);
        println!("{} after {:?}", at("it goes on"), back.elapsed());
        assert!(back.elapsed() < LONGEST_BEHIND_SILENCE, "{:?}", back.elapsed());
        let taken = memory(&worker, "VmRSS:");
        assert!(taken < MEMORY, "{taken} bytes");
    }
    load.end(&[&worker]);
}
