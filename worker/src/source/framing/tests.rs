//! Tests of framing: the same records whatever the pieces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

/// Everything that comes out of a stream.
#[derive(Debug, Default, PartialEq)]
struct Found {
    records: Vec<(u64, String)>,
    too_long: Vec<(u64, usize, String)>,
    header: Option<String>,
    lines: u64,
}

impl Found {
    fn add(&mut self, block: &Block) {
        for span in &block.spans {
            self.records
                .push((span.offset, lossy(&block.bytes[span.start..span.end])));
        }
        for long in &block.too_long {
            self.too_long.push((long.offset, long.bytes, lossy(&long.head)));
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Splits a stream that comes in pieces; blocks end where `ends_block` says so.
fn frame(framing: Framing, limit: usize, bytes: &[u8], piece: usize, ends_block: impl Fn(usize) -> bool) -> Found {
    let mut framer = Framer::new(framing, limit);
    let (mut found, mut block, mut rest) = (Found::default(), Block::default(), Vec::new());
    for (i, piece) in bytes.chunks(piece.max(1)).enumerate() {
        block.bytes.extend_from_slice(piece);
        framer.split(&mut block, false);
        assert!(
            block.bytes.len() <= limit + 2 + piece.len() || !block.is_empty(),
            "too much is held"
        );
        if ends_block(i) {
            framer.take_rest(&mut block, &mut rest);
            found.add(&block);
            block.clear();
            std::mem::swap(&mut block.bytes, &mut rest);
        }
    }
    framer.split(&mut block, true);
    found.add(&block);
    found.header = framer.header().map(lossy);
    found.lines = framer.lines();
    found
}

fn whole(framing: Framing, limit: usize, text: &str) -> Found {
    frame(framing, limit, text.as_bytes(), usize::MAX, |_| false)
}

fn check_lines(text: &str, expected: &[(u64, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(offset, text)| (*offset, text.to_string()))
        .collect();
    assert_eq!(whole(Framing::Lines, 100, text).records, expected, "{text:?}");
}

fn check_csv(text: &str, limit: usize, expected: &[(u64, &str)], too_long: &[(u64, usize)]) {
    let found = whole(Framing::Csv, limit, &format!("h\n{text}"));
    let expected: Vec<_> = expected
        .iter()
        .map(|(offset, text)| (*offset, text.to_string()))
        .collect();
    assert_eq!(found.records, expected, "{text:?}");
    assert_eq!(
        found.too_long.iter().map(|(o, n, _)| (*o, *n)).collect::<Vec<_>>(),
        too_long,
        "{text:?}"
    );
    assert_eq!(found.header.as_deref(), Some("h"));
}

#[test]
fn lines_end_with_or_without_a_return_and_the_last_one_may_lack_its_end() {
    check_lines("a\nb\r\nc", &[(0, "a"), (1, "b"), (2, "c")]);
    check_lines("", &[]);
    check_lines("a\n", &[(0, "a")]);
    check_lines("a\rb\n", &[(0, "a\rb")]);
}

#[test]
fn blank_lines_are_skipped_yet_counted() {
    check_lines("\n\r\na\n \t \n\nb\n", &[(2, "a"), (5, "b")]);
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_alone() {
    check_lines("\u{feff}a\n\u{feff}b", &[(0, "a"), (1, "\u{feff}b")]);
    check_lines("\u{feff}", &[]);
    assert_eq!(
        frame(Framing::Lines, 9, b"\xef\xbb", 1, |_| true).records.len(),
        1,
        "half a mark is no mark"
    );
}

#[test]
fn a_line_over_the_limit_is_reported_and_its_neighbours_stay() {
    let text = format!(
        "a\n{}\r\n{}\r\nb\n{}",
        "x".repeat(100),
        "y".repeat(101),
        "z".repeat(5_000)
    );
    for piece in [1, 2, 7, 99, 100, 101, 102, 103, 1_000, 10_000] {
        let found = frame(Framing::Lines, 100, text.as_bytes(), piece, |_| true);
        assert_eq!(
            found.records,
            [(0, "a".into()), (1, "x".repeat(100)), (3, "b".into())],
            "{piece}"
        );
        assert_eq!(
            found.too_long,
            [(2, 101, "y".repeat(101)), (4, 5_000, "z".repeat(HEAD_BYTES))],
            "{piece}"
        );
    }
}

#[test]
fn a_line_far_over_the_limit_is_not_held_in_memory() {
    let mut framer = Framer::new(Framing::Lines, 1_000);
    let mut block = Block::default();
    for _ in 0..1_000 {
        block.bytes.extend_from_slice(&[b'x'; 10_000]);
        framer.split(&mut block, false);
        assert!(block.bytes.len() < 20_000);
    }
    block.bytes.extend_from_slice(b"\nb\n");
    framer.split(&mut block, false);
    assert_eq!(block.too_long[0].bytes, 10_000_000);
    assert_eq!(block.spans.iter().map(|span| span.offset).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_csv_record_ends_outside_of_quotes_and_counts_its_lines() {
    check_csv("a,\"x\ny\r\n\"\r\nb\n", 100, &[(1, "a,\"x\ny\r\n\""), (4, "b")], &[]);
    check_csv("\n\na\n", 100, &[(3, "a")], &[]);
    check_csv("\"a\nb\"", 100, &[(1, "\"a\nb\"")], &[]);
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_line_alone() {
    check_csv("a\n\"b\nc\nd\n", 100, &[(1, "a"), (2, "\"b"), (3, "c"), (4, "d")], &[]);
    let many = "good\n".repeat(100);
    let found = whole(Framing::Csv, 50, &format!("h\n\"open\n{many}"));
    assert_eq!(found.records.len(), 101);
    assert_eq!(found.records[0], (1, "\"open".into()));
    check_csv(&format!("\"{}\nb\n", "x".repeat(100)), 50, &[(2, "b")], &[(1, 101)]);
}

#[test]
fn the_header_is_no_record() {
    let found = whole(Framing::Csv, 100, "\u{feff}\r\nts,\"a\nb\"\r\n1,2\n");
    assert_eq!(found.header.as_deref(), Some("ts,\"a\nb\""));
    assert_eq!(found.records, [(3, "1,2".into())]);
    assert_eq!(whole(Framing::Csv, 100, "").header, None);
}

fn stream() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[ab ,]{0,6}",
        3 => Just("\n".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => Just("\"".to_owned()),
        1 => Just(",\"".to_owned()),
        1 => Just("\u{feff}".to_owned()),
        1 => "x{10,30}",
    ];
    proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_records_do_not_depend_on_the_pieces(
        text in stream(), piece in 1usize..40, block in 1usize..5, limit in 4usize..40, csv: bool
    ) {
        let framing = if csv { Framing::Csv } else { Framing::Lines };
        let expected = whole(framing, limit, &text);
        prop_assert_eq!(frame(framing, limit, text.as_bytes(), piece, |i| i % block == 0), expected);
    }

    #[test]
    fn lines_are_those_of_the_standard_library(text in stream()) {
        let text = text.trim_start_matches('\u{feff}');
        let expected: Vec<_> = (0u64..)
            .zip(text.split('\n'))
            .map(|(n, line)| (n, line.strip_suffix('\r').unwrap_or(line)))
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(n, line)| (n, line.to_owned()))
            .collect();
        prop_assert_eq!(whole(Framing::Lines, 10_000, text).records, expected);
    }

    #[test]
    fn csv_records_are_those_of_the_csv_crate(rows in proptest::collection::vec(proptest::collection::vec("[a\",\n\r ]{0,5}", 2..4), 1..8)) {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let found = whole(Framing::Csv, 10_000, &format!("h\n{text}"));
        let read: Vec<Vec<String>> = found.records.iter().map(|(_, record)| {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            record.iter().map(str::to_owned).collect()
        }).collect();
        prop_assert_eq!(read, rows);
        prop_assert_eq!(found.lines, 1 + text.matches('\n').count() as u64);
    }
}
