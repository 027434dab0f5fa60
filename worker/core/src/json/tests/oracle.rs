//! What a record must give, worked out in the simplest way from the value that it was written from.

use proptest::prelude::*;
use tocsin_contract::pipeline::source::TimeUnit;

use super::generate::{Json, Random, Style, Value, record};
use super::{DECLARED, NULL, REQUIRED, column, decode, rows, schema};
use crate::decode::number::tests::whole;
use crate::decode::time;
use crate::decode::{Cause, ColumnSpec, ColumnType, Origin, RecordSchema};

/// Columns of all types and origins, some of the same place, some nested.
pub(super) fn columns(declared: bool) -> Vec<ColumnSpec> {
    use ColumnType::{Boolean, Decimal, Float64, Int64, Timestamp, UInt64, Utf8};
    let origin = if declared { DECLARED } else { Origin::Used };
    vec![
        column("text", Utf8, origin),
        column("int", Int64, origin),
        column("uint", UInt64, origin),
        column("float", Float64, origin),
        column("decimal", Decimal, origin),
        column("flag", Boolean, origin),
        column("json", ColumnType::Json, origin),
        column("key", Utf8, Origin::Key),
        column("time", Timestamp(TimeUnit::Milliseconds), origin),
        column("host.name", Utf8, Origin::Used),
        column("host.host.int", Int64, Origin::Used),
        column("host", ColumnType::Json, Origin::Used),
        column("schön", Utf8, Origin::Key),
        column("int", Utf8, Origin::Key),
        column("name", Utf8, if declared { REQUIRED } else { Origin::Used }),
        column("ts", Int64, Origin::Used),
    ]
}

/// The value at a path: of equal keys the last, or the first.
fn find<'a>(json: &'a Json, path: &[String], last: bool) -> Option<&'a Json> {
    let Some((key, rest)) = path.split_first() else {
        return Some(json);
    };
    let Value::Object(members) = &json.value else {
        return None;
    };
    let mut of_key = members.iter().filter(|(name, _)| name == key);
    let member = if last { of_key.next_back() } else { of_key.next() };
    find(&member?.1, rest, last)
}

/// What a column shows of a value; nothing if the value is not of its type.
fn shown(ty: ColumnType, origin: Origin, json: Option<&Json>) -> Option<String> {
    let null = || Some(NULL.to_owned());
    let Some(json) = json else { return null() };
    match (&json.value, ty) {
        (Value::Null, _) => null(),
        (Value::Text(text), ColumnType::Utf8) => Some(text.clone()),
        (Value::Number | Value::Boolean(_), ColumnType::Utf8) if origin == Origin::Key => Some(json.text.clone()),
        (_, ColumnType::Json) => Some(json.text.clone()),
        (Value::Boolean(boolean), ColumnType::Boolean) => Some(boolean.to_string()),
        (Value::Number, ColumnType::Int64) => Some(whole(&json.text, 0)?.parse::<i64>().ok()?.to_string()),
        (Value::Number, ColumnType::UInt64) => Some(whole(&json.text, 0)?.parse::<u64>().ok()?.to_string()),
        (Value::Number, ColumnType::Float64) => json
            .text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| format!("{:?}", number + 0.0)),
        (Value::Number, ColumnType::Decimal) => {
            let units = whole(&json.text, 9)?.parse::<i128>().ok()?;
            (units.unsigned_abs() < 10_u128.pow(38)).then(|| units.to_string())
        }
        (_, ColumnType::Timestamp(_)) => time(json).map(|time| time.to_string()),
        _ => None,
    }
}

/// A time in milliseconds or as text, in microseconds. Text is tested beside the function that reads it.
fn time(json: &Json) -> Option<i64> {
    match &json.value {
        Value::Number => {
            let micros = whole(&json.text, 0)?.parse::<i128>().ok()?.checked_mul(1000)?;
            (-62_167_219_200_000_000..=253_402_300_799_999_999)
                .contains(&micros)
                .then_some(micros as i64)
        }
        Value::Text(text) => time::from_rfc3339(text.as_bytes()).ok(),
        _ => None,
    }
}

/// The event time and the cells of a record; nothing if it is dead.
pub(super) fn expected(columns: &[ColumnSpec], json: &Json, strict: bool) -> Option<(i64, Vec<String>)> {
    let event_time = time(find(json, &super::keys("ts"), strict)?)?;
    let cells = columns.iter().map(|column| {
        let shown = shown(column.ty, column.origin, find(json, &column.path, strict));
        match (shown, column.origin) {
            (Some(shown), Origin::Declared { required: true }) if shown == NULL => None,
            (Some(shown), _) => Some(shown),
            (None, Origin::Declared { .. }) => None,
            (None, Origin::Used | Origin::Key | Origin::IfPresent) => Some(NULL.to_owned()),
        }
    });
    Some((event_time, cells.collect::<Option<_>>()?))
}

fn check(seed: u64, style: Style, declared: bool, strict: bool) {
    let random = &mut Random::new(seed);
    let records: Vec<_> = (0..20).map(|_| record(random, style)).collect();
    let texts: Vec<_> = records.iter().map(|record| record.text.as_str()).collect();
    let columns = columns(declared);
    let decoded = decode(
        RecordSchema {
            strict,
            ..schema(columns.clone())
        },
        &texts,
    );

    let (mut times, mut cells) = (Vec::new(), Vec::new());
    for (span, record) in (0_u32..).zip(&records) {
        serde_json::from_str::<serde_json::Value>(&record.text).expect("the generator writes JSON");
        match expected(&columns, record, strict) {
            Some((time, row)) => {
                times.push(time);
                cells.push(row);
            }
            None => {
                let dead = decoded.dead.iter().find(|dead| dead.span == span);
                let cause = dead.map(|dead| &dead.cause);
                let is_field = matches!(
                    cause,
                    Some(
                        Cause::EventTime { .. }
                            | Cause::WrongType { .. }
                            | Cause::OutOfRange { .. }
                            | Cause::Missing { .. }
                    )
                );
                assert!(is_field, "{cause:?}: {}", record.text);
            }
        }
    }
    assert_eq!(rows(&decoded), cells, "{texts:#?}");
    assert_eq!(decoded.event_times, times);
    assert_eq!(decoded.dead.len() + times.len(), texts.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 3))]

    #[test]
    fn plain_records_give_what_they_were_written_from(seed in any::<u64>(), declared in any::<bool>(), strict in any::<bool>()) {
        check(seed, Style { odd: 0, duplicates: false }, declared, strict);
    }

    #[test]
    fn odd_records_give_what_they_were_written_from(seed in any::<u64>(), declared in any::<bool>(), strict in any::<bool>()) {
        check(seed, Style { odd: 30, duplicates: false }, declared, strict);
    }

    #[test]
    fn records_with_equal_keys_give_the_one_that_counts(seed in any::<u64>(), odd in 0_u64..40, strict in any::<bool>()) {
        check(seed, Style { odd, duplicates: true }, false, strict);
        if strict {
            check(seed, Style { odd, duplicates: true }, true, strict);
        }
    }
}
