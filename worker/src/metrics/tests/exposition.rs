//! The text of `/metrics`, and the page of the documentation that lists it.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_parse::{Scrape, Value};
use tocsin_contract::metrics::{self, Kind, Metric};

use super::*;

const PAGE: &str = include_str!("../../../../docs/metrics.md");

fn scraped(measures: &Measures) -> Scrape {
    let lines = expose(measures.view());
    assert!(lines.ends_with("# EOF\n"), "{lines}");
    Scrape::parse(lines.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

fn values(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let fits = |sample: &&prometheus_parse::Sample| {
        sample.metric == name
            && labels
                .iter()
                .all(|(label, value)| sample.labels.get(label) == Some(value))
    };
    let found = scrape.samples.iter().filter(fits);
    found
        .map(|sample| match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
            _ => panic!("{name} is no number"),
        })
        .collect()
}

#[test]
fn the_documentation_lists_what_is_measured_and_nothing_else() {
    let of_page: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
    let line = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
    };
    let wanted: Vec<String> = metrics::ALL.iter().map(line).collect();
    assert_eq!(of_page, wanted, "docs/metrics.md should have:\n{}", wanted.join("\n"));
}

#[test]
fn all_that_is_listed_is_given_with_its_type_and_its_labels() {
    let text = expose(full().view());
    let types: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let named = |name: &str| types.get(name.strip_suffix("_total").unwrap_or(name)).copied();
    for metric in metrics::ALL {
        assert_eq!(named(metric.name), Some(metric.kind.as_str()), "{}", metric.name);
        let sample = if metric.kind == Kind::Histogram {
            format!("{}_count", metric.name)
        } else {
            metric.name.to_owned()
        };
        let ends = |rest: &str| rest.starts_with(['{', ' ']);
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(&*sample))
            .filter(|rest| ends(rest));
        let first = lines.next().unwrap_or_else(|| panic!("{} has no value", metric.name));
        let labels = first.strip_prefix('{').and_then(|rest| rest.rsplit_once('}'));
        let mut rest = labels.map_or("", |(labels, _)| labels);
        for label in metric.labels {
            let at = rest.find(&format!("{label}=\""));
            rest = &rest[at.unwrap_or_else(|| panic!("{}: {label} in {first}", metric.name))..];
        }
        assert_eq!(metric.labels.is_empty(), labels.is_none(), "{}", metric.name);
    }
    assert_eq!(types.len(), metrics::ALL.len(), "what is given is listed");
}

#[test]
fn figures_of_all_threads_are_summed_up() {
    let scrape = scraped(&full());
    let check = |name: &str, labels: &[(&str, &str)], expected: &[f64]| {
        assert_eq!(values(&scrape, name, labels), expected, "{name} {labels:?}");
    };
    check("tocsin_source_records_total", &[("source", "alerts")], &[200.0]);
    check(
        "tocsin_dead_letters_total",
        &[("source", "alerts"), ("cause", "Syntax")],
        &[4.0],
    );
    check("tocsin_stage_rows_in_total", &[("stage", "kpis")], &[100.0]);
    check("tocsin_stage_state_bytes", &[("stage", "kpis")], &[8_192.0]);
    check("tocsin_sink_rows_total", &[("sink", "pager")], &[10.0]);
    check("tocsin_sink_waiting_rows", &[("sink", "pager")], &[3.0]);
    check("tocsin_sink_circuit_open", &[("sink", "pager")], &[1.0]);
    check("tocsin_shards", &[("phase", "Running")], &[2.0]);
    check("tocsin_source_lag_records", &[("partition", "3")], &[60.0]);
    check("tocsin_thread_busy_seconds_total", &[("thread", "shards-1")], &[6.0]);
    check("tocsin_transactions_total", &[("outcome", "Committed")], &[40.0]);
    check("tocsin_cpu_throttled_seconds_total", &[], &[1.5]);
    check("tocsin_checkpoint_size_bytes", &[], &[1_000.0]);
    check("tocsin_checkpoint_pause_seconds", &[], &[0.002]);
    check("tocsin_checkpoint_pause_cpu_seconds", &[], &[0.001]);
    check("tocsin_kafka_troubles_total", &[], &[1.0]);
    check("tocsin_ready", &[], &[1.0]);
    for (name, least) in [
        ("tocsin_source_lag_seconds", 3.0),
        ("tocsin_source_watermark_delay_seconds", 7.0),
        ("tocsin_checkpoint_age_seconds", 30.0),
        ("tocsin_sink_oldest_row_age_seconds", 60.0),
    ] {
        let found = values(&scrape, name, &[]);
        assert!(!found.is_empty() && found.iter().all(|found| (least..least + 20.0).contains(found)));
    }
}

#[test]
fn a_worker_that_has_just_begun_gives_no_figure_that_it_does_not_know() {
    let scrape = scraped(&Measures::new(about()));
    let names: BTreeSet<&str> = scrape.samples.iter().map(|sample| sample.metric.as_str()).collect();
    for unknown in [
        "tocsin_source_lag_records",
        "tocsin_source_lag_seconds",
        "tocsin_source_watermark_delay_seconds",
        "tocsin_stage_misplaced_keys_total",
        "tocsin_checkpoint_age_seconds",
    ] {
        assert!(!names.contains(unknown), "{unknown}");
    }
    assert_eq!(values(&scrape, "tocsin_ready", &[]), [0.0]);
}

#[test]
fn partitions_of_another_worker_are_gone() {
    let measures = full();
    measures.revoked(&[3], false);
    let scrape = scraped(&measures);
    assert_eq!(
        values(&scrape, "tocsin_source_lag_records", &[("partition", "3")]),
        [] as [f64; 0]
    );
    assert_eq!(
        values(&scrape, "tocsin_source_lag_records", &[("partition", "0")]),
        [60.0]
    );
    assert_eq!(
        values(&scrape, "tocsin_source_records_total", &[("source", "alerts")]),
        [200.0]
    );
}
