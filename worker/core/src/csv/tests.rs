//! Tests of the CSV decoder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use tocsin_contract::pipeline::source::TimeUnit;

use super::*;
use crate::decode::predicate::{CompareOp, Literal, Predicate};
use crate::decode::{ColumnSpec, EventTimeSpec, Origin, Span};

const DECLARED: Origin = Origin::Declared { required: false };
const REQUIRED: Origin = Origin::Declared { required: true };

fn column(name: &str, ty: ColumnType, origin: Origin) -> ColumnSpec {
    ColumnSpec {
        name: name.into(),
        path: vec![name.into()],
        ty,
        origin,
        read: true,
    }
}

fn schema(columns: Vec<ColumnSpec>) -> RecordSchema {
    RecordSchema {
        columns,
        event_time: EventTimeSpec {
            path: vec!["ts".into()],
            unit: TimeUnit::Milliseconds,
        },
        whole_record: false,
        strict: true,
        predicate: None,
    }
}

/// Decodes records that stand behind each other, without line ends.
fn decode(schema: RecordSchema, header: &str, records: &[&[u8]]) -> Decoded {
    let mut decoder = CsvDecoder::new(schema, header.as_bytes()).unwrap();
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for (offset, record) in (0..).zip(records) {
        spans.push(Span {
            start: bytes.len(),
            end: bytes.len() + record.len(),
            offset,
        });
        bytes.extend_from_slice(record);
    }
    decoder.decode(Records {
        bytes: &bytes,
        spans: &spans,
    })
}

fn texts(decoded: &Decoded, column: usize) -> Vec<Option<String>> {
    decoded
        .rows
        .column(column)
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

fn check_dead(schema: RecordSchema, record: &[u8], expected: &str) {
    let good = b"1,2,3".as_slice();
    let decoded = decode(schema, "ts,a,b", &[good, record, good]);
    let causes: Vec<_> = decoded
        .dead
        .iter()
        .map(|dead| (dead.span, dead.cause.to_string()))
        .collect();
    assert_eq!(causes, [(1, expected.to_owned())]);
    assert_eq!(decoded.spans, [0, 2], "the neighbours are whole");
    assert_eq!(decoded.rows.num_rows(), 2);
}

fn check_header(columns: &[&str], header: &[u8], expected: &str) {
    let columns = columns
        .iter()
        .map(|name| column(name, ColumnType::Utf8, Origin::Used))
        .collect();
    assert_eq!(
        CsvDecoder::new(schema(columns), header).unwrap_err().to_string(),
        expected
    );
}

#[test]
fn cells_become_columns_of_their_types() {
    let columns = vec![
        column("name", ColumnType::Utf8, Origin::Key),
        column("n", ColumnType::Int64, Origin::Used),
        column("x", ColumnType::Float64, DECLARED),
        column("at", ColumnType::Timestamp(TimeUnit::Seconds), DECLARED),
    ];
    let records: [&[u8]; 2] = [b"2013-07-04 21:00:00,\"a,\"\"b\"\"\n\",7,2.5,60", b"5,,,,"];
    let decoded = decode(schema(columns), "ts,name,n,x,at\r\n", &records);
    assert_eq!(decoded.dead, []);
    assert_eq!(decoded.event_times, [1_372_971_600_000_000, 5_000]);
    assert_eq!(texts(&decoded, 0), [Some("a,\"b\"\n".into()), None]);
    let rows = &decoded.rows;
    assert_eq!(
        rows.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(7), None]
    );
    assert_eq!(
        rows.column(2).as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
        [Some(2.5), None]
    );
    let times: Vec<_> = rows
        .column(3)
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .collect();
    assert_eq!(times, [Some(60_000_000), None]);
}

