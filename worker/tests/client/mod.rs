//! A small HTTP client over a socket: it sends any headers, and reads server-sent events as they come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer takes as long on a working page.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer whose head has been read. It is asked for without chunks, as HTTP/1.0 has none.
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    body: BufReader<TcpStream>,
}

/// Sends a request of this method and path.
pub fn request(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(stream, "{line} HTTP/1.0\r\n{headers}\r\n").unwrap();
    let mut body = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(
            body.read_line(&mut head).unwrap(),
            0,
            "the answer ends in its head: {head}"
        );
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body,
    }
}

/// A GET with the server's own name.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path}"), &[("Host", &address.to_string())])
}

impl Answer {
    /// The body to its end.
    pub fn text(mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).unwrap();
        text
    }

    /// The next server-sent event: its name and data. None when the stream has ended.
    pub fn event(&mut self) -> Option<(String, String)> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("event", value)) => name = value.trim_start().to_owned(),
                Some(("data", value)) => data = value.trim_start().to_owned(),
                Some(_) => {} // A comment.
                None if name.is_empty() => {}
                None => return Some((name, data)),
            }
        }
    }

    /// The data of the next event of this name.
    pub fn until(&mut self, name: &str) -> Value {
        loop {
            let (found, data) = self.event().expect("the stream goes on");
            if found == name {
                return serde_json::from_str(&data).unwrap();
            }
        }
    }
}
