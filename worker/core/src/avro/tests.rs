//! Tests of Avro records, encoded by the crate apache-avro.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use apache_avro::types::Value as Avro;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use serde_json::json;

use super::*;
use crate::decode::{ColumnType, EventTimeSpec, Origin, Span};

mod layouts;
mod properties;

const DECLARED: Origin = Origin::Declared { required: false };

const ALERT: &str = r#"{"type": "record", "name": "Alert", "namespace": "noc", "fields": [
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "service", "type": "string"},
    {"name": "severity", "type": {"type": "enum", "name": "Severity", "symbols": ["MINOR", "CRITICAL"]}},
    {"name": "count", "type": ["null", "int"], "default": null},
    {"name": "latency", "type": "double"},
    {"name": "ratio", "type": "float"},
    {"name": "ok", "type": "boolean"},
    {"name": "host", "type": ["null", {"type": "record", "name": "Host", "fields": [
        {"name": "name", "type": "string"},
        {"name": "worst", "type": "Severity"}]}]},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2}},
    {"name": "fee", "type": {"type": "fixed", "name": "Fee", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 4}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
    {"name": "sum", "type": {"type": "fixed", "name": "Sum", "size": 4}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "labels", "type": {"type": "map", "values": ["null", "long", "string"]}}]}"#;

/// The same, years later: another order, fewer fields, and new ones.
const ALERT_2: &str = r#"{"type": "record", "name": "Alert", "namespace": "noc", "fields": [
    {"name": "region", "type": "string"},
    {"name": "service", "type": "string"},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "latency", "type": "long"}]}"#;

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
            path: vec!["ts".into()],
            unit: TimeUnit::Milliseconds,
        },
        whole_record: true,
        strict: true,
        predicate: None,
    }
}

fn avro(text: &str) -> SchemaAnswer {
    SchemaAnswer::Avro {
        text: text.to_owned(),
        references: vec![],
    }
}

fn decoder(schema: RecordSchema) -> AvroDecoder {
    let mut decoder = AvroDecoder::new(schema);
    decoder.learn(1, &avro(ALERT));
    decoder.learn(2, &avro(ALERT_2));
    decoder.learn(7, &SchemaAnswer::Absent);
    decoder.learn(8, &SchemaAnswer::Other("PROTOBUF".into()));
    decoder.learn(9, &avro("{\"type\": \"nothing\"}"));
    decoder
}

fn push(decoder: &mut AvroDecoder, records: &[Vec<u8>]) -> Decoded {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for (offset, record) in (0..).zip(records) {
        let start = bytes.len();
        bytes.extend_from_slice(record);
        let end = bytes.len();
        spans.push(Span { start, end, offset });
    }
    decoder.decode(Records {
        bytes: &bytes,
        spans: &spans,
    })
}

fn decode(schema: RecordSchema, records: &[Vec<u8>]) -> Decoded {
    push(&mut decoder(schema), records)
}

fn encoded(id: u32, text: &str, value: Avro) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(text).unwrap();
    let mut record = vec![0];
    record.extend(id.to_be_bytes());
    record.extend(apache_avro::to_avro_datum(&schema, value).unwrap());
    record
}

/// What makes an alert.
#[derive(Clone, Debug)]
struct Alert {
    ts: i64,
    service: String,
    severity: u32,
    count: Option<i32>,
    latency: f64,
    ratio: f32,
    ok: bool,
    host: Option<(String, u32)>,
    price: i64,
    fee: i64,
    day: i32,
    sum: [u8; 4],
    tags: Vec<String>,
    labels: Vec<(String, Option<i64>)>,
}

impl Alert {
    fn usual() -> Self {
        Self {
            ts: 1_767_225_600_123,
            service: "checkout".into(),
            severity: 1,
            count: Some(3),
            latency: 2.5,
            ratio: 0.5,
            ok: true,
            host: Some(("h1".into(), 0)),
            price: -12_345,
            fee: 10_001,
            day: 20_454,
            sum: [1, 2, 3, 255],
            tags: vec!["a".into(), "b\"".into()],
            labels: vec![("team".into(), Some(5)), ("none".into(), None)],
        }
    }