#[test]
fn the_whole_record_is_an_object_with_values_as_they_are_written() {
    let wanted = RecordSchema {
        whole_record: true,
        ..schema(vec![])
    };
    let record = "7,007,1.50,-2e3,true,TRUE,,\"say \"\"hi\"\"\n\",NaN,é".as_bytes();
    let decoded = decode(wanted, "ts,b,c,d,e,f,g,h,i,j", &[record]);
    let expected =
        r#"{"ts":7,"b":"007","c":1.50,"d":-2e3,"e":true,"f":"TRUE","g":null,"h":"say \"hi\"\n","i":"NaN","j":"é"}"#;
    assert_eq!(texts(&decoded, 0), [Some(expected.to_owned())]);
}

#[test]
fn a_bad_record_is_dead_and_its_neighbours_are_not() {
    let any = || {
        schema(vec![
            column("a", ColumnType::Int64, DECLARED),
            column("b", ColumnType::Utf8, REQUIRED),
        ])
    };
    check_dead(
        any(),
        b"1,2",
        "syntax error at byte 3: fewer cells than the header has columns",
    );
    check_dead(
        any(),
        b"1,2,3,4",
        "syntax error at byte 7: more cells than the header has columns",
    );
    check_dead(
        any(),
        b"",
        "syntax error at byte 0: fewer cells than the header has columns",
    );
    check_dead(any(), b"1,2,\"3", "syntax error at byte 6: a quote is not closed");
    check_dead(
        any(),
        b"1,2,3\n4,5,6",
        "syntax error at byte 11: a line ends inside of the record",
    );
    check_dead(any(), b"1,2,\xff", "invalid UTF-8 at byte 4");
    check_dead(any(), b"1,two,3", "`a`: expected Int64, found text");
    check_dead(any(), b"1,99999999999999999999,3", "`a`: the number does not fit Int64");
    check_dead(any(), b"1,2,", "`b` is required and missing");
    check_dead(any(), b",2,3", "event time `ts`: missing");
    check_dead(
        any(),
        b"soon,2,3",
        "event time `ts`: neither a number nor a time like 2026-01-31T12:00:00Z",
    );
    check_dead(any(), b"1e300,2,3", "event time `ts`: out of range");
    let floats = schema(vec![column("a", ColumnType::Float64, DECLARED)]);
    check_dead(floats, b"1,NaN,3", "`a`: expected Float64, found text");
    check_dead(
        any(),
        &[b','; 70_000],
        "syntax error at byte 70000: more cells than the header has columns",
    );
}

#[test]
fn a_value_that_does_not_suit_its_use_is_null_and_counted() {
    let decoded = decode(
        schema(vec![column("a", ColumnType::Float64, Origin::Used)]),
        "ts,a,b",
        &[b"1,nan,x", b"2,3.5,x", b"3,text,x", b"bad,text,x"],
    );
    assert_eq!(decoded.mismatches, [(0, 2)]);
    assert_eq!(decoded.rows.column(0).null_count(), 2);
    assert_eq!(decoded.dead.len(), 1);
}

#[test]
fn a_header_without_a_column_of_the_plan_is_refused_with_its_names() {
    check_header(
        &["valeu", "other"],
        b"ts,value\n",
        "the header has no column `valeu` (did you mean `value`?), `other`; it has `ts`, `value`",
    );
    check_header(
        &["value"],
        b"\xef\xbb\xbfts;value\r\n",
        "the header has no column `ts`, `value`; it has `ts;value`. Its names seem to be separated by ';'; only commas are read",
    );
    check_header(
        &["a"],
        b"ts,a,a",
        "the header names column `a` twice; give each column a name of its own",
    );
    check_header(
        &["a"],
        b"ts,\xff",
        "the header line is not UTF-8 (byte 3); save the file as UTF-8",
    );
    check_header(&["a"], b"ts,\"a", "the header line has a quote that is not closed");
}

#[test]
fn a_column_that_nobody_asked_for_may_be_missing() {
    let columns = vec![
        column("a", ColumnType::Utf8, Origin::Used),
        column("message", ColumnType::Utf8, Origin::IfPresent),
    ];
    let without = decode(schema(columns.clone()), "ts,a", &[b"1,x"]);
    assert_eq!(texts(&without, 1), [None]);
    let with = decode(schema(columns), "ts,a,message", &[b"1,x,y"]);
    assert_eq!(texts(&with, 1), [Some("y".to_owned())]);
}

