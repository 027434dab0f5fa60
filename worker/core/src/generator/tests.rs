//! Tests of the generator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn make(spec: &GeneratorSource, room: usize) -> (Vec<u8>, Vec<Span>) {
    let mut generator = Generator::new(spec);
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    while generator.fill(&mut bytes, &mut spans, room, u64::MAX) > 0 {}
    (bytes, spans)
}

fn alerts(spec: &GeneratorSource) -> Vec<Value> {
    let (bytes, spans) = make(spec, usize::MAX);
    spans
        .iter()
        .map(|span| serde_json::from_slice(&bytes[span.start..span.end]).unwrap())
        .collect()
}

fn spec(count: u64) -> GeneratorSource {
    GeneratorSource {
        count: Some(count),
        ..GeneratorSource::default()
    }
}

/// Shares of late and of out-of-order alerts, in percent, as a reader with a bound of 5 s sees them.
fn shares(alerts: &[Value]) -> (f64, f64) {
    let (mut newest, mut late, mut unordered) = (i64::MIN, 0u32, 0u32);
    for alert in alerts {
        let ts = alert["ts"].as_i64().unwrap();
        if ts < newest.saturating_sub(5_000) {
            late += 1;
        } else if ts < newest {
            unordered += 1;
        }
        newest = newest.max(ts);
    }
    let percent = |n: u32| f64::from(n) * 100.0 / alerts.len() as f64;
    (percent(late), percent(unordered))
}

fn check_near(what: &str, value: f64, expected: f64, tolerance: f64) {
    assert!(
        (value - expected).abs() <= tolerance,
        "{what}: {value}, expected {expected}"
    );
}

#[test]
fn an_alert_has_the_fields_of_the_headline_job() {
    for alert in alerts(&spec(1_000)) {
        let fields: Vec<&str> = alert.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "ts",
                "service",
                "severity",
                "host",
                "region",
                "latency_ms",
                "error_rate",
                "message"
            ],
            "{alert}"
        );
        assert!(alert["latency_ms"].as_f64().unwrap() > 0.0);
        assert!((0.0..1.0).contains(&alert["error_rate"].as_f64().unwrap()));
        assert!(
            alert["host"]
                .as_str()
                .unwrap()
                .starts_with(alert["service"].as_str().unwrap())
        );
    }
}

#[test]
fn an_alert_has_about_195_bytes() {
    let (bytes, spans) = make(&spec(50_000), 1 << 20);
    check_near("mean size", bytes.len() as f64 / spans.len() as f64, 195.0, 5.0);
    assert!(spans.iter().all(|span| (165..=225).contains(&(span.end - span.start))));
}

#[test]
fn shares_are_as_asked() {
    let asked = GeneratorSource {
        out_of_order_percent: 5,
        late_percent: 2,
        critical_percent: 25,
        ..spec(200_000)
    };
    let made = alerts(&asked);
    let critical = made.iter().filter(|alert| alert["severity"] == "CRITICAL").count();
    check_near("critical", critical as f64 * 100.0 / made.len() as f64, 25.0, 0.5);
    let (late, unordered) = shares(&made);
    check_near("late", late, 2.0, 0.3);
    check_near("out of order", unordered, 5.0, 0.4);
}

#[test]
fn shares_hold_at_a_low_rate() {
    let asked = GeneratorSource {
        rate: 2,
        out_of_order_percent: 10,
        late_percent: 5,
        ..spec(20_000)
    };
    let (late, unordered) = shares(&alerts(&asked));
    check_near("late", late, 5.0, 0.7);
    check_near("out of order", unordered, 10.0, 1.0);
}

#[test]
fn without_shares_alerts_are_in_order_and_none_is_critical() {
    let asked = GeneratorSource {
        critical_percent: 0,
        out_of_order_percent: 0,
        late_percent: 0,
        ..spec(20_000)
    };
    let made = alerts(&asked);
    assert_eq!(shares(&made), (0.0, 0.0));
    assert!(made.iter().all(|alert| alert["severity"] != "CRITICAL"));
}

