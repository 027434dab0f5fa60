//! How fast records are decoded, beside serde_json and sonic-rs on the same bytes.
//!
//! The records are the alerts of the `generator` source: about 195 bytes, eight fields, a quarter of them critical. All
//! parsers read event time, service and severity; the decoder also drops what is not critical and builds columns.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use tocsin_contract::pipeline::source::TimeUnit;
use tocsin_worker_core::avro::{AvroDecoder, SchemaAnswer};
use tocsin_worker_core::decode::predicate::{CompareOp, Literal, Predicate};
use tocsin_worker_core::decode::{ColumnSpec, ColumnType, Decoder, EventTimeSpec, Origin, RecordSchema, Records, Span};
use tocsin_worker_core::influx::InfluxDecoder;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::syslog::SyslogDecoder;

/// Alerts in one buffer: with 16 MiB more than the caches of one core hold.
const BYTES: usize = 16 << 20;

/// Records in a batch.
const BATCH: usize = 8192;

/// What serde_json and sonic-rs read of an alert.
#[derive(Deserialize)]
struct Alert<'a> {
    ts: i64,
    service: &'a str,
    severity: &'a str,
}

/// Numbers that look random and are the same each time (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}

/// Which shape the alerts have.
#[derive(Clone, Copy)]
enum Style {
    /// All eight fields, always in this order.
    Steady,
    /// Three of the fields are there or not.
    Optional,
    /// With a space behind each colon and comma, as Python writes them.
    Spaced,
    /// With a nested object, an escape and text that is not ASCII.
    Rich,
}

