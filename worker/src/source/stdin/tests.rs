//! Tests of the standard input source, with real pipes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;
use crate::source::{Block, Framing, Polled, Source};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn pipe() -> (Feed, io::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    let source = open_reader(reader, "standard input", InputOptions::new("alerts", Framing::Lines));
    (source.unwrap(), writer)
}

fn poll(source: &mut Feed, wait: Duration) -> (Polled, Vec<String>) {
    let mut block = Block::default();
    let polled = source.poll(&mut block, wait).unwrap();
    let text = |start, end| String::from_utf8(block.bytes[start..end].to_vec()).unwrap();
    (
        polled,
        block.spans.iter().map(|span| text(span.start, span.end)).collect(),
    )
}

#[test]
fn a_record_comes_as_soon_as_its_line_is_whole() {
    let (mut source, mut writer) = pipe();
    assert_eq!(poll(&mut source, Duration::from_millis(1)), (Polled::Idle, vec![]));
    writer.write_all(b"{\"a\"").unwrap();
    assert_eq!(poll(&mut source, Duration::from_millis(1)), (Polled::Idle, vec![]));
    writer.write_all(b":1}\n{\"b\"").unwrap();
    assert_eq!(poll(&mut source, LONG), (Polled::Records, vec!["{\"a\":1}".to_owned()]));
    writer.write_all(b":2}").unwrap();
    drop(writer);
    assert_eq!(poll(&mut source, LONG), (Polled::Records, vec!["{\"b\":2}".to_owned()]));
    assert_eq!(poll(&mut source, LONG), (Polled::End, vec![]));
    assert!(!source.is_live() && source.offsets_are_lines());
    assert_eq!((source.total_bytes(), source.read_bytes()), (None, 15));
}

#[test]
fn an_interrupt_is_heard_while_nothing_comes() {
    let (mut source, mut writer) = pipe();
    writer.write_all(b"{}\n{\"unfin").unwrap();
    assert_eq!(poll(&mut source, LONG).1, ["{}"]);
    let interrupt = source.interrupt();
    let begun = Instant::now();
    let raiser = std::thread::spawn(move || interrupt.raise());
    assert_eq!(poll(&mut source, LONG), (Polled::End, vec![]));
    assert!(begun.elapsed() < LONG / 2, "the poll went on to its bound");
    raiser.join().unwrap();
}

/// Gives out pieces, then tells that they are all taken, and hangs as a silent pipe does.
struct Hanging {
    pieces: Vec<&'static [u8]>,
    all_taken: Sender<()>,
    never: Receiver<()>,
}

impl Read for Hanging {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.first_mut() else {
            self.all_taken.send(()).ok();
            self.never.recv().ok();
            return Ok(0);
        };
        let n = piece.read(out)?;
        if piece.is_empty() {
            self.pieces.remove(0);
        }
        Ok(n)
    }
}

#[test]
fn what_was_read_before_an_interrupt_is_handed_over() {
    let (all_taken, when_all_taken) = bounded(1);
    let (_keep, never) = bounded(0);
    let reader = Hanging {
        pieces: vec![b"{}\n[]", b"\n1\n{\"unfin"],
        all_taken,
        never,
    };
    let options = InputOptions::new("alerts", Framing::Lines);
    let mut source = open_reader(reader, "standard input", options).unwrap();
    when_all_taken.recv_timeout(LONG).unwrap();
    source.interrupt().raise();
    assert_eq!(
        poll(&mut source, LONG),
        (Polled::Records, vec!["{}".to_owned(), "[]".to_owned(), "1".to_owned()])
    );
    assert_eq!(poll(&mut source, LONG), (Polled::End, vec![]));
}

#[test]
fn a_compressed_pipe_is_unpacked() {
    let plain: String = (0..1_000).map(|i| format!("{{\"n\":{i}}}\n")).collect();
    let (mut source, mut writer) = pipe();
    let packed = zstd::encode_all(plain.as_bytes(), 1).unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&packed).unwrap());
    let mut found = Vec::new();
    loop {
        match poll(&mut source, LONG) {
            (Polled::End, _) => break,
            (_, records) => found.extend(records),
        }
    }
    sender.join().unwrap();
    assert_eq!(found, plain.lines().collect::<Vec<_>>());
}

#[test]
fn a_cut_off_pipe_is_told_after_its_records() {
    let packed = zstd::encode_all("{}\n".repeat(100_000).as_bytes(), 1).unwrap();
    let cut = packed[..packed.len() - 2].to_vec();
    let options = InputOptions::new("alerts", Framing::Lines);
    let mut source = open_reader(io::Cursor::new(cut), "standard input", options).unwrap();
    let mut block = Block::default();
    let error = loop {
        if let Err(error) = source.poll(&mut block, LONG) {
            break error;
        }
    };
    assert!(
        error
            .to_string()
            .starts_with("source `alerts`: standard input is cut off"),
        "{error}"
    );
}
