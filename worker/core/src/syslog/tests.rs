//! Tests of syslog messages: the examples of both RFCs, what is really sent, and bytes that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use serde_json::json;
use tocsin_contract::pipeline::source::TimeUnit;

use super::*;
use crate::decode::{EventTimeSpec, Origin, Span};

mod properties;

const DECLARED: Origin = Origin::Declared { required: false };

/// 2003-10-12T00:00:00Z.
const ARRIVED: Micros = 1_065_916_800_000_000;

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
            path: vec!["timestamp".into()],
            unit: TimeUnit::Milliseconds,
        },
        whole_record: true,
        strict: true,
        predicate: None,
    }
}

fn decode_with(schema: RecordSchema, year: Option<i32>, arrived: Arrived<'_>, records: &[&[u8]]) -> Decoded {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for (offset, record) in (0..).zip(records) {
        let start = bytes.len();
        bytes.extend_from_slice(record);
        let end = bytes.len();
        spans.push(Span { start, end, offset });
    }
    let records = Records {
        bytes: &bytes,
        spans: &spans,
    };
    SyslogDecoder::new(schema, year).decode_arrived(records, arrived)
}

fn decode(schema: RecordSchema, records: &[&[u8]]) -> Decoded {
    decode_with(schema, None, Arrived::At(ARRIVED), records)
}

fn check(record: &str, expected: serde_json::Value) {
    let decoded = decode(schema(vec![]), &[record.as_bytes()]);
    assert_eq!(decoded.dead, [], "{record}");
    let object = decoded.rows.column(0).as_string::<i32>().value(0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(object).unwrap(),
        expected,
        "{record}"
    );
}

fn check_dead(record: &str, expected: &str) {
    let good = "<34>Oct 11 22:14:15 mymachine su: text";
    let decoded = decode(schema(vec![]), &[good.as_bytes(), record.as_bytes(), good.as_bytes()]);
    let causes: Vec<_> = decoded
        .dead
        .iter()
        .map(|dead| (dead.span, dead.cause.to_string()))
        .collect();
    assert_eq!(causes, [(1, expected.to_owned())], "{record:?}");
    assert_eq!(decoded.spans, [0, 2], "the neighbours are whole");
}

/// Section 6.5.
#[test]
fn the_examples_of_rfc_5424_are_read() {
    check(
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
        json!({"facility": "auth", "severity": "CRITICAL", "version": 1, "timestamp": "2003-10-11T22:14:15.003Z",
            "hostname": "mymachine.example.com", "app_name": "su", "msg_id": "ID47",
            "message": "'su root' failed for lonvick on /dev/pts/8"}),
    );
    check(
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        json!({"facility": "local4", "severity": "NOTICE", "version": 1, "timestamp": "2003-08-24T12:14:15.000003Z",
            "hostname": "192.0.2.1", "app_name": "myproc", "proc_id": "8710", "message": "%% It's time to make the do-nuts."}),
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 \
         [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \u{feff}An application event log entry...",
        json!({"facility": "local4", "severity": "NOTICE", "version": 1, "timestamp": "2003-10-11T22:14:15.003Z",
            "hostname": "mymachine.example.com", "app_name": "evntslog", "msg_id": "ID47",
            "structured_data": {"exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"}},
            "message": "An application event log entry..."}),
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 \
         [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
        json!({"facility": "local4", "severity": "NOTICE", "version": 1, "timestamp": "2003-10-11T22:14:15.003Z",
            "hostname": "mymachine.example.com", "app_name": "evntslog", "msg_id": "ID47",
            "structured_data": {"exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"},
                "examplePriority@32473": {"class": "high"}}}),
    );
}

