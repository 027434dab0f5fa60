//! Where the records of a stream of bytes begin and end.
//!
//! A record is a line, or in CSV a line whose quotes may hold further line ends. `\n` and `\r\n` end lines; blank lines
//! are skipped yet counted; a byte order mark at the start is skipped. A record larger than the limit is reported
//! without being held in memory. A CSV quote that is never closed must not swallow the records behind it: where the
//! record would pass the limit, or the input ends, its first line alone is taken (and will be a dead letter).
//! The result does not depend on the pieces in which the bytes arrive.

use memchr::{memchr, memchr_iter};
use tocsin_worker_core::csv::scan::RecordScan;
use tocsin_worker_core::decode::Span;

use super::{Block, HEAD_BYTES, TooLong};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a stream of bytes is made of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A record a line.
    #[default]
    Lines,
    /// CSV with a header line.
    Csv,
}

/// Finds the end of a record.
trait FindEnd: Send {
    /// The place of the `\n` that ends the record. `record` begins where the record begins; a later call for the same
    /// record has the same bytes and more behind them.
    fn find_end(&mut self, record: &[u8]) -> Option<usize>;

    /// Begins with another record.
    fn reset(&mut self);

    /// Whether the record cannot be whole as it stands, if nothing follows.
    fn is_open(&self) -> bool;
}

/// A record is a line.
#[derive(Debug, Default)]
struct Line {
    seen: usize,
}

impl FindEnd for Line {
    fn find_end(&mut self, record: &[u8]) -> Option<usize> {
        let found = memchr(b'\n', record.get(self.seen..)?).map(|at| self.seen + at);
        self.seen = record.len();
        found
    }

    fn reset(&mut self) {
        self.seen = 0;
    }

    fn is_open(&self) -> bool {
        false
    }
}

impl FindEnd for RecordScan {
    fn find_end(&mut self, record: &[u8]) -> Option<usize> {
        Self::find_end(self, record)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn is_open(&self) -> bool {
        self.in_quotes()
    }
}

/// Splits a stream of bytes into records.
pub(super) struct Framer {
    framing: Framing,
    limit: usize,
    ends: Box<dyn FindEnd>,
    /// Where in the block's bytes the record that is looked at begins.
    start: usize,
    /// The number of the line that begins there.
    line: u64,
    is_at_start: bool,
    header: Option<Vec<u8>>,
    /// The record that is too long and whose end was not seen yet.
    skipped: Option<TooLong>,
}

impl Framer {
    pub(super) fn new(framing: Framing, limit: usize) -> Self {
        let ends: Box<dyn FindEnd> = match framing {
            Framing::Lines => Box::new(Line::default()),
            Framing::Csv => Box::new(RecordScan::default()),
        };
        Self {
            framing,
            limit,
            ends,
            start: 0,
            line: 0,
            is_at_start: true,
            header: None,
            skipped: None,
        }
    }

    /// The header line of CSV, once it was seen.
    pub(super) fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// How many lines have ended.
    pub(super) fn lines(&self) -> u64 {
        self.line
    }

    /// Finds the records in what was appended to the block's bytes. `at_end`: nothing will follow.
    pub(super) fn split(&mut self, block: &mut Block, at_end: bool) {
        if self.is_at_start && !self.skip_byte_order_mark(&block.bytes, at_end) {
            return;
        }
        self.scan(block, at_end);
        if block.spans.is_empty() {
            // Nothing refers to what was looked at: blank lines, a header, a record that is too long.
            block.bytes.drain(..self.start.min(block.bytes.len()));
            self.start = 0;
        }
    }

    fn scan(&mut self, block: &mut Block, at_end: bool) {
        loop {
            if self.skipped.is_some() {
                if !self.skip_on(block, at_end) {
                    return;
                }
                continue;
            }
            let Some(rest) = block.bytes.get(self.start..) else {
                return;
            };
            match self.ends.find_end(rest) {
                Some(length) if without_return(&rest[..length]).len() > self.limit => {
                    self.overlong(block, Some(length))
                }
                Some(length) => self.finish(block, length, true),
                // One byte more than the limit may be the `\r` of the line's end.
                None if rest.len() > self.limit.saturating_add(1) => self.overlong(block, None),
                None if !at_end || rest.is_empty() => return,
                None if self.ends.is_open() && memchr(b'\n', rest).is_some() => self.overlong(block, None),
                None if without_return(rest).len() > self.limit => self.overlong(block, None),
                None => self.finish(block, rest.len(), false),
            }
        }
    }

