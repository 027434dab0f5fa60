//! Incidents that go out to a webhook: each transition once for a receiver that heeds its key, in the order of its incident,
//! while the receiver is away and while workers are killed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use support::or_tell;
use support::posting::{Posting, SERVICES, SEVERITIES, has_partitions};
use tocsin_e2e::kafka::Isolation;
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, HttpRule, Kafka, Listener, Rule};

const PATIENCE: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(20);

#[test]
fn each_transition_comes_once_and_in_order() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "posted", None);
    let worker = posting.worker(&["127.0.0.1"]);
    posting.alerts(&SEVERITIES);
    posting.wait_for(SEVERITIES.len(), &worker);
    worker.end(END).unwrap();
    assert_eq!(posting.check(SEVERITIES.len()), 0);
    assert!(posting.is_committed().unwrap());
    assert!(
        worker.said().contains("pager: 90 rows delivered"),
        "{}",
        worker.last_lines()
    );
}

#[test]
fn a_worker_killed_before_it_commits_repeats_under_the_same_key_and_a_receiver_that_is_away_is_waited_for() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "killed", None);
    let mut worker = posting.worker(&["127.0.0.0/8"]);
    posting.alerts(&SEVERITIES[..3]);
    posting.wait_for(3, &worker);

    // The receiver has it, the worker does not know: it is killed in between.
    let taken = posting.taken().len();
    let silent = posting.receiver.add(HttpRule::every().drop_answer_silently());
    posting.alerts(&SEVERITIES[3..6]);
    silent.wait_for(3, PATIENCE).unwrap();
    worker.kill().unwrap();
    silent.remove();
    let unknown: BTreeSet<String> = posting.taken().into_iter().skip(taken).map(|(.., key)| key).collect();
    assert!(unknown.len() >= 3);
    worker = posting.worker(&["127.0.0.0/8"]);
    posting.wait_for(6, &worker);
    assert!(
        posting.check(6) >= unknown.len(),
        "what was not known to be delivered comes again"
    );

    // Away, as far as a sender can see: failures, then one row at a time that finds out.
    let before = posting.receiver.seen().len();
    let away = posting.receiver.add(HttpRule::every().answer(503, &[], b"not now"));
    posting.alerts(&SEVERITIES[6..]);
    away.wait_for(8, PATIENCE).unwrap();
    worker
        .wait_for_line("the receiver does not take rows", PATIENCE)
        .unwrap();
    away.remove();
    posting.wait_for(SEVERITIES.len(), &worker);
    worker.wait_for_line("the receiver takes rows again", PATIENCE).unwrap();
    let failed = posting
        .receiver
        .seen()
        .into_iter()
        .skip(before)
        .filter(|seen| seen.status == Some(503))
        .count();
    println!("{failed} requests failed while the receiver was away");
    // Fewer than the rows that waited: most were never tried in vain.
    assert!(failed < 3 * SERVICES, "{failed}");
    posting.check(SEVERITIES.len());
    until("all committed", PATIENCE, || Ok(posting.is_committed()?.then_some(()))).unwrap();
    worker.end(END).unwrap();
    assert_eq!(kafka.consume_committed("killed.dead-letter").unwrap(), []);
}

#[test]
fn transitions_stay_in_order_while_workers_share_a_buffer_come_and_are_killed() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "shared", None);
    let first = posting.named_worker("first", &["127.0.0.1"]);
    posting.alerts(&SEVERITIES[..2]);
    posting.wait_for(2, &first);
    // Requests are under way while the buffer is shared out.
    let slow = posting
        .receiver
        .add(HttpRule::every().delay(Duration::from_millis(300)));
    posting.alerts(&SEVERITIES[2..4]);
    slow.wait_for(1, PATIENCE).unwrap();
    let second = posting.named_worker("second", &["127.0.0.1"]);
    let shares = until("the second one's share", PATIENCE, || {
        second.check()?;
        Ok(has_partitions(&second).then_some(()))
    });
    or_tell("they share", &[&first, &second], shares);
    posting.alerts(&SEVERITIES[4..6]);
    posting.wait_for(6, &second);
    assert_eq!(
        posting.check(6),
        0,
        "no request is repeated where a partition is handed over"
    );
    // Killed with requests under way: the other repeats them under their keys.
    let taken = slow.hits();
    posting.alerts(&SEVERITIES[6..8]);
    slow.wait_for(taken + 1, PATIENCE).unwrap();
    first.kill().unwrap();
    posting.wait_for(8, &second);
    slow.remove();
    // Membership in the sink's group is no matter of the engine's: its transactions go on.
    posting.alerts(&SEVERITIES[8..]);
    posting.wait_for(SEVERITIES.len(), &second);
    posting.check(SEVERITIES.len());
    second.end(END).unwrap();
    assert_eq!(kafka.consume_committed("shared.dead-letter").unwrap(), []);
}

