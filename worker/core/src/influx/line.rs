//! Takes a line of InfluxDB's line protocol apart: `measurement,tag=value field=1i,other="text" 1767225600000000000`.
//!
//! Finds where the pieces stand and checks how they are written; what they mean to a column is said elsewhere. The
//! rules are those of InfluxDB's documentation: a backslash escapes a comma, a space and (in keys and tags) an equals
//! sign, inside of a quoted text a quote and a backslash, and is a letter anywhere else.

use std::borrow::Cow;

use crate::decode::plain_number::plain;

/// A piece of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    start: usize,
    end: usize,
    /// Whether backslashes that escape something stand in it.
    escaped: bool,
}

/// How the value of a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `1.5`
    Float,
    /// `1i` and `1u`; the letter is not part of the piece.
    Integer,
    /// `"text"`; the quotes are not part of the piece.
    Text,
    /// `t`, `true` and the like.
    True,
    /// `f`, `false` and the like.
    False,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldValue {
    pub(super) kind: Kind,
    pub(super) piece: Piece,
}

/// Where the pieces of a line stand. Keeps its room from line to line.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) measurement: Piece,
    pub(super) tags: Vec<(Piece, Piece)>,
    pub(super) fields: Vec<(Piece, FieldValue)>,
    pub(super) time: Option<Piece>,
}

/// Why a line is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineError {
    /// The byte in the record.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) what: &'static str,
}

impl Piece {
    fn bytes<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        record.get(self.start..self.end).unwrap_or_default()
    }

    /// The text with its escapes, for a record that is UTF-8.
    fn raw<'a>(&self, record: &'a [u8]) -> &'a str {
        std::str::from_utf8(self.bytes(record)).unwrap_or_default()
    }

    /// The text of a name or a tag.
    pub(super) fn name<'a>(&self, record: &'a [u8]) -> Cow<'a, str> {
        self.unescaped(record, is_escapable)
    }

    /// The text of a measurement, in which an equals sign stands as it is.
    pub(super) fn measurement<'a>(&self, record: &'a [u8]) -> Cow<'a, str> {
        self.unescaped(record, |byte| matches!(byte, b',' | b' '))
    }

    /// The text between quotes.
    pub(super) fn quoted<'a>(&self, record: &'a [u8]) -> Cow<'a, str> {
        self.unescaped(record, |byte| matches!(byte, b'"' | b'\\'))
    }

    /// Whether this is the name.
    pub(super) fn is(&self, name: &[u8], record: &[u8]) -> bool {
        if self.escaped {
            self.name(record).as_bytes() == name
        } else {
            self.bytes(record) == name
        }
    }

    fn unescaped<'a>(&self, record: &'a [u8], escapable: fn(u8) -> bool) -> Cow<'a, str> {
        let raw = self.raw(record);
        if !self.escaped {
            return Cow::Borrowed(raw);
        }
        let mut text = String::with_capacity(raw.len());
        let mut letters = raw.chars().peekable();
        while let Some(letter) = letters.next() {
            let escaped = |next: &char| u8::try_from(*next).is_ok_and(escapable);
            let next = (letter == '\\').then(|| letters.next_if(escaped)).flatten();
            text.push(next.unwrap_or(letter));
        }
        Cow::Owned(text)
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

fn is_escapable(byte: u8) -> bool {
    matches!(byte, b',' | b'=' | b' ')
}

impl Line {
    /// Takes the line that begins at `from` apart; gives where it ends: at its line end, or at the record's end.
    pub(super) fn split(&mut self, record: &[u8], from: usize) -> Result<usize, LineError> {
        self.tags.clear();
        self.fields.clear();
        self.time = None;
        let mut scan = Scan { record, at: from };
        self.measurement = scan.piece(|byte| matches!(byte, b',' | b' '));
        if self.measurement.is_empty() {
            return Err(scan.error("expected the name of a measurement"));
        }
        while scan.skip(b',') {
            let (key, value) = scan.tag()?;
            self.tags.push((key, value));
        }
        if scan.spaces() == 0 || scan.is_end() {
            return Err(scan.error("expected a space and a field behind the measurement and its tags"));
        }
        loop {
            let field = scan.field()?;
            self.fields.push(field);
            if !scan.skip(b',') {
                break;
            }
        }
        let n_spaces = scan.spaces();
        if n_spaces > 0 && !scan.is_end() {
            self.time = Some(scan.time()?);
            scan.spaces();
        }
        if scan.is_end() {
            Ok(scan.at)
        } else {
            Err(scan.error("expected the end of the line"))
        }
    }
}

