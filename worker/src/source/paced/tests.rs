//! When records are handed over, by a clock that moves only when somebody waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;

use tocsin_contract::document;
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_worker_core::plan::{References, compile};

use super::*;
use crate::source::{ManualClock, Speed, TooLong};

/// Gives blocks, one a poll, and then ends.
struct Blocks {
    blocks: VecDeque<Block>,
    interrupt: Interrupt,
}

impl Source for Blocks {
    fn poll(&mut self, block: &mut Block, _: Duration) -> Result<Polled, SourceError> {
        block.clear();
        match self.blocks.pop_front() {
            Some(next) => {
                *block = next;
                Ok(Polled::Records)
            }
            None => Ok(Polled::End),
        }
    }

    fn header(&self) -> Option<&[u8]> {
        Some(b"name,ts")
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn read_bytes(&self) -> u64 {
        0
    }

    fn is_live(&self) -> bool {
        false
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

fn plan(format: &str) -> SourcePlan {
    let text = format!(
        "apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {{name: t}}
spec:
  sources:
  - name: a
    stdin: {{}}
    format: {{type: {format}}}
    eventTime: {{field: ts, unit: Seconds, maxOutOfOrderness: 5s, maxAhead: 10m}}
  stages:
  - {{name: each, from: a, filter: 'ts IS NOT NULL'}}
  sinks:
  - {{name: out, from: each, kafka: {{topic: out}}}}
"
    );
    let parsed = document::read::<IncidentPipeline>(&text).unwrap();
    compile("t", &parsed.value.spec, &References::default())
        .unwrap()
        .sources
        .swap_remove(0)
}

/// A block of these lines; `!` stands for one that was too long.
fn block(lines: &[String], first: u64) -> Block {
    let mut block = Block::default();
    for (offset, line) in (first..).zip(lines) {
        if line == "!" {
            block.too_long.push(TooLong {
                offset,
                bytes: 9,
                limit: 5,
                head: Vec::new(),
            });
            continue;
        }
        let start = block.bytes.len();
        block.bytes.extend_from_slice(line.as_bytes());
        block.spans.push(Span {
            start,
            end: block.bytes.len(),
            offset,
        });
        block.bytes.push(b'\n');
    }
    block
}

fn source(format: &str, speed: f64, blocks: &[&[String]]) -> (PacedSource, ManualClock) {
    let (clock, mut first) = (ManualClock::default(), 0);
    let blocks = blocks
        .iter()
        .map(|lines| {
            let block = block(lines, first);
            first += lines.len() as u64;
            block
        })
        .collect();
    let inner = Blocks {
        blocks,
        interrupt: Interrupt::default(),
    };
    let pacer = Arc::new(Mutex::new(Pacer::new(Speed::Times(speed))));
    let paced = PacedSource::new(Box::new(inner), &plan(format), pacer, Box::new(clock.clone()));
    (paced, clock)
}

/// Reads to the end: for each record its offset, its bytes and when it came in milliseconds; then the moment of the end.
fn read(source: &mut PacedSource, clock: &ManualClock) -> (Vec<(u64, String, u128)>, u128) {
    let (mut block, mut all) = (Block::default(), Vec::new());
    loop {
        let polled = source.poll(&mut block, Duration::from_millis(50)).unwrap();
        let now = clock.now().as_millis();
        let mut records: Vec<(u64, String, u128)> = block
            .spans
            .iter()
            .map(|span| {
                let bytes = block.bytes[span.start..span.end].to_vec();
                (span.offset, String::from_utf8(bytes).unwrap(), now)
            })
            .collect();
        records.extend(block.too_long.iter().map(|long| (long.offset, "!".to_owned(), now)));
        records.sort();
        match polled {
            Polled::Records => assert!(!records.is_empty()),
            Polled::Idle => assert!(records.is_empty()),
            Polled::End => return (all, now),
        }
        all.extend(records);
    }
}

fn json(line: &str) -> String {
    match line.parse::<f64>() {
        Ok(time) => format!("{{\"ts\":{time}}}"),
        Err(_) => line.to_owned(),
    }
}

/// When records come, in milliseconds, and when the end; all lines in blocks of any size.
fn check(speed: f64, lines: &[&str], moments: &[u128], end: u128) {
    let lines: Vec<String> = lines.iter().map(|line| json(line)).collect();
    for size in 1..=lines.len() {
        let blocks: Vec<&[String]> = lines.chunks(size).collect();
        let (mut source, clock) = source("Json", speed, &blocks);
        let (read, ended) = read(&mut source, &clock);
        let (offsets, came): (Vec<u64>, Vec<u128>) = read.iter().map(|(offset, _, at)| (*offset, *at)).unzip();
        assert_eq!(offsets, (0..lines.len() as u64).collect::<Vec<_>>());
        assert!(read.iter().zip(&lines).all(|((_, bytes, _), line)| bytes == line));
        assert_eq!((came, ended), (moments.to_vec(), end), "{lines:?} in blocks of {size}");
    }
}

#[test]
fn records_of_one_block_come_when_each_is_due() {
    check(1.0, &["100", "101", "101.5", "104"], &[0, 1_000, 1_500, 4_000], 4_000);
    check(60.0, &["100", "160", "190"], &[0, 1_000, 1_500], 1_500);
}

#[test]
fn a_record_out_of_order_comes_behind_the_one_before_it() {
    check(1.0, &["100", "103", "101", "104"], &[0, 3_000, 3_000, 4_000], 4_000);
}

#[test]
fn what_is_dead_or_too_long_does_not_wait() {
    check(1.0, &["100", "!", "{", "102", "!"], &[0, 0, 0, 2_000, 2_000], 2_000);
}

#[test]
fn a_lone_time_in_the_future_is_not_waited_for() {
    check(
        1.0,
        &["100", "101", "9000000000", "102"],
        &[0, 1_000, 1_000, 2_000],
        2_000,
    );
}

#[test]
fn a_jump_is_handed_over_early_and_confirmed_when_it_is_due() {
    // The engine holds a record that jumps until the next one, which comes when the one that jumped is due.
    check(1_000.0, &["0", "3600", "7200"], &[0, 0, 3_600], 7_200);
}

#[test]
fn records_close_to_one_another_come_together() {
    let lines: Vec<String> = (0..2_000)
        .map(|i| json(&format!("{}", 100.0 + f64::from(i) / 1e3)))
        .collect();
    let (mut source, clock) = source("Json", 1.0, &[&lines]);
    let (read, _) = read(&mut source, &clock);
    for (i, (_, _, at)) in read.iter().enumerate() {
        assert!((i as u128..=i as u128 + 20).contains(at), "record {i} came at {at} ms");
    }
    let mut moments: Vec<u128> = read.iter().map(|(_, _, at)| *at).collect();
    moments.dedup();
    assert!(moments.len() <= 201, "{} parts", moments.len());
}

#[test]
fn csv_is_paced_too() {
    let lines = ["a,100", "b,102"].map(str::to_owned);
    let (mut source, clock) = source("Csv", 1.0, &[&lines]);
    let came: Vec<u128> = read(&mut source, &clock).0.iter().map(|(_, _, at)| *at).collect();
    assert_eq!(came, [0, 2_000]);
}

#[test]
fn an_interrupt_hands_over_what_was_read_and_ends() {
    let lines: Vec<String> = ["100", "101", "200"].map(json).to_vec();
    let (mut source, clock) = source("Json", 1.0, &[&lines]);
    let mut block = Block::default();
    source.poll(&mut block, Duration::ZERO).unwrap();
    source.interrupt().raise();
    assert_eq!(source.poll(&mut block, Duration::ZERO).unwrap(), Polled::Records);
    assert_eq!(block.spans.len(), 2);
    assert_eq!(source.poll(&mut block, Duration::ZERO).unwrap(), Polled::End);
    assert_eq!(clock.now(), Duration::ZERO);
}