/// librdkafka joins as a new member then, and claims what others have.
#[test]
fn a_worker_that_is_thrown_out_while_it_joins_sends_nothing_again_that_others_sent() {
    let kafka = Kafka::proxied().unwrap();
    let mut posting = Posting::new(&kafka, "thrown-out", None);
    let late = posting.worker_through(Listener::Proxied, "late", &["127.0.0.1"]);
    posting.alerts(&SEVERITIES[..2]);
    posting.wait_for(2, &late);
    // Of a commit it would hear that it is unknown.
    let committed = until("all to be committed", PATIENCE, || {
        Ok(posting.is_committed()?.then_some(()))
    });
    or_tell("committed", &[&late], committed);
    let joins = kafka
        .proxy(0)
        .unwrap()
        .add(Rule::every(ApiKey::JOIN_GROUP).hold_request());
    let other = posting.named_worker("other", &["127.0.0.1"]);
    // That of the engine's group, and that of the sink's.
    or_tell("it joins", &[&late, &other], joins.wait_for(2, PATIENCE));
    let shares = until("all of the buffer", PATIENCE, || {
        other.check()?;
        Ok(has_partitions(&other).then_some(()))
    });
    or_tell("thrown out", &[&late, &other], shares);
    joins.remove();
    let left = late.wait_for_line("the consumer group of a sink threw this worker out", PATIENCE);
    or_tell("it leaves", &[&late, &other], left);
    let shares = until("a share of the buffer", PATIENCE, || {
        late.check()?;
        let said = late.said();
        let behind = said.rsplit("a sink threw this worker out").next().unwrap_or_default();
        Ok(behind.contains("partitions of a buffer were assigned").then_some(()))
    });
    or_tell("it comes back", &[&late, &other], shares);
    posting.alerts(&SEVERITIES[2..4]);
    posting.wait_for(4, &other);
    assert_eq!(posting.check(4), 0, "nothing is sent again");
    late.end(END).unwrap();
    other.end(END).unwrap();
}

#[test]
fn a_row_that_is_refused_is_a_dead_letter_and_the_next_of_its_incident_goes_out() {
    let kafka = Kafka::shared().unwrap();
    let mut posting = Posting::new(kafka, "refused", None);
    posting
        .receiver
        .add(HttpRule::nth(1).answer(400, &[], b"invalid_payload /hook"));
    let worker = posting.worker(&["127.0.0.1"]);
    posting.alerts(&SEVERITIES[..2]);
    let all = 2 * SERVICES;
    until("all but one", PATIENCE, || {
        Ok((posting.taken().len() >= all - 1).then_some(()))
    })
    .unwrap();
    worker.end(END).unwrap();
    let mut letters = kafka.consume_committed("refused.dead-letter").unwrap();
    assert_eq!(letters.len(), 1);
    let letter = letters.remove(0);
    let row: Value = serde_json::from_str(&letter.text()).unwrap();
    let header = |name: &str| {
        let found = letter.headers.iter().find(|(key, _)| key == name);
        found
            .and_then(|(_, value)| value.clone())
            .map(|value| String::from_utf8(value).unwrap())
    };
    for (name, value) in [
        ("tocsin.topic", "refused.pager.buffer".to_owned()),
        ("tocsin.cause", "DeliveryRefused".to_owned()),
        (
            "tocsin.message",
            "the receiver will not take the row: invalid_payload /hook".to_owned(),
        ),
        ("tocsin.sink", "pager".to_owned()),
        ("tocsin.status", "400".to_owned()),
        ("tocsin.attempts", "1".to_owned()),
        (
            "tocsin.idempotency-key",
            format!("{}-0", row["incident"].as_str().unwrap()),
        ),
    ] {
        assert_eq!(header(name), Some(value), "{name}");
    }
    let service = row["service"].as_str().unwrap();
    let of_it: Vec<u64> = posting
        .taken()
        .into_iter()
        .filter(|(of, ..)| of == service)
        .map(|(_, n, _)| n)
        .collect();
    assert_eq!(of_it, [1]);
    let buffered = kafka.consume("refused.pager.buffer", Isolation::Committed).unwrap();
    assert_eq!(buffered.len(), all);
}

#[test]
fn an_address_inside_is_refused_unless_the_operator_allows_it() {
    let kafka = Kafka::shared().unwrap();
    let port = tocsin_e2e::ports::reserve().unwrap();
    let mut by_name = Posting::new(kafka, "by-name", Some(&format!("https://localhost:{port}/canary")));
    let worker = by_name.worker(&[]);
    by_name.alerts(&SEVERITIES[..1]);
    worker.wait_for_line("the address is refused: ", PATIENCE).unwrap();
    worker.end(END).unwrap();
    assert!(!worker.said().contains("canary"), "{}", worker.last_lines());
    for url in [
        "https://169.254.169.254/canary",
        "https://[::ffff:127.0.0.1]/canary",
        "http://localhost/canary",
    ] {
        std::fs::write(by_name.secrets.join("pager/url"), url).unwrap();
        let worker = by_name.worker(&[]);
        let status = worker.wait(PATIENCE).unwrap();
        assert_eq!(status.code(), Some(2), "{url}");
        let said = worker.said();
        assert!(
            said.contains("error: sink `pager`: the address ") && said.contains("--allow-address"),
            "{said}"
        );
        assert!(!said.contains("canary"), "{said}");
    }
}
