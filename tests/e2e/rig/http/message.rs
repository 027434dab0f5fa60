//! HTTP/1.1 messages, read whole and kept as they came. No TLS, no upgrades, no pipelining.

use std::io::{self, BufRead, Read as _, Write};

/// A longer head is none.
const LONGEST_HEAD: u64 = 1 << 20;

/// A request or an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The first line: `GET /path HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub first: String,
    /// Names as they came, and values.
    pub headers: Vec<(String, String)>,
    /// The body as it came, with the marks of chunks if it came in chunks.
    pub raw_body: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// The value of a header, by a name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A request's method.
    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// A request's path and query.
    pub fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// An answer's status; 0 if there is none.
    pub fn status(&self) -> u16 {
        self.target().parse().unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the sender closes the connection behind the message.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The bytes of first line and headers.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.first).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// Where a message's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// As the headers say; without a length there is no body (requests).
    AsSaid,
    /// As the headers say; without a length, where the stream ends (answers).
    WithTheStream,
    /// Behind the head, whatever the headers say (the answer to a HEAD).
    BehindTheHead,
}

/// Reads first line and headers; none at the end of the stream.
pub fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut line = String::new();
    let mut next = |line: &mut String| {
        line.clear();
        let length = stream.by_ref().take(LONGEST_HEAD).read_line(line)?;
        line.truncate(line.trim_end().len());
        Ok::<usize, io::Error>(length)
    };
    if next(&mut line)? == 0 {
        return Ok(None);
    }
    let mut message = Message {
        first: line.clone(),
        ..Message::default()
    };
    loop {
        if next(&mut line)? == 0 {
            return Err(malformed("a head without end"));
        }
        if line.is_empty() {
            return Ok(Some(message));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("a header without a colon"))?;
        message.headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Reads the body of a message whose head was read.
pub fn read_body(stream: &mut impl BufRead, message: &mut Message, ends: Ends) -> io::Result<()> {
    let chunked = message
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    let length = message.header("content-length").and_then(|value| value.parse().ok());
    match (ends, chunked, length) {
        (Ends::BehindTheHead, ..) | (Ends::AsSaid, false, None) => return Ok(()),
        (_, true, _) => return read_chunks(stream, message),
        (_, false, Some(length)) => {
            message.body.resize(length, 0);
            stream.read_exact(&mut message.body)?;
        }
        (Ends::WithTheStream, false, None) => drop(stream.read_to_end(&mut message.body)?),
    }
    message.raw_body.clone_from(&message.body);
    Ok(())
}

/// Reads one chunk of a body; none behind the last.
pub fn read_chunk(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    if stream.by_ref().take(LONGEST_HEAD).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let digits = line.split(';').next().unwrap_or_default().trim();
    let length = usize::from_str_radix(digits, 16).map_err(|_| malformed("a chunk without a length"))?;
    if length == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; length + 2];
    stream.read_exact(&mut chunk)?;
    chunk.truncate(length);
    Ok(Some(chunk))
}

fn read_chunks(stream: &mut impl BufRead, message: &mut Message) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.by_ref().take(LONGEST_HEAD).read_line(&mut line)? == 0 {
            return Err(malformed("chunks without end"));
        }
        message.raw_body.extend_from_slice(line.as_bytes());
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(|_| malformed("a chunk without a length"))?;
        if length == 0 {
            break;
        }
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk)?;
        message.raw_body.extend_from_slice(&chunk);
        message.body.extend_from_slice(&chunk[..length]);
    }
    // Trailers, and the empty line behind them.
    loop {
        let mut line = String::new();
        let length = stream.by_ref().take(LONGEST_HEAD).read_line(&mut line)?;
        message.raw_body.extend_from_slice(line.as_bytes());
        if length == 0 || line.trim_end().is_empty() {
            return Ok(());
        }
    }
}

/// Writes a message as it came.
pub fn write(stream: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut bytes = message.head_bytes();
    bytes.extend_from_slice(&message.raw_body);
    stream.write_all(&bytes)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {what}"))
}