fn alerts(style: Style) -> String {
    let mut random = Random(88_172_645_463_325_252);
    let mut out = String::with_capacity(BYTES + 1024);
    let mut ts = 1_767_225_600_123_u64;
    while out.len() < BYTES {
        ts += random.below(2);
        let severity = ["CRITICAL", "MAJOR", "MINOR", "WARNING"][random.below(4) as usize];
        let service = random.below(1000);
        let host = random.below(10_000);
        let latency = random.below(5000) as f64 / 10.0;
        let errors = random.below(1000) as f64 / 10_000.0;
        let waiting = random.below(100);
        let has = |random: &mut Random| !matches!(style, Style::Optional) || random.below(2) == 0;
        write!(
            out,
            r#"{{"ts":{ts},"service":"svc-{service:04}","severity":"{severity}""#
        )
        .unwrap();
        if has(&mut random) {
            write!(out, r#","host":"host-{host:04}.eu-west.example""#).unwrap();
        }
        if has(&mut random) {
            out.push_str(r#","region":"eu-west-1""#);
        }
        write!(out, r#","latency_ms":{latency:.1},"error_rate":{errors:.4}"#).unwrap();
        if let Style::Rich = style {
            write!(
                out,
                r#","labels":{{"team":"net","tags":["a","b",{waiting}],"ok":true,"none":null}}"#
            )
            .unwrap();
            write!(out, r#","message":"Verbindung zu \"db\" erschöpft, {waiting} warten""#).unwrap();
        } else if has(&mut random) {
            write!(out, r#","message":"connection pool exhausted, {waiting} waiting""#).unwrap();
        }
        out.push_str("}\n");
    }
    if let Style::Spaced = style {
        out = out.replace("\":", "\": ").replace(",\"", ", \"");
    }
    out
}

fn column(name: &str, ty: ColumnType) -> ColumnSpec {
    ColumnSpec {
        name: name.to_owned(),
        path: vec![name.to_owned()],
        ty,
        origin: Origin::Used,
        read: true,
    }
}

fn schema(strict: bool) -> RecordSchema {
    RecordSchema {
        columns: vec![
            column("service", ColumnType::Utf8),
            column("severity", ColumnType::Utf8),
        ],
        event_time: EventTimeSpec {
            path: vec!["ts".to_owned()],
            unit: TimeUnit::Milliseconds,
        },
        whole_record: false,
        strict,
        predicate: Some(Predicate::Compare {
            column: 1,
            op: CompareOp::Eq,
            literal: Literal::Utf8("CRITICAL".to_owned()),
        }),
    }
}

fn eight_columns(strict: bool) -> RecordSchema {
    let mut schema = schema(strict);
    schema.predicate = None;
    schema.columns.extend([
        column("ts", ColumnType::Timestamp(TimeUnit::Milliseconds)),
        column("host", ColumnType::Utf8),
        column("region", ColumnType::Utf8),
        column("latency_ms", ColumnType::Float64),
        column("error_rate", ColumnType::Float64),
        column("message", ColumnType::Utf8),
    ]);
    schema
}

fn lines(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut start = 0;
    for (offset, end) in memchr::memchr_iter(b'\n', text.as_bytes()).enumerate() {
        let offset = offset as u64;
        spans.push(Span { start, end, offset });
        start = end + 1;
    }
    spans
}

/// Decodes all, batch by batch, and answers with the number of rows.
fn decode(decoder: &mut impl Decoder, bytes: impl AsRef<[u8]>, records: &[Span]) -> usize {
    let bytes = bytes.as_ref();
    let batches = records.chunks(BATCH);
    let decoded = batches.map(|spans| decoder.decode(Records { bytes, spans }));
    decoded.map(|decoded| black_box(decoded).rows.num_rows()).sum()
}

fn count(alerts: impl Iterator<Item = (i64, bool)>) -> (usize, i64) {
    alerts.fold((0, 0), |(rows, newest), (ts, critical)| {
        (rows + usize::from(critical), newest.max(ts))
    })
}

fn benches(criterion: &mut Criterion) {
    let steady = alerts(Style::Steady);
    let found = lines(&steady);
    println!(
        "{} alerts of {:.1} bytes",
        found.len(),
        steady.len() as f64 / found.len() as f64
    );
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(steady.len() as u64));

    group.bench_function("find lines", |bencher| bencher.iter(|| lines(&steady)));
    for (name, schema) in [
        ("strict", schema(true)),
        ("not strict", schema(false)),
        ("strict, 8 columns, no filter", eight_columns(true)),
        ("not strict, 8 columns, no filter", eight_columns(false)),
    ] {
        let mut decoder = JsonDecoder::new(schema);
        group.bench_function(name, |bencher| bencher.iter(|| decode(&mut decoder, &steady, &found)));
    }
    group.bench_function("sonic-rs", |bencher| {
        bencher.iter(|| {
            count(steady.lines().map(|line| {
                let alert: Alert<'_> = sonic_rs::from_str(line).unwrap();
                (
                    alert.ts,
                    black_box(alert.service).len() > 1 && alert.severity == "CRITICAL",
                )
            }))
        })
    });
    group.bench_function("serde_json", |bencher| {
        bencher.iter(|| {
            count(steady.lines().map(|line| {
                let alert: Alert<'_> = serde_json::from_str(line).unwrap();
                (
                    alert.ts,
                    black_box(alert.service).len() > 1 && alert.severity == "CRITICAL",
                )
            }))
        })
    });
    for (name, style) in [
        ("optional fields", Style::Optional),
        ("spaced", Style::Spaced),
        ("rich", Style::Rich),
    ] {
        let text = alerts(style);
        let found = lines(&text);
        group.throughput(Throughput::Bytes(text.len() as u64));
        for strict in [true, false] {
            let mut decoder = JsonDecoder::new(schema(strict));
            let name = if strict {
                format!("{name}, strict")
            } else {
                format!("{name}, not strict")
            };
            group.bench_function(name, |bencher| bencher.iter(|| decode(&mut decoder, &text, &found)));
        }
    }
    group.finish();
}

/// The same alerts as messages of syslog, lines of line protocol, and records of Avro: event time, service and severity of
/// those that are critical.
fn other_formats(criterion: &mut Criterion) {
    let alerts = others();
    let mut group = criterion.benchmark_group("decode");
    let renamed = |time: &str, service: &str| {
        let mut schema = schema(true);
        schema.event_time.path = vec![time.to_owned()];
        schema.columns[0].path = vec![service.to_owned()];
        schema
    };
    let found = lines(&alerts.influx);
    group.throughput(Throughput::Bytes(alerts.influx.len() as u64));
    let mut influx = renamed("time", "service");
    influx.event_time.unit = TimeUnit::Nanoseconds;
    let mut decoder = InfluxDecoder::new(influx);
    group.bench_function("line protocol", |bencher| {
        bencher.iter(|| decode(&mut decoder, &alerts.influx, &found))
    });
    for (name, text) in [
        ("syslog, RFC 5424", &alerts.rfc5424),
        ("syslog, RFC 3164", &alerts.rfc3164),
    ] {
        let found = lines(text);
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut decoder = SyslogDecoder::new(renamed("timestamp", "app_name"), Some(2026));
        group.bench_function(name, |bencher| bencher.iter(|| decode(&mut decoder, text, &found)));
    }
    group.throughput(Throughput::Bytes(alerts.avro.len() as u64));
    let mut decoder = AvroDecoder::new(renamed("ts", "service"));
    let text = AVRO.to_owned();
    let references = vec![];
    decoder.learn(1, &SchemaAnswer::Avro { text, references });
    group.bench_function("avro", |bencher| {
        bencher.iter(|| decode(&mut decoder, &alerts.avro, &alerts.avro_spans))
    });
    group.finish();
}

const AVRO: &str = r#"{"type": "record", "name": "Alert", "fields": [
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "service", "type": "string"},
    {"name": "severity", "type": "string"}, {"name": "host", "type": ["null", "string"]},
    {"name": "latency_ms", "type": "double"}, {"name": "message", "type": "string"}]}"#;

#[derive(Default)]
struct Others {
    influx: String,
    rfc5424: String,
    rfc3164: String,
    avro: Vec<u8>,
    avro_spans: Vec<Span>,
}

fn others() -> Others {
    use apache_avro::types::Value;
    let (mut random, mut all) = (Random(88_172_645_463_325_252), Others::default());
    let avro = apache_avro::Schema::parse_str(AVRO).unwrap();
    let mut ts = 1_767_225_600_123_u64;
    for offset in 0..BYTES as u64 / 128 {
        ts += random.below(2);
        let severity = random.below(4) as usize;
        let (word, code) = [("CRITICAL", 2), ("ERROR", 3), ("WARNING", 4), ("INFO", 6)][severity];
        let (service, host) = (random.below(1000), random.below(10_000));
        let (latency, waiting) = (random.below(5000) as f64 / 10.0, random.below(100));
        let (second, millis) = (ts / 1000 % 60, ts % 1000);
        let message = format!("connection pool exhausted, {waiting} waiting");
        writeln!(
            all.influx,
            "alerts,service=svc-{service:04},severity={word},host=host-{host:04} latency_ms={latency:.1},message=\"{message}\" {ts}000000"
        )
        .unwrap();
        let (new, old) = (160 + code, 8 + code);
        writeln!(
            all.rfc5424,
            "<{new}>1 2026-01-01T00:00:{second:02}.{millis:03}Z host-{host:04} svc-{service:04} 77 - [pool@1 latency=\"{latency:.1}\"] {message}"
        )
        .unwrap();
        writeln!(
            all.rfc3164,
            "<{old}>Jan  1 00:00:{second:02} host-{host:04} svc-{service:04}[77]: {message}"
        )
        .unwrap();
        let fields = [
            ("ts", Value::TimestampMillis(ts as i64)),
            ("service", Value::String(format!("svc-{service:04}"))),
            ("severity", Value::String(word.to_owned())),
            (
                "host",
                Value::Union(1, Box::new(Value::String(format!("host-{host:04}")))),
            ),
            ("latency_ms", Value::Double(latency)),
            ("message", Value::String(message)),
        ];
        let record = Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into());
        let start = all.avro.len();
        all.avro.extend([0, 0, 0, 0, 1]);
        all.avro.extend(apache_avro::to_avro_datum(&avro, record).unwrap());
        let end = all.avro.len();
        all.avro_spans.push(Span { start, end, offset });
    }
    all
}

criterion_group!(decode_benches, benches, other_formats);
criterion_main!(decode_benches);