/// Section 5.4. The relay that the section speaks of would put in what the second and the fourth lack; here nothing is
/// made up.
#[test]
fn the_examples_of_rfc_3164_are_read() {
    check(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        json!({"facility": "auth", "severity": "CRITICAL", "timestamp": "2003-10-11T22:14:15Z", "hostname": "mymachine",
            "app_name": "su", "message": "'su root' failed for lonvick on /dev/pts/8"}),
    );
    check_dead("Use the BFG!", "event time `timestamp`: it is missing");
    check_dead(
        "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the do-nuts.  %%  Ingredients: Mix=OK",
        "event time `timestamp`: its zone has a name; only UTC and offsets in RFC 3339 have one meaning",
    );
    check_dead(
        "<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!",
        "event time `timestamp`: it is missing",
    );
}

#[test]
fn what_is_really_sent_is_read() {
    let usual = |more: serde_json::Value| {
        let mut object = json!({"timestamp": "2003-10-11T22:14:15Z"});
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        object
    };
    // A file of rsyslog and journald.
    check(
        "Oct 11 22:14:15 host sshd[812]: Accepted publickey\n",
        usual(json!({"hostname": "host", "app_name": "sshd", "proc_id": "812", "message": "Accepted publickey"})),
    );
    check(
        "2003-10-12T00:14:15.5+02:00 host postfix/smtpd[1]: connect",
        json!({"timestamp": "2003-10-11T22:14:15.500Z", "hostname": "host", "app_name": "postfix/smtpd", "proc_id": "1",
            "message": "connect"}),
    );
    // No tag, no host, neither.
    check(
        "Oct 11 22:14:15 host last message repeated 2 times",
        usual(json!({"hostname": "host", "message": "last message repeated 2 times"})),
    );
    check(
        "Oct 11 22:14:15 su: text",
        usual(json!({"app_name": "su", "message": "text"})),
    );
    check(
        "Oct 11 22:14:15 su[7]: text",
        usual(json!({"app_name": "su", "proc_id": "7", "message": "text"})),
    );
    check(
        "Oct 11 22:14:15 host su:",
        usual(json!({"hostname": "host", "app_name": "su", "message": ""})),
    );
    check("Oct 11 22:14:15", usual(json!({"message": ""})));
    // A day of one digit, a year, a fraction.
    check(
        "Oct  1 22:14:15 h a: b",
        json!({"timestamp": "2003-10-01T22:14:15Z", "hostname": "h", "app_name": "a", "message": "b"}),
    );
    check(
        "Oct 1 22:14:15 h a: b",
        json!({"timestamp": "2003-10-01T22:14:15Z", "hostname": "h", "app_name": "a", "message": "b"}),
    );
    check(
        "Oct 11 1999 22:14:15 h a: b",
        json!({"timestamp": "1999-10-11T22:14:15Z", "hostname": "h", "app_name": "a", "message": "b"}),
    );
    check(
        "Oct 11 22:14:15 1999 h a: b",
        json!({"timestamp": "1999-10-11T22:14:15Z", "hostname": "h", "app_name": "a", "message": "b"}),
    );
    check(
        "Oct 11 22:14:15.123 h a: b",
        json!({"timestamp": "2003-10-11T22:14:15.123Z", "hostname": "h", "app_name": "a", "message": "b"}),
    );
    // Cisco.
    check(
        "<189>29: *Oct 11 22:14:15.123 UTC: %SYS-5-CONFIG_I: Configured from console",
        json!({"facility": "local7", "severity": "NOTICE", "timestamp": "2003-10-11T22:14:15.123Z",
            "app_name": "%SYS-5-CONFIG_I", "message": "Configured from console"}),
    );
    check(
        "<189>29: Oct 11 22:14:15: %SYS-5-CONFIG_I: Configured",
        json!({"facility": "local7", "severity": "NOTICE", "timestamp": "2003-10-11T22:14:15Z",
            "app_name": "%SYS-5-CONFIG_I", "message": "Configured"}),
    );
    // Zero bytes of C programs.
    check(
        "Oct 11 22:14:15 h a: b\0\n",
        usual(json!({"hostname": "h", "app_name": "a", "message": "b"})),
    );
}

