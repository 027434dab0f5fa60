//! Tests of line protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use proptest::prelude::*;
use tocsin_contract::pipeline::source::TimeUnit;

use super::*;
use crate::decode::predicate::{CompareOp, Literal, Predicate};
use crate::decode::{ColumnType, EventTimeSpec, Origin, Span};

const DECLARED: Origin = Origin::Declared { required: false };

fn column(path: &str, ty: ColumnType, origin: Origin) -> ColumnSpec {
    ColumnSpec {
        name: path.into(),
        path: path.split('.').map(str::to_owned).collect(),
        ty,
        origin,
        read: true,
    }
}

fn schema(columns: Vec<ColumnSpec>) -> RecordSchema {
    RecordSchema {
        columns,
        event_time: EventTimeSpec {
            path: vec!["time".into()],
            unit: TimeUnit::Nanoseconds,
        },
        whole_record: true,
        strict: true,
        predicate: None,
    }
}

fn decode(schema: RecordSchema, records: &[&[u8]]) -> Decoded {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for (offset, record) in (0..).zip(records) {
        let start = bytes.len();
        bytes.extend_from_slice(record);
        let end = bytes.len();
        spans.push(Span { start, end, offset });
    }
    InfluxDecoder::new(schema).decode(Records {
        bytes: &bytes,
        spans: &spans,
    })
}

/// The objects of the events of a record.
fn objects(record: &str) -> Vec<serde_json::Value> {
    let decoded = decode(schema(vec![]), &[record.as_bytes()]);
    assert_eq!(decoded.dead, [], "{record}");
    let column = decoded.rows.column(0).as_string::<i32>();
    column
        .iter()
        .map(|object| serde_json::from_str(object.unwrap()).unwrap())
        .collect()
}

fn check(line: &str, expected: serde_json::Value) {
    assert_eq!(objects(line), [expected], "{line}");
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    use serde_json::json;
    check(
        "weather,location=us-midwest,season=summer temperature=82 1465839830100400200",
        json!({"measurement": "weather", "tags": {"location": "us-midwest", "season": "summer"},
            "fields": {"temperature": 82}, "time": 1_465_839_830_100_400_200_i64}),
    );
    check(
        "m f=1,g=1.0,h=-1.234456e+78,i=1.234456E-78 1",
        json!({"measurement": "m", "tags": {}, "fields": {"f": 1, "g": 1.0, "h": -1.234456e78, "i": 1.234456e-78}, "time": 1}),
    );
    check(
        "m a=1i,b=12485903u,c=-12485903i 1",
        json!({"measurement": "m", "tags": {}, "fields": {"a": 1, "b": 12_485_903, "c": -12_485_903}, "time": 1}),
    );
    check(
        "m a=true,b=True,c=TRUE,d=t,e=T,f=false,g=False,h=FALSE,i=f,j=F 1",
        json!({"measurement": "m", "tags": {}, "time": 1,
            "fields": {"a": true, "b": true, "c": true, "d": true, "e": true, "f": false, "g": false, "h": false, "i": false, "j": false}}),
    );
    check(
        r#"my\ Measurement fieldKey="string value" 1"#,
        json!({"measurement": "my Measurement", "tags": {}, "fields": {"fieldKey": "string value"}, "time": 1}),
    );
    check(
        r#"myMeasurement,tag\ Key1=tag\ Value1,tag\ Key2=tag\ Value2 fieldKey=100 1"#,
        json!({"measurement": "myMeasurement", "tags": {"tag Key1": "tag Value1", "tag Key2": "tag Value2"},
            "fields": {"fieldKey": 100}, "time": 1}),
    );
    check(
        r#"myMeasurement,tagKey=🍭 fieldKey="Launch 🚀" 1556813561098000000"#,
        json!({"measurement": "myMeasurement", "tags": {"tagKey": "🍭"}, "fields": {"fieldKey": "Launch 🚀"},
            "time": 1_556_813_561_098_000_000_i64}),
    );
}

