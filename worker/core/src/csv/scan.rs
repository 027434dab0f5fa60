//! Where a CSV record ends: at a line end that stands outside of quotes.
//!
//! By the rules of RFC 4180 as the csv crate reads them: a quote opens a quoted field only as the field's first byte,
//! two quotes inside stand for one, and what follows a closing quote belongs to the field. Only `\n` ends a line; a `\r`
//! in front of it is the caller's to strip. Finds ends alone: it neither unescapes nor splits fields.

use memchr::{memchr, memchr2};

/// Looks for the end of one record, over as many pieces as its bytes come in.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordScan {
    state: State,
    /// How many bytes of the record were looked at.
    seen: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Outside of quotes.
    #[default]
    Plain,
    /// Inside of quotes.
    Quoted,
    /// Behind a quote inside of quotes: it closes them, or is the first of two.
    Quote,
}

impl RecordScan {
    /// The place of the `\n` that ends the record. `record` begins where the record begins; a later call for the same
    /// record has the same bytes and more behind them.
    pub fn find_end(&mut self, record: &[u8]) -> Option<usize> {
        while self.seen < record.len() {
            let rest = &record[self.seen..];
            match self.state {
                State::Plain => {
                    let Some(at) = memchr2(b'\n', b'"', rest) else { break };
                    let at = self.seen + at;
                    if record[at] == b'\n' {
                        self.seen = at;
                        return Some(at);
                    }
                    if at == 0 || record[at - 1] == b',' {
                        self.state = State::Quoted;
                    }
                    self.seen = at + 1;
                }
                State::Quoted => {
                    let Some(at) = memchr(b'"', rest) else { break };
                    self.state = State::Quote;
                    self.seen += at + 1;
                }
                State::Quote if rest[0] == b'"' => {
                    self.state = State::Quoted;
                    self.seen += 1;
                }
                State::Quote => self.state = State::Plain,
            }
        }
        self.seen = record.len();
        None
    }

    /// Whether the bytes seen so far end inside of quotes.
    pub fn in_quotes(&self) -> bool {
        self.state == State::Quoted
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, end: Option<usize>, in_quotes: bool) {
        let mut whole = RecordScan::default();
        assert_eq!(whole.find_end(text.as_bytes()), end, "{text:?}");
        assert_eq!(whole.in_quotes(), in_quotes, "{text:?}");
        let mut by_bytes = RecordScan::default();
        let found = (0..=text.len()).find_map(|upto| by_bytes.find_end(&text.as_bytes()[..upto]));
        assert_eq!(found, end, "{text:?} byte by byte");
    }

    #[test]
    fn a_record_ends_at_a_line_end_outside_of_quotes() {
        check("a,b\nc", Some(3), false);
        check("a,\"x\ny\"\nc", Some(7), false);
        check("\"a\"\"\n\"\"b\"\n", Some(9), false);
        check("\"a\"", None, false);
        check("\"a\nb,c\n", None, true);
        check("", None, false);
    }

    #[test]
    fn a_quote_inside_a_plain_field_is_a_letter() {
        check("a\"b\nc\"", Some(3), false);
        check("5\" disk,x\n", Some(9), false);
        check("\"a\"b\"\nc", Some(5), false);
    }

    /// The first record's fields and how many bytes the csv crate takes for it.
    fn reference(bytes: &[u8]) -> Option<u64> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(bytes);
        let mut record = csv::ByteRecord::new();
        reader
            .read_byte_record(&mut record)
            .unwrap()
            .then(|| reader.position().byte())
    }

    proptest! {
        #[test]
        fn the_csv_crate_ends_records_at_the_same_place(text in "[ab,\"\r\n]{1,24}") {
            let text = text.trim_start_matches('\n');
            if let Some(end) = RecordScan::default().find_end(text.as_bytes()) {
                prop_assert_eq!(reference(text.as_bytes()), Some(end as u64 + 1));
            }
        }
    }
}
