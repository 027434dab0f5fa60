//! Finds the lines of a stream of bytes that comes in pieces.
//!
//! Says where each record stands; does not read it. What is found does not depend on how the stream was cut into pieces.

use memchr::memchr_iter;

use crate::decode::{Cause, Span};

/// Longest record that is taken, unless something else is set: 16 MiB.
pub const DEFAULT_LIMIT: usize = 16 << 20;

/// How much of a too long line is kept, to show which one it was.
pub const HEAD_BYTES: usize = 1024;

/// UTF-8's byte order mark, which some programs write in front of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds the lines of one stream, piece after piece.
///
/// Lines end with LF or CRLF. Blank ones give no record, but count as lines. The last line may lack its end.
#[derive(Clone, Debug)]
pub struct LineSplitter {
    limit: usize,
    /// Number of the next line.
    offset: u64,
    /// How many bytes of the unfinished line were searched for its end before.
    searched: usize,
    /// Whether the first bytes of the stream were seen.
    begun: bool,
    /// A line that is being dropped because it is too long.
    dropping: Option<Dropping>,
}

#[derive(Clone, Debug)]
struct Dropping {
    bytes: usize,
    head: Vec<u8>,
    last: u8,
}

/// What was found in a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The records, without line ends; offsets are numbers of lines, from 0.
    pub spans: Vec<Span>,
    /// Lines above the limit.
    pub too_long: Vec<LongLine>,
    /// How many bytes are done with. The caller keeps the others, and puts the next piece behind them.
    pub consumed: usize,
}

/// A line above the limit. Its bytes were not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongLine {
    /// Number of the line, from 0.
    pub offset: u64,
    /// Its length without the line end.
    pub bytes: usize,
    /// The limit.
    pub limit: usize,
    /// Its first bytes, at most [`HEAD_BYTES`]; they may end within a character.
    pub head: Vec<u8>,
}

impl LongLine {
    /// Why the line is a dead record.
    pub fn cause(&self) -> Cause {
        Cause::TooLong {
            bytes: self.bytes,
            limit: self.limit,
        }
    }
}

