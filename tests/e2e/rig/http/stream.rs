//! Streams of events, as the watches of an API server are: a JSON object a line, for as long as somebody listens.

use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::message::{self, Ends, Message};
use super::rules::Fate;
use super::{NEVER, PATIENCE, Shared};

/// Passes a stream on, event by event, as rules let them.
pub(super) fn pass(
    shared: &Shared,
    mut client: &TcpStream,
    upstream: SocketAddr,
    request: &Message,
    number: usize,
) -> io::Result<()> {
    let stream = Arc::new(TcpStream::connect_timeout(&upstream, PATIENCE)?);
    // Ended with the proxy, as connections of clients are.
    let id = shared.change(|state| {
        state.next += 1;
        state.clients.insert(state.next, Arc::clone(&stream));
        state.next
    });
    let passed = (|| {
        message::write(&mut &*stream, request)?;
        let mut reader = BufReader::new(&*stream);
        let Some(mut head) = message::read_head(&mut reader)? else {
            return Ok(());
        };
        shared.change(|state| state.seen[number].status = Some(head.status()));
        let is_chunked = head
            .header("transfer-encoding")
            .is_some_and(|value| value.contains("chunked"));
        if !is_chunked {
            message::read_body(&mut reader, &mut head, Ends::WithTheStream)?;
            return message::write(&mut client, &head);
        }
        client.write_all(&head.head_bytes())?;
        events(shared, client, request, &mut reader)
    })();
    shared.change(|state| state.clients.remove(&id));
    passed
}

fn events(shared: &Shared, mut client: &TcpStream, request: &Message, reader: &mut impl BufRead) -> io::Result<()> {
    let mut waiting = Vec::new();
    loop {
        let Some(chunk) = message::read_chunk(reader)? else {
            return client.write_all(b"0\r\n\r\n");
        };
        waiting.extend_from_slice(&chunk);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let event: Vec<u8> = waiting.drain(..=end).collect();
            if fate(shared, request, &event) == Fate::Lost {
                continue;
            }
            client.write_all(format!("{:x}\r\n", event.len()).as_bytes())?;
            client.write_all(&event)?;
            client.write_all(b"\r\n")?;
        }
    }
}

/// Waits for as long as a rule says, and then says what becomes of the event.
fn fate(shared: &Shared, request: &Message, event: &[u8]) -> Fate {
    let decided = shared.wait(NEVER, |state| {
        if state.stopped {
            return Some(Fate::Lost);
        }
        let fates = state.rules.iter_mut().map(|rule| rule.of_event(request, event));
        match fates.into_iter().find(|fate| *fate != Fate::Through) {
            Some(Fate::Waits) => None,
            Some(fate) => Some(fate),
            None => Some(Fate::Through),
        }
    });
    decided.unwrap_or(Fate::Lost)
}
