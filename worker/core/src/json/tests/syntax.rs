//! Records that are no JSON objects, or none that can be read.

use super::{cause, column, decode, rows, schema};
use crate::decode::ColumnType::{Json, Utf8};
use crate::decode::{Cause, MAX_DEPTH, Origin};

/// The byte and the message of a syntax error.
fn check(record: &[u8], at: usize, what: &'static str) {
    let columns = [column("v", Utf8, Origin::Used)];
    assert_eq!(
        cause(&columns, record),
        Some(Cause::Syntax { at, what }),
        "{}",
        String::from_utf8_lossy(record)
    );
}

#[test]
fn errors_of_syntax_are_found_with_their_place() {
    check(b"", 0, "the record is empty");
    check(b" \r\n", 3, "the record is empty");
    check(b"{", 1, "unexpected end");
    check(br#"{"ts":1"#, 7, "unexpected end");
    check(br#"{"ts":1,"#, 8, "unexpected end");
    check(br#"{"ts":1,"v"#, 10, "unexpected end");
    check(br#"{"ts":1,"v":"#, 12, "unexpected end");
    check(br#"{"ts":1,"v":"abc"#, 16, "unexpected end");
    check(br#"{"ts":1,"v":-"#, 13, "unexpected end");
    check(br#"{"ts":1,"v":tru"#, 12, "expected a value");
    check(br#"{"ts":1,}"#, 8, "expected a key");
    check(br#"{,"ts":1}"#, 1, "expected a key");
    check(br#"{"ts":1 "v":2}"#, 8, "expected `,` or `}`");
    check(br#"{"ts" 1}"#, 6, "expected `:`");
    check(br#"{ts:1}"#, 1, "expected a key");
    check(br#"{'ts':1}"#, 1, "expected a key");
    check(br#"{"ts":}"#, 6, "expected a value");
    check(br#"{"ts":1}}"#, 8, "expected the end of the record");
    check(br#"{"ts":1}{"ts":2}"#, 8, "expected the end of the record");
    check(br#"{"ts":01}"#, 6, "a number begins with 0");
    check(br#"{"ts":1.}"#, 8, "expected a digit behind the point");
    check(br#"{"ts":.5}"#, 6, "expected a value");
    check(br#"{"ts":+1}"#, 6, "expected a value");
    check(br#"{"ts":1e}"#, 8, "expected a digit in the exponent");
    check(br#"{"ts":1e+}"#, 9, "expected a digit in the exponent");
    check(br#"{"ts":0x10}"#, 7, "expected `,` or `}`");
    check(br#"{"ts":1,"v":NaN}"#, 12, "expected a value");
    check(br#"{"ts":1,"v":-Infinity}"#, 13, "expected a digit");
    check(br#"{"ts":1,"v":Infinity}"#, 12, "expected a value");
    check(br#"{"ts":1,"v":nul}"#, 12, "expected a value");
    check(br#"{"ts":1,"v":truee}"#, 16, "expected `,` or `}`");
    check(br#"{"ts":1,"w":[1,]}"#, 15, "expected a value");
    check(br#"{"ts":1,"w":[1 2]}"#, 15, "expected `,` or `]`");
    check(br#"{"ts":1,"w":[1}}"#, 14, "expected `,` or `]`");
    check(br#"{"ts":1,"w":{"a":1]}"#, 18, "expected `,` or `}`");
    check(br#"{"ts":1,"w":{"a"}}"#, 16, "expected `:`");
    check(br#"{"ts":1,"w":{1:2}}"#, 13, "expected a key");
    check(b"{\"ts\":1,\"v\":\"a\nb\"}", 14, "control character in a string");
    check(b"{\"ts\":1,\"v\":\"a\0b\"}", 14, "control character in a string");
    check(br#"{"ts":1,"v":"\x"}"#, 14, "invalid escape");
    check(br#"{"ts":1,"v":"\u12"}"#, 13, "invalid \\u escape");
    check(br#"{"ts":1,"v":"\ud800"}"#, 13, "lone surrogate");
    check(br#"{"ts":1,"v":"\ud800\u0041"}"#, 13, "lone surrogate");
    check(br#"{"ts":1,"v":"\udc00"}"#, 13, "lone surrogate");
    check("{\"ts\":1,\u{a0}\"v\":2}".as_bytes(), 8, "expected a key");
    check("\u{feff}{\"ts\":1}".as_bytes(), 0, "expected a value");
}

#[test]
fn a_value_that_is_no_object_is_named() {
    for (record, found) in [
        ("[]", "an array"),
        (r#" ["a"] "#, "an array"),
        (r#""text""#, "a string"),
        ("12", "a number"),
        ("-1.5e3", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ] {
        assert_eq!(cause(&[], record), Some(Cause::NotAnObject { found }), "{record}");
    }
    assert_eq!(
        cause(&[], "[1"),
        Some(Cause::Syntax {
            at: 2,
            what: "unexpected end"
        })
    );
}

#[test]
fn bytes_that_are_no_utf8_are_found_wherever_they_stand() {
    for (record, at) in [
        (&b"{\"ts\":1,\"v\":\"a\xffb\"}"[..], 14),
        (b"{\"ts\":1,\"unread\":\"\xc3\"}", 18),
        (b"{\"ts\":1,\"\xe2\x82\":1}", 9),
        (b"{\"ts\":1,\"w\":[{\"a\":\"\\n\xed\xa0\x80\"}]}", 21),
        (b"{\"ts\":1,\"w\":\"\xc0\x80\"}", 13),
        (b"{\"ts\":1,\"w\":\"\xf4\x90\x80\x80\"}", 13),
    ] {
        assert_eq!(cause(&[], record), Some(Cause::InvalidUtf8 { at }), "{record:?}");
    }
}

#[test]
fn nesting_ends_at_its_bound_without_recursion() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!(r#"{{"ts":1,"v":{}{}}}"#, open.repeat(levels), close.repeat(levels))
    };
    let columns = [column("v", Json, Origin::Used)];
    let objects = |levels| nested("{\"v\":", "}", levels).replace(":}", ":1}");
    for (record, expected) in [
        (nested("[", "]", MAX_DEPTH - 1), None),
        (nested("[", "]", MAX_DEPTH), Some(Cause::TooDeep)),
        (nested("[", "]", 10_000), Some(Cause::TooDeep)),
        (nested("[", "", 10_000), Some(Cause::TooDeep)),
        (objects(MAX_DEPTH - 1), None),
        (objects(MAX_DEPTH), Some(Cause::TooDeep)),
        (objects(10_000), Some(Cause::TooDeep)),
        ("[".repeat(10_000), Some(Cause::TooDeep)),
        ("{\"v\":".repeat(10_000), Some(Cause::TooDeep)),
    ] {
        assert_eq!(cause(&columns, &record), expected);
        assert_eq!(cause(&[], &record), expected);
    }
}

#[test]
fn a_path_can_be_as_deep_as_a_record() {
    let keys: Vec<_> = (0..MAX_DEPTH).map(|_| "v".to_owned()).collect();
    for (levels, expected) in [(MAX_DEPTH, "1"), (MAX_DEPTH - 1, "NULL")] {
        let mut deep = column("v", Utf8, Origin::Key);
        deep.path = keys.clone();
        let record = "{\"ts\":1,\"v\":".repeat(levels) + "1" + &"}".repeat(levels);
        assert_eq!(rows(&decode(schema(vec![deep]), &[record])), [[expected]]);
    }
}

#[test]
fn a_broken_record_harms_no_neighbour() {
    let good = r#"{"ts":1,"v":"x"}"#;
    let broken = [
        r#"{"ts":1,"v":"#,
        r#"{"ts":1,"v":"x"#,
        r#"{"ts":1,"v":["#,
        r#"{"ts":1,"v":"x\"#,
        r#"{"ts":1,"w":{"a":"#,
        "",
        "\\",
        "\"",
        r#""v":"x"}"#,
        r#"{"ts":1,"v":"x","#,
    ];
    for broken in broken {
        for between in ["", "\n", "}", "\"}"] {
            let mut decoder = super::JsonDecoder::new(schema(vec![column("v", Utf8, Origin::Used)]));
            let decoded = super::decode_between(&mut decoder, &[good, broken, good, broken, good], between);
            assert_eq!(decoded.spans, [0, 2, 4], "{broken:?} {between:?}");
            assert_eq!(rows(&decoded), [["x"], ["x"], ["x"]]);
            assert_eq!(decoded.dead.len(), 2);
            assert_eq!(decoded.dead[0].cause, decoded.dead[1].cause);
        }
    }
}
