//! One HTTP request, on a connection of its own: for the rig's own questions, not for what is tested.

use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::message::{self, Ends, Message};
use crate::RigError;

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, and reads the whole answer.
///
/// # Errors
/// When nobody listens, or what answers is not HTTP.
pub fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Message, RigError> {
    let mut request = Message {
        first: format!("{method} {target} HTTP/1.1"),
        raw_body: body.to_owned(),
        ..Message::default()
    };
    let length = body.len().to_string();
    let host = address.to_string();
    let own = [
        ("Host", host.as_str()),
        ("Connection", "close"),
        ("Content-Length", length.as_str()),
    ];
    for (name, value) in own.iter().chain(headers) {
        request.headers.push(((*name).to_owned(), (*value).to_owned()));
    }
    let ends = if method == "HEAD" {
        Ends::BehindTheHead
    } else {
        Ends::WithTheStream
    };
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        message::write(&mut stream, &request)?;
        read_answer(&mut BufReader::new(stream), ends)
    };
    exchange().map_err(RigError::io(format!("{method} http://{address}{target}")))
}

/// Reads an answer; the interim ones before it are passed over.
pub(super) fn read_answer(stream: &mut impl std::io::BufRead, ends: Ends) -> std::io::Result<Message> {
    loop {
        let answer = message::read_head(stream)?;
        let mut answer = answer.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        if answer.status() >= 200 {
            let ends = if matches!(answer.status(), 204 | 304) {
                Ends::BehindTheHead
            } else {
                ends
            };
            message::read_body(stream, &mut answer, ends)?;
            return Ok(answer);
        }
    }
}