#[test]
fn event_time_advances_by_the_rate() {
    let in_order = GeneratorSource {
        out_of_order_percent: 0,
        ..spec(100_001)
    };
    let made = alerts(&in_order);
    assert_eq!(made[0]["ts"], START / 1_000);
    assert_eq!(made[50_000]["ts"], START / 1_000 + 1_000);
    assert_eq!(made[100_000]["ts"], START / 1_000 + 2_000);
    assert_eq!(made[75_000]["ts"], START / 1_000 + 1_500);
}

#[test]
fn all_services_raise_alerts_and_trouble_stands_out() {
    let asked = GeneratorSource {
        services: 40,
        rate: 500,
        ..spec(60_000)
    };
    let mut critical: BTreeMap<String, u32> = BTreeMap::new();
    let mut services = std::collections::BTreeSet::new();
    for alert in alerts(&asked) {
        let service = alert["service"].as_str().unwrap().to_owned();
        if alert["severity"] == "CRITICAL" {
            *critical.entry(service.clone()).or_default() += 1;
        }
        services.insert(service);
    }
    assert_eq!(services.len(), 40);
    let worst = *critical.values().max().unwrap();
    let mut sorted: Vec<u32> = critical.into_values().collect();
    sorted.sort_unstable();
    assert!(worst > 8 * sorted[sorted.len() / 2], "{sorted:?}");
}

#[test]
fn the_stream_ends_at_the_count() {
    let mut generator = Generator::new(&spec(3));
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    assert_eq!(generator.fill(&mut bytes, &mut spans, usize::MAX, 2), 2);
    assert_eq!(generator.next_time(), Some(START + 40));
    assert_eq!(generator.fill(&mut bytes, &mut spans, usize::MAX, 2), 1);
    assert_eq!((generator.next_time(), generator.produced()), (None, 3));
    assert_eq!(spans.iter().map(|span| span.offset).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn what_is_due_agrees_with_the_time_of_the_next_alert() {
    for rate in [1, 3, 7, 999, 50_000, 3_000_000] {
        let generator = Generator::new(&GeneratorSource {
            rate,
            count: None,
            ..GeneratorSource::default()
        });
        assert_eq!(generator.due_at(START), 1, "{rate}");
        assert_eq!(generator.due_at(START + 1_000_000), rate + 1, "{rate}");
        assert_eq!(generator.due_at(i64::MIN), 1, "{rate}");
    }
}

#[test]
fn no_setting_is_too_odd() {
    for (rate, services, share, seed) in [(0, 0, 100, 0), (u64::MAX, 1, 255, u64::MAX), (1, 100_000, 0, 1)] {
        let odd = GeneratorSource {
            seed,
            rate,
            services,
            critical_percent: share,
            out_of_order_percent: share,
            late_percent: share,
            count: Some(100),
        };
        assert_eq!(alerts(&odd).len(), 100);
    }
    let mut far = Generator::new(&spec(10)).starting_at(i64::MAX).with_bound(0);
    assert_eq!(far.fill(&mut Vec::new(), &mut Vec::new(), usize::MAX, 10), 10);
    let mut old = Generator::new(&GeneratorSource {
        late_percent: 100,
        ..spec(10)
    })
    .starting_at(i64::MIN);
    assert_eq!(old.fill(&mut Vec::new(), &mut Vec::new(), usize::MAX, 10), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_seed_gives_the_same_bytes_whatever_the_blocks(seed: u64, rate in 1u64..100_000, room in 1usize..5_000, most in 1u64..50) {
        let asked = GeneratorSource { seed, rate, late_percent: 3, ..spec(400) };
        let whole = make(&asked, usize::MAX);
        let mut generator = Generator::new(&asked);
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        while generator.fill(&mut bytes, &mut spans, room, most) > 0 {}
        prop_assert_eq!((bytes, spans), whole);
    }

    #[test]
    fn another_seed_gives_other_bytes(seed: u64) {
        let first = make(&GeneratorSource { seed, ..spec(20) }, usize::MAX);
        let second = make(&GeneratorSource { seed: seed.wrapping_add(1), ..spec(20) }, usize::MAX);
        prop_assert_ne!(first.0, second.0);
    }
}
