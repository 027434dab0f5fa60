//! A plan in words, for `tocsin check`: what is read, what each stage does, which defaults hold.

use std::fmt::Write as _;

use tocsin_contract::duration::Duration;

use super::{Plan, SourcePlan, StagePlan, Step};
use crate::decode::Origin;
use crate::expr::compile::type_name;
use crate::stage::aggregate::{AggregatePlan, EmitOn, Window};
use crate::stream::Micros;

/// The plan, a few lines a part.
pub fn describe(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a text does not fail.
    let _ = writeln!(out, "{}", plan.name);
    for source in &plan.sources {
        let _ = writeln!(out, "\nsource {}", source.name);
        describe_source(source, &mut out);
    }
    for stage in &plan.stages {
        let from: Vec<String> = stage
            .inputs
            .iter()
            .map(|input| plan.stream_name(input.stream))
            .collect();
        let _ = writeln!(out, "\nstage {}: {} of {}", stage.name, stage.kind, from.join(", "));
        describe_stage(stage, plan, &mut out);
    }
    out.push('\n');
    for sink in &plan.sinks {
        let _ = writeln!(out, "sink {} takes {} out", sink.name, plan.stream_name(sink.stream));
    }
    out
}

/// A stage in a few words, for a picture of the pipeline.
pub fn brief(stage: &StagePlan) -> String {
    let word = |step: &Step| match step {
        Step::Filter(condition) => Some(condition.text.clone()),
        Step::Aggregate(aggregate) => Some(match aggregate.window {
            Window::Tumbling { size } => format!("{} tumbling", length(size)),
            Window::Sliding { size, every } => format!("{} every {}", length(size), length(every)),
            Window::Session { gap } => format!("sessions, gap {}", length(gap)),
            Window::Running { .. } => "running totals".to_owned(),
        }),
        Step::Escalate(escalate) => Some(format!("{} within {}", escalate.count, length(escalate.within))),
        Step::Alarm(alarm, _) => match alarm.rules.as_slice() {
            [rule] if rule.timing.hold > 0 => {
                Some(format!("{} for {}", rule.condition.text(), length(rule.timing.hold)))
            }
            [rule] => Some(rule.condition.text()),
            rules => Some(format!("{} rules", rules.len())),
        },
        Step::Incident(incident) => Some(format!("open for {}", length(incident.open_for))),
        Step::AddEventTime(_) | Step::Project(..) => None,
    };
    stage.steps.iter().filter_map(word).next_back().unwrap_or_default()
}

fn length(time: Micros) -> Duration {
    Duration::from_micros(time)
}

fn describe_source(source: &SourcePlan, out: &mut String) {
    let record = &source.record;
    let check = if record.strict {
        "every record is checked whole"
    } else {
        "only what is read is checked"
    };
    let _ = writeln!(out, "  format {:?}; {check}", source.format);
    let _ = writeln!(
        out,
        "  event time `{}` in {:?}; up to {} out of order; a jump of more than {} waits for a second record",
        record.event_time.path.join("."),
        record.event_time.unit,
        length(source.max_out_of_orderness),
        length(source.max_ahead)
    );
    let columns: Vec<String> = record
        .columns
        .iter()
        .filter(|column| column.read)
        .map(|column| {
            let origin = match column.origin {
                Origin::Declared { required: true } => ", declared, required",
                Origin::Declared { required: false } => ", declared",
                Origin::Used => ", from its use",
                Origin::Key => ", a key",
                Origin::IfPresent => ", if there is one",
            };
            format!("{} ({}{origin})", column.name, column.ty.name())
        })
        .collect();
    let _ = writeln!(
        out,
        "  reads {}",
        if columns.is_empty() {
            "no further field".to_owned()
        } else {
            columns.join(", ")
        }
    );
    if record.whole_record {
        let _ = writeln!(out, "  keeps whole records, for a sink that passes them on");
    }
    if record.predicate.is_some() {
        let _ = writeln!(out, "  filters while it decodes");
    }
}

