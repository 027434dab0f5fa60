//! What receivers get, and what their answers mean.

use tocsin_e2e::{HttpProxy, HttpRule};
use tocsin_worker_core::delivery::answer::Verdict;

use super::*;

const LOOPBACK: &[&str] = &["127.0.0.1"];

#[test]
fn a_row_comes_with_its_key_and_with_what_was_declared() {
    let receiver = HttpProxy::receiver().unwrap();
    let mut settings = settings(&format!("{}/hooks/a?b=c", receiver.url()), LOOPBACK);
    settings.token = Some("the-token".to_owned().into());
    settings.headers = BTreeMap::from([("X-Team".to_owned(), "noc".to_owned())]);
    let outcomes = send(&Webhook::new(&settings).unwrap(), 2);
    assert!(
        outcomes.iter().all(|outcome| outcome.verdict == Verdict::Delivered),
        "{outcomes:?}"
    );
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    for request in seen.into_iter().map(|seen| seen.request) {
        assert_eq!(request.first, "POST /hooks/a?b=c HTTP/1.1");
        assert_eq!(request.text(), ROW);
        for (name, value) in [
            ("idempotency-key", "inc-1-0"),
            ("content-type", "application/json"),
            ("authorization", "Bearer the-token"),
            ("x-team", "noc"),
            ("user-agent", USER_AGENT),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
    }
}

#[test]
fn pager_duty_has_its_key_in_the_body_and_nowhere_else() {
    let receiver = HttpProxy::receiver().unwrap();
    let mut settings = settings(&receiver.url(), LOOPBACK);
    settings.template = WebhookTemplate::PagerDuty;
    settings.token = Some("the-routing-key".to_owned().into());
    send(&Webhook::new(&settings).unwrap(), 1);
    let request = receiver.seen().remove(0).request;
    assert!(
        request.text().contains(r#""routing_key":"the-routing-key""#),
        "{}",
        request.text()
    );
    assert!(
        !String::from_utf8(request.head_bytes())
            .unwrap()
            .contains("the-routing-key")
    );
}

fn check(rule: HttpRule, expected: Verdict, status: Option<u16>, said: &str) {
    let receiver = HttpProxy::receiver().unwrap();
    receiver.add(rule);
    let mut settings = settings(&receiver.url(), LOOPBACK);
    settings.timeout = Duration::from_millis(500);
    let outcome = send(&Webhook::new(&settings).unwrap(), 1).remove(0);
    assert_eq!((outcome.verdict, outcome.status), (expected, status), "{outcome:?}");
    assert!(outcome.said.contains(said), "{outcome:?}");
}

#[test]
fn an_answer_says_what_becomes_of_the_row() {
    let again = |rest: Option<u64>| Verdict::Again {
        rest: rest.map(Duration::from_secs),
    };
    let every = HttpRule::every;
    check(every().answer(202, &[], b"{}"), Verdict::Delivered, Some(202), "{}");
    check(
        every().answer(400, &[], b"invalid_payload"),
        Verdict::Never,
        Some(400),
        "invalid_payload",
    );
    check(
        every().answer(429, &[("Retry-After", "7")], b"slow"),
        again(Some(7)),
        Some(429),
        "slow",
    );
    check(
        every().answer(503, &[("Retry-After", "soon")], b""),
        again(None),
        Some(503),
        "",
    );
    check(
        every().answer(500, &[], b"<html>oh</html>"),
        again(None),
        Some(500),
        "<html>oh</html>",
    );
    check(every().cut_before(), again(None), None, "");
    check(every().drop_answer(), again(None), None, "");
    check(every().drop_answer_silently(), again(None), None, "no answer in time");
    check(every().hold(), again(None), None, "no answer in time");
}

#[test]
fn nobody_listening_is_told_as_such() {
    let address = HttpProxy::receiver().unwrap().url();
    let outcome = send(&Webhook::new(&settings(&address, LOOPBACK)).unwrap(), 1).remove(0);
    assert!(
        outcome.said.starts_with("no connection: ") && outcome.status.is_none(),
        "{outcome:?}"
    );
}

#[test]
fn what_is_said_is_short_and_tells_no_secret() {
    let receiver = HttpProxy::receiver().unwrap();
    let echo = "no such hook: /services/T0000/B000000000/secretsecret for token-token\n\x07".repeat(5_000);
    receiver.add(HttpRule::every().answer(404, &[], echo.as_bytes()));
    let mut settings = settings(
        &format!("{}/services/T0000/B000000000/secretsecret", receiver.url()),
        LOOPBACK,
    );
    settings.token = Some("token-token".to_owned().into());
    let outcome = send(&Webhook::new(&settings).unwrap(), 1).remove(0);
    assert_eq!(outcome.verdict, Verdict::Never);
    assert!(outcome.said.contains("no such hook") && outcome.said.chars().count() <= 300);
    for secret in ["secretsecret", "B000000000", "token-token", "\n", "\x07"] {
        assert!(!outcome.said.contains(secret), "{}", outcome.said);
    }
}
