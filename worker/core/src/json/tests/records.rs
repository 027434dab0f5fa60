//! Which value of a record counts: keys, paths, duplicates, event times, filters.

use tocsin_contract::pipeline::source::TimeUnit;

use super::{
    DECLARED, NULL, REQUIRED, cause, check_row, column, decode, decode_between, keys, not_strict, rows, schema,
    with_filter,
};
use crate::decode::ColumnType::{Boolean, Float64, Int64, Json, Timestamp, Utf8};
use crate::decode::predicate::{CompareOp, Literal, Predicate};
use crate::decode::{Cause, ColumnSpec, DeadRecord, EventTimeSpec, Origin, RecordSchema, Records, Span};
use crate::json::JsonDecoder;

fn compare(column: usize, op: CompareOp, literal: Literal) -> Predicate {
    Predicate::Compare { column, op, literal }
}

fn text(column: usize, text: &str) -> Predicate {
    compare(column, CompareOp::Eq, Literal::Utf8(text.to_owned()))
}

/// The first cell of the only row, strictly read or not.
fn first_cell(columns: &[ColumnSpec], strict: bool, record: &str) -> String {
    let decoded = decode(
        RecordSchema {
            strict,
            ..schema(columns.to_vec())
        },
        &[record],
    );
    assert_eq!(decoded.dead, [], "{record}");
    rows(&decoded)[0][0].clone()
}

