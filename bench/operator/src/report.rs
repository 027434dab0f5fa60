//! Result lines: the median of a figure's rounds, and how far they spread.

use serde_json::json;

use crate::Round;
use crate::args::Args;
use crate::recorded::Recorded;

/// The value below which so many thousandths of all lie; nothing of nothing is 0.
pub fn percentile(values: &[f64], thousandths: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * thousandths).div_ceil(1_000).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

/// Prints a figure.
fn figure(name: &str, unit: &str, values: Vec<f64>, note: &str) {
    let line = json!({
        "name": name, "value": percentile(&values, 500), "unit": unit,
        "low": percentile(&values, 0), "high": percentile(&values, 1_000), "note": note,
    });
    println!("{line}");
}

/// Prints what the rounds gave.
pub fn print(args: Args, recorded: &Recorded, rounds: &[Round]) {
    let of = |take: &dyn Fn(&Round) -> f64| rounds.iter().map(take).collect::<Vec<f64>>();
    let n = args.pipelines;
    let written = format!(
        "{n} pipelines in {} namespaces; for each {} writes of {} bytes together",
        args.namespaces,
        recorded.writes(),
        recorded.bytes()
    );
    figure(
        &format!("{n} pipelines, cold, against a client that writes the same"),
        "x",
        of(&|round| round.operator.wall.as_secs_f64() / round.bare.wall.as_secs_f64()),
        "at most 1.5x asked for, the aim is 1.1x",
    );
    let beside = format!(
        "{written}; the operator adds {} events and {} reads",
        recorded.events, recorded.reads
    );
    for (who, note) in [("operator", &beside), ("client", &written)] {
        let cold = move |round: &Round| if who == "operator" { round.operator } else { round.bare };
        figure(
            &format!("{n} pipelines, cold, {who}"),
            "s",
            of(&|round| cold(round).wall.as_secs_f64()),
            note,
        );
        figure(
            &format!("{n} pipelines, cold, CPU of the {who}"),
            "CPU-s",
            of(&|round| cold(round).writer.as_secs_f64()),
            "all of the process",
        );
        figure(
            &format!("{n} pipelines, cold, CPU of API server and etcd under the {who}"),
            "CPU-s",
            of(&|round| cold(round).servers.as_secs_f64()),
            "all that the machine has is two processors",
        );
    }
    for (name, thousandths, asked) in [
        ("p50", 500, ""),
        ("p99", 990, "at most 500 ms asked for, the aim is 50; "),
    ] {
        let note = format!(
            "{asked}from the change as it is sent to the workers seen in a watch; {} changes",
            args.changes
        );
        figure(
            &format!("{n} pipelines, a change is followed, {name}"),
            "ms",
            of(&|round| percentile(&round.loaded.changes, thousandths)),
            &note,
        );
    }
    let mega = |bytes: u64| bytes as f64 / 1e6;
    figure(
        &format!("{n} pipelines, the operator's resident memory"),
        "MB",
        of(&|round| mega(round.loaded.memory)),
        "at most 250 MB asked for with 10000, the aim is 80",
    );
    figure(
        &format!("{n} pipelines, the most resident memory"),
        "MB",
        of(&|round| mega(round.loaded.most_memory)),
        "from its start on",
    );
    figure(
        &format!("{n} pipelines, leader killed, another has followed a change"),
        "s",
        of(&|round| round.loaded.failover.as_secs_f64()),
        "at most 20 s asked for, the aim is 5; the other one runs already",
    );
}