    fn encoded(&self) -> Vec<u8> {
        const SEVERITIES: [&str; 2] = ["MINOR", "CRITICAL"];
        let severity = |n: u32| Avro::Enum(n, SEVERITIES[n as usize].into());
        let union = |value: Option<Avro>| match value {
            None => Avro::Union(0, Box::new(Avro::Null)),
            Some(value) => Avro::Union(1, Box::new(value)),
        };
        let host = self.host.as_ref().map(|(name, worst)| {
            Avro::Record(vec![
                ("name".into(), Avro::String(name.clone())),
                ("worst".into(), severity(*worst)),
            ])
        });
        let label = |(key, value): &(String, Option<i64>)| (key.clone(), union(value.map(Avro::Long)));
        let fields = vec![
            ("ts", Avro::TimestampMillis(self.ts)),
            ("service", Avro::String(self.service.clone())),
            ("severity", severity(self.severity)),
            ("count", union(self.count.map(Avro::Int))),
            ("latency", Avro::Double(self.latency)),
            ("ratio", Avro::Float(self.ratio)),
            ("ok", Avro::Boolean(self.ok)),
            ("host", union(host)),
            ("price", Avro::Decimal(self.price.to_be_bytes().to_vec().into())),
            ("fee", Avro::Decimal(self.fee.to_be_bytes().to_vec().into())),
            ("day", Avro::Date(self.day)),
            ("seen", Avro::TimestampNanos(self.ts * 1_000_000 + 999)),
            ("sum", Avro::Fixed(4, self.sum.to_vec())),
            (
                "tags",
                Avro::Array(self.tags.iter().cloned().map(Avro::String).collect()),
            ),
            ("labels", Avro::Map(self.labels.iter().map(label).collect())),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        encoded(1, ALERT, Avro::Record(fields.collect()))
    }
}

fn all_columns() -> Vec<ColumnSpec> {
    let timestamp = ColumnType::Timestamp(TimeUnit::Seconds);
    vec![
        column("service", ColumnType::Utf8, DECLARED),
        column("severity", ColumnType::Utf8, Origin::Key),
        column("count", ColumnType::Int64, DECLARED),
        column("latency", ColumnType::Float64, Origin::Used),
        column("host.name", ColumnType::Utf8, DECLARED),
        column("host", ColumnType::Json, DECLARED),
        column("price", ColumnType::Decimal, DECLARED),
        column("fee", ColumnType::Decimal, DECLARED),
        column("day", timestamp, DECLARED),
        column("seen", timestamp, DECLARED),
        column("tags", ColumnType::Json, DECLARED),
        column("labels.team", ColumnType::Int64, DECLARED),
    ]
}

#[test]
fn values_become_columns_of_their_types() {
    let decoded = decode(schema(all_columns()), &[Alert::usual().encoded()]);
    assert_eq!(decoded.dead, []);
    assert_eq!(decoded.event_times, [1_767_225_600_123_000]);
    let text = |column: usize| decoded.rows.column(column).as_string::<i32>().value(0);
    assert_eq!((text(0), text(1), text(4)), ("checkout", "CRITICAL", "h1"));
    assert_eq!(text(5), r#"{"name":"h1","worst":"MINOR"}"#);
    assert_eq!(text(10), r#"["a","b\""]"#);
    assert_eq!(decoded.rows.column(2).as_primitive::<Int64Type>().value(0), 3);
    assert_eq!(decoded.rows.column(3).as_primitive::<Float64Type>().value(0), 2.5);
    assert_eq!(
        decoded.rows.column(6).as_primitive::<Decimal128Type>().value(0),
        -123_450_000_000
    );
    assert_eq!(
        decoded.rows.column(7).as_primitive::<Decimal128Type>().value(0),
        1_000_100_000
    );
    let time = |column: usize| {
        decoded
            .rows
            .column(column)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0)
    };
    assert_eq!(time(8), 20_454 * 86_400_000_000);
    assert_eq!(time(9), 1_767_225_600_123_000);
    assert_eq!(decoded.rows.column(11).as_primitive::<Int64Type>().value(0), 5);
}

#[test]
fn the_whole_record_is_an_object() {
    let decoded = decode(schema(vec![]), &[Alert::usual().encoded()]);
    let object = decoded.rows.column(0).as_string::<i32>().value(0);
    let object: serde_json::Value = serde_json::from_str(object).unwrap();
    let expected = json!({"ts": "2026-01-01T00:00:00.123Z", "service": "checkout", "severity": "CRITICAL", "count": 3,
        "latency": 2.5, "ratio": 0.5, "ok": true, "host": {"name": "h1", "worst": "MINOR"}, "price": -123.45, "fee": 1.0001,
        "day": "2026-01-01T00:00:00Z", "seen": "2026-01-01T00:00:00.123Z", "sum": "\u{1}\u{2}\u{3}\u{ff}",
        "tags": ["a", "b\""], "labels": {"team": 5, "none": null}});
    assert_eq!(object, expected);
}

#[test]
fn records_of_other_schemas_give_the_same_columns() {
    let value = Avro::Record(vec![
        ("region".into(), Avro::String("eu".into())),
        ("service".into(), Avro::String("pay".into())),
        ("ts".into(), Avro::TimestampMicros(1_767_225_600_000_001)),
        ("latency".into(), Avro::Long(4)),
    ]);
    let records = [
        Alert::usual().encoded(),
        encoded(2, ALERT_2, value),
        Alert::usual().encoded(),
    ];
    let decoded = decode(schema(all_columns()), &records);
    assert_eq!(decoded.dead, []);
    assert_eq!(decoded.event_times[1], 1_767_225_600_000_001);
    let services = decoded.rows.column(0).as_string::<i32>();
    assert_eq!(
        services.iter().flatten().collect::<Vec<_>>(),
        ["checkout", "pay", "checkout"]
    );
    let latencies = decoded.rows.column(3).as_primitive::<Float64Type>();
    assert_eq!(latencies.iter().flatten().collect::<Vec<_>>(), [2.5, 4.0, 2.5]);
    assert!(decoded.rows.column(4).is_null(1), "there is no host");
}

fn check_dead(record: &[u8], expected: &str) {
    let good = Alert::usual().encoded();
    let decoded = decode(schema(all_columns()), &[good.clone(), record.to_vec(), good]);
    let causes: Vec<_> = decoded
        .dead
        .iter()
        .map(|dead| (dead.span, dead.cause.to_string()))
        .collect();
    assert_eq!(causes, [(1, expected.to_owned())], "{record:?}");
    assert_eq!(decoded.spans, [0, 2], "the neighbours are whole");
    assert_eq!(decoded.rows.num_rows(), 2);
}

#[test]
fn a_record_that_cannot_be_read_is_dead_with_its_cause() {
    let framing = "syntax error at byte 0: expected a zero byte and the number of a schema, as Confluent's serializers write them";
    check_dead(b"", framing);
    check_dead(&[0, 0, 0, 1], framing);
    check_dead(b"{\"ts\":1}", framing);
    check_dead(&[0, 0, 0, 0, 7, 1], "the schema registry has no schema 7");
    check_dead(
        &[0, 0, 0, 0, 8, 1],
        "schema 8 cannot be used: it is of type PROTOBUF, not AVRO",
    );
    check_dead(&[0, 0, 0, 0, 9, 1], "schema 9 cannot be used: `nothing` is no type");
    check_dead(
        &[0, 0, 0, 0, 1],
        "syntax error at byte 5: the record ends inside of a value",
    );
    check_dead(
        &[&[0, 0, 0, 0, 1], [0xff; 11].as_slice()].concat(),
        "syntax error at byte 5: a number of more than 64 bits",
    );
    check_dead(&[0, 0, 0, 0, 1, 2, 1], "syntax error at byte 6: a length below zero");
    check_dead(&[0, 0, 0, 0, 1, 2, 2, 0xff], "invalid UTF-8 at byte 7");
    check_dead(
        &[0, 0, 0, 0, 1, 2, 2, b'a', 4],
        "syntax error at byte 8: a branch of a union, or a symbol, that the schema does not have",
    );
    let mut longer = Alert::usual().encoded();
    let at = longer.len();
    longer.push(0);
    check_dead(
        &longer,
        &format!("syntax error at byte {at}: expected the end of the record; is it written by another schema?"),
    );
    let far = Alert {
        ts: i64::MAX / 2_000_000,
        ..Alert::usual()
    };
    let year = "event time `ts`: outside the years 0000 to 9999";
    check_dead(
        &Alert {
            ts: 253_402_300_800_000,
            ..far
        }
        .encoded_without_nanos(),
        year,
    );
}

impl Alert {
    /// Its nanoseconds would not fit.
    fn encoded_without_nanos(&self) -> Vec<u8> {
        let mut record = Alert { ts: 0, ..self.clone() }.encoded();
        let mut time = Vec::new();
        let mut number = (self.ts as u64) << 1;
        while number >= 0x80 {
            time.push(number as u8 | 0x80);
            number >>= 7;
        }
        time.push(number as u8);
        record.splice(5..6, time);
        record
    }
}

#[test]
fn what_a_registry_says_counts_for_the_records_behind() {
    let mut decoder = AvroDecoder::new(schema(all_columns()));
    let record = [Alert::usual().encoded()];
    assert_eq!(
        schema_ids(Records {
            bytes: &record[0],
            spans: &[Span {
                start: 0,
                end: record[0].len(),
                offset: 0
            }]
        }),
        [1].into()
    );
    decoder.learn(1, &SchemaAnswer::Absent);
    assert_eq!(decoder.learnt(), [(1, false)].into());
    let dead = push(&mut decoder, &record).dead;
    assert_eq!(dead[0].cause, Cause::UnknownSchema { id: 1 });
    decoder.learn(1, &avro(ALERT));
    assert_eq!(decoder.learnt(), [(1, true)].into());
    assert_eq!(push(&mut decoder, &record).dead, []);
}

#[test]
fn declared_fields_are_held_to_their_types() {
    let dead = |declared: ColumnSpec| {
        let decoded = decode(schema(vec![declared]), &[Alert::usual().encoded()]);
        decoded.dead.first().map(|dead| dead.cause.to_string())
    };
    let of = |path, ty| dead(column(path, ty, DECLARED));
    assert_eq!(
        of("service", ColumnType::Int64).unwrap(),
        "`service`: expected Int64, found a string"
    );
    assert_eq!(
        of("latency", ColumnType::Int64).unwrap(),
        "`latency`: the number does not fit Int64"
    );
    assert_eq!(
        of("ts", ColumnType::Int64).unwrap(),
        "`ts`: expected Int64, found a time"
    );
    assert_eq!(
        of("tags", ColumnType::Utf8).unwrap(),
        "`tags`: expected String, found an array"
    );
    assert_eq!(
        of("count", ColumnType::Utf8).unwrap(),
        "`count`: expected String, found a number"
    );
    assert_eq!(of("nowhere", ColumnType::Utf8), None);
    let required = column("nowhere", ColumnType::Utf8, Origin::Declared { required: true });
    assert_eq!(dead(required).unwrap(), "`nowhere` is required and missing");
}
