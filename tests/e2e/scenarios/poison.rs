//! Records that nobody can read, among good ones: each is a dead letter once, and the good ones come through once.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{MEMORY, PATIENCE, memory};
use tocsin_contract::pipeline::source::Partitioner;
use tocsin_e2e::ids::{Event, Ids, PARTITIONS, Pace, SERVICES, rounds};
use tocsin_e2e::kafka::{Record, produce_with};
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener, RigError, Rule};
use tocsin_worker_core::kafka::partitioner::{hash, partition};

/// The largest record that the test's broker takes, and a little more.
const LARGEST: &str = "60000000";

/// A record, and the cause by which it is dead; none if it is good.
struct Case {
    name: &'static str,
    record: Record,
    cause: Option<&'static str>,
    /// Whether it is larger than what is taken: then its letter has the beginning of the value, and no headers, as they
    /// stand behind it.
    is_large: bool,
    is_compressed: bool,
}

/// How much of a record that is too large is kept.
const HEAD: usize = 1_024;

fn case(name: &'static str, value: impl AsRef<[u8]>, cause: impl Into<Option<&'static str>>) -> Case {
    Case {
        name,
        record: Record::new(value).key("s0").header("case", Some(name.as_bytes())),
        cause: cause.into(),
        is_large: false,
        is_compressed: false,
    }
}

/// An event of the test's own, with a number that no event of the stream has.
fn event(id: i64, time: i64) -> Event {
    Event {
        service: "poison".to_owned(),
        ..Event::closing(id, time)
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

/// One record of each kind; `first` is the number of the first good one. Times of good ones are older than the stream's,
/// so that they are late for windows, wherever they come.
fn cases(first: i64) -> Vec<Case> {
    let text = |event: &Event| event.record().text();
    let with = |from: &str, to: &str| text(&event(first, now() - 7_200_000)).replacen(from, to, 1);
    let id = format!("\"id\":{first}");
    let good = |name, offset: i64, time| {
        let mut case = case(name, text(&event(first + offset, time)), None);
        case.record.key = Some(b"poison".to_vec());
        case
    };
    let mut without_key = good("no key", 0, now() - 7_200_000);
    without_key.record.key = None;
    let twice = good("headers twice", 1, now() - 7_200_000);
    let mut dead_twice = case("dead with headers twice", "{", "Syntax");
    for (name, value) in [("h", Some(&b"1"[..])), ("h", Some(b"2")), ("h", None), ("", Some(b"x"))] {
        dead_twice.record = dead_twice.record.header(name, value);
    }
    let large = |name, bytes, is_compressed| Case {
        is_large: true,
        is_compressed,
        ..case(name, large(bytes), "TooLong")
    };
    let mut all = vec![
        without_key,
        case("broken", &with(",", ";")[..], "Syntax"),
        case("cut off", &with("\"CRITICAL\"}", "\"CRIT")[..], "Syntax"),
        case("empty", "", "Syntax"),
        case("text", "hello", "Syntax"),
        Case {
            record: twice.record.header("h", Some(b"1")).header("h", Some(b"2")),
            ..twice
        },
        case("not UTF-8", b"{\"ts\":1,\"service\":\"\xff\xfe\"}", "InvalidUtf8"),
        case("an array", "[1, 2]", "NotAnObject"),
        case(
            "deep",
            format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)),
            "TooDeep",
        ),
        case("no time", &with("\"ts\"", "\"when\"")[..], "EventTime"),
        case(
            "a time that is none",
            "{\"ts\":\"noon\",\"service\":\"s0\"}",
            "EventTime",
        ),
        case("a text for a number", &with(&id, "\"id\":\"one\"")[..], "WrongType"),
        case(
            "a number too large",
            &with(&id, "\"id\":99999999999999999999")[..],
            "OutOfRange",
        ),
        case("no number", &with(&id, "\"id\":NaN")[..], "Syntax"),
        case("without end", &with(&id, "\"id\":-Infinity")[..], "Syntax"),
        case("in 2100", text(&event(first, 4_102_444_800_000)), "TimestampAhead"),
        good("in 1970", 2, 0),
        dead_twice,
        large("large", 20_000_000, false),
        large("large when it is unpacked", 50_000_000, true),
        good("the last", 3, now() - 7_200_000),
    ];
    let mut tombstone = case("tombstone", "", "NoValue");
    tombstone.record.value = None;
    all.insert(3, tombstone);
    all
}

fn large(bytes: usize) -> String {
    format!("{{\"ts\":1,\"service\":\"s0\",\"text\":\"{}\"}}", "x".repeat(bytes))
}

#[test]
fn poison_among_good_records_is_a_dead_letter_once_also_when_the_worker_is_killed() {
    let options = KafkaOptions::default()
        .listener(Listener::Proxied)
        .heap(768)
        .setting("message.max.bytes", LARGEST);
    let kafka = Kafka::start(options).unwrap();
    let proxy = kafka.proxy(0).unwrap();
    let of_topic = [("max.message.bytes", LARGEST), ("segment.bytes", "134217728")];
    for round in 0..rounds() {
        let ids = Ids::with(&kafka, &format!("poison-{round}"), Listener::Proxied, "", &of_topic).unwrap();
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        tail.wait_for(stream.written(), PATIENCE).unwrap();
        let rule = proxy.add(Rule::nth(ApiKey::END_TXN, 1 + round % 9).hold_request());
        let poison = write(&ids, cases(1_000_000));
        rule.wait(PATIENCE).unwrap();
        worker.kill().unwrap();
        rule.remove();
        let worker = ids.worker("w").unwrap();
        let n_events = stream.end().unwrap();
        let wanted = n_passing(n_events) + poison.n_good;
        let passed = tail.wait_for_count(wanted, PATIENCE);
        passed.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
        let letters = wait_for_letters(&ids, poison.places.len()).unwrap();
        let highest = memory(&worker, "VmHWM:");
        assert!(highest < MEMORY, "{highest} bytes");
        worker.end(PATIENCE).unwrap();

        let n_all = ids.check_without(|record| poison.places.contains_key(&(record.partition, record.offset)));
        assert_eq!(n_all.unwrap(), usize::try_from(n_events).unwrap() + poison.n_good);
        check_letters(&poison, &letters, &ids.topic("events"));
    }
}

