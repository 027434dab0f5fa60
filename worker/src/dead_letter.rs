//! Records that did not decode, as JSON lines with everything that is needed to find out why and to send them again.
//!
//! A line: `{"source":"alerts","offset":4,"line":5,"cause":"Syntax","message":"…","bytes":12,"text":"…"}`. Bytes that
//! are not UTF-8 stand in `base64` in place of `text`. `line` counts from 1 and is there for files and standard input.
//! Judges nothing: what is dead was decided before.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tocsin_worker_core::decode::Cause;

use crate::sink::{Lines, SinkError};

/// How much of a record is kept.
pub const MOST_BYTES: usize = 1 << 20;

/// A record that did not decode.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// The record's offset in the source.
    pub offset: u64,
    /// Whether the offset is the number of a line, from 0.
    pub offset_is_line: bool,
    /// Why it did not decode.
    pub cause: &'a Cause,
    /// The record, or its beginning.
    pub bytes: &'a [u8],
    /// Size of the whole record.
    pub whole_bytes: usize,
}

/// Takes dead letters and counts them.
pub struct DeadLetters {
    file: Option<(String, Lines<File>)>,
    counts: BTreeMap<&'static str, u64>,
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    cause: &'static str,
    message: String,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl DeadLetters {
    /// Only counts.
    pub fn counting() -> Self {
        Self {
            file: None,
            counts: BTreeMap::new(),
        }
    }

    /// Writes to a file, which is emptied first.
    ///
    /// # Errors
    /// If its folder does not exist, or it may not be written.
    pub fn to_file(path: &Path) -> Result<Self, SinkError> {
        let file = File::create(path).map_err(|error| SinkError::creating(path, error))?;
        Ok(Self {
            file: Some((path.display().to_string(), Lines::new(file))),
            counts: BTreeMap::new(),
        })
    }

    /// Takes a dead letter.
    ///
    /// # Errors
    /// If it cannot be written. It is counted all the same.
    pub fn write(&mut self, letter: &DeadLetter<'_>) -> Result<(), SinkError> {
        *self.counts.entry(cause_code(letter.cause)).or_default() += 1;
        let Some((target, lines)) = &mut self.file else {
            return Ok(());
        };
        let line = serde_json::to_vec(&line(letter)).map_err(std::io::Error::from);
        line.and_then(|line| lines.push(&[&line]))
            .map_err(|error| SinkError::writing(target, error))
    }

    /// How many there were of each cause, by [`cause_code`].
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Brings all letters into the file.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        match &mut self.file {
            Some((target, lines)) => lines.flush().map_err(|error| SinkError::writing(target, error)),
            None => Ok(()),
        }
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        // Whoever wants to know of errors flushes before.
        self.flush().ok();
    }
}

