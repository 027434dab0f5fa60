//! Whatever the fields of records are called, what `init` writes passes the compiler and means these fields.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tocsin_contract::pipeline::source::FormatKind;

use super::fields::Fields;
use super::write::{Origin, pipeline};
use crate::files::{Loaded, of_text};

/// Compiles what is written for the records: nothing may be wrong with it.
fn check(records: &[Map<String, Value>], format: FormatKind) -> (String, Fields, Loaded) {
    let fields = Fields::of(records, format);
    let time = fields.time().unwrap();
    let origin = Origin {
        name: "events".to_owned(),
        path: Some("it's \"my\" log: {a}, #1.jsonl".to_owned()),
        year: None,
    };
    let text = pipeline(&origin, &fields, &time);
    let loaded = of_text("events.yaml".to_owned(), &text, &[]);
    let loaded = loaded.unwrap_or_else(|failure| panic!("{failure}\n{text}"));
    assert!(loaded.missing().is_empty(), "{text}");
    let source = &loaded.pipeline.spec.sources[0];
    assert_eq!(source.file.as_ref().unwrap().path, origin.path.unwrap());
    assert_eq!(source.event_time.field, time.field);
    for listed in &source.format.fields {
        let name = listed.path.as_ref().unwrap_or(&listed.name);
        assert!(fields.by_name.contains_key(name), "{name:?}\n{text}");
    }
    (text, fields, loaded)
}

fn records(n: usize, record: impl Fn(usize) -> Value) -> Vec<Map<String, Value>> {
    (0..n).map(|i| record(i).as_object().unwrap().clone()).collect()
}

/// Names that YAML, SQL, summaries or stages take for something else.
const ODD: &[&str] = &[
    "took-ms",
    "CPU (%)",
    "y",
    "NO",
    "null",
    "1e3",
    "~",
    "",
    " ",
    "a b",
    "a,b",
    "a]",
    "a}",
    "{a",
    "{a}",
    "#a",
    "a: b",
    "'",
    "\"",
    "it's \"b\"",
    "\\",
    "a\nb",
    "a\u{85}b",
    "\u{2028}",
    "\u{feff}",
    "größe",
    "host.name",
    ".",
    "a..b",
    "order",
    "all",
    "end",
    "select",
    "current_date",
    "true",
    "interval",
    "event_time",
    "severity",
    "status",
    "events",
    "incident",
    "window_start",
    "_rev",
    "_record",
    "x_mean",
    "x",
    "level",
    "service",
    "service_mean",
    "summary",
];

#[test]
fn odd_names_of_measures_and_keys_pass_the_compiler() {
    let names = ODD
        .iter()
        .map(|odd| (*odd, "k"))
        .chain(ODD.iter().map(|odd| ("n", *odd)));
    for (number, key) in names {
        let record = |i: usize| {
            let mut record = json!({"ts": 1_700_000_000 + i, "level": "ERROR"});
            record[number] = json!(i);
            record[key] = json!(format!("k{}", i % 3));
            record
        };
        check(&records(20, record), FormatKind::Json);
    }
}

#[test]
fn a_field_is_a_measure_only_if_all_its_values_are_numbers() {
    let with = |value: fn(usize) -> Value| {
        let (text, ..) = check(
            &records(100, |i| json!({"ts": 1_700_000_000 + i, "host": "a", "x": value(i)})),
            FormatKind::Json,
        );
        text
    };
    assert!(with(|i| json!(i)).contains("avg(x)"));
    assert!(with(|i| if i == 7 { Value::Null } else { json!(i) }).contains("avg(x)"));
    let mixed = with(|i| if i % 20 == 0 { json!("n/a") } else { json!(i) });
    assert!(
        mixed.contains("{name: x, type: Json}") && !mixed.contains("avg("),
        "{mixed}"
    );
    assert!(with(|i| json!(u64::MAX - i as u64)).contains("type: UInt64"));
    assert!(with(|i| if i == 0 { json!(-1) } else { json!(u64::MAX) }).contains("type: Float64"));
}

#[test]
fn more_fields_than_a_pipeline_may_list_pass_the_compiler() {
    let many = |i: usize| {
        let fields = (0..600).map(|field| (format!("f{field}"), json!(i)));
        Value::Object(
            [("ts".to_owned(), json!(1_700_000_000 + i))]
                .into_iter()
                .chain(fields)
                .collect(),
        )
    };
    let (text, ..) = check(&records(5, many), FormatKind::Json);
    assert!(text.contains("88 further fields"));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(ODD).prop_map(str::to_owned),
        "[a-zA-Z0-9_.{}'\" -]{0,8}",
        proptest::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
        "[aä]{250,260}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        4 => any::<f64>().prop_map(Value::from),
        4 => proptest::sample::select(&["a", "b", "ERROR", "CRITICAL", "it's"][..]).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({"a": [1]})),
    ]
}

/// Columns whose values have one type mostly.
fn column() -> impl Strategy<Value = (String, Vec<Value>)> {
    let one_type = prop_oneof![
        proptest::collection::vec(any::<i64>().prop_map(Value::from), 1..5),
        proptest::collection::vec(any::<f64>().prop_map(Value::from), 1..5),
        proptest::collection::vec(
            proptest::sample::select(&["a", "ERROR"][..]).prop_map(Value::from),
            1..5
        ),
        proptest::collection::vec(value(), 1..5),
    ];
    (name(), one_type)
}

proptest! {
    #[test]
    fn what_is_written_for_any_fields_passes_the_compiler(
        columns in proptest::collection::vec(column(), 0..8),
        format in prop::sample::select(vec![FormatKind::Json, FormatKind::Csv, FormatKind::InfluxLine]),
    ) {
        let record = |i: usize| {
            let ts = ("ts".to_owned(), json!(1_700_000_000 + i));
            let others = columns.iter().filter(|(name, _)| name != "ts");
            let fields = others.map(|(name, values)| (name.clone(), values[i % values.len()].clone()));
            Value::Object([ts].into_iter().chain(fields).collect())
        };
        let (text, fields, loaded) = check(&records(12, record), format);
        let listed = &loaded.pipeline.spec.sources[0].format.fields;
        // Rarely a field of another name looks more like the event time than `ts` does.
        let time = fields.time().map(|time| time.field);
        for name in fields.order.iter().filter(|name| time.as_ref() != Some(name) && fields.can_be_listed(name)) {
            let known = listed.iter().any(|field| field.name == *name);
            prop_assert_eq!(known, fields.kind(name).is_some(), "{:?}\n{}", name, text);
        }
    }
}