#[test]
fn a_backslash_escapes_what_would_end_a_piece_and_is_a_letter_elsewhere() {
    use serde_json::json;
    check(
        r#"wea\,ther\=x,loca\=tion=us\,mid\ we\=st,path=C:\Windows temper\,a\ tu\=re=82 1"#,
        json!({"measurement": "wea,ther\\=x", "tags": {"loca=tion": "us,mid we=st", "path": "C:\\Windows"},
            "fields": {"temper,a tu=re": 82}, "time": 1}),
    );
    for (written, read) in [
        (r#"{\"a\":1}"#, "{\"a\":1}"),
        (r"C:\Users", r"C:\Users"),
        (r"C:\\Users", r"C:\Users"),
        (r"\\\\", r"\\"),
        ("two\nlines, and = and a space", "two\nlines, and = and a space"),
    ] {
        check(
            &format!("m text=\"{written}\" 1"),
            json!({"measurement": "m", "tags": {}, "fields": {"text": read}, "time": 1}),
        );
    }
}

fn check_dead(line: &str, expected: &str) {
    let good = "m v=1 1";
    let decoded = decode(schema(vec![]), &[good.as_bytes(), line.as_bytes(), good.as_bytes()]);
    let causes: Vec<_> = decoded
        .dead
        .iter()
        .map(|dead| (dead.span, dead.cause.to_string()))
        .collect();
    assert_eq!(causes, [(1, expected.to_owned())], "{line}");
    assert_eq!(decoded.spans, [0, 2], "the neighbours are whole");
}

#[test]
fn a_line_that_is_none_is_dead_with_its_place() {
    check_dead("", "syntax error at byte 0: the record is empty");
    check_dead(" \r\n", "syntax error at byte 0: the record is empty");
    check_dead(
        ",a=b v=1 1",
        "syntax error at byte 0: expected the name of a measurement",
    );
    check_dead(
        "m",
        "syntax error at byte 1: expected a space and a field behind the measurement and its tags",
    );
    check_dead(
        "m ",
        "syntax error at byte 2: expected a space and a field behind the measurement and its tags",
    );
    check_dead(
        "m,a v=1 1",
        "syntax error at byte 3: expected `=` and the value of a tag",
    );
    check_dead("m,=b v=1 1", "syntax error at byte 2: expected the name of a tag");
    check_dead("m,a= v=1 1", "syntax error at byte 4: expected the value of a tag");
    check_dead(
        "m,a=b=c v=1 1",
        "syntax error at byte 5: an `=` in the value of a tag needs a backslash",
    );
    check_dead("m 1", "syntax error at byte 3: expected `=` and the value of a field");
    check_dead("m =1 1", "syntax error at byte 2: expected the name of a field");
    check_dead("m v=1, 1", "syntax error at byte 6: expected the name of a field");
    check_dead(
        "m v=abc 1",
        "syntax error at byte 4: expected a number, true, false, or a text in double quotes",
    );
    check_dead(
        "m v=NaN 1",
        "syntax error at byte 4: expected a number, true, false, or a text in double quotes",
    );
    check_dead(
        "m v=1.5i 1",
        "syntax error at byte 4: expected a number, true, false, or a text in double quotes",
    );
    check_dead(
        "m v=-1u 1",
        "syntax error at byte 4: expected a number, true, false, or a text in double quotes",
    );
    check_dead("m v=\"a 1", "syntax error at byte 5: a quote is not closed");
    check_dead(
        "m v=\"a\"b 1",
        "syntax error at byte 7: expected a comma, a space or the end of the line behind the value of a field",
    );
    check_dead(
        "m v=1 soon",
        "syntax error at byte 6: expected a time as a whole number",
    );
    check_dead("m v=1 1 2", "syntax error at byte 8: expected the end of the line");
    check_dead("m v=1", "event time `time`: it is missing");
    check_dead(
        "m v=1 9223372036854775808000000",
        "event time `time`: outside the years 0000 to 9999; is the unit right?",
    );
    let decoded = decode(schema(vec![]), &[b"m,a=\xff v=1 1"]);
    assert_eq!(decoded.dead[0].cause, Cause::InvalidUtf8 { at: 4 });
}

#[test]
fn each_line_of_a_record_is_an_event_and_a_bad_one_harms_no_other() {
    let record =
        "# from a collector\ncpu v=1 1000\n\nmem v=oops 2000\r\ndisk v=3 3000\r\nnet v=\"open 4000\nlast v=5 5000\n";
    let decoded = decode(
        schema(vec![column("measurement", ColumnType::Utf8, DECLARED)]),
        &[record.as_bytes()],
    );
    assert_eq!(decoded.event_times, [1, 3, 5]);
    assert_eq!(decoded.spans, [0, 0, 0]);
    let names = decoded.rows.column(0).as_string::<i32>();
    assert_eq!(names.iter().flatten().collect::<Vec<_>>(), ["cpu", "disk", "last"]);
    let causes: Vec<_> = decoded.dead.iter().map(|dead| dead.cause.to_string()).collect();
    assert_eq!(
        causes,
        [
            "line 4 of the record: syntax error at byte 39: expected a number, true, false, or a text in double quotes",
            "line 6 of the record: syntax error at byte 72: a quote is not closed"
        ]
    );
}

#[test]
fn a_comment_alone_holds_nothing() {
    let decoded = decode(schema(vec![]), &[b"# DDL", b"m v=1 1"]);
    assert_eq!((decoded.spans, decoded.dead), (vec![1], vec![]));
}

#[test]
fn a_name_is_that_of_a_field_and_else_that_of_a_tag() {
    let columns = [
        "host",
        "tags.host",
        "fields.host",
        "region",
        "fields.region",
        "tags.a.b",
        "measurement",
    ];
    let columns = columns.map(|path| column(path, ColumnType::Utf8, Origin::Key));
    let line = b"cpu,host=tag,region=eu,a.b=dots host=\"field\",measurement=1 1";
    let decoded = decode(schema(columns.to_vec()), &[line]);
    let texts: Vec<Option<&str>> = (0..7)
        .map(|column| {
            let column = decoded.rows.column(column).as_string::<i32>();
            column.is_valid(0).then(|| column.value(0))
        })
        .collect();
    assert_eq!(
        texts,
        [
            Some("field"),
            Some("tag"),
            Some("field"),
            Some("eu"),
            None,
            Some("dots"),
            Some("cpu")
        ]
    );
}

#[test]
fn of_a_name_that_stands_twice_the_last_counts() {
    let columns = vec![
        column("v", ColumnType::Int64, DECLARED),
        column("tags.a", ColumnType::Utf8, DECLARED),
    ];
    let decoded = decode(schema(columns), &[b"m,a=x,a=y v=1i,v=2i 1"]);
    assert_eq!(decoded.rows.column(0).as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(decoded.rows.column(1).as_string::<i32>().value(0), "y");
}

#[test]
fn fields_have_types_and_tags_have_none() {
    let columns = vec![
        column("big", ColumnType::UInt64, DECLARED),
        column("port", ColumnType::Float64, Origin::Used),
        column("ok", ColumnType::Boolean, Origin::Used),
        column("text", ColumnType::Float64, Origin::Used),
        column("tags", ColumnType::Json, Origin::Used),
    ];
    let decoded = decode(
        schema(columns),
        &[b"m,port=8080 big=18446744073709551615u,ok=t,text=\"5\" 1"],
    );
    assert_eq!(decoded.dead, []);
    assert_eq!(decoded.rows.column(0).as_primitive::<UInt64Type>().value(0), u64::MAX);
    assert_eq!(decoded.rows.column(1).as_primitive::<Float64Type>().value(0), 8080.0);
    assert!(decoded.rows.column(2).as_boolean().value(0));
    assert!(decoded.rows.column(3).is_null(0), "a text is no number");
    assert_eq!(decoded.mismatches, [(3, 1)]);
    assert_eq!(decoded.rows.column(4).as_string::<i32>().value(0), r#"{"port":"8080"}"#);
}

#[test]
fn declared_fields_are_held_to_their_types() {
    let dead = |declared, line: &[u8]| decode(schema(vec![declared]), &[line]).dead[0].cause.to_string();
    let v = |ty| column("v", ty, DECLARED);
    assert_eq!(
        dead(v(ColumnType::Int64), b"m v=\"1\" 1"),
        "`v`: expected Int64, found a string"
    );
    assert_eq!(
        dead(v(ColumnType::Int64), b"m v=1.5 1"),
        "`v`: the number does not fit Int64"
    );
    assert_eq!(
        dead(v(ColumnType::Utf8), b"m v=1 1"),
        "`v`: expected String, found a number"
    );
    let required = column("v", ColumnType::Int64, Origin::Declared { required: true });
    assert_eq!(dead(required, b"m w=1 1"), "`v` is required and missing");
}

fn a_schema(strict: bool) -> RecordSchema {
    RecordSchema {
        strict,
        ..schema(vec![
            column("v", ColumnType::Float64, DECLARED),
            column("host", ColumnType::Utf8, Origin::Key),
        ])
    }
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let good = "[a-c]{1,2}(,host=[a-c ]{0,2}\\\\?[xy])? v=(-?[0-9]{1,3}(\\.5)?|\"[a-z\\\\\"]{0,3}\"|t|7i)(,w=1)?( [0-9]{1,5})?";
    let bad = prop::collection::vec(prop::sample::select(b"mv=, \\\"1i\n#\xff".to_vec()), 0..24);
    prop::collection::vec(prop_oneof![3 => good.prop_map(String::into_bytes), 1 => bad], 1..12)
}

proptest! {
    #[test]
    fn what_becomes_of_a_record_does_not_depend_on_its_neighbours(lines in lines(), strict: bool) {
        let records: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let together = decode(a_schema(strict), &records);
        let (mut n_good, mut n_dead) = (0, 0);
        for record in &records {
            let alone = decode(a_schema(strict), &[record]);
            let n_rows = alone.rows.num_rows();
            prop_assert_eq!(&together.event_times[n_good..n_good + alone.event_times.len()], &alone.event_times[..]);
            prop_assert_eq!(together.rows.slice(n_good, n_rows), alone.rows);
            for dead in alone.dead {
                prop_assert_eq!(&together.dead[n_dead].cause, &dead.cause);
                n_dead += 1;
            }
            n_good += n_rows;
        }
        prop_assert_eq!((n_good, n_dead), (together.spans.len(), together.dead.len()));
    }

    #[test]
    fn a_filter_in_the_decoder_gives_what_a_filter_behind_it_gives(lines in lines(), strict: bool) {
        let records: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let all = decode(a_schema(true), &records);
        let predicate = Predicate::Compare { column: 0, op: CompareOp::GtEq, literal: Literal::Float64(0.0) };
        let pushed = decode(RecordSchema { predicate: Some(predicate), ..a_schema(strict) }, &records);
        prop_assert_eq!(&pushed.event_times, &all.event_times);
        prop_assert_eq!(&pushed.dead, &all.dead);
        let values = all.rows.column(0).as_primitive::<Float64Type>();
        let expected: Vec<u32> = (0u32..).zip(values).filter(|(_, x)| x.is_some_and(|x| x >= 0.0)).map(|(i, _)| i).collect();
        prop_assert_eq!(pushed.row_records, expected);
    }

    #[test]
    fn lines_are_read_as_influxdb_reads_them(lines in lines()) {
        for line in &lines {
            let Ok(text) = std::str::from_utf8(line) else { continue };
            if text.contains(['\n', '#', '\\']) || text.trim().is_empty() {
                continue;
            }
            let theirs: Result<Vec<_>, _> = influxdb_line_protocol::parse_lines(text).collect();
            let Ok([theirs]) = theirs.as_deref() else { continue };
            let with_time = if theirs.timestamp.is_some() { text.to_owned() } else { format!("{text} 7") };
            let ours = objects(&with_time);
            prop_assert_eq!(ours.len(), 1, "{}", text);
            let ours = &ours[0];
            prop_assert_eq!(ours["measurement"].as_str().unwrap(), theirs.series.measurement.as_str());
            prop_assert_eq!(ours["time"].as_i64(), theirs.timestamp.or(Some(7)));
            for (name, value) in &theirs.field_set {
                use influxdb_line_protocol::FieldValue::{Boolean, F64, I64, String, U64};
                let ours = &ours["fields"][name.as_str()];
                let equal = match value {
                    I64(value) => ours.as_i64() == Some(*value),
                    U64(value) => ours.as_u64() == Some(*value),
                    F64(value) => ours.as_f64() == Some(*value),
                    String(value) => ours.as_str() == Some(value.as_str()),
                    Boolean(value) => ours.as_bool() == Some(*value),
                };
                prop_assert!(equal, "{}: {:?} and {}", text, value, ours);
            }
            for (name, value) in theirs.series.tag_set.iter().flatten() {
                prop_assert_eq!(ours["tags"][name.as_str()].as_str(), Some(value.as_str()), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_written_by_a_library_is_read_back(
        measurement in "[a-zA-Z ,=é]{1,8}", tag in "[a-zA-Z ,=é]{1,8}", text in "[a-zA-Z \",=\\\\é]{0,8}",
        float in prop::num::f64::NORMAL, int: i64, uint: u64, time in 0_i64..253_402_300_799_999_999,
    ) {
        use influxdb_line_protocol::LineProtocolBuilder;
        let line = LineProtocolBuilder::new()
            .measurement(&measurement).tag("t,a g", &tag).field("te=xt", text.as_str()).field("float", float)
            .field("int", int).field("uint", uint).timestamp(time).close_line().build();
        // Their builder leaves an equals sign in a measurement with a backslash, which InfluxDB does not take away.
        let objects = objects(std::str::from_utf8(&line).unwrap());
        let object = &objects[0];
        prop_assert_eq!(object["measurement"].as_str().unwrap().replace("\\=", "="), measurement);
        prop_assert_eq!(object["tags"]["t,a g"].as_str().unwrap(), tag);
        prop_assert_eq!(object["fields"]["te=xt"].as_str().unwrap(), text);
        let read = decode(schema(vec![column("fields.float", ColumnType::Float64, DECLARED)]), &[&line]);
        prop_assert_eq!(read.rows.column(0).as_primitive::<Float64Type>().value(0), float);
        prop_assert_eq!(object["fields"]["int"].as_i64(), Some(int));
        prop_assert_eq!(object["fields"]["uint"].as_u64(), Some(uint));
        prop_assert_eq!(object["time"].as_i64(), Some(time));
    }

    #[test]
    fn no_bytes_are_too_odd(record in prop::collection::vec(any::<u8>(), 0..80)) {
        decode(a_schema(true), &[&record]);
    }
}

#[test]
fn events_are_shown_with_plain_names() {
    let found = events(b"cpu,host=a,port=80 idle=82,n=1i,text=\"t\" 5\nbad\n");
    let expected = serde_json::json!({"measurement": "cpu", "host": "a", "port": "80", "idle": 82.0, "n": 1, "text": "t", "time": 5});
    assert_eq!(
        found.into_iter().map(serde_json::Value::from).collect::<Vec<_>>(),
        [expected]
    );
}