fn line<'a>(letter: &DeadLetter<'a>) -> Line<'a> {
    let kept = &letter.bytes[..letter.bytes.len().min(MOST_BYTES)];
    let text = match std::str::from_utf8(kept) {
        Ok(text) => Some(text),
        // The cut may go through a character.
        Err(error) if kept.len() < letter.whole_bytes && error.error_len().is_none() => {
            std::str::from_utf8(&kept[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    Line {
        source: letter.source,
        offset: letter.offset,
        line: letter.offset_is_line.then(|| letter.offset.saturating_add(1)),
        cause: cause_code(letter.cause),
        message: letter.cause.to_string(),
        bytes: letter.whole_bytes,
        base64: if text.is_some() {
            None
        } else {
            Some(STANDARD.encode(kept))
        },
        truncated: kept.len() < letter.whole_bytes,
        text,
    }
}

/// The name of a cause: in files, and as a label of metrics.
pub fn cause_code(cause: &Cause) -> &'static str {
    match cause {
        Cause::Syntax { .. } => "Syntax",
        Cause::InvalidUtf8 { .. } => "InvalidUtf8",
        Cause::TooDeep => "TooDeep",
        Cause::NotAnObject { .. } => "NotAnObject",
        Cause::WrongType { .. } => "WrongType",
        Cause::OutOfRange { .. } => "OutOfRange",
        Cause::Missing { .. } => "Missing",
        Cause::EventTime { .. } => "EventTime",
        Cause::TimestampAhead => "TimestampAhead",
        Cause::NotDealt => "NotDealt",
        Cause::NoValue => "NoValue",
        Cause::UnknownSchema { .. } => "UnknownSchema",
        Cause::UnusableSchema { .. } => "UnusableSchema",
        Cause::Line { cause, .. } => cause_code(cause),
        Cause::TooLong { .. } => "TooLong",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use serde_json::{Value, json};

    use super::*;

    fn written(letters: &[DeadLetter<'_>]) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.jsonl");
        let mut dead = DeadLetters::to_file(&path).unwrap();
        for letter in letters {
            dead.write(letter).unwrap();
        }
        dead.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn letter<'a>(cause: &'a Cause, bytes: &'a [u8]) -> DeadLetter<'a> {
        DeadLetter {
            source: "alerts",
            offset: 4,
            offset_is_line: true,
            cause,
            bytes,
            whole_bytes: bytes.len(),
        }
    }

    const SYNTAX: Cause = Cause::Syntax {
        at: 3,
        what: "expected `:`",
    };

    #[test]
    fn a_letter_has_its_place_its_cause_and_its_bytes() {
        let expected = json!({
            "source": "alerts", "offset": 4, "line": 5, "cause": "Syntax",
            "message": "syntax error at byte 3: expected `:`", "bytes": 9, "text": "{\"a\" \u{e9}\r"
        });
        assert_eq!(
            written(&[letter(&SYNTAX, "{\"a\" é\r".as_bytes())])[0],
            expected_with(expected, 8)
        );
        let pushed = DeadLetter {
            offset_is_line: false,
            ..letter(&SYNTAX, b"")
        };
        assert_eq!(written(&[pushed])[0].get("line"), None);
    }

    fn expected_with(mut expected: Value, bytes: usize) -> Value {
        expected["bytes"] = bytes.into();
        expected
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_in_base64() {
        let cause = Cause::InvalidUtf8 { at: 1 };
        let found = &written(&[letter(&cause, b"a\xff\n")])[0];
        assert_eq!((&found["base64"], found.get("text")), (&json!("Yf8K"), None));
    }

    #[test]
    fn a_long_record_is_cut_at_a_character() {
        let long = "é".repeat(MOST_BYTES);
        let found = &written(&[letter(&SYNTAX, &long.as_bytes()[1..])])[0];
        assert_eq!(found["truncated"], true);
        assert!(found.get("base64").is_some(), "it does not begin with a character");
        let shifted = format!("x{long}");
        let found = &written(&[letter(&SYNTAX, shifted.as_bytes())])[0];
        assert_eq!(found["text"].as_str().unwrap().len(), MOST_BYTES - 1);
        assert_eq!(found["bytes"], shifted.len());
    }

    #[test]
    fn of_a_record_that_was_too_long_its_head_is_kept() {
        let cause = Cause::TooLong {
            bytes: 50_000_000,
            limit: 16 << 20,
        };
        let letter = DeadLetter {
            whole_bytes: 50_000_000,
            ..letter(&cause, b"head")
        };
        let found = &written(&[letter])[0];
        assert_eq!(
            (&found["cause"], &found["truncated"], &found["text"]),
            (&json!("TooLong"), &json!(true), &json!("head"))
        );
    }

    #[test]
    fn letters_are_counted_by_cause_with_and_without_a_file() {
        let mut dead = DeadLetters::counting();
        for cause in [&SYNTAX, &Cause::TooDeep, &SYNTAX] {
            dead.write(&letter(cause, b"")).unwrap();
        }
        assert_eq!(
            dead.counts().iter().map(|(c, n)| (*c, *n)).collect::<Vec<_>>(),
            [("Syntax", 2), ("TooDeep", 1)]
        );
        assert_eq!(dead.total(), 3);
    }

    #[test]
    fn a_full_disk_is_named_and_the_letter_counts() {
        let mut dead = DeadLetters::to_file(Path::new("/dev/full")).unwrap();
        let result = dead.write(&letter(&SYNTAX, &[b'x'; 100_000]));
        assert!(matches!(result, Err(SinkError::NoSpace { .. })), "{result:?}");
        assert_eq!(dead.total(), 1);
    }
}