/// Poison that was written, by partition and offset.
struct Poison {
    places: BTreeMap<(i32, i64), Case>,
    n_good: usize,
}

fn write(ids: &Ids<'_>, cases: Vec<Case>) -> Poison {
    let mut config = ids.kafka.client(Listener::Plain).unwrap();
    config
        .set("message.max.bytes", LARGEST)
        .set("enable.idempotence", "true");
    let (mut places, mut n_good) = (BTreeMap::new(), 0);
    // Good ones stand where their service belongs: elsewhere they would hold windows up until that partition is idle.
    let by = Partitioner::Murmur2;
    let home = |service: &str| partition(by, hash(by, service.as_bytes()), PARTITIONS.unsigned_abs());
    for (number, case) in (0..).zip(cases) {
        let event = case
            .record
            .value
            .as_deref()
            .and_then(Event::read)
            .filter(|_| case.cause.is_none());
        let partition = event.map_or(number % PARTITIONS, |event| home(&event.service).cast_signed());
        config.set("compression.type", if case.is_compressed { "zstd" } else { "none" });
        let records = std::slice::from_ref(&case.record);
        let place = produce_with(config.clone(), &ids.topic("events"), partition, records).unwrap()[0];
        match case.cause {
            Some(_) => drop(places.insert(place, case)),
            None => n_good += 1,
        }
    }
    Poison { places, n_good }
}

/// One letter for each poisonous record, and none for others.
fn check_letters(poison: &Poison, letters: &[Record], topic: &str) {
    let (mut found, mut wrong) = (BTreeSet::new(), Vec::new());
    for letter in letters {
        let number = |name| header(letter, name).parse::<i64>().unwrap_or(-1);
        let partition = i32::try_from(number("tocsin.partition")).unwrap();
        let place = (partition, number("tocsin.offset"));
        match poison.places.get(&place) {
            None => wrong.push(format!("a good record is dead: {}", shown(letter))),
            Some(case) => wrong.extend(wrong_in(case, letter, topic)),
        }
        if !found.insert(place) {
            wrong.push(format!("twice: {}", shown(letter)));
        }
    }
    let missing = poison.places.iter().filter(|(place, _)| !found.contains(place));
    wrong.extend(missing.map(|(_, case)| format!("{}: no letter", case.name)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How many events of the stream pass.
fn n_passing(n_events: i64) -> usize {
    let stream = n_events - SERVICES;
    let passing = (0..n_events).filter(|id| *id >= stream || Event::of(*id, 0).passes);
    passing.count()
}

/// All letters, once there are so many; those that are there, when no more come.
fn wait_for_letters(ids: &Ids<'_>, count: usize) -> Result<Vec<Record>, RigError> {
    let topic = format!("{}.dead-letter", ids.name);
    let mut letters = Vec::new();
    let enough = until("dead letters", PATIENCE, || {
        letters = ids.kafka.consume_committed(&topic)?;
        Ok((letters.len() >= count).then_some(()))
    });
    match enough {
        Err(RigError::TimedOut { .. }) | Ok(()) => Ok(letters),
        Err(other) => Err(other),
    }
}

/// What a letter says of its record that is not so.
fn wrong_in(case: &Case, letter: &Record, topic: &str) -> Vec<String> {
    let bytes = case.record.value.as_deref().unwrap_or_default();
    let kept = if case.is_large { &bytes[..HEAD] } else { bytes };
    let value = letter.value.as_deref().unwrap_or_default();
    let (own, of_record): (Vec<_>, Vec<_>) = letter.headers.iter().partition(|(key, _)| key.starts_with("tocsin."));
    let checks = [
        (
            "cause",
            header(letter, "tocsin.cause") == case.cause.unwrap_or_default(),
        ),
        ("topic", header(letter, "tocsin.topic") == topic),
        ("bytes", header(letter, "tocsin.bytes") == bytes.len().to_string()),
        ("message", !header(letter, "tocsin.message").is_empty()),
        ("value", value == kept),
        ("key", letter.key == case.record.key),
        ("own headers", own.len() == 6),
        (
            "the record's headers",
            case.is_large || of_record == case.record.headers.iter().collect::<Vec<_>>(),
        ),
    ];
    let wrong = checks.iter().filter(|(_, right)| !right);
    wrong
        .map(|(what, _)| format!("{}: {what}: {} bytes, {}", case.name, value.len(), shown(letter)))
        .collect()
}

fn header(letter: &Record, name: &str) -> String {
    let found = letter.headers.iter().find(|(key, _)| key == name);
    let value = found.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

fn shown(letter: &Record) -> String {
    let headers: Vec<String> = letter
        .headers
        .iter()
        .map(|(key, value)| {
            format!(
                "{key}={}",
                String::from_utf8_lossy(value.as_deref().unwrap_or_default())
            )
        })
        .collect();
    let text = letter.text();
    format!("{} {}", headers.join(" "), text.chars().take(100).collect::<String>())
}
