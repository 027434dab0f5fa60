//! Events pushed by HTTP to a running pipeline.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use support::{Folder, PIPELINE, alerts, text};

/// Sends a body to an `http://` address; answers with the status line.
fn post(url: &str, body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Starts the program, and waits until it says where events are sent to.
fn start(folder: &Folder) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut child = folder
        .tocsin(&["run", "p.yaml", "--no-page", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("events: POST ") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    let url = line.trim_start_matches("events: POST ").trim().to_owned();
    (child, stderr, url)
}

fn check(source: &str) {
    let folder = Folder::new();
    folder.write("p.yaml", PIPELINE.replace("kafka: {topic: incident_alerts}", source));
    let (mut child, mut stderr, url) = start(&folder);
    assert!(url.ends_with("/v1/sources/alerts"), "{url}");
    assert!(post(&url, &alerts()[..2].join("\n")).contains("202"));
    assert!(post(&url.replace("alerts", "alert"), "{}").contains("404"));
    assert!(post(&url, &format!("[{}, {{\"service\": \"no time\"}}]", alerts()[2])).contains("202"));
    // The third alert escalates, though more may come.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("ESCALATED"), "{line}");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(rest.contains("\"_sink\":\"pager\""), "the incident is written: {rest}");
    assert!(said.contains("1 bad record "), "{said}");
}

#[test]
fn events_are_pushed_to_the_port_of_the_live_page() {
    check("http: {}");
}

#[test]
fn events_are_pushed_to_an_address_of_the_sources_own() {
    check("http: {listen: '127.0.0.1:0'}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let source = format!("http: {{listen: '{address}'}}");
    folder.write("p.yaml", PIPELINE.replace("kafka: {topic: incident_alerts}", &source));
    let output = folder.output(&["run", "p.yaml", "--no-page"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(&address) && said.contains("source `alerts`"), "{said}");
}
