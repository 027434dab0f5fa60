//! Sources whose event time goes on with the clock once they are idle: time in which nobody could say anything is no silence,
//! and nothing that was written meanwhile is late.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::{Event, Ids, rounds};
use tocsin_e2e::proxy::{ApiKey, Rule};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, KafkaOptions, Listener, Worker};

/// A source is idle after so long.
const IDLE: &str = "idleTimeout: 4s";

/// Longer than that, and shorter than a session and than a request may take.
const STILL: Duration = Duration::from_millis(4_500);

/// Events that are written at once.
const MANY: i64 = 200;

/// A window's time behind the newest event is over with these, in milliseconds.
const CLOSING: i64 = 120_000;

/// Waits.
fn pass(time: Duration) {
    let since = Instant::now();
    until("time to pass", 2 * time + PATIENCE, || {
        Ok((since.elapsed() > time).then_some(()))
    })
    .unwrap();
}

/// Writes events of now, stands still as `still` does, which writes those of the time meanwhile, and compares all results.
fn check(name: &str, (kafka, listener): (&Kafka, Listener), still: impl Fn(&Worker, &dyn Fn())) {
    let ids = Ids::new(kafka, name, listener).unwrap();
    let text = std::fs::read_to_string(&ids.pipeline).unwrap();
    std::fs::write(&ids.pipeline, text.replace("idleTimeout: 1h", IDLE)).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let of = |from: i64, time: i64| -> Vec<Event> { (from..from + MANY).map(|id| Event::of(id, time)).collect() };
    let n_passing = |events: &[Event]| events.iter().filter(|event| event.passes).count();
    let before = of(0, now());
    ids.write(&before).unwrap();
    or_tell("before", &[&worker], tail.wait_for_count(n_passing(&before), PATIENCE));
    // It hears for a moment that there is nothing.
    pass(Duration::from_millis(500));
    let meanwhile = of(MANY, now());
    still(&worker, &|| ids.write(&meanwhile).unwrap());
    let n_passed = n_passing(&before) + n_passing(&meanwhile);
    or_tell("behind it", &[&worker], tail.wait_for_count(n_passed, PATIENCE));
    let close = now() + CLOSING;
    let closing: Vec<Event> = (2 * MANY..2 * MANY + 26).map(|id| Event::of(id, close)).collect();
    ids.write(&closing).unwrap();
    let all = tail.wait_for_count(n_passed + n_passing(&closing), PATIENCE);
    or_tell("at the end", &[&worker], all);
    worker.end(END).unwrap();
    or_tell(name, &[&worker], ids.check());
}

#[test]
fn a_broker_that_answers_late_is_not_silent() {
    let kafka = Kafka::proxied().unwrap();
    check("answers-late", (&kafka, Listener::Proxied), |_, write| {
        // One answer says that there was nothing, the next is long in coming.
        let rule = kafka
            .proxy(0)
            .unwrap()
            .add(Rule::every(ApiKey::FETCH).delay_answer(STILL));
        rule.wait_for(1, PATIENCE).unwrap();
        write();
        pass(2 * STILL);
        rule.remove();
    });
}

#[test]
fn a_worker_that_stands_still_takes_what_was_written_meanwhile() {
    let kafka = Kafka::proxied().unwrap();
    check("stands-still", (&kafka, Listener::Proxied), |worker, write| {
        // What it reads first when it goes on was said before.
        let slow = Rule::every(ApiKey::FETCH).delay_answer(Duration::from_millis(700));
        let rule = kafka.proxy(0).unwrap().add(slow);
        rule.wait_for(8, PATIENCE).unwrap();
        worker.pause().unwrap();
        write();
        pass(STILL);
        worker.resume().unwrap();
        pass(Duration::from_secs(2));
        rule.remove();
    });
}

/// In the full form a minute.
#[test]
fn events_of_the_time_without_a_broker_are_not_late() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let long = if rounds() > 1 {
        Duration::from_secs(60)
    } else {
        2 * STILL
    };
    check("without-broker", (&kafka, Listener::Plain), |worker, write| {
        kafka.kill(0).unwrap();
        pass(long);
        or_tell("without a broker", &[worker], worker.check());
        kafka.start_again(0).unwrap();
        write();
    });
}
