//! Any bytes, read as JSON lines: the decoder takes what serde_json takes, gives the same values, and never panics.
#![no_main]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tocsin_contract::pipeline::source::TimeUnit;
use tocsin_worker_core::decode::{
    Cause, ColumnSpec, ColumnType, Decoded, EventTimeSpec, Origin, RecordSchema, Records, Span,
};
use tocsin_worker_core::json::JsonDecoder;

fn column(path: &str, ty: ColumnType, origin: Origin) -> ColumnSpec {
    ColumnSpec {
        name: path.to_owned(),
        path: path.split('.').map(str::to_owned).collect(),
        ty,
        origin,
        read: true,
    }
}

fn schema(strict: bool) -> RecordSchema {
    RecordSchema {
        columns: vec![
            column("a", ColumnType::Utf8, Origin::Used),
            column("b", ColumnType::Int64, Origin::Used),
            column("c.d", ColumnType::Utf8, Origin::Key),
            column("c", ColumnType::Json, Origin::Used),
            column("f", ColumnType::Float64, Origin::Used),
            column("u", ColumnType::UInt64, Origin::Used),
            column("m", ColumnType::Decimal, Origin::Used),
            column("t", ColumnType::Timestamp(TimeUnit::Seconds), Origin::Used),
            column("x", ColumnType::Boolean, Origin::Declared { required: false }),
        ],
        event_time: EventTimeSpec {
            path: vec!["ts".to_owned()],
            unit: TimeUnit::Milliseconds,
        },
        whole_record: true,
        strict,
        predicate: None,
    }
}

/// What serde_json says of a record; nothing if it refuses what the decoder may take.
fn oracle(record: &[u8]) -> Option<Result<Value, ()>> {
    match serde_json::from_slice::<Value>(record) {
        Ok(value) => Some(Ok(value)),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(_) => Some(Err(())),
    }
}

fn is_broken(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Syntax { .. } | Cause::InvalidUtf8 { .. } | Cause::TooDeep | Cause::NotAnObject { .. }
    )
}

fn compare(rows: &RecordBatch, row: usize, value: &Value) {
    let (text, int, json) = (rows.column(0), rows.column(1), rows.column(3));
    if let Some(expected) = value.get("a").and_then(Value::as_str) {
        assert_eq!(text.as_string::<i32>().value(row), expected);
    }
    if let Some(expected) = value.get("b").and_then(Value::as_i64) {
        assert_eq!(int.as_primitive::<Int64Type>().value(row), expected);
    }
    match value.get("c") {
        None | Some(Value::Null) => assert!(json.is_null(row)),
        Some(expected) => {
            let found: Value = serde_json::from_str(json.as_string::<i32>().value(row)).expect("the text of a value");
            assert_eq!(&found, expected);
        }
    }
}

fn check(bytes: &[u8], lines: &[Span], decoded: &Decoded, strict: bool) {
    assert_eq!(decoded.spans.len() + decoded.dead.len(), lines.len());
    assert_eq!(decoded.event_times.len(), decoded.spans.len());
    assert_eq!(decoded.row_records.len(), decoded.rows.num_rows());
    if !strict {
        return;
    }
    for (row, span) in decoded.spans.iter().enumerate() {
        let span = lines[*span as usize];
        match oracle(&bytes[span.start..span.end]) {
            Some(Ok(value)) => compare(&decoded.rows, row, &value),
            Some(Err(())) => panic!("serde_json refuses {:?}", &bytes[span.start..span.end]),
            None => {}
        }
    }
    for dead in decoded.dead.iter().filter(|dead| is_broken(&dead.cause)) {
        let span = lines[dead.span as usize];
        if let Some(Ok(Value::Object(_))) = oracle(&bytes[span.start..span.end]) {
            panic!("{}: serde_json takes {:?}", dead.cause, &bytes[span.start..span.end]);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut lines: Vec<Span> = Vec::new();
    let mut start = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        let (end, offset) = (start + line.len(), lines.len() as u64);
        lines.push(Span { start, end, offset });
        start = end + 1;
    }
    for strict in [true, false] {
        let mut decoder = JsonDecoder::new(schema(strict));
        let whole = decoder.decode(Records { bytes, spans: &lines });
        check(bytes, &lines, &whole, strict);
        // A second time, with the shapes of the first in memory.
        let again = decoder.decode(Records { bytes, spans: &lines });
        assert_eq!(
            (&again.event_times, &again.spans, &again.rows),
            (&whole.event_times, &whole.spans, &whole.rows)
        );
        assert_eq!((&again.dead, &again.mismatches), (&whole.dead, &whole.mismatches));
    }
});
