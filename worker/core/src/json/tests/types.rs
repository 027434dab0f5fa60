//! What a value becomes in a column of each type and origin.

use tocsin_contract::pipeline::source::TimeUnit;

use super::{DECLARED, NULL, REQUIRED, cause, check_row, column, decode, rows, schema};
use crate::decode::ColumnType::{Boolean, Decimal, Float64, Int64, Json, Timestamp, UInt64, Utf8};
use crate::decode::{Cause, ColumnType, Origin};

const MILLIS: ColumnType = Timestamp(TimeUnit::Milliseconds);

/// A value that a type can hold, and how it is shown.
fn check(ty: ColumnType, value: &str, expected: &str) {
    for origin in [Origin::Used, DECLARED, REQUIRED] {
        check_row(
            &[column("v", ty, origin)],
            &format!(r#"{{"ts":1,"v":{value}}}"#),
            &[expected],
        );
    }
}

/// A value that a type cannot hold: dead if declared, NULL and counted if used.
fn check_mismatch(ty: ColumnType, value: &str, found: Option<&'static str>) {
    let record = format!(r#"{{"ts":1,"v":{value}}}"#);
    let (path, expected) = ("v".to_owned(), expected(ty));
    let dead = match found {
        Some(found) => Cause::WrongType { path, expected, found },
        None => Cause::OutOfRange { path, expected },
    };
    assert_eq!(
        cause(&[column("v", ty, DECLARED)], &record),
        Some(dead),
        "{value} as {ty:?}"
    );
    for strict in [true, false] {
        let mut schema = schema(vec![column("v", ty, Origin::Used)]);
        schema.strict = strict;
        let decoded = decode(schema, &[&record]);
        assert_eq!(
            (rows(&decoded), decoded.mismatches),
            (vec![vec![NULL.to_owned()]], vec![(0, 1)]),
            "{value} as {ty:?}"
        );
    }
}

fn expected(ty: ColumnType) -> &'static str {
    match ty {
        Boolean => "Boolean",
        Int64 => "Int64",
        UInt64 => "UInt64",
        Float64 => "Float64",
        Decimal => "Decimal",
        Utf8 => "String",
        Timestamp(_) => "Timestamp",
        Json => "Json",
    }
}

#[test]
fn values_of_the_type_are_read() {
    check(Boolean, "true", "true");
    check(Boolean, "false", "false");
    check(Int64, "-42", "-42");
    check(Int64, "1.0", "1");
    check(Int64, "1e3", "1000");
    check(Int64, "9223372036854775807", "9223372036854775807");
    check(UInt64, "18446744073709551615", "18446744073709551615");
    check(Float64, "123.4", "123.4");
    check(Float64, "-0", "0.0");
    check(Float64, "18446744073709551616", "1.8446744073709552e19");
    check(Float64, "1E-400", "0.0");
    check(Decimal, "1.5", "1500000000");
    check(Decimal, "99999999999999999999999999999.999999999", &"9".repeat(38));
    check(Utf8, r#""""#, "");
    check(Utf8, r#""a\nb\u00e9\ud83d\ude00\/""#, "a\nbé😀/");
    check(Utf8, r#""schön""#, "schön");
    check(MILLIS, "1767225600123", "1767225600123000");
    check(MILLIS, r#""2026-01-01T00:00:00.123+00:00""#, "1767225600123000");
    check(MILLIS, r#""2026-01-01T00:00:60\u005a""#, "1767225660000000");
    check(Timestamp(TimeUnit::Seconds), "1767225600.5", "1767225600500000");
    check(
        Timestamp(TimeUnit::Nanoseconds),
        "1767225600123456789",
        "1767225600123456",
    );
}

#[test]
fn json_columns_keep_the_text_as_it_is_written() {
    for text in [
        "1.50",
        "-0",
        r#""a\u0041""#,
        "true",
        r#"{ "a" : [1,  2] }"#,
        "[ ]",
        "{}",
        r#"[{"a":"\"]"}]"#,
    ] {
        check(Json, text, text);
    }
}

#[test]
fn missing_and_null_are_null() {
    for ty in [Boolean, Int64, UInt64, Float64, Decimal, Utf8, MILLIS, Json] {
        for origin in [Origin::Used, Origin::Key, DECLARED] {
            check_row(&[column("v", ty, origin)], r#"{"ts":1,"v":null}"#, &[NULL]);
            check_row(&[column("v", ty, origin)], r#"{"ts":1}"#, &[NULL]);
        }
        for record in [r#"{"ts":1,"v":null}"#, r#"{"ts":1}"#] {
            assert_eq!(
                cause(&[column("v", ty, REQUIRED)], record),
                Some(Cause::Missing { path: "v".to_owned() })
            );
        }
    }
}

#[test]
fn values_of_another_type_are_dead_if_declared_and_null_if_used() {
    check_mismatch(Boolean, "1", Some("a number"));
    check_mismatch(Boolean, r#""true""#, Some("a string"));
    check_mismatch(Int64, r#""1""#, Some("a string"));
    check_mismatch(Int64, "true", Some("a boolean"));
    check_mismatch(UInt64, "[1]", Some("an array"));
    check_mismatch(Float64, r#""1.5""#, Some("a string"));
    check_mismatch(Decimal, "{}", Some("an object"));
    check_mismatch(Utf8, "1", Some("a number"));
    check_mismatch(Utf8, "false", Some("a boolean"));
    check_mismatch(Utf8, "[]", Some("an array"));
    check_mismatch(MILLIS, "true", Some("a boolean"));
    check_mismatch(MILLIS, r#""yesterday""#, Some("a string that is not an RFC 3339 time"));
}

#[test]
fn numbers_that_do_not_fit_never_become_others() {
    check_mismatch(Int64, "9223372036854775808", None);
    check_mismatch(Int64, "-9223372036854775809", None);
    check_mismatch(Int64, "1.5", None);
    check_mismatch(Int64, "1e19", None);
    check_mismatch(UInt64, "-1", None);
    check_mismatch(UInt64, "18446744073709551616", None);
    check_mismatch(Float64, "1e309", None);
    check_mismatch(Float64, &"9".repeat(310), None);
    check_mismatch(Decimal, "0.0000000001", None);
    check_mismatch(Decimal, "1e29", None);
    check_mismatch(MILLIS, "1767225600123456789", None);
    check_mismatch(MILLIS, "1.5", None);
    check_mismatch(MILLIS, r#""9999-12-31T23:59:60Z""#, None);
}

#[test]
fn keys_are_text_as_it_is_written() {
    for (value, expected) in [
        (r#""a\tb""#, "a\tb"),
        (r#""""#, ""),
        ("1.50", "1.50"),
        ("-1e3", "-1e3"),
        ("18446744073709551616", "18446744073709551616"),
        ("true", "true"),
        ("false", "false"),
        // The same object can be written in many ways, so that its text is no key.
        (r#"{"a": 1}"#, NULL),
        ("[1, 2]", NULL),
        ("null", NULL),
    ] {
        check_row(
            &[column("v", Utf8, Origin::Key)],
            &format!(r#"{{"ts":1,"v":{value}}}"#),
            &[expected],
        );
    }
}

#[test]
fn an_undeclared_mismatch_is_counted_for_each_row() {
    let columns = vec![column("a", Int64, Origin::Used), column("b", Utf8, Origin::Used)];
    let records = [
        r#"{"ts":1,"a":"x","b":1}"#,
        r#"{"ts":1,"a":1,"b":2}"#,
        r#"{"ts":1}"#,
        r#"{"ts":1,"a":"x","b":"#,
    ];
    assert_eq!(decode(schema(columns), &records).mismatches, [(0, 1), (1, 2)]);
}

#[test]
fn a_declared_field_that_nobody_reads_is_checked_if_strict() {
    let mut hidden = column("v", Int64, REQUIRED);
    hidden.read = false;
    let seen = column("w", Int64, Origin::Used);
    let records = [
        r#"{"ts":1,"v":"x","w":2}"#,
        r#"{"ts":1,"w":2}"#,
        r#"{"ts":1,"v":1,"w":2}"#,
    ];
    let decoded = decode(schema(vec![hidden.clone(), seen.clone()]), &records);
    assert_eq!(decoded.dead.iter().map(|dead| dead.span).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(rows(&decoded), [["2"]]);

    let decoded = decode(super::not_strict(schema(vec![hidden, seen])), &records);
    assert_eq!((decoded.dead.len(), rows(&decoded).len()), (0, 3));
}
