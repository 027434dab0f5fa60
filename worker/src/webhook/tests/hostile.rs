//! Addresses that a tenant writes down to get inside.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tocsin_e2e::{HttpProxy, HttpRule};
use tocsin_worker_core::delivery::answer::Verdict;

use super::*;
use crate::webhook::resolver::Addresses;

/// The error at the start, which does not tell the address.
fn refused(url: &str, allowed: &[&str]) -> String {
    let settings = settings(url, allowed);
    let error = match Webhook::new(&settings) {
        Ok(_) => panic!("{url} was taken"),
        Err(error) => error.to_string(),
    };
    assert!(!error.contains("canary"), "{error}");
    error
}

#[test]
fn an_address_written_as_a_number_is_refused_at_the_start_in_whatever_form() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "017700000001",
        "127.0.0.1.",
        "１２７.0.0.1",
        "0",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "10.96.0.1",
        "192.168.0.1",
        "100.100.100.200",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        let said = refused(&format!("https://{host}:8443/canary"), &[]);
        assert!(
            said.contains("is refused") && said.contains("--allow-address"),
            "{host}: {said}"
        );
    }
}

#[test]
fn an_address_of_another_kind_is_refused_at_the_start() {
    for (url, what) in [
        ("file:///etc/canary", "`file:`"),
        ("gopher://canary.example/", "`gopher:`"),
        ("ftp://canary.example/", "`ftp:`"),
        ("data:text/plain,canary", "`data:`"),
        ("unix:/run/canary.sock", "`unix:`"),
        ("http://canary.example/", "must begin with https"),
        ("http://1.1.1.1/canary", "without encryption"),
        ("canary", "not a URL"),
        ("", "not a URL"),
        ("https://", "not a URL"),
        ("https://a b/canary", "not a URL"),
        ("https://canary.example:99999/", "not a URL"),
    ] {
        let said = refused(url, &[]);
        assert!(said.contains(what), "{url}: {said}");
    }
    let mut settings = settings("https://user:canary@receiver.example/", &[]);
    settings.token = Some("canary".to_owned().into());
    assert!(matches!(Webhook::new(&settings), Err(WebhookError::TwoTokens)));
}

#[test]
fn a_name_that_leads_inside_is_refused_when_it_is_connected_to() {
    let receiver = HttpProxy::receiver().unwrap();
    let port = receiver.address().port();
    for url in [
        format!("https://localhost:{port}/"),
        format!("http://localhost:{port}/"),
    ] {
        // That another network is allowed lets http through at the start.
        let webhook = Webhook::new(&settings(&url, &["10.9.8.0/24"])).unwrap();
        let outcome = send(&webhook, 1).remove(0);
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Again { rest: None }, None));
        assert!(outcome.said.contains("the address is refused: "), "{}", outcome.said);
    }
    assert!(receiver.seen().is_empty());
}

/// Gives each time the next of its answers.
struct Changing {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Changing {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let addresses = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self {
            answers: answers.iter().map(addresses).collect(),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Lookup for Changing {
    fn addresses(&self, _: &str) -> Addresses {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers[asked.min(self.answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    }
}

#[test]
fn a_name_that_means_something_else_the_next_time_is_checked_the_next_time() {
    let receiver = HttpProxy::receiver().unwrap();
    // Each request needs a connection of its own, and so a look.
    receiver.add(HttpRule::every().answer(200, &[("Connection", "close")], b""));
    let url = format!("http://receiver.example:{}/", receiver.address().port());
    let lookup = Changing::new(&[&["127.0.0.1"], &["127.0.0.2"], &["169.254.169.254"], &["127.0.0.1"]]);
    let webhook =
        Webhook::with_lookup(&settings(&url, &["127.0.0.1"]), Arc::clone(&lookup) as Arc<dyn Lookup>).unwrap();
    let outcomes = send(&webhook, 4);
    let delivered: Vec<bool> = outcomes
        .iter()
        .map(|outcome| outcome.verdict == Verdict::Delivered)
        .collect();
    assert_eq!(delivered, [true, false, false, true], "{outcomes:?}");
    assert!(
        outcomes[1].said.contains("127.0.0.2 is a loopback address"),
        "{}",
        outcomes[1].said
    );
    assert!(
        outcomes[2].said.contains("where clouds keep metadata"),
        "{}",
        outcomes[2].said
    );
    assert_eq!(lookup.asked.load(Ordering::Relaxed), 4);
    assert_eq!(receiver.seen().len(), 2);
}

#[test]
fn of_several_addresses_only_those_allowed_are_tried() {
    let receiver = HttpProxy::receiver().unwrap();
    let url = format!("http://receiver.example:{}/", receiver.address().port());
    let lookup = Changing::new(&[&["::1", "127.0.0.3", "10.0.0.1", "127.0.0.1"]]);
    let webhook = Webhook::with_lookup(&settings(&url, &["127.0.0.1"]), lookup).unwrap();
    assert_eq!(send(&webhook, 1)[0].verdict, Verdict::Delivered);
}

#[test]
fn a_redirect_is_not_followed() {
    let receiver = HttpProxy::receiver().unwrap();
    let inside = HttpProxy::receiver().unwrap();
    let port = inside.address().port();
    for (status, place) in [
        (301, format!("http://127.0.0.1:{port}/")),
        (302, format!("http://localhost:{port}/")),
        (303, format!("http://2130706433:{port}/")),
        (307, format!("http://[::ffff:127.0.0.1]:{port}/")),
        (308, format!("//127.0.0.1:{port}/")),
        (302, "http://169.254.169.254/latest/meta-data/".to_owned()),
        (302, "http://[::1]/".to_owned()),
        (302, "file:///etc/passwd".to_owned()),
        (302, "/elsewhere".to_owned()),
    ] {
        let rule = receiver.add(HttpRule::every().answer(status, &[("Location", &place)], b""));
        // Even where both are allowed.
        let outcome = send(&Webhook::new(&settings(&receiver.url(), &["127.0.0.0/8"])).unwrap(), 1).remove(0);
        assert_eq!(
            (outcome.verdict, outcome.status),
            (Verdict::Never, Some(status)),
            "{place}"
        );
        rule.remove();
    }
    assert!(inside.seen().is_empty());
    assert_eq!(receiver.seen().len(), 9);
}
