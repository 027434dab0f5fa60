//! Records broken at random: the decoder takes what serde_json takes, and nothing else.

use proptest::prelude::*;

use super::generate::{Random, Style, record};
use super::oracle::columns;
use super::{decode, rows, schema};
use crate::decode::{Cause, MAX_DEPTH};

/// Changes a record in a few places.
pub(super) fn mutate(random: &mut Random, mut text: Vec<u8>) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\n",
        b"0",
        b"-",
        b".",
        b"e",
        b"\0",
        b"\x1f",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\\u",
        b"null",
        b"\"ts\":",
        b"NaN",
        b"\\ud800",
    ];
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() as u64 + 1) as usize;
        let end = (at + random.below(4) as usize).min(text.len());
        match random.below(5) {
            0 => drop(text.splice(at..at, random.one_of(&PIECES).iter().copied())),
            1 => drop(text.splice(at..end, random.one_of(&PIECES).iter().copied())),
            2 => drop(text.drain(at..end)),
            3 => text.truncate(at),
            _ => {
                let copied = text[at.saturating_sub(random.below(30) as usize)..end].to_vec();
                drop(text.splice(at..at, copied));
            }
        }
    }
    text
}

/// Whether the decoder must take these bytes for a record; nothing if serde_json cannot say so.
fn is_object(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(value) => Some(value.is_object()),
        // It refuses numbers that are no finite `f64`, wherever they stand, and one level of nesting less.
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(_) => Some(false),
    }
}

/// Compares one record with serde_json: whether it is taken, and the values that both can tell.
fn check(text: &[u8]) {
    let decoded = decode(schema(columns(false)), &[text]);
    let dead = decoded.dead.first().map(|dead| &dead.cause);
    let is_broken = matches!(
        dead,
        Some(Cause::Syntax { .. } | Cause::InvalidUtf8 { .. } | Cause::TooDeep | Cause::NotAnObject { .. })
    );
    if let Some(is_object) = is_object(text) {
        assert_eq!(!is_broken, is_object, "{dead:?}: {}", String::from_utf8_lossy(text));
    }
    let (Some(row), Ok(value)) = (
        rows(&decoded).into_iter().next(),
        serde_json::from_slice::<serde_json::Value>(text),
    ) else {
        return;
    };
    for (cell, column) in row.iter().zip(columns(false)) {
        let at_path = column
            .path
            .iter()
            .try_fold(&value, |value, key| value.as_object()?.get(key));
        match (column.ty, at_path) {
            (_, None | Some(serde_json::Value::Null)) => assert_eq!(cell, super::NULL),
            (crate::decode::ColumnType::Utf8, Some(serde_json::Value::String(text))) => assert_eq!(cell, text),
            (crate::decode::ColumnType::Boolean, Some(serde_json::Value::Bool(flag))) => {
                assert_eq!(cell, &flag.to_string())
            }
            (crate::decode::ColumnType::Int64, Some(number)) if number.is_i64() => {
                assert_eq!(cell, &number.to_string())
            }
            (crate::decode::ColumnType::UInt64, Some(number)) if number.is_u64() => {
                assert_eq!(cell, &number.to_string())
            }
            (crate::decode::ColumnType::Json, Some(value)) => {
                assert_eq!(&serde_json::from_str::<serde_json::Value>(cell).unwrap(), value);
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn broken_records_are_taken_if_serde_json_takes_them(seed in any::<u64>(), odd in 0_u64..40, duplicates in any::<bool>()) {
        let random = &mut Random::new(seed);
        for _ in 0..10 {
            let text = record(random, Style { odd, duplicates }).text.into_bytes();
            check(&mutate(random, text));
        }
    }

    #[test]
    fn any_bytes_are_taken_if_serde_json_takes_them(text in prop::collection::vec(any::<u8>(), 0..60)) {
        check(&text);
    }

    #[test]
    fn any_signs_of_json_are_taken_if_serde_json_takes_them(
        signs in prop::collection::vec(prop::sample::select(b"{}[]:,\"\\ 01-.eEtrufalsn\n".to_vec()), 0..30)
    ) {
        check(&signs);
        check(&[b"{\"ts\":1,\"int\":", signs.as_slice(), b"}"].concat());
        check(&[b"{\"ts\":1,\"text\":\"", signs.as_slice(), b"\"}"].concat());
    }
}

#[test]
fn ten_thousand_mutations_find_no_difference_to_serde_json() {
    for seed in 0..10_000 {
        let random = &mut Random::new(seed);
        let style = Style {
            odd: seed % 40,
            duplicates: seed % 2 == 0,
        };
        let text = record(random, style).text.into_bytes();
        check(&mutate(random, text));
    }
}

#[test]
fn nesting_differs_from_serde_json_at_its_bound_alone() {
    for levels in [1, 10, MAX_DEPTH - 2] {
        check(format!(r#"{{"ts":1,"json":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)).as_bytes());
        check(
            format!(
                r#"{{"ts":1,"json":{}1{}}}"#,
                "{\"a\":".repeat(levels),
                "}".repeat(levels)
            )
            .as_bytes(),
        );
    }
}
