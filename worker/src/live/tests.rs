//! Tests of the state as a whole: what is sent, and that all of it is bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn description() -> Description {
    let node = |name: &str, role: Role, kind: &str, from: &[&str]| Node {
        name: name.to_owned(),
        role,
        kind: kind.to_owned(),
        detail: String::new(),
        from: from.iter().map(|name| (*name).to_owned()).collect(),
        key: vec!["service".to_owned()],
    };
    Description {
        pipeline: "noc".to_owned(),
        nodes: vec![
            node("alerts", Role::Source, "stdin", &[]),
            node("kpis", Role::Stage, "aggregate", &["alerts"]),
            node("slow", Role::Stage, "alarm", &["alerts"]),
            node("incidents", Role::Stage, "incident", &["slow"]),
            node("pager", Role::Sink, "stdout", &["incidents"]),
        ],
    }
}

fn row(value: Value) -> Row {
    value.as_object().unwrap().clone()
}

fn kpi_row() -> Row {
    row(json!({"service": "a", "window_start": "2026-01-01T00:00:00Z", "alerts": 3}))
}

/// Names of the parts that are sent after `feed`.
fn check(feed: impl FnOnce(&mut LiveState), parts: &[&str]) {
    let mut state = LiveState::new(description(), 0);
    let before = state.snapshot().version;
    feed(&mut state);
    let sent = serde_json::to_value(state.changes_since(before)).unwrap();
    let sent: Vec<_> = sent
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| *name != "version")
        .cloned()
        .collect();
    assert_eq!(sent, parts);
}

#[test]
fn only_what_changed_is_sent() {
    check(|_| {}, &[]);
    check(
        |state| state.observe_row("kpis", StreamKind::Kpi, &kpi_row()),
        &["kpis"],
    );
    check(|state| state.observe_row("nowhere", StreamKind::Kpi, &kpi_row()), &[]);
    check(
        |state| state.observe_row("slow", StreamKind::Alarm, &row(json!({"service": "a"}))),
        &["alarms"],
    );
    check(
        |state| state.observe_row("incidents", StreamKind::Incident, &row(json!({"incident": 1}))),
        &["incidents"],
    );
    check(
        |state| state.observe_row("alerts", StreamKind::Other, &row(json!({"a": 1}))),
        &[],
    );
    check(
        |state| state.observe_progress(100, Progress::default()),
        &["run", "progress"],
    );
    check(
        |state| state.observe_progress(400, Progress::default()),
        &["run", "progress", "throughput"],
    );
    check(|state| state.finish(100, Outcome::Finished), &["run"]);
}

#[test]
fn a_snapshot_has_all_parts() {
    let mut state = LiveState::new(description(), 0);
    state.observe_row("kpis", StreamKind::Kpi, &kpi_row());
    let snapshot = serde_json::to_value(state.snapshot()).unwrap();
    let parts: Vec<_> = snapshot.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        parts,
        [
            "version",
            "description",
            "run",
            "progress",
            "throughput",
            "incidents",
            "alarms",
            "kpis"
        ]
    );
    assert_eq!(snapshot["description"]["nodes"][0]["role"], "source");
    assert_eq!(snapshot["kpis"][0]["columns"][0]["series"][0]["key"], json!(["a"]));
}

#[test]
fn the_first_end_of_a_run_is_its_end() {
    let mut state = LiveState::new(description(), 0);
    state.finish(
        5,
        Outcome::Failed {
            message: "disk full".to_owned(),
        },
    );
    state.finish(9, Outcome::Finished);
    let run = serde_json::to_value(state.snapshot()).unwrap()["run"].clone();
    assert_eq!(
        run,
        json!({"status": "failed", "startedMs": 0, "nowMs": 5, "message": "disk full"})
    );
}

#[test]
fn the_key_is_the_one_of_the_stage() {
    let mut state = LiveState::new(description(), 0);
    state.observe_row(
        "incidents",
        StreamKind::Incident,
        &row(json!({"incident": "i-1", "service": "checkout"})),
    );
    let snapshot = serde_json::to_value(state.snapshot()).unwrap();
    assert_eq!(snapshot["incidents"]["open"][0]["key"], json!(["checkout"]));
}

#[test]
fn a_full_state_is_small_enough_to_send() {
    let mut state = LiveState::new(description(), 0);
    for minute in 0..300 {
        for service in 0..100 {
            let start = jiff::Timestamp::from_millisecond(minute * 60_000).unwrap().to_string();
            let kpi = json!({"service": format!("service-{service}"), "window_start": start, "alerts": service * 100,
                "p95_ms": 12.345, "critical_ratio": 0.25});
            state.observe_row("kpis", StreamKind::Kpi, &row(kpi));
        }
        let alarm = json!({"service": format!("service-{minute}"), "status": "firing", "summary": "s".repeat(1_000)});
        state.observe_row("slow", StreamKind::Alarm, &row(alarm));
        let cause = json!({"stage": "slow", "severity": "MAJOR", "first_seen": "2026-01-01T00:00:00Z", "count": 7});
        let incident = json!({"incident": minute, "service": "a", "status": "opened", "causes": vec![cause; 100]});
        state.observe_row("incidents", StreamKind::Incident, &row(incident));
        state.observe_progress(
            minute * 60_000,
            Progress {
                events: minute as u64 * 1_000_000,
                ..Progress::default()
            },
        );
    }
    let bytes = serde_json::to_vec(&state.snapshot()).unwrap().len();
    assert!(bytes < 512 * 1024, "{bytes} bytes");
}

/// Any JSON, a few levels deep, with the names that rows have.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        Just(json!("opened")),
        Just(json!("resolved")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(2, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_name(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    const NAMES: [&str; 16] = [
        "service",
        "incident",
        "status",
        "severity",
        "causes",
        "events",
        "window_start",
        "window_end",
        "_rev",
        "since",
        "event_time",
        "rule",
        "alerts",
        "stage",
        "count",
        "transition",
    ];
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_row_breaks_it(
        rows in prop::collection::vec((0_usize..4, prop::collection::vec((any_name(), any_value()), 0..8)), 0..40)
    ) {
        let mut state = LiveState::new(description(), 0);
        for (kind, fields) in rows {
            let (stage, kind) = [
                ("kpis", StreamKind::Kpi), ("slow", StreamKind::Alarm), ("slow", StreamKind::Escalation),
                ("incidents", StreamKind::Incident),
            ][kind];
            let before = state.version();
            state.observe_row(stage, kind, &fields.into_iter().collect());
            prop_assert!(state.version() > before);
            prop_assert!(serde_json::to_string(&state.snapshot()).is_ok());
        }
    }
}
