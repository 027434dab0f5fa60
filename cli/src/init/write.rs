//! Writes a commented pipeline for records with some fields.
//!
//! Whatever the fields are called, what is written passes the compiler.

use super::fields::{Field, Fields, Time};
use super::quote::{column, literal, number, shown, yaml};

/// Where the records come from.
pub struct Origin {
    /// Name of the pipeline.
    pub name: String,
    /// Path of the file; none for standard input.
    pub path: Option<String>,
    /// The year of the records' times, if they do not say it.
    pub year: Option<i32>,
}

/// Most fields that a pipeline may list.
const MOST_FIELDS: usize = 512;

/// Most fields that the comment on those that are not listed names.
const MOST_UNLISTED: usize = 20;

/// The text of the pipeline's file.
pub fn pipeline(origin: &Origin, fields: &Fields, time: &Time) -> String {
    let lines = [
        head(origin, fields),
        source(origin, fields, time),
        listed_fields(fields, time),
        stages(fields, time),
    ];
    lines.concat().join("\n") + "\n"
}

fn head(origin: &Origin, fields: &Fields) -> Vec<String> {
    vec![
        format!(
            "# Made by `tocsin init` from {} records. Every line is yours to change;",
            fields.n_records
        ),
        "# `tocsin check` says what the file means, `tocsin run` runs it.".to_owned(),
        "apiVersion: tocsin.dev/v1alpha1".to_owned(),
        "kind: IncidentPipeline".to_owned(),
        format!("metadata: {{name: {}}}", yaml(&origin.name)),
        "spec:".to_owned(),
    ]
}

fn source(origin: &Origin, fields: &Fields, time: &Time) -> Vec<String> {
    vec![
        "  sources:".to_owned(),
        "  - name: events".to_owned(),
        match &origin.path {
            Some(path) => format!("    file: {{path: {}}}", yaml(path)),
            None => "    stdin: {}".to_owned(),
        },
        format!(
            "    # `{}` is read as the event time: windows and alarms go by it, not by the clock.",
            shown(&time.field)
        ),
        format!(
            "    eventTime: {{field: {}, unit: {}, maxOutOfOrderness: 5s, allowedLateness: 1m}}",
            yaml(&time.field),
            time.unit
        ),
        "    format:".to_owned(),
        format!("      type: {:?}", fields.format),
    ]
    .into_iter()
    .chain(
        origin
            .year
            .map(|year| format!("      year: {year}   # of times that say none")),
    )
    .collect()
}

fn listed_fields(fields: &Fields, time: &Time) -> Vec<String> {
    let mut lines = Vec::new();
    let mut unlisted = Vec::new();
    for name in fields.order.iter().filter(|name| **name != time.field) {
        let Some(kind) = fields.kind(name) else { continue };
        if fields.can_be_listed(name) {
            lines.push(format!(
                "      - {{name: {}, type: {kind}}}   # such as {}",
                yaml(name),
                shown(&fields.by_name[name].sample)
            ));
        } else {
            unlisted.push(format!("`{}`", shown(name)));
        }
    }
    let n_left_out = lines.len().saturating_sub(MOST_FIELDS);
    lines.truncate(MOST_FIELDS);
    let mut all = vec!["      # Guessed types. A value of another type makes its record a dead letter.".to_owned()];
    if !unlisted.is_empty() {
        let n_more = unlisted.len().saturating_sub(MOST_UNLISTED);
        unlisted.truncate(MOST_UNLISTED);
        unlisted.extend((n_more > 0).then(|| format!("{n_more} more")));
        all.push(
            "      # Not listed, as a dot would lead into an object, or for their length. Such a field can be used"
                .to_owned(),
        );
        all.push(format!(
            "      # all the same (in expressions in \"double quotes\") and has the type of its use: {}",
            unlisted.join(", ")
        ));
    }
    if n_left_out > 0 {
        all.push(format!(
            "      # {n_left_out} further fields get their types from their uses."
        ));
    }
    if !lines.is_empty() {
        all.push("      fields:".to_owned());
        all.extend(lines);
    }
    all
}

fn stages(fields: &Fields, time: &Time) -> Vec<String> {
    let key = fields.key(time);
    let measure = fields.measure(time, key);
    let mut lines = vec![
        "  stages:".to_owned(),
        "  # How many events there are a minute.".to_owned(),
        format!(
            "  - {{name: kpis, from: events, aggregate: {{{}window: {{tumbling: 1m}}, select: {}}}}}",
            key.map(|key| format!("by: [{}], ", yaml(key))).unwrap_or_default(),
            kpis(measure)
        ),
    ];
    let mut inputs = Vec::new();
    if let Some(key) = key {
        if let Some((severity, worst)) = fields.severity() {
            lines.extend(escalation(key, severity, &worst));
            inputs.push("escalated");
        }
        if let Some((name, field)) = measure {
            lines.extend(alarm(key, name, field));
            inputs.push("high");
        }
        if !inputs.is_empty() {
            lines.push(format!(
                "  # What belongs together is one incident a {}; it is over after half an hour without news.",
                shown(key)
            ));
            lines.push(format!(
                "  - {{name: incidents, from: [{}], incident: {{by: [{}], openFor: 30m}}}}",
                inputs.join(", "),
                yaml(key)
            ));
        }
    }
    lines.push("  sinks:".to_owned());
    let taken = if inputs.is_empty() { "kpis" } else { "incidents" };
    lines.push(format!("  - {{name: out, from: {taken}, stdout: {{}}}}"));
    if !inputs.is_empty() {
        lines.push("  # - {name: kpis-out, from: kpis, file: {path: kpis.jsonl}}".to_owned());
    }
    lines
}

fn kpis(measure: Option<(&String, &Field)>) -> String {
    let Some((name, _)) = measure else {
        return "{events: \"count(*)\"}".to_owned();
    };
    let [mean, p95] = Fields::kpis_of(name).map(|name| yaml(&name));
    let argument = column(name);
    format!(
        "{{events: \"count(*)\", {mean}: {}, {p95}: {}}}",
        yaml(&format!("avg({argument})")),
        yaml(&format!("p95({argument})"))
    )
}

fn escalation(key: &str, severity: &str, worst: &str) -> [String; 3] {
    let condition = format!("{} = {}", column(severity), literal(worst));
    [
        format!(
            "  # Three bad events of one {} within ten minutes escalate.",
            shown(key)
        ),
        format!("  - {{name: bad, from: events, filter: {}}}", yaml(&condition)),
        format!(
            "  - {{name: escalated, from: bad, escalate: {{by: [{}], count: 3, within: 10m}}}}",
            yaml(key)
        ),
    ]
}

fn alarm(key: &str, name: &str, field: &Field) -> [String; 2] {
    let (low, high) = field.range.unwrap_or((0.0, 1.0));
    // Weights, as the difference of two large numbers may be no number any more.
    let threshold = low * 0.1 + high * 0.9;
    let condition = format!("{} > {}", column(name), number(threshold, high - low));
    // Braces stand for a column's value in a summary.
    let summary = if name.contains(['{', '}']) {
        String::new()
    } else {
        format!(", summary: {}", yaml(&format!("{name} is {{{name}}}")))
    };
    [
        format!(
            "  # `{}` went from {low} to {high} in these records; the threshold is a guess.",
            shown(name)
        ),
        format!(
            "  - {{name: high, from: events, alarm: {{by: [{}], when: {}, severity: MAJOR{summary}}}}}",
            yaml(key),
            yaml(&condition)
        ),
    ]
}