#[test]
fn of_equal_keys_the_last_counts_if_strict_and_the_first_if_not() {
    let check = |path: &str, record: &str, last: &str, first: &str| {
        let columns = [column(path, Utf8, Origin::Key)];
        assert_eq!(first_cell(&columns, true, record), last, "{record}, strict");
        assert_eq!(first_cell(&columns, false, record), first, "{record}, not strict");
    };
    check("a", r#"{"ts":1,"a":"x","a":"y"}"#, "y", "x");
    check("a", r#"{"ts":1,"a":"x","b":1,"a":"y","b":2}"#, "y", "x");
    check("a", r#"{"ts":1,"a":"x","a":null}"#, NULL, "x");
    check("a", r#"{"ts":1,"a":null,"a":"x"}"#, "x", NULL);
    check("a", r#"{"ts":1,"a":"x","\u0061":"y"}"#, "y", "x");
    check("h.n", r#"{"ts":1,"h":{"n":"x"},"h":{"n":"y"}}"#, "y", "x");
    check("h.n", r#"{"ts":1,"h":{"n":"x"},"h":{"m":"y"}}"#, NULL, "x");
    check("h.n", r#"{"ts":1,"h":{"m":"x"},"h":{"n":"y"}}"#, "y", NULL);
    check("h.n", r#"{"ts":1,"h":{"n":"x"},"h":5}"#, NULL, "x");
    check("h.n", r#"{"ts":1,"h":"text","h":{"n":"y"}}"#, "y", NULL);
    check("h.n", r#"{"h":{"n":"x","n":"y"},"ts":1}"#, "y", "x");
    check("h.h", r#"{"h":{"h":"x"},"ts":1,"h":{"h":"y"}}"#, "y", "x");
}

#[test]
fn of_equal_keys_only_the_one_that_counts_is_checked() {
    let columns = [column("a", Int64, DECLARED)];
    assert_eq!(cause(&columns, r#"{"ts":1,"a":"x","a":1}"#), None);
    assert!(cause(&columns, r#"{"ts":1,"a":1,"a":"x"}"#).is_some());
    let decoded = decode(schema(vec![]), &[r#"{"ts":true,"ts":1}"#, r#"{"ts":1,"ts":2}"#]);
    assert_eq!((decoded.event_times, decoded.dead.len()), (vec![1000, 2000], 0));
}

#[test]
fn keys_are_compared_without_their_escapes() {
    for record in [
        r#"{"ts":1,"sch\u00f6n/\"x":"v"}"#,
        r#"{"\u0074s":1,"schön\/\u0022x":"v"}"#,
        r#"{"\u0074\u0073":1,"\u0073ch\u00F6n/\"x":"v"}"#,
    ] {
        let mut spec = column("x", Utf8, Origin::Used);
        spec.path = vec!["schön/\"x".to_owned()];
        check_row(&[spec], record, &["v"]);
    }
}

#[test]
fn paths_lead_into_objects() {
    let columns = [
        column("host.name", Utf8, Origin::Used),
        column("host", Json, Origin::Used),
        column("host.os.family", Utf8, Origin::Key),
        column("host.name", Json, Origin::Used),
    ];
    let record = r#"{ "host" : {"os":{"family":7}, "name":"n" } , "ts":1}"#;
    check_row(
        &columns,
        record,
        &["n", r#"{"os":{"family":7}, "name":"n" }"#, "7", r#""n""#],
    );
    check_row(
        &columns,
        r#"{"host":[{"name":"n"}],"ts":1}"#,
        &[NULL, r#"[{"name":"n"}]"#, NULL, NULL],
    );
    check_row(&columns, r#"{"host":"h","ts":1}"#, &[NULL, r#""h""#, NULL, NULL]);
    check_row(
        &columns,
        r#"{"host":{},"host.name":"n","ts":1}"#,
        &[NULL, "{}", NULL, NULL],
    );
    check_row(
        &columns,
        r#"{"host":{"os":null},"ts":1}"#,
        &[NULL, r#"{"os":null}"#, NULL, NULL],
    );
}

#[test]
fn a_key_with_a_dot_is_no_path() {
    let mut dotted = column("x", Utf8, Origin::Used);
    dotted.path = vec!["host.name".to_owned()];
    check_row(&[dotted], r#"{"ts":1,"host":{"name":"a"},"host.name":"b"}"#, &["b"]);
}

#[test]
fn columns_can_read_the_same_place() {
    let columns = [
        column("ts", Int64, Origin::Used),
        column("ts", Utf8, Origin::Key),
        column("ts", Timestamp(TimeUnit::Seconds), Origin::Used),
        column("ts", Json, DECLARED),
    ];
    check_row(&columns, r#"{"ts":12}"#, &["12", "12", "12000000", "12"]);
}

#[test]
fn the_event_time_is_read_from_every_record() {
    let records = [
        r#"{"ts":1767225600123,"a":"x"}"#,
        r#"{"a":"y","ts":"2026-01-01T00:00:00Z"}"#,
        r#"{"a":"y","ts":0}"#,
        r#"{"a":"x","ts":4102444800000}"#,
    ];
    for strict in [true, false] {
        let schema = RecordSchema {
            strict,
            ..schema(vec![column("a", Utf8, Origin::Used)])
        };
        let decoded = decode(with_filter(text(0, "x"), schema), &records);
        assert_eq!(
            decoded.event_times,
            [1_767_225_600_123_000, 1_767_225_600_000_000, 0, 4_102_444_800_000_000]
        );
        assert_eq!((decoded.spans, decoded.row_records), (vec![0, 1, 2, 3], vec![0, 3]));
    }
}

#[test]
fn a_record_without_event_time_is_dead_even_if_the_filter_drops_it() {
    let check = |value: &str, what: &'static str| {
        for strict in [true, false] {
            let schema = RecordSchema {
                strict,
                ..schema(vec![column("a", Utf8, Origin::Used)])
            };
            let decoded = decode(with_filter(text(0, "x"), schema), &[format!(r#"{{"a":"y"{value}}}"#)]);
            let cause = Cause::EventTime {
                path: "ts".to_owned(),
                what,
            };
            assert_eq!(decoded.dead, [DeadRecord { span: 0, cause }], "{value}");
            assert_eq!((decoded.event_times.len(), decoded.spans.len()), (0, 0));
        }
    };
    check("", "it is missing");
    check(r#","ts":null"#, "it is null");
    check(r#","ts":true"#, "expected a number or an RFC 3339 time");
    check(r#","ts":{"ts":1}"#, "expected a number or an RFC 3339 time");
    check(r#","ts":"12""#, "the string is not an RFC 3339 time");
    check(r#","ts":1.5"#, "a fraction is allowed only if the unit is Seconds");
    check(r#","ts":1e30"#, "outside the years 0000 to 9999; is the unit right?");
    check(
        r#","ts":1767225600123456789"#,
        "outside the years 0000 to 9999; is the unit right?",
    );
}

#[test]
fn the_event_time_can_stand_in_an_object() {
    let mut schema = schema(vec![column("a", Utf8, Origin::Used)]);
    schema.event_time = EventTimeSpec {
        path: keys("meta.at"),
        unit: TimeUnit::Seconds,
    };
    let records = [
        r#"{"meta":{"x":1,"at":1.5},"a":"x"}"#,
        r#"{"a":"x","meta":{}}"#,
        r#"{"a":"x","meta":1}"#,
    ];
    for schema in [schema.clone(), not_strict(schema)] {
        let decoded = decode(schema, &records);
        assert_eq!(decoded.event_times, [1_500_000]);
        assert_eq!(decoded.dead.len(), 2);
    }
}

#[test]
fn filters_let_through_what_they_are_true_for() {
    let columns = vec![
        column("s", Utf8, Origin::Used),
        column("i", Int64, Origin::Used),
        column("f", Float64, Origin::Used),
        column("b", Boolean, Origin::Used),
        column("j", Json, Origin::Used),
    ];
    let records = [
        r#"{"ts":1,"s":"CRITICAL","i":1,"f":1.5,"b":true,"j":1}"#,
        r#"{"ts":1,"s":"CRITICAK","i":-1,"f":-0.0,"b":false,"j":2}"#,
        r#"{"ts":1,"s":"CRIT\u0049CAL","i":9,"f":0,"b":true}"#,
        r#"{"ts":1,"s":"CRITICAL, but longer than a chunk","i":10.0,"f":2}"#,
        r#"{"ts":1}"#,
        r#"{"ts":1,"s":5,"i":"x","f":"1","b":0}"#,
    ];
    let check = |predicate: Predicate, expected: &[u32]| {
        for strict in [true, false] {
            let schema = RecordSchema {
                strict,
                ..schema(columns.clone())
            };
            let decoded = decode(with_filter(predicate.clone(), schema), &records);
            assert_eq!(decoded.row_records, expected, "{predicate:?}, strict: {strict}");
            assert_eq!(decoded.spans.len(), records.len());
        }
    };
    use CompareOp::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    check(text(0, "CRITICAL"), &[0, 2]);
    check(text(0, "CRITICAL, but longer than a chunk"), &[3]);
    check(text(0, ""), &[]);
    check(compare(0, NotEq, Literal::Utf8("CRITICAL".to_owned())), &[1, 3]);
    check(compare(0, Lt, Literal::Utf8("CRITICAL".to_owned())), &[1]);
    check(compare(0, GtEq, Literal::Utf8("CRITICAL".to_owned())), &[0, 2, 3]);
    check(compare(1, Gt, Literal::Int64(1)), &[2, 3]);
    check(compare(1, LtEq, Literal::Int64(1)), &[0, 1]);
    check(compare(2, Eq, Literal::Float64(0.0)), &[1, 2]);
    check(compare(2, Lt, Literal::Float64(1.5)), &[1, 2]);
    check(compare(3, Eq, Literal::Boolean(true)), &[0, 2]);
    check(
        Predicate::IsNull {
            column: 0,
            negated: false,
        },
        &[4, 5],
    );
    check(
        Predicate::IsNull {
            column: 4,
            negated: true,
        },
        &[0, 1],
    );
    check(
        Predicate::And(vec![text(0, "CRITICAL"), compare(1, Eq, Literal::Int64(9))]),
        &[2],
    );
    check(
        Predicate::Or(vec![text(0, "CRITICAL"), compare(1, Eq, Literal::Int64(-1))]),
        &[0, 1, 2],
    );
    check(Predicate::And(vec![]), &[0, 1, 2, 3, 4, 5]);
    check(Predicate::Or(vec![]), &[]);
    // What cannot be decided counts as true.
    check(compare(1, Eq, Literal::Utf8("x".to_owned())), &[0, 1, 2, 3, 4, 5]);
    check(compare(99, Eq, Literal::Int64(1)), &[0, 1, 2, 3, 4, 5]);
    check(compare(4, Eq, Literal::Utf8("1".to_owned())), &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_filter_can_read_a_column_that_is_no_column_of_the_rows() {
    let mut hidden = column("s", Utf8, Origin::Used);
    hidden.read = false;
    let columns = vec![hidden, column("i", Int64, Origin::Used)];
    let records = [
        r#"{"ts":1,"s":"a","i":1}"#,
        r#"{"i":2,"ts":1,"s":"b"}"#,
        r#"{"ts":1,"s":3,"i":3}"#,
    ];
    for schema in [schema(columns.clone()), not_strict(schema(columns))] {
        let decoded = decode(with_filter(text(0, "b"), schema), &records);
        assert_eq!(rows(&decoded), [["2"]]);
        assert_eq!(
            decoded.mismatches,
            [(0, 1)],
            "a dropped record counts if the filter could not read it"
        );
    }
}

#[test]
fn declared_fields_are_checked_before_the_filter_drops_a_record() {
    let columns = vec![column("s", Utf8, Origin::Used), column("i", Int64, REQUIRED)];
    let records = [
        r#"{"ts":1,"s":"b","i":"x"}"#,
        r#"{"ts":1,"s":"b"}"#,
        r#"{"ts":1,"s":"b","i":1e99}"#,
    ];
    let decoded = decode(with_filter(text(0, "a"), schema(columns.clone())), &records);
    assert_eq!(decoded.dead.len(), 3);
    let decoded = decode(with_filter(text(0, "a"), not_strict(schema(columns))), &records);
    assert_eq!(decoded.dead.len(), 0);
}

#[test]
fn a_record_that_is_not_read_to_its_end_hides_errors_there_if_not_strict() {
    let columns = vec![column("s", Utf8, Origin::Used)];
    let records = [
        r#"{"ts":1,"s":"a","broken"#,
        r#"{"ts":1,"s":"b",,"#,
        r#"{"ts":1,"x":,"s":"a"}"#,
    ];
    assert_eq!(decode(schema(columns.clone()), &records).dead.len(), 3);
    let decoded = decode(with_filter(text(0, "a"), not_strict(schema(columns))), &records);
    assert_eq!(decoded.spans, [0, 1]);
    assert_eq!(rows(&decoded), [["a"]]);
}

#[test]
fn a_row_that_turns_out_dead_leaves_nothing_behind() {
    let columns: Vec<_> = [Utf8, Int64, Float64, Boolean, crate::decode::ColumnType::Decimal, Json]
        .into_iter()
        .enumerate()
        .map(|(at, ty)| column(&format!("c{at}"), ty, DECLARED))
        .chain([column("last", Int64, REQUIRED)])
        .collect();
    let good = r#"{"ts":1,"c0":"a","c1":1,"c2":2,"c3":true,"c4":4,"c5":[],"last":1}"#;
    let bad = r#"{"ts":1,"c0":"b","c1":null,"c2":3,"c3":false,"c4":5,"c5":{},"last":"x"}"#;
    let decoded = decode(not_strict(schema(columns)), &[bad, good, bad, bad, good]);
    let row: Vec<_> = ["a", "1", "2.0", "true", "4000000000", "[]", "1"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(rows(&decoded), [row.clone(), row]);
    assert_eq!((decoded.spans, decoded.dead.len()), (vec![1, 4], 3));
}

#[test]
fn the_whole_record_is_kept_without_the_space_around_it() {
    let mut schema = schema(vec![column("a", Utf8, Origin::Used)]);
    schema.whole_record = true;
    let records = ["{\"ts\":1,\"a\":\"ö\"}", " \t{\"ts\": 2 }\r\n"];
    for schema in [schema.clone(), not_strict(schema.clone())] {
        let decoded = decode(schema, &records);
        assert_eq!(rows(&decoded), [["ö", records[0]], [NULL, "{\"ts\": 2 }"]]);
        assert_eq!(decoded.rows.schema().field(1).name(), "_record");
    }
    let broken_behind = b"{\"ts\":1,\"a\":\"x\",\"b\":\"\xff\"}";
    let decoded = decode(not_strict(schema), &[broken_behind]);
    assert_eq!(decoded.dead[0].cause, Cause::InvalidUtf8 { at: 21 });
}

#[test]
fn a_schema_without_columns_counts_rows() {
    let decoded = decode(schema(vec![]), &[r#"{"ts":1}"#, r#"{"ts":2}"#, "{}"]);
    assert_eq!(
        (decoded.rows.num_rows(), decoded.rows.num_columns(), decoded.dead.len()),
        (2, 0, 1)
    );
}

#[test]
fn batches_begin_anew() {
    let mut decoder = JsonDecoder::new(schema(vec![column("a", Utf8, Origin::Used)]));
    for (value, expected) in [("1", vec![(0, 1)]), ("\"x\"", vec![]), ("[]", vec![(0, 1)])] {
        let decoded = decode_between(&mut decoder, &[format!(r#"{{"ts":1,"a":{value}}}"#)], "");
        assert_eq!(
            (decoded.rows.num_rows(), decoded.spans, decoded.mismatches),
            (1, vec![0], expected)
        );
    }
    assert_eq!(decoder.decode(Records { bytes: b"", spans: &[] }).rows.num_rows(), 0);
}

#[test]
fn spans_outside_of_the_buffer_are_dead() {
    let bytes = br#"{"ts":1}"#;
    let spans = [(0, 8), (0, 9), (8, 0), (usize::MAX - 1, usize::MAX), (8, 8)];
    let spans = spans.map(|(start, end)| Span { start, end, offset: 0 });
    let decoded = JsonDecoder::new(schema(vec![])).decode(Records { bytes, spans: &spans });
    assert_eq!((decoded.spans, decoded.dead.len()), (vec![0], 4));
}
