//! The live page over HTTP: what it answers, whom it refuses, and that its events follow the state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tocsin_worker::live::{Description, LiveState, Node, Outcome, Progress, Role, SharedLive, StreamKind};
use tocsin_worker::page::{Page, PageOptions};

use self::client::{PATIENCE, get, request};

fn live() -> SharedLive {
    let incidents = Node {
        name: "incidents".to_owned(),
        role: Role::Stage,
        kind: "incident".to_owned(),
        detail: String::new(),
        from: Vec::new(),
        key: vec!["service".to_owned()],
    };
    SharedLive::new(LiveState::new(
        Description {
            pipeline: "noc".to_owned(),
            nodes: vec![incidents],
        },
        0,
    ))
}

fn started(live: &SharedLive) -> Page {
    Page::start(PageOptions::default(), live.clone()).unwrap()
}

fn feed_incident(live: &SharedLive, row: Value) {
    live.with(|state| state.observe_row("incidents", StreamKind::Incident, row.as_object().unwrap()));
}

fn open_incident(live: &SharedLive, id: &str) {
    feed_incident(
        live,
        json!({"incident": id, "service": "checkout", "status": "opened", "severity": "CRITICAL"}),
    );
}

#[test]
fn every_file_that_the_page_names_is_served_with_its_type() {
    let page = started(&live());
    let index = get(page.address(), "/");
    assert_eq!(index.status, 200);
    assert!(index.head.contains("content-type: text/html; charset=utf-8"));
    let text = index.text();
    let named: Vec<_> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(named.len() >= 5, "{named:?}");
    for path in named {
        let answer = get(page.address(), path);
        assert_eq!(answer.status, 200, "{path}");
        let types = [
            (".js", "text/javascript"),
            (".css", "text/css"),
            (".svg", "image/svg+xml"),
        ];
        let (_, expected) = types.iter().find(|(ending, _)| path.ends_with(ending)).unwrap();
        assert!(
            answer.head.contains(&format!("content-type: {expected}")),
            "{path}: {}",
            answer.head
        );
    }
}

#[test]
fn answers_carry_the_security_headers() {
    let page = started(&live());
    for path in ["/", "/assets/app.js", "/api/live", "/healthz", "/nowhere"] {
        let head = get(page.address(), path).head;
        for header in [
            "content-security-policy: default-src 'self';",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(header), "{path} lacks {header}: {head}");
        }
        assert!(!head.contains("access-control-allow"), "{path}: {head}");
    }
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let page = started(&live());
    let own = page.address().to_string();
    for (line, status) in [
        ("GET /healthz", 200),
        ("GET /nowhere", 404),
        ("GET /assets/", 404),
        ("GET /assets/../Cargo.toml", 404),
        ("GET /assets/%2e%2e/Cargo.toml", 404),
        ("GET /assets/vendor/README.md", 404),
        ("POST /api/live", 405),
    ] {
        assert_eq!(
            request(page.address(), line, &[("Host", &own), ("Content-Length", "0")]).status,
            status,
            "{line}"
        );
    }
}

#[test]
fn foreign_hosts_and_origins_are_refused_on_every_path() {
    let page = started(&live());
    let own = page.address().to_string();
    let own_origin = format!("http://{own}");
    for path in ["/", "/assets/app.js", "/api/live", "/api/events", "/healthz"] {
        let check = |headers: &[(&str, &str)], status: u16| {
            assert_eq!(
                request(page.address(), &format!("GET {path}"), headers).status,
                status,
                "{path} {headers:?}"
            );
        };
        check(&[("Host", &own), ("Origin", &own_origin)], 200);
        check(&[("Host", "localhost:9")], 200);
        check(&[("Host", "evil.example")], 403);
        check(&[("Host", &own), ("Origin", "http://evil.example")], 403);
    }
}

#[test]
fn the_snapshot_is_the_state() {
    let live = live();
    let page = started(&live);
    open_incident(&live, "i-1");
    let snapshot: Value = serde_json::from_str(&get(page.address(), "/api/live").text()).unwrap();
    assert_eq!(snapshot["description"]["pipeline"], "noc");
    assert_eq!(snapshot["incidents"]["open"][0]["key"], json!(["checkout"]));
}

#[test]
fn events_begin_with_a_snapshot_and_go_on_with_what_changes() {
    let live = live();
    let page = started(&live);
    open_incident(&live, "i-1");
    let mut events = get(page.address(), "/api/events");
    assert!(
        events.head.contains("content-type: text/event-stream"),
        "{}",
        events.head
    );
    let (name, data) = events.event().unwrap();
    assert_eq!(name, "snapshot");
    let snapshot: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(snapshot["incidents"]["openTotal"], 1);

    // A change made before the client came may be told again; the state then is the same or newer.
    open_incident(&live, "i-2");
    let mut changes = events.until("changes");
    while changes["incidents"]["openTotal"] != 2 {
        changes = events.until("changes");
    }
    live.with(|state| {
        state.observe_progress(
            1_000,
            Progress {
                events: 7,
                ..Progress::default()
            },
        )
    });
    let changes = events.until("changes");
    assert_eq!(changes["progress"]["events"], 7);
    for part in ["incidents", "alarms", "description"] {
        assert!(changes.get(part).is_none(), "{part} did not change: {changes}");
    }
}

