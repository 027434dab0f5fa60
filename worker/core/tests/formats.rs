//! The same events give the same results, whatever the format of their records, the parts they are cut into, and wherever
//! the state is saved and loaded.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use support::captured::capture;
use support::{Cuts, Results, plan, run};
use tocsin_worker_core::avro::SchemaAnswer;
use tocsin_worker_core::decode::{Cause, Records, Span};
use tocsin_worker_core::engine::{Arrived, Engine, Outputs};
use tocsin_worker_core::formats::decoder;
use tocsin_worker_core::plan::Plan;

const SEVERITIES: [(&str, u8); 3] = [("CRITICAL", 2), ("WARNING", 4), ("INFO", 6)];

/// An event; one without a service is no record.
#[derive(Clone, Debug)]
struct Event {
    second: i64,
    service: Option<u8>,
    severity: usize,
}

impl Event {
    fn records(&self) -> [String; 4] {
        let (word, code) = SEVERITIES[self.severity];
        let Some(service) = self.service else {
            return ["{\"timestamp\":", "alerts,app_name v=1", "<165>1 today", ""].map(str::to_owned);
        };
        let time = jiff::Timestamp::from_second(self.second).unwrap();
        let nanos = self.second * 1_000_000_000;
        [
            format!("{{\"timestamp\":\"{time}\",\"app_name\":\"s{service}\",\"severity\":\"{word}\"}}"),
            format!("alerts,app_name=s{service},severity={word} v=1 {nanos}"),
            format!("<{}>1 {time} host s{service} - - - text", 160 + code),
            format!(
                "<{}>{} host s{service}: text",
                160 + code,
                time.strftime("%b %e %H:%M:%S")
            ),
        ]
    }
}

fn spec(format: &str) -> String {
    format!(
        "{{sources: [{{name: alerts, kafka: {{topic: alerts}}, format: {{{format}}}, \
            eventTime: {{field: timestamp, maxOutOfOrderness: 5s, allowedLateness: 20s}}}}], \
          stages: [{{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}}, \
            {{name: kpis, from: alerts, aggregate: {{by: [app_name], window: {{tumbling: 30s}}, select: {{'n': count(*)}}}}}}, \
            {{name: bad, from: critical, aggregate: {{by: [app_name], window: {{tumbling: 30s}}, select: {{'n': count(*)}}}}}}], \
          sinks: [{{name: kpis, from: kpis, stdout: {{}}}}, {{name: bad, from: bad, stdout: {{}}}}]}}"
    )
}