#[test]
fn what_is_nil_is_null_and_what_is_escaped_is_not() {
    check(
        r#"<0>1 2003-10-11T22:14:15Z - - - - [a@1 q="\"" b="\\" c="\]" d="\n" e="é"][empty] "#,
        json!({"facility": "kern", "severity": "EMERGENCY", "version": 1, "timestamp": "2003-10-11T22:14:15Z",
            "structured_data": {"a@1": {"q": "\"", "b": "\\", "c": "]", "d": "\\n", "e": "é"}, "empty": {}}, "message": ""}),
    );
    check_dead("<34>1 - host app 1 - - text", "event time `timestamp`: it is missing");
}

#[test]
fn a_record_that_is_no_message_is_dead_with_its_place() {
    check_dead("", "syntax error at byte 0: the record is empty");
    check_dead("\n", "syntax error at byte 0: the record is empty");
    check_dead(
        "<192>Oct 11 22:14:15 h a: b",
        "syntax error at byte 0: expected a priority of 0 to 191",
    );
    check_dead(
        "<34>1 2003-13-11T22:14:15Z h a - - -",
        "syntax error at byte 6: expected a time like 2003-10-11T22:14:15.003Z",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a -",
        "syntax error at byte 32: expected a space and the message's id, or -",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a - -",
        "syntax error at byte 34: expected a space and structured data, or -",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a - - text",
        "syntax error at byte 35: expected structured data like [id name=\"value\"], or -",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a - - [",
        "syntax error at byte 36: expected the id of an element of structured data",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a - - [i a=b]",
        "syntax error at byte 39: expected a parameter like name=\"value\"",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a - - [i a=\"b]",
        "syntax error at byte 41: a quote is not closed",
    );
    check_dead(
        "<34>1 2003-10-11T22:14:15Z h a - - [i a=\"b\"",
        "syntax error at byte 43: expected a space and a parameter, or ] at the end of the element",
    );
    check_dead(
        "Feb 30 22:14:15 h a: b",
        "event time `timestamp`: there is no such date",
    );
    let decoded = decode(schema(vec![]), &[b"Oct 11 22:14:15 h a: \xff"]);
    assert_eq!(decoded.dead[0].cause, Cause::InvalidUtf8 { at: 21 });
}

fn check_year(record: &str, year: Option<i32>, arrived: Option<&str>, expected: &str) {
    let arrived = arrived.map_or(Arrived::Unknown, |time| {
        Arrived::At(time.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    });
    let decoded = decode_with(schema(vec![]), year, arrived, &[record.as_bytes()]);
    let found = match decoded.event_times.first() {
        Some(time) => crate::encode::rfc3339(*time),
        None => decoded.dead[0].cause.to_string(),
    };
    assert_eq!(found, expected, "{record} with {year:?}, arrived {arrived:?}");
}

#[test]
fn a_time_without_a_year_is_of_the_year_of_its_arrival() {
    let (eve, leap) = ("Dec 31 23:59:59 h a: b", "Feb 29 12:00:00 h a: b");
    check_year(eve, None, Some("2025-12-31T23:59:59Z"), "2025-12-31T23:59:59Z");
    check_year(eve, None, Some("2026-01-01T00:00:01Z"), "2025-12-31T23:59:59Z");
    check_year(eve, Some(1999), Some("2026-01-01T00:00:01Z"), "2025-12-31T23:59:59Z");
    // Its clock, or its zone, is ahead.
    check_year(
        "Jan  1 10:00:00 h a: b",
        None,
        Some("2025-12-31T23:00:00Z"),
        "2026-01-01T10:00:00Z",
    );
    check_year(
        "Jan  2 10:00:00 h a: b",
        None,
        Some("2025-12-31T23:00:00Z"),
        "2025-01-02T10:00:00Z",
    );
    check_year(leap, None, Some("2024-02-29T12:00:00Z"), "2024-02-29T12:00:00Z");
    check_year(leap, None, Some("2027-03-01T00:00:00Z"), "2024-02-29T12:00:00Z");
    check_year(leap, None, Some("1903-03-01T00:00:00Z"), "1896-02-29T12:00:00Z");
}

#[test]
fn where_nobody_knows_the_arrival_the_file_says_the_year() {
    let eve = "Dec 31 23:59:59 h a: b";
    check_year(eve, Some(2026), None, "2026-12-31T23:59:59Z");
    check_year(
        "Feb 29 12:00:00 h a: b",
        Some(2026),
        None,
        "event time `timestamp`: there is no such date",
    );
    check_year(
        eve,
        None,
        None,
        "event time `timestamp`: it has no year, and nobody knows when the record arrived: \
         say the year, as in format: {type: Syslog, year: 2026}",
    );
    check_year("2003-10-11T22:14:15Z h a: b", Some(2026), None, "2003-10-11T22:14:15Z");
}

#[test]
fn each_record_has_its_own_arrival() {
    let record = b"Oct 11 22:14:15 h a: b".as_slice();
    let arrived = [ARRIVED, ARRIVED + 366 * 24 * 3_600_000_000];
    let decoded = decode_with(schema(vec![]), None, Arrived::Each(&arrived), &[record, record]);
    assert_eq!(
        decoded.event_times[1] - decoded.event_times[0],
        366 * 24 * 3_600_000_000
    );
}

#[test]
fn a_severity_is_a_word_and_where_a_number_is_wanted_a_code() {
    let columns = vec![
        column("severity", ColumnType::Utf8, Origin::Key),
        column("severity", ColumnType::Float64, Origin::Used),
        column("severity_code", ColumnType::Int64, DECLARED),
        column("facility_code", ColumnType::Int64, DECLARED),
        column("structured_data.a@1.b.c", ColumnType::Utf8, DECLARED),
        column("structured_data.a@1.n", ColumnType::Int64, DECLARED),
        column("proc_id", ColumnType::Int64, Origin::Used),
    ];
    let decoded = decode(
        schema(columns),
        &[b"<165>1 2003-10-11T22:14:15Z h a 77 - [a@1 b.c=\"x\" n=\"5\"]"],
    );
    assert_eq!(decoded.dead, []);
    let rows = &decoded.rows;
    assert_eq!(rows.column(0).as_string::<i32>().value(0), "NOTICE");
    assert_eq!(rows.column(1).as_primitive::<Float64Type>().value(0), 5.0);
    assert_eq!(rows.column(2).as_primitive::<Int64Type>().value(0), 5);
    assert_eq!(rows.column(3).as_primitive::<Int64Type>().value(0), 20);
    assert_eq!(rows.column(4).as_string::<i32>().value(0), "x");
    assert_eq!(rows.column(5).as_primitive::<Int64Type>().value(0), 5);
    assert_eq!(rows.column(6).as_primitive::<Int64Type>().value(0), 77);
}

#[test]
fn what_a_message_does_not_have_is_null_or_missing() {
    let record = b"Oct 11 22:14:15 h a: b".as_slice();
    let severity = |origin| decode(schema(vec![column("severity", ColumnType::Utf8, origin)]), &[record]);
    assert!(severity(Origin::Used).rows.column(0).is_null(0));
    let dead = severity(Origin::Declared { required: true }).dead;
    assert_eq!(
        dead[0].cause,
        Cause::Missing {
            path: "severity".into()
        }
    );
}

#[test]
fn the_words_for_severities_are_those_that_incidents_rank() {
    use crate::stage::incident::severity::{is_higher, known_rank};
    assert!(SEVERITIES.iter().all(|word| known_rank(word).is_some()));
    assert!(
        SEVERITIES.windows(2).all(|pair| !is_higher(pair[1], pair[0])),
        "from high to low"
    );
}
