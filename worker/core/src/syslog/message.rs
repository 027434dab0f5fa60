//! What a syslog message holds, and where in the record it stands.

use crate::stream::Micros;

/// A part of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Piece {
    /// The text.
    pub(super) fn text<'a>(&self, record: &'a str) -> &'a str {
        record.get(self.start..self.end).unwrap_or_default()
    }
}

/// A message by either RFC. What is missing, or nil, is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Facility times eight, plus severity.
    pub(super) priority: Option<u8>,
    pub(super) version: Option<u16>,
    pub(super) time: Time,
    pub(super) hostname: Option<Piece>,
    pub(super) app_name: Option<Piece>,
    pub(super) proc_id: Option<Piece>,
    pub(super) msg_id: Option<Piece>,
    pub(super) elements: Vec<Element>,
    pub(super) message: Option<Piece>,
}

/// The time of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Time {
    /// It has none.
    #[default]
    Missing,
    /// It has one.
    At(Micros),
    /// It has one that says too little.
    Vague(&'static str),
}

/// An element of structured data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) id: Piece,
    /// Names and values; a value has its escapes.
    pub(super) params: Vec<(Piece, Piece)>,
}

/// Why a record is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// Reads a record from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    pub(super) record: &'a str,
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.record.get(self.at..).unwrap_or_default()
    }

    pub(super) fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, what }
    }

    /// Passes over a prefix, if it stands here.
    pub(super) fn skip(&mut self, prefix: &str) -> bool {
        let is_there = self.rest().starts_with(prefix);
        self.at += if is_there { prefix.len() } else { 0 };
        is_there
    }

    /// Passes over the longest piece of such characters.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> Piece {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|letter| !wanted(letter)).unwrap_or(rest.len());
        Piece { start, end: self.at }
    }

    /// Passes over what is left, without line ends and zero bytes that senders put behind.
    pub(super) fn take_rest(&mut self) -> Piece {
        let start = self.at;
        let end = start + self.rest().trim_end_matches(['\n', '\r', '\0']).len();
        self.at = self.record.len();
        Piece { start, end }
    }

    /// Reads `<134>`; nothing if a record does not begin so.
    pub(super) fn priority(&mut self) -> Result<Option<u8>, SyntaxError> {
        let Some((digits, _)) = self.rest().strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            return Ok(None);
        };
        if !(1..=3).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        match digits.parse::<u8>() {
            Ok(priority) if priority <= HIGHEST_PRIORITY => {
                self.at += digits.len() + 2;
                Ok(Some(priority))
            }
            _ => Err(self.error("expected a priority of 0 to 191")),
        }
    }
}

/// Facility 23, severity 7.
const HIGHEST_PRIORITY: u8 = 191;