fn places(results: &Results) -> Vec<u64> {
    results.dead.iter().map(|letter| letter.offset).collect()
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0_i64..20, prop::option::weighted(0.9, 0_u8..3), 0..SEVERITIES.len());
    prop::collection::vec(event, 1..80).prop_map(|all| {
        let later = |(i, (jitter, service, severity)): (usize, (i64, Option<u8>, usize))| Event {
            second: 1_767_225_600 + i as i64 * 2 + jitter,
            service,
            severity,
        };
        all.into_iter().enumerate().map(later).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

    #[test]
    fn the_same_events_give_the_same_results_in_every_format(
        events in events(),
        sizes in prop::collection::vec(1_usize..20, 1..4),
        restored_at in prop::collection::vec(0_usize..80, 0..3),
    ) {
        let mut expected: Option<Results> = None;
        for (number, format) in ["type: Json", "type: InfluxLine", "type: Syslog", "type: Syslog, year: 2026"].iter().enumerate() {
            let records: Vec<String> = events.iter().map(|event| event.records()[number].clone()).collect();
            let plan = plan(&spec(format));
            let inputs: [(&str, &[String]); 1] = [("alerts", &records)];
            let whole = run(&plan, &inputs, &Cuts::default());
            let parts = run(&plan, &inputs, &Cuts { sizes: sizes.clone(), ..Cuts::default() });
            prop_assert_eq!(&parts, &whole, "{}, cut into parts", format);
            let cuts = Cuts { sizes: vec![1], restored_at: restored_at.clone(), ..Cuts::default() };
            prop_assert_eq!(&run(&plan, &inputs, &cuts), &whole, "{}, saved and loaded", format);
            let expected = expected.get_or_insert_with(|| Results { sinks: whole.sinks.clone(), dead: whole.dead.clone() });
            prop_assert_eq!(&whole.sinks, &expected.sinks, "{} and JSON", format);
            prop_assert_eq!(places(&whole), places(expected), "{} and JSON", format);
        }
    }
}

fn engine(plan: &Plan) -> Engine {
    Engine::new(
        plan.clone(),
        plan.sources.iter().map(|source| decoder(source).unwrap()).collect(),
    )
}

/// Pushes a record of Avro and gives the cause of its death.
fn push(engine: &mut Engine, id: u8) -> Option<Cause> {
    let bytes = [0, 0, 0, 0, id, 2, 2, b's'];
    let span = Span {
        start: 0,
        end: bytes.len(),
        offset: 0,
    };
    let (spans, mut outputs) = ([span], Outputs::default());
    let records = Records {
        bytes: &bytes,
        spans: &spans,
    };
    engine.push(0, records, Arrived::At(1_000_000), &mut outputs);
    outputs.dead.pop().map(|letter| letter.cause)
}

#[test]
fn that_there_is_no_schema_is_part_of_the_state() {
    let plan = plan(&spec("type: Avro, registry: {url: 'http://registry'}"));
    let text = r#"{"type": "record", "name": "R", "fields": [{"name": "timestamp", "type": "long"},
        {"name": "app_name", "type": "string"}]}"#;
    let schema = SchemaAnswer::Avro {
        text: text.to_owned(),
        references: vec![],
    };
    let mut first = engine(&plan);
    first.learn(0, 1, &schema);
    first.learn(0, 2, &SchemaAnswer::Absent);
    assert_eq!(push(&mut first, 1), None);
    assert_eq!(push(&mut first, 2), Some(Cause::UnknownSchema { id: 2 }));

    let captured = capture(&mut first);
    let mut second = engine(&plan);
    let matching = second.matching(&captured.head);
    second.begin_restore(&[captured.head], &matching, None).unwrap();
    second.end_restore(None).unwrap();
    assert_eq!(
        second.learnt(0),
        [(2, false)].into(),
        "a schema that is there is asked for again"
    );
    second.learn(0, 1, &schema);
    assert_eq!(
        (push(&mut second, 1), push(&mut second, 2)),
        (None, push(&mut first, 2))
    );
    // It was registered later.
    second.learn(0, 2, &schema);
    assert_eq!(push(&mut second, 2), None);
}

fn check_problem(fields: &str, filter: &str, time: &str, expected: &str) {
    let spec = format!(
        "{{sources: [{{name: logs, stdin: {{}}, format: {{type: Syslog, year: 2026, fields: [{fields}]}}, \
            eventTime: {{field: {time}}}}}], \
          stages: [{{name: some, from: logs, filter: \"{filter}\"}}], sinks: [{{name: out, from: some, stdout: {{}}}}]}}"
    );
    let found = support::problems(&spec);
    assert!(found.contains(expected), "{found}");
}

#[test]
fn a_column_that_no_message_of_syslog_has_is_a_mistake() {
    check_problem(
        "",
        "host = 'a'",
        "timestamp",
        "spec.stages[some].filter: there is no column `host`; there is: app_name, facility,",
    );
    check_problem(
        "",
        "hostname = 'a'",
        "time",
        "spec.sources[logs].eventTime.field: there is no column `time`",
    );
    check_problem(
        "{name: level, type: String}",
        "level = 'a'",
        "timestamp",
        "spec.sources[logs].format.fields[level]: there is no column `level`",
    );
    check_problem(
        "{name: iut, type: Int64, path: structured_data.iut}",
        "iut = 3",
        "timestamp",
        "spec.sources[logs].format.fields[iut]: there is no column `structured_data.iut`",
    );
    plan(
        "{sources: [{name: logs, stdin: {}, format: {type: Syslog, fields: [{name: iut, type: Int64, \
            path: structured_data.exampleSDID@32473.iut}]}, eventTime: {field: timestamp}}], \
          stages: [{name: some, from: logs, filter: 'iut = 3 AND severity_code < 4'}], \
          sinks: [{name: out, from: some, stdout: {}}]}",
    );
}
