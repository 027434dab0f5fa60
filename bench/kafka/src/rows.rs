//! The rows of the table of speeds: what each needs, and what is printed of it.

mod state;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;

use crate::args::{Row, RunArgs};
use crate::broker::Broker;
use crate::drain::{self, Case, Run};
use crate::engine::Delivery;
use crate::live::{self, Latencies, LiveCase, LiveRun, Load, Prepared, pager};
use crate::load::alerts::Alerts;
use crate::load::fill::fill;
use crate::outputs::Outputs;
use crate::report;

/// Alerts a second of event time in the topic that is read to its end, as in `bench/headline.sh`.
const RATE: u64 = 50_000;

/// The topic that is read to its end.
const ALERTS: &str = "alerts";

/// Slower than this no engine is: a run that takes longer stands still.
const SLOWEST: u64 = 20_000;

/// Measures the rows that are asked for.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    ensure!(
        args.rounds > 0 && args.partitions > 0,
        "rounds and partitions are at least 1"
    );
    let asked = |row: &Row| args.rows.is_empty() || args.rows.contains(row);
    let rows: Vec<Row> = Row::value_variants().iter().copied().filter(asked).collect();
    let broker = Broker::start(args.partitions)?;
    let cases = cases(&rows);
    if !cases.is_empty() {
        drain_rounds(args, &broker, &rows, &cases)?;
    }
    for row in [Row::Latency, Row::Production, Row::Repartition] {
        if rows.contains(&row) {
            live_rounds(args, &broker, row)?;
        }
    }
    if rows.contains(&Row::Pager) {
        pager_rounds(args, &broker)?;
    }
    if rows.contains(&Row::Recovery) {
        state::recovery_rounds(args, &broker)?;
    }
    if rows.contains(&Row::Snapshots) {
        state::snapshot_rounds(args, &broker)?;
    }
    Ok(())
}

const STRICT: Case = tocsin(Delivery::ExactlyOnce, true);
const NOT_STRICT: Case = tocsin(Delivery::ExactlyOnce, false);

const fn tocsin(delivery: Delivery, is_strict: bool) -> Case {
    Case::Tocsin { delivery, is_strict }
}

const fn flink(delivery: Delivery, is_strict: bool) -> Case {
    Case::Flink { delivery, is_strict }
}

/// Both engines, checking all of an alert and not.
fn against_flink(delivery: Delivery) -> Vec<Case> {
    [flink as fn(_, _) -> _, tocsin]
        .iter()
        .flat_map(|engine| [true, false].map(|is_strict| engine(delivery, is_strict)))
        .collect()
}