    /// Takes the unfinished record at the end of the block's bytes out, so that the next block can begin with it.
    pub(super) fn take_rest(&mut self, block: &mut Block, rest: &mut Vec<u8>) {
        rest.clear();
        if self.start == 0 {
            std::mem::swap(rest, &mut block.bytes);
        } else {
            rest.extend_from_slice(block.bytes.get(self.start..).unwrap_or_default());
            block.bytes.truncate(self.start);
        }
        self.start = 0;
    }

    /// Whether it is known by now if there is one.
    fn skip_byte_order_mark(&mut self, bytes: &[u8], at_end: bool) -> bool {
        if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) && !at_end {
            return false;
        }
        self.is_at_start = false;
        if bytes.starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
        }
        true
    }

    /// Takes the next `length` bytes as a record, and the line end behind it if there is one.
    fn finish(&mut self, block: &mut Block, length: usize, has_line_end: bool) {
        let start = self.start;
        let whole = &block.bytes[start..start + length];
        let record = without_return(whole);
        if !self.is_blank(record) {
            if self.framing == Framing::Csv && self.header.is_none() {
                self.header = Some(record.to_vec());
            } else {
                block.spans.push(Span {
                    start,
                    end: start + record.len(),
                    offset: self.line,
                });
            }
        }
        let inner_lines = if self.framing == Framing::Csv {
            memchr_iter(b'\n', whole).count() as u64
        } else {
            0
        };
        self.advance(
            length + usize::from(has_line_end),
            inner_lines + u64::from(has_line_end),
        );
    }

    fn is_blank(&self, record: &[u8]) -> bool {
        match self.framing {
            Framing::Lines => record.first().is_none_or(|b| *b <= b' ') && record.trim_ascii().is_empty(),
            Framing::Csv => record.is_empty(),
        }
    }

    /// Deals with a record that passes the limit, or whose quote is not closed. `length`: where it ends, if known.
    fn overlong(&mut self, block: &mut Block, length: Option<usize>) {
        let rest = &block.bytes[self.start..];
        let Some(line) = memchr(b'\n', rest).or(length) else {
            self.skipped = Some(TooLong {
                offset: self.line,
                bytes: 0,
                limit: self.limit,
                head: Vec::new(),
            });
            return;
        };
        let record = without_return(&rest[..line]);
        if record.len() <= self.limit {
            self.finish(block, line, true);
        } else {
            let head = record[..HEAD_BYTES.min(record.len())].to_vec();
            block.too_long.push(TooLong {
                offset: self.line,
                bytes: record.len(),
                limit: self.limit,
                head,
            });
            self.advance(line + 1, 1);
        }
    }

    /// Goes on with a record that is too long, and throws its bytes away. Whether there are bytes left to look at.
    fn skip_on(&mut self, block: &mut Block, at_end: bool) -> bool {
        let Some(mut skipped) = self.skipped.take() else {
            return true;
        };
        let rest = block.bytes.get(self.start..).unwrap_or_default();
        let end = memchr(b'\n', rest);
        // The last byte stays in the block until the next one is known: it may be the `\r` of the line's end.
        let taken = match end {
            Some(end) => without_return(&rest[..end]),
            None if at_end => without_return(rest),
            None => rest.split_last().map_or(rest, |(_, before)| before),
        };
        let room = HEAD_BYTES.saturating_sub(skipped.head.len()).min(taken.len());
        skipped.head.extend_from_slice(&taken[..room]);
        skipped.bytes += taken.len();
        if end.is_some() || at_end {
            let length = end.map_or(rest.len(), |end| end + 1);
            block.too_long.push(skipped);
            self.advance(length, u64::from(end.is_some()));
            return true;
        }
        self.start += taken.len();
        self.skipped = Some(skipped);
        false
    }

    fn advance(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.line += lines;
        self.ends.reset();
    }
}

/// A line without the `\r` at its end.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
