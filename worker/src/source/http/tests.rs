//! Tests of pushing by HTTP, against a real server on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::*;
use crate::source::{Block, Interrupt, Polled, Source};

struct Rig {
    address: SocketAddr,
    source: Option<HttpSource>,
    interrupt: Interrupt,
    _runtime: tokio::runtime::Runtime,
}

fn rig(limits: HttpLimits) -> Rig {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut intake = HttpIntake::new(limits);
    let interrupt = Interrupt::default();
    let source = intake.source("alerts", interrupt.clone());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let router = intake.into_router();
    runtime.spawn(async move { axum::serve(listener, router).await });
    Rig {
        address,
        source: Some(source),
        interrupt,
        _runtime: runtime,
    }
}

impl Rig {
    /// Sends a request, and answers with the status and everything else as text.
    fn post(&self, path: &str, headers: &[&str], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a body may close before it has read it.
        stream.write_all(body).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    fn send(&self, body: &str) -> (u16, String) {
        self.post("/v1/sources/alerts", &[], body.as_bytes())
    }

    fn poll(&mut self) -> (Polled, Vec<(u64, String)>) {
        let mut block = Block::default();
        let polled = self
            .source
            .as_mut()
            .unwrap()
            .poll(&mut block, Duration::from_millis(1))
            .unwrap();
        let text = |start, end| String::from_utf8(block.bytes[start..end].to_vec()).unwrap();
        (
            polled,
            block
                .spans
                .iter()
                .map(|span| (span.offset, text(span.start, span.end)))
                .collect(),
        )
    }
}

fn check(headers: &[&str], body: &[u8], status: u16, in_answer: &str, records: &[&str]) {
    let mut rig = rig(HttpLimits::default());
    let (found, answer) = rig.post("/v1/sources/alerts", headers, body);
    assert_eq!(found, status, "{answer}");
    assert!(answer.contains(in_answer), "{answer}");
    let texts: Vec<String> = rig.poll().1.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, records);
}

#[test]
fn an_object_an_array_and_lines_are_taken() {
    check(&[], b"{\"a\":1}", 202, "{\"accepted\":1}", &["{\"a\":1}"]);
    check(&[], b"[{\"a\":1},{}]", 202, "{\"accepted\":2}", &["{\"a\":1}", "{}"]);
    check(&[], b"{\"a\":1}\n{}\n", 202, "{\"accepted\":2}", &["{\"a\":1}", "{}"]);
    check(
        &["Content-Type: application/x-ndjson; charset=utf-8"],
        b"x\n{}",
        202,
        "{\"accepted\":2}",
        &["x", "{}"],
    );
    check(&[], b"[]", 202, "{\"accepted\":0}", &[]);
}

#[test]
fn a_packed_body_is_unpacked() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"{\"a\":1}\n{}").unwrap();
    let packed = gzip.finish().unwrap();
    check(
        &["Content-Encoding: gzip"],
        &packed,
        202,
        "{\"accepted\":2}",
        &["{\"a\":1}", "{}"],
    );
    check(&["Content-Encoding: br"], b"{}", 415, "gzip, zstd and none are", &[]);
    check(&["Content-Encoding: gzip"], &packed[..12], 400, "damaged", &[]);
}

#[test]
fn a_bad_array_is_refused_with_its_place_and_nothing_is_taken() {
    check(&[], b"[{\"a\":1},{\"b\":}]", 400, "\"position\":14", &[]);
    check(&[], b"", 400, "the body is empty", &[]);
}

#[test]
fn a_page_of_another_site_may_not_push() {
    check(&["Origin: http://evil.example"], b"{}", 403, "other sites", &[]);
    check(&["Origin: null"], b"{}", 403, "other sites", &[]);
    check(&["Origin: http://localhost"], b"{}", 202, "{\"accepted\":1}", &["{}"]);
}

#[test]
fn an_unknown_source_is_answered_with_the_known_ones() {
    let rig = rig(HttpLimits::default());
    let (status, answer) = rig.post("/v1/sources/alarms", &[], b"{}");
    assert_eq!(status, 404);
    assert!(answer.contains("[\"alerts\"]"), "{answer}");
}

#[test]
fn a_body_over_the_limit_is_refused_packed_or_not() {
    let mut rig = rig(HttpLimits {
        body_bytes: 1_000,
        ..HttpLimits::default()
    });
    let (status, answer) = rig.send(&" ".repeat(2_000));
    assert_eq!(status, 413, "{answer}");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&[b' '; 1 << 20]).unwrap();
    let (status, answer) = rig.post(
        "/v1/sources/alerts",
        &["Content-Encoding: gzip"],
        &gzip.finish().unwrap()[..],
    );
    assert_eq!(status, 413, "{answer}");
    assert_eq!(rig.poll(), (Polled::Idle, vec![]));
}

#[test]
fn a_full_queue_is_answered_with_429_and_the_same_is_taken_later() {
    let mut rig = rig(HttpLimits {
        queued_requests: 2,
        ..HttpLimits::default()
    });
    assert_eq!(rig.send("{\"n\":0}").0, 202);
    assert_eq!(rig.send("{\"n\":1}").0, 202);
    let (status, answer) = rig.send("{\"n\":2}");
    assert_eq!(status, 429, "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: 1"), "{answer}");
    assert_eq!(rig.poll().1, [(0, "{\"n\":0}".into()), (1, "{\"n\":1}".into())]);
    assert_eq!(rig.send("{\"n\":2}").0, 202);
    assert_eq!(rig.poll().1, [(2, "{\"n\":2}".into())]);
}

#[test]
fn the_bytes_that_wait_are_bounded_too() {
    let mut rig = rig(HttpLimits {
        queued_bytes: 20,
        ..HttpLimits::default()
    });
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(50));
    assert_eq!(rig.send(&large).0, 202, "a request alone always fits");
    assert_eq!(rig.send("{}").0, 429);
    assert_eq!(rig.poll().1.len(), 1);
    assert_eq!(rig.send("{}").0, 202);
}

#[test]
fn offsets_go_on_from_request_to_request() {
    let mut rig = rig(HttpLimits::default());
    rig.send("[{},{}]");
    rig.send("{}\n\n{}\n");
    rig.send("{}");
    let mut offsets = Vec::new();
    while offsets.len() < 5 {
        offsets.extend(rig.poll().1.into_iter().map(|(offset, _)| offset));
    }
    assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:?}");
}

#[test]
fn after_an_interrupt_what_was_accepted_is_handed_over_and_nothing_more_is_taken() {
    let mut rig = rig(HttpLimits::default());
    assert_eq!(rig.send("{}").0, 202);
    rig.interrupt.raise();
    assert_eq!(rig.poll().0, Polled::Records);
    assert_eq!(rig.send("{}").0, 503);
    assert_eq!(rig.poll(), (Polled::End, vec![]));
}

#[test]
fn without_a_source_requests_are_refused() {
    let mut rig = rig(HttpLimits::default());
    rig.source = None;
    assert_eq!(rig.send("{}").0, 503);
}

#[test]
fn a_get_is_not_allowed() {
    let rig = rig(HttpLimits::default());
    let mut stream = TcpStream::connect(rig.address).unwrap();
    stream
        .write_all(b"GET /v1/sources/alerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}
