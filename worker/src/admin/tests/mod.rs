//! The admin server, asked over sockets of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod control;
mod encrypted;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tocsin_contract::worker::Savepoint;

use super::*;
use crate::metrics::About;
use crate::source::Interrupt;

const TOKEN: &str = "a-token-of-this-test";

/// Answers that a server gave.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// A worker without a place for snapshots.
#[derive(Clone, Debug)]
struct DrainOnly(Interrupt);

impl Control for DrainOnly {
    fn drain(&self) {
        self.0.raise();
    }

    fn is_draining(&self) -> bool {
        self.0.is_raised()
    }

    fn begin_savepoint(&self, _id: Option<&str>, _manner: Manner) -> Result<Savepoint, Refusal> {
        Err(Refusal::NotAvailable("no state address was given".to_owned()))
    }

    fn give_up_savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        Err(Refusal::Unknown(id.to_owned()))
    }

    fn savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        Err(Refusal::Unknown(id.to_owned()))
    }
}

/// A server of a worker that has just begun.
struct Bench {
    admin: Admin,
    measures: Arc<Measures>,
    interrupt: Interrupt,
}

impl Bench {
    fn start(access: Access) -> Self {
        let interrupt = Interrupt::default();
        Self::with(access, interrupt.clone(), Arc::new(DrainOnly(interrupt)))
    }

    fn with(access: Access, interrupt: Interrupt, control: Arc<dyn Control>) -> Self {
        let measures = Measures::new(About::default());
        let options = AdminOptions {
            address: ([127, 0, 0, 1], 0).into(),
            access,
        };
        let admin = Admin::start(&options, &measures, control, None).unwrap();
        Self {
            admin,
            measures,
            interrupt,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.admin.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = self.connect();
        talk(stream, &self.host(), method, path, headers, body).unwrap()
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask("GET", path, headers, "").status
    }

    fn host(&self) -> String {
        self.admin.address().to_string()
    }
}

fn talk(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // A server that closes the connection need not say goodbye in TLS.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
        other => drop(other?),
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

fn token_file(folder: &Path) -> PathBuf {
    let path = folder.join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    path
}