#[test]
fn a_column_without_a_name_is_called_by_its_number() {
    let wanted = RecordSchema {
        whole_record: true,
        ..schema(vec![])
    };
    let decoded = decode(wanted, ", ts ,\"x,y\"", &[b"0,1,2"]);
    assert_eq!(
        texts(&decoded, 0),
        [Some(r#"{"column_1":0,"ts":1,"x,y":2}"#.to_owned())]
    );
}

#[test]
fn a_nested_field_is_a_column_with_dots_in_its_name() {
    let path = vec!["host".to_owned(), "name".to_owned()];
    let nested = ColumnSpec {
        path,
        ..column("h", ColumnType::Utf8, DECLARED)
    };
    let decoded = decode(schema(vec![nested]), "ts,host.name", &[b"1,web"]);
    assert_eq!(texts(&decoded, 0), [Some("web".to_owned())]);
}

fn severity_is(text: &str) -> Option<Predicate> {
    Some(Predicate::Compare {
        column: 0,
        op: CompareOp::Eq,
        literal: Literal::Utf8(text.into()),
    })
}

#[test]
fn a_record_that_fails_the_filter_keeps_its_event_time() {
    let filtered = RecordSchema {
        predicate: severity_is("HIGH"),
        ..schema(vec![column("severity", ColumnType::Utf8, Origin::Used)])
    };
    let decoded = decode(filtered, "ts,severity", &[b"1,LOW", b"2,HIGH", b"3,", b"4,HIGH"]);
    assert_eq!(decoded.event_times, [1_000, 2_000, 3_000, 4_000]);
    assert_eq!(decoded.row_records, [1, 3]);
    assert_eq!(decoded.rows.num_rows(), 2);
}

#[test]
fn strict_checks_declared_fields_of_records_that_the_filter_drops() {
    for (strict, n_dead) in [(true, 1), (false, 0)] {
        let unread = ColumnSpec {
            read: false,
            ..column("n", ColumnType::Int64, DECLARED)
        };
        let filtered = RecordSchema {
            predicate: severity_is("HIGH"),
            strict,
            ..schema(vec![column("severity", ColumnType::Utf8, Origin::Used), unread])
        };
        let decoded = decode(filtered, "ts,severity,n", &[b"1,LOW,x", b"2,HIGH,1"]);
        assert_eq!(decoded.dead.len(), n_dead, "strict: {strict}");
        assert_eq!(decoded.rows.num_columns(), 1);
    }
}

#[test]
fn a_filter_may_read_a_column_that_nobody_else_reads() {
    let unread = ColumnSpec {
        read: false,
        ..column("severity", ColumnType::Utf8, Origin::Used)
    };
    let filtered = RecordSchema {
        predicate: severity_is("HIGH"),
        strict: false,
        ..schema(vec![unread])
    };
    let decoded = decode(filtered, "ts,severity", &[b"1,LOW", b"2,HIGH"]);
    assert_eq!(decoded.row_records, [1]);
    assert_eq!((decoded.rows.num_columns(), decoded.rows.num_rows()), (0, 1));
}

fn records() -> impl Strategy<Value = Vec<String>> {
    let cell = prop_oneof![
        "[a-z\",\n ]{0,6}",
        "-?[0-9]{1,5}(\\.[0-9]{1,3})?",
        Just("true".to_owned()),
        Just(String::new())
    ];
    let time = prop_oneof![9 => "[0-9]{1,13}", 1 => "[a-z]{0,3}"];
    let record = (time, proptest::collection::vec(cell, 1..4)).prop_map(|(time, cells)| {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(std::iter::once(time).chain(cells)).unwrap();
        String::from_utf8(writer.into_inner().unwrap())
            .unwrap()
            .trim_end_matches('\n')
            .to_owned()
    });
    proptest::collection::vec(record, 0..12)
}

fn mixed_schema(strict: bool) -> RecordSchema {
    RecordSchema {
        strict,
        whole_record: true,
        ..schema(vec![
            column("a", ColumnType::Utf8, Origin::Key),
            column("b", ColumnType::Float64, Origin::Used),
            column("b2", ColumnType::Json, DECLARED),
        ])
    }
}

proptest! {
    #[test]
    fn a_record_decodes_alone_as_it_does_among_others(records in records(), strict: bool) {
        let bytes: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        let together = decode(mixed_schema(strict), "ts,a,b,b2", &bytes);
        let mut n_good = 0;
        for (i, record) in bytes.iter().enumerate() {
            let alone = decode(mixed_schema(strict), "ts,a,b,b2", &[record]);
            if let [dead] = alone.dead.as_slice() {
                let among = together.dead.iter().find(|other| other.span as usize == i).unwrap();
                prop_assert_eq!(&among.cause, &dead.cause);
            } else {
                prop_assert_eq!(together.spans[n_good] as usize, i);
                prop_assert_eq!(together.event_times[n_good], alone.event_times[0]);
                prop_assert_eq!(together.rows.slice(n_good, 1), alone.rows);
                n_good += 1;
            }
        }
        prop_assert_eq!(n_good, together.spans.len());
    }

    #[test]
    fn cells_are_those_of_the_csv_crate(records in records()) {
        let bytes: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        let decoded = decode(mixed_schema(true), "ts,a,b,b2", &bytes);
        let mut row = 0;
        for (i, record) in records.iter().enumerate() {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let expected = reader.records().next().unwrap().unwrap();
            let time = expected[0].parse::<i64>().ok();
            if expected.len() != 4 || time.is_none() {
                prop_assert!(decoded.dead.iter().any(|dead| dead.span as usize == i));
                continue;
            }
            prop_assert_eq!(decoded.event_times[row], time.unwrap() * 1_000);
            prop_assert_eq!(texts(&decoded, 0)[row].clone().unwrap_or_default(), &expected[1]);
            let object: serde_json::Value = serde_json::from_str(texts(&decoded, 3)[row].as_ref().unwrap()).unwrap();
            prop_assert_eq!(object.as_object().unwrap().len(), 4);
            row += 1;
        }
        prop_assert_eq!(row, decoded.rows.num_rows());
    }

    #[test]
    fn a_filter_in_the_decoder_gives_what_a_filter_behind_it_gives(records in records()) {
        let bytes: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        let all = decode(mixed_schema(true), "ts,a,b,b2", &bytes);
        let predicate = Predicate::Compare { column: 1, op: CompareOp::GtEq, literal: Literal::Float64(0.0) };
        let filtered = RecordSchema { predicate: Some(predicate), ..mixed_schema(true) };
        let pushed = decode(filtered, "ts,a,b,b2", &bytes);
        prop_assert_eq!(&pushed.event_times, &all.event_times);
        prop_assert_eq!(&pushed.dead, &all.dead);
        prop_assert_eq!(&pushed.mismatches, &all.mismatches);
        let values = all.rows.column(1).as_primitive::<Float64Type>();
        let expected: Vec<u32> = (0u32..).zip(values).filter(|(_, x)| x.is_some_and(|x| x >= 0.0)).map(|(i, _)| i).collect();
        prop_assert_eq!(pushed.row_records, expected);
    }

    #[test]
    fn no_bytes_are_too_odd(header in "[a-z,\"\r\n;]{0,20}", record in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut wanted = mixed_schema(true);
        wanted.columns.clear();
        if let Ok(mut decoder) = CsvDecoder::new(wanted, format!("ts,{header}").as_bytes()) {
            let span = Span { start: 0, end: record.len(), offset: 0 };
            let decoded = decoder.decode(Records { bytes: &record, spans: &[span] });
            prop_assert_eq!(decoded.spans.len() + decoded.dead.len(), 1);
        }
    }
}