/// The runs that rows are made from, each once.
fn cases(rows: &[Row]) -> Vec<Case> {
    let mut cases = Vec::new();
    for row in rows {
        let of_row = match row {
            Row::AtLeastOnce => {
                let mut of_row = against_flink(Delivery::AtLeastOnce);
                of_row.push(STRICT);
                of_row
            }
            Row::ExactlyOnce => against_flink(Delivery::ExactlyOnce),
            Row::OneCore => vec![Case::OneCore { is_strict: true }, Case::OneCore { is_strict: false }],
            Row::Loop => vec![Case::Loop, STRICT, NOT_STRICT],
            Row::Latency | Row::Production | Row::Repartition | Row::Pager | Row::Recovery | Row::Snapshots => {
                Vec::new()
            }
        };
        for case in of_row {
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
    }
    cases
}

/// What a case is called.
fn name(case: Case) -> String {
    let strict = |is_strict| if is_strict { "strict" } else { "not strict" };
    match case {
        Case::Tocsin { delivery, is_strict } => format!("Tocsin, {delivery}, {}", strict(is_strict)),
        Case::OneCore { is_strict } => format!("Tocsin on one core, exactly once, {}", strict(is_strict)),
        Case::Flink { delivery, is_strict } => format!("Flink, {delivery}, {}", strict(is_strict)),
        Case::Loop => "loop over librdkafka".to_owned(),
    }
}

/// Rounds go through all cases, so that a change of the machine's speed meets all of them.
fn drain_rounds(args: &RunArgs, broker: &Broker, rows: &[Row], cases: &[Case]) -> anyhow::Result<()> {
    let alerts = Alerts {
        count: args.events,
        rate: RATE,
        partitions: args.partitions,
    };
    fill(broker, ALERTS, alerts, args.batch)?;
    let settings = drain::Settings {
        flink_java: args.flink_java.clone(),
        flink_warms_up: args.flink_warm_up,
        within: Duration::from_secs(60 + args.events / SLOWEST),
    };
    let mut rounds: Vec<Vec<Run>> = Vec::new();
    let mut expected: Option<(Case, Outputs)> = None;
    for round in 1..=args.rounds {
        let mut of_round = Vec::new();
        for case in cases {
            let run = drain::run(broker, ALERTS, *case, &settings).with_context(|| name(*case))?;
            let used = &run.used;
            eprintln!(
                "round {round}: {}: {:.2} s, {:.2} CPU-s, the broker's {:.2}",
                name(*case),
                used.wall,
                used.engine,
                used.broker
            );
            if let Some(outputs) = &run.outputs {
                let (other, rows) = expected.get_or_insert_with(|| (*case, outputs.clone()));
                ensure!(
                    rows == outputs,
                    "{} gave out other rows than {}: {outputs:?}, not {rows:?}",
                    name(*case),
                    name(*other)
                );
            }
            of_round.push(run);
        }
        rounds.push(of_round);
    }
    broker.delete(&[ALERTS])?;
    let runs = |case: Case| -> Vec<&Run> {
        let at = cases.iter().position(|other| *other == case);
        rounds.iter().filter_map(|round| round.get(at?)).collect()
    };
    for case in cases {
        report::drained(&name(*case), args.events, &runs(*case));
    }
    for ratio in ratios(rows) {
        let pairs = runs(ratio.of).into_iter().zip(runs(ratio.against));
        let values = pairs.map(|(of, against)| match ratio.kind {
            Kind::Cpu => against.used.engine / of.used.engine,
            Kind::Wall => of.used.wall / against.used.wall,
        });
        let (unit, what) = match ratio.kind {
            Kind::Cpu => ("x", "events a CPU-second"),
            Kind::Wall => ("x", "wall time"),
        };
        let title = format!("{} against {}, {what}", name(ratio.of), name(ratio.against));
        report::figure(&title, unit, values.collect(), ratio.asked);
    }
    Ok(())
}

/// Two cases that are compared, round by round.
struct Ratio {
    of: Case,
    against: Case,
    kind: Kind,
    asked: &'static str,
}

enum Kind {
    /// Events a CPU-second: more is better.
    Cpu,
    /// Time on the clock: less is better.
    Wall,
}

fn ratios(rows: &[Row]) -> Vec<Ratio> {
    const ALL_CHECKED: &str = "at least 4 asked for, 10 aimed at: both check all of an alert";
    const NOT_ALL_CHECKED: &str =
        "at least 4 asked for, 10 aimed at: both stop where the rest of an alert does not matter";
    const MORE_CHECKED: &str = "a further row: Tocsin checks what Flink does not look at";
    const AGAINST_LOOP: &str = "at most 0.6 asked for, 0.25 aimed at";
    const NOT_STRICT_TOO: &str = "a further row: parts that nothing reads are not checked";
    let against_flink = |delivery| {
        [
            (true, true, ALL_CHECKED),
            (false, false, NOT_ALL_CHECKED),
            (true, false, MORE_CHECKED),
        ]
        .map(|(ours, theirs, asked)| Ratio {
            of: tocsin(delivery, ours),
            against: flink(delivery, theirs),
            kind: Kind::Cpu,
            asked,
        })
    };
    let mut ratios = Vec::new();
    let wall = |of, against, asked| Ratio {
        of,
        against,
        kind: Kind::Wall,
        asked,
    };
    for row in rows {
        match row {
            Row::AtLeastOnce => {
                ratios.extend(against_flink(Delivery::AtLeastOnce));
                let theirs = tocsin(Delivery::AtLeastOnce, true);
                ratios.push(wall(STRICT, theirs, "at most 1.1 asked for, 1.03 aimed at"));
            }
            Row::ExactlyOnce => ratios.extend(against_flink(Delivery::ExactlyOnce)),
            Row::Loop => {
                ratios.push(wall(STRICT, Case::Loop, AGAINST_LOOP));
                ratios.push(wall(NOT_STRICT, Case::Loop, NOT_STRICT_TOO));
            }
            _ => {}
        }
    }
    ratios
}

/// Runs a live row, each of its cases in turn.
fn live_rounds(args: &RunArgs, broker: &Broker, row: Row) -> anyhow::Result<()> {
    let rate = if row == Row::Production {
        args.production_rate
    } else {
        args.latency_rate
    };
    let load = Load {
        rate,
        warm_up: Duration::from_secs(args.warm_up_seconds),
        measured: Duration::from_secs(args.seconds),
    };
    let case = |delivery, is_strict| LiveCase {
        delivery,
        is_strict,
        is_dealt: row == Row::Repartition,
    };
    let mut cases = vec![case(Delivery::ExactlyOnce, true)];
    if row != Row::Repartition {
        cases.push(case(Delivery::ExactlyOnce, false));
    }
    if row == Row::Latency {
        cases.push(case(Delivery::AtLeastOnce, true));
    }
    let mut prepared = Prepared::new(load, args.partitions)?;
    let mut runs: Vec<Vec<LiveRun>> = cases.iter().map(|_| Vec::new()).collect();
    // Round 0 is not kept: a broker that has just started answers late.
    for round in 0..=args.rounds {
        for (case, runs) in cases
            .iter()
            .zip(&mut runs)
            .take(if round == 0 { 1 } else { usize::MAX })
        {
            let title = live_name(rate, *case);
            let run = live::run(broker, load, &mut prepared, *case).with_context(|| title.clone())?;
            eprintln!(
                "round {round}: {title}: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, {} of {} missing, load behind {:.0?}",
                run.latencies.at(500),
                run.latencies.at(990),
                run.latencies.at(999),
                run.latencies.missing(),
                run.latencies.n(),
                run.behind
            );
            if round > 0 {
                runs.push(run);
            }
        }
    }
    for (case, runs) in cases.iter().zip(&runs) {
        let asked = match case.delivery {
            _ if case.is_dealt => "at most 200 ms asked for, 100 ms aimed at",
            Delivery::AtLeastOnce => "at most 20 ms asked for, 10 ms aimed at",
            Delivery::ExactlyOnce => "at most 100 ms asked for, 50 ms aimed at",
        };
        report::live(&live_name(rate, *case), asked, runs);
    }
    Ok(())
}

/// Pages somebody in each order of the incidents, in turn.
fn pager_rounds(args: &RunArgs, broker: &Broker) -> anyhow::Result<()> {
    let orders = ["EventTime", "Arrival"];
    let mut runs: [Vec<Latencies>; 2] = Default::default();
    for round in 1..=args.rounds {
        for (order, runs) in orders.iter().zip(&mut runs) {
            let latencies = pager::run(broker, order, Duration::from_secs(args.seconds))?;
            eprintln!(
                "round {round}: from an alert to the pager, {order}: p50 {:.1} ms, p99 {:.1} ms, {} of {} missing",
                latencies.at(500),
                latencies.at(990),
                latencies.missing(),
                latencies.n()
            );
            runs.push(latencies);
        }
    }
    for (order, runs) in orders.iter().zip(&runs) {
        let missing: usize = runs.iter().map(Latencies::missing).sum();
        let note = format!(
            "reported; {} probes, {missing} never came; filter, escalate, alarm, incident of two sources, webhook; \
             maxOutOfOrderness 5s",
            runs.iter().map(Latencies::n).sum::<usize>()
        );
        for (percentile, thousandths) in [("p50", 500), ("p99", 990)] {
            let title = format!("from an alert to the pager, incident.order {order}, {percentile}");
            report::figure(
                &title,
                "ms",
                runs.iter().map(|run| run.at(thousandths)).collect(),
                &note,
            );
        }
    }
    Ok(())
}

fn live_name(rate: u64, case: LiveCase) -> String {
    let strict = if case.is_strict { "strict" } else { "not strict" };
    let hop = if case.is_dealt {
        ", each row over a repartition topic"
    } else {
        ""
    };
    format!("latency at {rate} events/s, {}, {strict}{hop}", case.delivery)
}