impl LineSplitter {
    /// A splitter for a stream from its beginning that takes records of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            offset: 0,
            searched: 0,
            begun: false,
            dropping: None,
        }
    }

    /// Finds the lines in what the caller has not yet got rid of: the bytes behind `consumed` of the last call, and new
    /// ones behind them. `is_last` says that nothing comes behind. What `lines` held before is overwritten.
    ///
    /// The caller never has to keep more than two bytes above the limit and what it reads at a time.
    pub fn split(&mut self, bytes: &[u8], is_last: bool, lines: &mut Lines) {
        lines.spans.clear();
        lines.too_long.clear();
        lines.consumed = 0;
        let Some(mut start) = self.begin(bytes, is_last) else {
            return;
        };
        let from = start + self.searched;
        for at in memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
            self.line(bytes, start, from + at, lines);
            start = from + at + 1;
        }
        self.searched = bytes.len().saturating_sub(start);
        if is_last {
            if self.searched > 0 || self.dropping.is_some() {
                self.line(bytes, start, bytes.len(), lines);
            }
            start = bytes.len();
            self.searched = 0;
        } else if self.dropping.is_some() || self.searched > self.limit.saturating_add(1) {
            // Even if it ends with a CR that is not counted, it is too long.
            self.drop_part(bytes.get(start..).unwrap_or_default());
            start = bytes.len();
            self.searched = 0;
        }
        lines.consumed = start;
    }

    /// Where the first line begins; nothing if more bytes are needed to say so.
    fn begin(&mut self, bytes: &[u8], is_last: bool) -> Option<usize> {
        if self.begun {
            return Some(0);
        }
        if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) && !is_last {
            return None;
        }
        self.begun = true;
        Some(if bytes.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        })
    }

    /// Takes a line whose end was found.
    #[inline]
    fn line(&mut self, bytes: &[u8], start: usize, end: usize, lines: &mut Lines) {
        let offset = self.offset;
        self.offset += 1;
        if self.dropping.is_some() {
            self.drop_part(bytes.get(start..end).unwrap_or_default());
            if let Some(Dropping { bytes, mut head, last }) = self.dropping.take() {
                let bytes = bytes - usize::from(last == b'\r');
                head.truncate(bytes);
                lines.too_long.push(LongLine {
                    offset,
                    bytes,
                    limit: self.limit,
                    head,
                });
            }
            return;
        }
        let line = bytes.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.limit {
            let head = line.iter().copied().take(HEAD_BYTES).collect();
            lines.too_long.push(LongLine {
                offset,
                bytes: line.len(),
                limit: self.limit,
                head,
            });
        } else if !line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            lines.spans.push(Span {
                start,
                end: start + line.len(),
                offset,
            });
        }
    }

    /// Drops a part of a too long line.
    fn drop_part(&mut self, part: &[u8]) {
        let dropping = self.dropping.get_or_insert_with(|| Dropping {
            bytes: 0,
            head: Vec::new(),
            last: 0,
        });
        let wanted = HEAD_BYTES - dropping.head.len().min(HEAD_BYTES);
        dropping.head.extend(part.iter().take(wanted));
        dropping.bytes += part.len();
        dropping.last = part.last().copied().unwrap_or(dropping.last);
    }
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::{HEAD_BYTES, LineSplitter, Lines};

    /// (offset, text) of the records and (offset, length, head) of the long lines.
    type Found = (Vec<(u64, Vec<u8>)>, Vec<(u64, usize, Vec<u8>)>);

    /// Feeds a stream in pieces of these lengths (the last one over and over).
    fn split(stream: &[u8], limit: usize, pieces: &[usize]) -> Found {
        let mut splitter = LineSplitter::new(limit);
        let mut lines = Lines::default();
        let (mut kept, mut rest, mut found) = (Vec::new(), stream, Found::default());
        let mut pieces = pieces.iter().copied().chain(std::iter::repeat(*pieces.last().unwrap()));
        loop {
            let size = pieces.next().unwrap().clamp(1, rest.len().max(1)).min(rest.len());
            let (piece, behind) = rest.split_at(size);
            rest = behind;
            kept.extend_from_slice(piece);
            splitter.split(&kept, rest.is_empty(), &mut lines);
            found.0.extend(
                lines
                    .spans
                    .iter()
                    .map(|span| (span.offset, kept[span.start..span.end].to_vec())),
            );
            found.1.extend(
                lines
                    .too_long
                    .iter()
                    .map(|line| (line.offset, line.bytes, line.head.clone())),
            );
            kept.drain(..lines.consumed);
            assert!(kept.len() <= limit.max(3) + 2, "{} bytes kept", kept.len());
            if rest.is_empty() {
                assert_eq!(kept, b"", "all is consumed at the end");
                return found;
            }
        }
    }

    fn check(stream: &str, expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(at, text)| (*at, text.as_bytes().to_vec()))
            .collect();
        for piece in [1, 2, 3, 1000] {
            assert_eq!(
                split(stream.as_bytes(), 100, &[piece]),
                (expected.clone(), vec![]),
                "{stream:?} by {piece}"
            );
        }
    }

    #[test]
    fn lines_are_found_with_their_numbers() {
        check("", &[]);
        check("\n", &[]);
        check("a", &[(0, "a")]);
        check("a\nb\n", &[(0, "a"), (1, "b")]);
        check("a\r\nb\r\n", &[(0, "a"), (1, "b")]);
        check("a\rb\n", &[(0, "a\rb")]);
        check("a\r\r\n\r", &[(0, "a\r")]);
    }

    #[test]
    fn blank_lines_count_but_are_no_records() {
        check("\n\r\n \t\na\n\nb", &[(3, "a"), (5, "b")]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_alone() {
        check("\u{feff}a\n\u{feff}b\n", &[(0, "a"), (1, "\u{feff}b")]);
        check("\u{feff}", &[]);
        check("\u{feff}\u{feff}\n", &[(0, "\u{feff}")]);
        assert_eq!(split(b"\xef\xbb", 100, &[1]).0, [(0, b"\xef\xbb".to_vec())]);
    }

    #[test]
    fn a_line_above_the_limit_is_reported_and_not_kept() {
        let long = "x".repeat(50);
        for (end, piece) in [("\n", 1), ("\r\n", 1), ("\n", 7), ("\r\n", 1000)] {
            let stream = format!("{}{end}{}{end}{long}{end}ok{end}", "a".repeat(10), "b".repeat(11));
            let (records, too_long) = split(stream.as_bytes(), 10, &[piece]);
            assert_eq!(records, [(0, b"aaaaaaaaaa".to_vec()), (3, b"ok".to_vec())]);
            assert_eq!(
                too_long,
                [(1, 11, b"bbbbbbbbbbb".to_vec()), (2, 50, long.clone().into_bytes())]
            );
        }
    }

    #[test]
    fn a_long_line_at_the_end_is_reported_with_its_head() {
        let stream = "y".repeat(5000);
        for piece in [1, 700, 5000] {
            let (records, too_long) = split(stream.as_bytes(), 10, &[piece]);
            assert_eq!((records.len(), too_long), (0, vec![(0, 5000, vec![b'y'; HEAD_BYTES])]));
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_what_is_found(
            stream in prop::collection::vec(prop::sample::select(b"ab \t\r\n\n\n\xef\xbb\xbf".to_vec()), 0..200),
            limit in 0_usize..12,
            pieces in prop::collection::vec(1_usize..20, 1..20),
        ) {
            let whole = split(&stream, limit, &[stream.len().max(1)]);
            prop_assert_eq!(&split(&stream, limit, &pieces), &whole);
            let numbers = whole.0.iter().map(|(at, _)| *at).chain(whole.1.iter().map(|(at, ..)| *at));
            let lines = stream.split(|byte| *byte == b'\n').count() as u64;
            prop_assert!(numbers.into_iter().all(|number| number < lines));
        }
    }
}
