//! Tests of the series of an aggregate stage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

const MINUTE_MS: i64 = 60_000;

fn by_service() -> Vec<String> {
    vec!["service".to_owned()]
}

fn kpi(service: &str, minute: i64, alerts: i64, revision: u64) -> Row {
    let at = |minute: i64| {
        jiff::Timestamp::from_millisecond(minute * MINUTE_MS)
            .unwrap()
            .to_string()
    };
    json!({
        "service": service, "window_start": at(minute), "window_end": at(minute + 1),
        "alerts": alerts, "p95_ms": alerts as f64 / 2.0, "_rev": revision, "_final": false,
    })
    .as_object()
    .unwrap()
    .clone()
}

/// Feeds (service, minute, alerts, revision), and compares the series of `alerts`: (service, values).
fn check(rows: &[(&str, i64, i64, u64)], expected: &[(&str, &[Option<f64>])]) {
    let mut kpis = Kpis::default();
    for (service, minute, alerts, revision) in rows {
        kpis.observe(&by_service(), &kpi(service, *minute, *alerts, *revision), None);
    }
    let view = kpis.view("kpis");
    let column = view.columns.iter().find(|column| column.name == "alerts").unwrap();
    let series: Vec<_> = column
        .series
        .iter()
        .map(|series| (series.key[0].as_str(), &series.values[..]))
        .collect();
    assert_eq!(series, expected);
}

#[test]
fn windows_stand_in_order_of_time_with_gaps_where_a_key_had_none() {
    check(
        &[("a", 3, 30, 0), ("a", 1, 10, 0), ("b", 1, 5, 0), ("b", 2, 6, 0)],
        &[
            ("a", &[Some(10.0), None, Some(30.0)]),
            ("b", &[Some(5.0), Some(6.0), None]),
        ],
    );
}

#[test]
fn a_later_revision_replaces_a_window_and_an_earlier_one_does_not() {
    check(&[("a", 1, 10, 0), ("a", 1, 12, 1)], &[("a", &[Some(12.0)])]);
    check(&[("a", 1, 12, 1), ("a", 1, 10, 0)], &[("a", &[Some(12.0)])]);
}

#[test]
fn every_numeric_column_has_series_but_keys_times_and_revisions_have_none() {
    let mut kpis = Kpis::default();
    kpis.observe(&by_service(), &kpi("a", 1, 10, 0), None);
    kpis.observe(
        &["port".to_owned()],
        json!({"port": 80, "window_start": "x"}).as_object().unwrap(),
        Some(0),
    );
    let view = kpis.view("kpis");
    let names: Vec<_> = view.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["alerts", "p95_ms"]);
}

#[test]
fn a_stage_without_windows_takes_the_event_time() {
    let mut kpis = Kpis::default();
    let row = json!({"service": "a", "total": 3}).as_object().unwrap().clone();
    assert!(!kpis.observe(&by_service(), &row, None));
    assert!(kpis.observe(&by_service(), &row, Some(7_000)));
    assert_eq!(kpis.view("kpis").columns[0].window_starts_ms, [7_000]);
}

#[test]
fn the_busiest_keys_are_shown_and_a_key_that_fades_makes_room() {
    let mut kpis = Kpis::default();
    let feed = |kpis: &mut Kpis, minutes: std::ops::Range<i64>, busy: std::ops::Range<i64>| {
        for minute in minutes {
            for number in 0..1_000 {
                let alerts = if busy.contains(&number) { 500 + number } else { 50 };
                kpis.observe(&by_service(), &kpi(&format!("s{number:03}"), minute, alerts, 0), None);
            }
        }
        let view = kpis.view("kpis");
        let mut shown: Vec<_> = view.columns[0]
            .series
            .iter()
            .map(|series| series.key[0].clone())
            .collect();
        shown.sort();
        (shown, view.keys_total)
    };
    let names = |range: std::ops::Range<i64>| range.map(|number| format!("s{number:03}")).collect::<Vec<_>>();
    assert_eq!(feed(&mut kpis, 0..5, 900..908), (names(900..908), 1_000));
    assert_eq!(feed(&mut kpis, 5..25, 400..408), (names(400..408), 1_000));
}

#[test]
fn the_shown_keys_stay_while_others_are_about_as_busy() {
    let mut kpis = Kpis::default();
    let mut shown = Vec::new();
    for minute in 0..60 {
        for number in 0..40 {
            let noise = (number * 7 + minute * 13) % 11;
            kpis.observe(&by_service(), &kpi(&format!("s{number}"), minute, 100 + noise, 0), None);
        }
        let keys: Vec<_> = kpis.view("kpis").columns[0]
            .series
            .iter()
            .map(|series| series.key.clone())
            .collect();
        let mut keys: Vec<_> = keys.into_iter().flatten().collect();
        keys.sort();
        if minute == 10 {
            shown = keys;
        } else if minute > 10 {
            assert_eq!(keys, shown, "minute {minute}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn memory_and_view_are_bounded_whatever_comes(
        rows in prop::collection::vec((0_u32..300, -1_000_i64..100_000, any::<i64>(), 0_u64..3), 1..1_000)
    ) {
        let mut kpis = Kpis::default();
        for (service, minute, alerts, revision) in rows {
            kpis.observe(&by_service(), &kpi(&service.to_string(), minute, alerts, revision), None);
        }
        prop_assert!(kpis.keys.len() <= KEYS_FOLLOWED);
        let view = kpis.view("kpis");
        prop_assert!(view.columns.len() <= COLUMNS);
        for column in &view.columns {
            prop_assert!(column.series.len() <= KEYS_SHOWN && column.window_starts_ms.len() <= WINDOWS);
            prop_assert!(column.window_starts_ms.is_sorted());
            prop_assert!(column.series.iter().all(|series| series.values.len() == column.window_starts_ms.len()));
        }
    }

    #[test]
    fn the_highest_revision_of_a_window_wins_in_any_order(revisions in prop::collection::vec(0_u64..1_000, 1..20)) {
        let mut kpis = Kpis::default();
        for revision in &revisions {
            kpis.observe(&by_service(), &kpi("a", 1, *revision as i64, *revision), None);
        }
        let highest = revisions.iter().max().map(|revision| *revision as f64);
        prop_assert_eq!(kpis.view("kpis").columns[0].series[0].values[0], highest);
    }
}

#[test]
fn a_row_with_many_columns_keeps_the_first() {
    let mut kpis = Kpis::default();
    let row = (0..100).map(|number| (format!("c{number}"), json!(number))).collect();
    kpis.observe(&[], &row, Some(0));
    assert_eq!(kpis.view("kpis").columns.len(), COLUMNS);
}