#[test]
fn changes_come_at_most_a_few_times_a_second() {
    let live = live();
    let page = started(&live);
    let mut events = get(page.address(), "/api/events");
    events.until("snapshot");
    let begun = Instant::now();
    let mut sent = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while begun.elapsed() < Duration::from_secs(2) {
                open_incident(&live, "i-1");
                std::thread::yield_now();
            }
            live.with(|state| state.finish(9, Outcome::Finished));
        });
        while events.until("changes").get("run").is_none() {
            sent += 1;
        }
    });
    let within = begun.elapsed().as_millis() as usize;
    assert!(
        sent >= 1 && sent <= within / 250 + 2,
        "{sent} messages within {within} ms"
    );
}

#[test]
fn a_quiet_run_sends_heartbeats() {
    let page = started(&live());
    let mut events = get(page.address(), "/api/events");
    assert_eq!(events.event().unwrap().0, "snapshot");
    assert_eq!(events.event().unwrap().0, "heartbeat");
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up_and_gets_a_fresh_snapshot() {
    let live = live();
    let page = started(&live);
    let mut slow = get(page.address(), "/api/events");
    let mut quick = get(page.address(), "/api/events");
    quick.until("snapshot");
    let causes = vec![json!({"stage": "s".repeat(150)}); 12];
    for number in 0..200 {
        feed_incident(&live, json!({"incident": number, "status": "opened", "causes": causes}));
    }
    // Big changes, until the slow client's socket and queue are full many times over.
    for number in 0..40 {
        feed_incident(
            &live,
            json!({"incident": 0, "status": "updated", "causes": causes, "_rev": number}),
        );
        quick.until("changes");
    }
    live.with(|state| state.finish(9, Outcome::Finished));
    let mut snapshots = 0;
    loop {
        let (name, data) = slow.event().unwrap();
        snapshots += usize::from(name == "snapshot");
        let view: Value = serde_json::from_str(&data).unwrap_or(Value::Null);
        if view["run"]["status"] == "finished" {
            break;
        }
    }
    assert!(snapshots >= 2, "{snapshots} snapshots");
}

#[test]
fn stopping_sends_the_end_to_clients_and_frees_the_port() {
    let live = live();
    let page = started(&live);
    let address = page.address();
    let mut events = get(address, "/api/events");
    events.until("snapshot");
    live.with(|state| state.finish(9, Outcome::Finished));
    let begun = Instant::now();
    page.stop();
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
    assert_eq!(events.until("changes")["run"]["status"], "finished");
    assert_eq!(events.event(), None);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_taken_port_is_said_and_a_free_one_is_used() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let page = Page::start(PageOptions { port, extra: None }, live()).unwrap();
    assert_eq!(page.taken_port(), Some(port));
    assert_ne!(page.address().port(), port);
    assert_eq!(get(page.address(), "/healthz").text(), "ok\n");
    assert!(page.address().ip().is_loopback());
}

#[test]
fn more_clients_than_there_is_room_for_are_refused_until_one_leaves() {
    let page = started(&live());
    let mut clients: Vec<_> = (0..32).map(|_| get(page.address(), "/api/events")).collect();
    assert!(clients.iter().all(|client| client.status == 200));
    assert_eq!(get(page.address(), "/api/events").status, 503);
    assert_eq!(get(page.address(), "/healthz").status, 200);
    clients.pop();
    let deadline = Instant::now() + PATIENCE;
    while get(page.address(), "/api/events").status != 200 {
        assert!(Instant::now() < deadline, "the place is not free again");
        std::thread::yield_now();
    }
}

#[test]
fn further_routes_stand_behind_the_same_checks() {
    let extra = axum::Router::new().route("/push", axum::routing::post(|| async { "taken" }));
    let page = Page::start(
        PageOptions {
            port: 0,
            extra: Some(extra),
        },
        live(),
    )
    .unwrap();
    let own = page.address().to_string();
    let push = |headers: &[(&str, &str)]| request(page.address(), "POST /push", headers);
    assert_eq!(push(&[("Host", &own), ("Content-Length", "0")]).text(), "taken");
    assert_eq!(push(&[("Host", "evil.example"), ("Content-Length", "0")]).status, 403);
    assert_eq!(
        push(&[
            ("Host", &own),
            ("Origin", "http://evil.example"),
            ("Content-Length", "0")
        ])
        .status,
        403
    );
}
