//! Result lines: the median of a figure's rounds, and how far they spread.

use serde_json::json;

use crate::cpu::Used;
use crate::drain::Run;
use crate::live::LiveRun;

/// Prints a figure. Of an even number of values the lower of the middle two is taken.
pub fn figure(name: &str, unit: &str, mut values: Vec<f64>, note: &str) {
    values.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (values.first(), values.last()) else {
        return;
    };
    let middle = values.get((values.len() - 1) / 2).unwrap_or(low);
    let line = json!({ "name": name, "value": middle, "unit": unit, "low": low, "high": high, "note": note });
    println!("{line}");
}

/// Prints what a case took over a topic of so many events.
pub fn drained(name: &str, events: u64, runs: &[&Run]) {
    let of = |take: fn(&Used) -> f64| runs.iter().map(|run| take(&run.used)).collect::<Vec<f64>>();
    let n = events as f64;
    let rows = runs
        .first()
        .and_then(|run| run.outputs.as_ref())
        .map_or(String::new(), |outputs| {
            format!(
                ", {} counts and {} escalations out",
                outputs.counts.n, outputs.escalations.n
            )
        });
    let note = format!("{events} events{rows}");
    figure(
        &format!("{name}, CPU"),
        "events/CPU-s",
        of(|used| used.engine).iter().map(|seconds| n / seconds).collect(),
        &note,
    );
    figure(
        &format!("{name}, wall"),
        "events/s",
        of(|used| used.wall).iter().map(|seconds| n / seconds).collect(),
        &note,
    );
    figure(
        &format!("{name}, broker's CPU meanwhile"),
        "CPU-s",
        of(|used| used.broker),
        &note,
    );
}

/// Who used a processor: a part of what was used.
type Share = fn(&Used) -> f64;

/// Prints the latencies under a load, and who used the processors.
pub fn live(name: &str, asked: &str, runs: &[LiveRun]) {
    let of = |take: &dyn Fn(&LiveRun) -> f64| runs.iter().map(take).collect::<Vec<f64>>();
    let probes: usize = runs.iter().map(|run| run.latencies.n()).sum();
    let missing: usize = runs.iter().map(|run| run.latencies.missing()).sum();
    let behind = runs.iter().map(|run| run.behind).max().unwrap_or_default();
    let note = format!("{probes} probes, {missing} never came; the load was behind its clock by at most {behind:.0?}");
    for (percentile, thousandths) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
        let note = if percentile == "p99" {
            format!("{asked}; {note}")
        } else {
            note.clone()
        };
        figure(
            &format!("{name}, {percentile}"),
            "ms",
            of(&|run| run.latencies.at(thousandths)),
            &note,
        );
    }
    figure(
        &format!("{name}, until the broker has the probe, p99"),
        "ms",
        of(&|run| run.acknowledged.at(990)),
        "part of the latency above: no engine can shorten it",
    );
    let shares: [(&str, Share); 3] = [
        ("engine", |used| used.engine),
        ("broker", |used| used.broker),
        ("load and reader", |used| used.own),
    ];
    for (who, take) in shares {
        figure(
            &format!("{name}, CPU of the {who}"),
            "cores",
            of(&|run| take(&run.used) / run.used.wall),
            &format!(
                "of {} processors",
                std::thread::available_parallelism().map_or(1, usize::from)
            ),
        );
    }
}