fn describe_stage(stage: &StagePlan, plan: &Plan, out: &mut String) {
    if stage.as_they_come {
        let _ = writeln!(out, "  takes rows as they come");
    } else if stage.sorted {
        let _ = writeln!(
            out,
            "  puts rows into the order of event time, which waits for the watermark"
        );
    }
    let pushed = stage.kind == "filter" && stage.steps.is_empty() && plan.missing.is_empty();
    if pushed {
        let _ = writeln!(out, "  done by the source while it decodes");
    }
    for step in &stage.steps {
        match step {
            Step::AddEventTime(_) => {}
            Step::Filter(condition) => drop(writeln!(out, "  keeps rows where {}", condition.text)),
            Step::Project(columns, schema) => {
                let columns: Vec<String> = columns
                    .iter()
                    .zip(schema.fields())
                    .map(|(column, field)| format!("{}: {}", field.name(), type_name(&column.data_type)))
                    .collect();
                let _ = writeln!(out, "  gives {}", columns.join(", "));
            }
            Step::Aggregate(aggregate) => describe_aggregate(aggregate, out),
            Step::Escalate(escalate) => {
                let _ = writeln!(
                    out,
                    "  {} events within {} ({:?}) give severity {}; late events: {}.late",
                    escalate.count,
                    length(escalate.within),
                    escalate.ttl,
                    escalate.severity,
                    stage.name
                );
            }
            Step::Alarm(alarm, _) => {
                for rule in &alarm.rules {
                    let hold = if rule.timing.hold > 0 {
                        format!(
                            " for {} (gaps up to {})",
                            length(rule.timing.hold),
                            length(rule.timing.max_gap)
                        )
                    } else {
                        String::new()
                    };
                    let clear = rule.clear.as_ref().map_or("it is false", |clear| clear.text.as_str());
                    let _ = writeln!(
                        out,
                        "  {}: {} when {}{hold}; clears when {clear}",
                        rule.id,
                        rule.severity,
                        rule.condition.text()
                    );
                }
            }
            Step::Incident(incident) => {
                let _ = writeln!(
                    out,
                    "  one incident a key; resolves after {} without news and without a firing alarm",
                    length(incident.open_for)
                );
            }
        }
    }
}

fn describe_aggregate(aggregate: &AggregatePlan, out: &mut String) {
    let by: Vec<&str> = aggregate.by.iter().map(|(name, _)| name.as_str()).collect();
    let window = match aggregate.window {
        Window::Tumbling { size } => format!("windows of {}", length(size)),
        Window::Sliding { size, every } => format!("windows of {} every {}", length(size), length(every)),
        Window::Session { gap } => format!("sessions that end after {} without events", length(gap)),
        Window::Running { every, ttl } => format!(
            "running totals, given out every {} of event time, kept {}",
            length(every),
            ttl.map_or_else(
                || "for ever".to_owned(),
                |ttl| format!("{} after the last event", length(ttl))
            )
        ),
    };
    let key = if by.is_empty() {
        "over all events".to_owned()
    } else {
        format!("by {}", by.join(", "))
    };
    let _ = writeln!(out, "  {key}, {window}");
    let windowed = !matches!(aggregate.window, Window::Running { .. });
    if windowed {
        let session = matches!(aggregate.window, Window::Session { .. });
        let emit = match aggregate.emit {
            _ if session => "given out once, when no event can become part of it any more".to_owned(),
            EmitOn::Close if aggregate.lateness == 0 => "given out once, when the window closes".to_owned(),
            EmitOn::Close => format!(
                "given out when the window closes, and again where events up to {} late change it",
                length(aggregate.lateness)
            ),
            EmitOn::Change => "given out at each slide, only what changed".to_owned(),
            EmitOn::Final => format!("given out once, {} behind the window's end", length(aggregate.lateness)),
        };
        let _ = writeln!(out, "  {emit}");
    }
    for (name, column) in aggregate.select.iter().filter(|(name, column)| *name != column.text) {
        let _ = writeln!(out, "  {name} = {}", column.text);
    }
    if let Some(having) = &aggregate.having {
        let _ = writeln!(out, "  keeps results where {}", having.text);
    }
}