struct Scan<'a> {
    record: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.record.get(self.at + ahead).copied()
    }

    fn error(&self, what: &'static str) -> LineError {
        LineError { at: self.at, what }
    }

    /// Whether the line ends here.
    fn is_end(&self) -> bool {
        match self.peek(0) {
            None | Some(b'\n') => true,
            Some(b'\r') => matches!(self.peek(1), None | Some(b'\n')),
            Some(_) => false,
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.peek(0) == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn spaces(&mut self) -> usize {
        let from = self.at;
        while self.skip(b' ') {}
        self.at - from
    }

    /// A piece up to one of these bytes, or the line's end.
    fn piece(&mut self, stops: impl Fn(u8) -> bool) -> Piece {
        let start = self.at;
        let mut escaped = false;
        while let Some(byte) = self.peek(0) {
            if byte == b'\\' && self.peek(1).is_some_and(is_escapable) {
                escaped = true;
                self.at += 2;
            } else if stops(byte) || (byte <= b'\r' && self.is_end()) {
                break;
            } else {
                self.at += 1;
            }
        }
        Piece {
            start,
            end: self.at,
            escaped,
        }
    }

    fn tag(&mut self) -> Result<(Piece, Piece), LineError> {
        let key = self.piece(|byte| matches!(byte, b',' | b'=' | b' '));
        if key.is_empty() {
            return Err(self.error("expected the name of a tag"));
        }
        if !self.skip(b'=') {
            return Err(self.error("expected `=` and the value of a tag"));
        }
        let value = self.piece(|byte| matches!(byte, b',' | b'=' | b' '));
        if value.is_empty() {
            return Err(self.error("expected the value of a tag"));
        }
        if self.peek(0) == Some(b'=') {
            return Err(self.error("an `=` in the value of a tag needs a backslash"));
        }
        Ok((key, value))
    }

    fn field(&mut self) -> Result<(Piece, FieldValue), LineError> {
        let key = self.piece(|byte| matches!(byte, b',' | b'=' | b' '));
        if key.is_empty() {
            return Err(self.error("expected the name of a field"));
        }
        if !self.skip(b'=') {
            return Err(self.error("expected `=` and the value of a field"));
        }
        let value = if self.skip(b'"') { self.text()? } else { self.bare()? };
        if self.is_end() || matches!(self.peek(0), Some(b',' | b' ')) {
            Ok((key, value))
        } else {
            Err(self.error("expected a comma, a space or the end of the line behind the value of a field"))
        }
    }

    /// A text behind its first quote. It may hold line ends.
    fn text(&mut self) -> Result<FieldValue, LineError> {
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.record.get(self.at..).unwrap_or_default();
            let Some(next) = memchr::memchr2(b'"', b'\\', rest) else {
                // The text may have been meant to end anywhere: the line is over at its next line end.
                self.at = start;
                return Err(self.error("a quote is not closed"));
            };
            self.at += next;
            if self.skip(b'"') {
                break;
            }
            let escapes = matches!(self.peek(1), Some(b'"' | b'\\'));
            escaped |= escapes;
            self.at += 1 + usize::from(escapes);
        }
        let piece = Piece {
            start,
            end: self.at - 1,
            escaped,
        };
        Ok(FieldValue {
            kind: Kind::Text,
            piece,
        })
    }

    /// A number, `true` or `false`.
    fn bare(&mut self) -> Result<FieldValue, LineError> {
        let start = self.at;
        let mut piece = self.piece(|byte| matches!(byte, b',' | b' '));
        let kind = match piece.bytes(self.record) {
            b"t" | b"T" | b"true" | b"True" | b"TRUE" => Kind::True,
            b"f" | b"F" | b"false" | b"False" | b"FALSE" => Kind::False,
            [digits @ .., b'i'] if is_whole(digits, true) => Kind::Integer,
            [digits @ .., b'u'] if is_whole(digits, false) => Kind::Integer,
            _ if plain(piece.raw(self.record)).is_some() => Kind::Float,
            _ => {
                self.at = start;
                return Err(self.error("expected a number, true, false, or a text in double quotes"));
            }
        };
        piece.end -= usize::from(kind == Kind::Integer);
        Ok(FieldValue { kind, piece })
    }

    fn time(&mut self) -> Result<Piece, LineError> {
        let start = self.at;
        let piece = self.piece(|byte| byte == b' ');
        if is_whole(piece.bytes(self.record), true) {
            return Ok(piece);
        }
        self.at = start;
        Err(self.error("expected a time as a whole number"))
    }
}

fn is_whole(digits: &[u8], signed: bool) -> bool {
    let digits = match digits {
        [b'-', digits @ ..] if signed => digits,
        digits => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
