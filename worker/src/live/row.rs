//! Reads the columns of a result row that the page shows: key, times, numbers, texts.
//!
//! Never fails and never keeps more of a row than its bounds: what is missing or of another type reads as absent.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

/// A result row as the engine's encoder gives it.
pub type Row = Map<String, Value>;

/// Longest text kept of one column, in characters. Longer ones are cut, and told apart by a hash.
pub const TEXT_LIMIT: usize = 160;

/// The text of a column; numbers and booleans as JSON writes them. None if it is missing or null.
pub fn text(row: &Row, column: &str) -> Option<String> {
    row.get(column).filter(|value| !value.is_null()).map(display)
}

/// The RFC 3339 time of a column, in milliseconds since 1970.
pub fn time(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(time_of)
}

/// A whole number of at least 0.
pub fn count(row: &Row, column: &str) -> Option<u64> {
    row.get(column).and_then(Value::as_u64)
}

/// The revision of a row; a row without one is the first.
pub fn revision(row: &Row) -> u64 {
    count(row, "_rev").unwrap_or(0)
}

/// The values of the key columns, in their order; a missing or null one is empty.
pub fn key(row: &Row, columns: &[String]) -> Vec<String> {
    columns
        .iter()
        .map(|column| text(row, column).unwrap_or_default())
        .collect()
}

/// The RFC 3339 time of a value, in milliseconds since 1970.
pub fn time_of(value: &Value) -> Option<i64> {
    let timestamp: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(timestamp.as_millisecond())
}

/// A value as text of bounded length.
pub fn display(value: &Value) -> String {
    match value {
        Value::String(text) => bounded(text),
        other => bounded(&other.to_string()),
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        None => text.to_owned(),
        Some((cut, _)) => {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            format!("{}… #{:08x}", &text[..cut], hasher.finish() as u32)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_with_and_without_fractions_and_offsets() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(time_of(&json!(text)), expected, "{text}");
        check("1970-01-01T00:00:01Z", Some(1_000));
        check("1970-01-01T00:00:01.250Z", Some(1_250));
        check("1970-01-01T01:00:00+01:00", Some(0));
        check("2100-01-01T00:00:00Z", Some(4_102_444_800_000));
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn a_long_text_is_cut_and_two_long_texts_stay_apart() {
        let a = display(&json!("é".repeat(10_000)));
        let b = display(&json!(format!("{}x", "é".repeat(10_000))));
        assert!(a.chars().count() < TEXT_LIMIT + 16);
        assert_ne!(a, b);
    }

    #[test]
    fn a_column_of_another_type_reads_as_absent() {
        let row = json!({"a": [1], "b": -1, "c": null, "d": true})
            .as_object()
            .unwrap()
            .clone();
        assert_eq!(count(&row, "a"), None);
        assert_eq!(count(&row, "b"), None);
        assert_eq!(time(&row, "b"), None);
        assert_eq!(text(&row, "c"), None);
        assert_eq!(
            key(&row, &["d".to_owned(), "c".to_owned(), "z".to_owned()]),
            ["true", "", ""]
        );
    }
}
