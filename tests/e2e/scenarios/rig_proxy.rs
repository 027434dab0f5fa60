//! The rig's proxy: each way of breaking a connection breaks it, and mends.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tocsin_e2e::kafka::{Record, Topic, produce_with};
use tocsin_e2e::proxy::Fate;
use tocsin_e2e::{ApiKey, Direction, Kafka, Listener, Proxy, Rule};

const PATIENCE: Duration = Duration::from_secs(15);

/// A server that gives back what it gets, and a proxy before it.
fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    Proxy::bytes(port).unwrap()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn say(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_delay_is_of_the_way_and_not_of_each_message() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    assert_eq!(say(&mut stream, b"now").unwrap(), b"now");
    let delay = Duration::from_millis(200);
    proxy.delay(Direction::Requests, delay);
    proxy.delay(Direction::Answers, delay);
    let started = Instant::now();
    for _ in 0..10 {
        stream.write_all(b"ab").unwrap();
    }
    stream.read_exact(&mut [0; 20]).unwrap();
    let took = started.elapsed();
    assert!(took >= 2 * delay && took < 6 * delay, "{took:?}");
}

#[test]
fn a_cut_resets_and_refuses_until_it_passes_again() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    say(&mut stream, b"x").unwrap();
    proxy.cut().unwrap();
    let kind = stream.read(&mut [0]).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert_eq!(
        TcpStream::connect(proxy.address()).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    proxy.pass().unwrap();
    assert_eq!(say(&mut connect(&proxy), b"again").unwrap(), b"again");
}

#[test]
fn a_black_hole_takes_everything_and_answers_nothing() {
    for direction in [Direction::Requests, Direction::Answers] {
        let proxy = echo();
        let mut old = connect(&proxy);
        say(&mut old, b"x").unwrap();
        proxy.swallow(direction);
        for mut stream in [old, connect(&proxy)] {
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let kind = say(&mut stream, b"lost").unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
        }
        proxy.pass().unwrap();
        assert_eq!(say(&mut connect(&proxy), b"found").unwrap(), b"found");
    }
}

#[test]
fn a_throttle_lets_through_so_many_bytes_a_second() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    proxy.throttle(Direction::Answers, 100_000);
    let started = Instant::now();
    say(&mut stream, &[7; 50_000]).unwrap();
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[test]
fn a_request_is_held_and_let_go_and_one_is_lost_before_the_broker() {
    let kafka = Kafka::shared().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    kafka.create(&Topic::new("held")).unwrap();
    let config = |name: &str| {
        let mut config = kafka.client(Listener::Proxied).unwrap();
        config.set("client.id", name).set("enable.idempotence", "true");
        config
    };

    let rule = proxy.add(Rule::nth(ApiKey::PRODUCE, 1).of_client("held").hold_request());
    thread::scope(|scope| {
        let writing = scope.spawn(|| produce_with(config("held"), "held", 0, &[Record::new("a")]));
        rule.wait(PATIENCE).unwrap();
        assert_eq!(kafka.consume_committed("held").unwrap(), []);
        assert!(!writing.is_finished());
        rule.release();
        writing.join().unwrap().unwrap();
    });
    assert_eq!(kafka.consume_committed("held").unwrap().len(), 1);

    // Neither a lost request nor a lost answer makes a record twice or not at all.
    let lost = proxy.add(Rule::nth(ApiKey::PRODUCE, 1).of_client("lost").cut_before());
    produce_with(config("lost"), "held", 0, &[Record::new("b")]).unwrap();
    assert_eq!(lost.hits(), 1);
    let dropped = proxy.add(Rule::nth(ApiKey::PRODUCE, 1).of_client("dropped").drop_answer_and_cut());
    produce_with(config("dropped"), "held", 0, &[Record::new("c")]).unwrap();
    assert_eq!(dropped.hits(), 1);
    assert_eq!(kafka.consume_committed("held").unwrap().len(), 3);

    let fates = |client: &str| -> Vec<Fate> {
        let seen = proxy.seen().into_iter();
        let produced = seen.filter(|seen| seen.head.client == client && seen.head.api_key == ApiKey::PRODUCE);
        produced.map(|seen| seen.fate).collect()
    };
    assert_eq!(fates("held"), [Fate::Answered]);
    assert_eq!(fates("lost"), [Fate::Lost, Fate::Answered]);
    assert_eq!(fates("dropped"), [Fate::AnswerDropped, Fate::Answered]);
}

#[test]
fn delays_of_requests_and_answers_are_felt_by_the_client() {
    let kafka = Kafka::shared().unwrap();
    let proxy = kafka.proxy(0).unwrap();
    kafka.create(&Topic::new("delayed")).unwrap();
    let delay = Duration::from_millis(400);
    let rules = [
        Rule::every(ApiKey::PRODUCE).delay_request(delay),
        Rule::every(ApiKey::PRODUCE).delay_answer(delay),
    ];
    for (rule, name) in rules.into_iter().zip(["delayed-request", "delayed-answer"]) {
        let rule = proxy.add(rule.of_client(name));
        let mut config = kafka.client(Listener::Proxied).unwrap();
        config.set("client.id", name);
        let started = Instant::now();
        produce_with(config, "delayed", 0, &[Record::new("late")]).unwrap();
        assert!(started.elapsed() >= delay, "{name}");
        assert_eq!(rule.hits(), 1, "{name}");
    }
}
