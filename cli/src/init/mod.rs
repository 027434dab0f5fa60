//! `tocsin init`: a commented pipeline made from some records, field types guessed.

mod fields;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tocsin_worker::source::{Block, FileSource, Framing, InputOptions, Polled, Source, StdinSource};
use tocsin_worker_core::csv::records_as_json;

use self::fields::{Fields, Time};
use crate::args::InitArgs;
use crate::failure::{Failure, print};

/// Records that are looked at.
const SAMPLE: usize = 2_000;

/// Makes a pipeline.
pub fn init(args: &InitArgs) -> Result<(), Failure> {
    let stdin = args.records == Path::new("-");
    let records = sample(args, stdin)?;
    if records.is_empty() {
        return Err(Failure::Usage(format!(
            "{} has no JSON object and no CSV row to learn from",
            args.records.display()
        )));
    }
    let fields = Fields::of(&records);
    let Some(time) = fields.time() else {
        return Err(Failure::Usage(format!(
            "no field looks like a time; the fields are: {}. Add one (RFC 3339, or a number of seconds, ms, us or ns since 1970)",
            fields.names()
        )));
    };
    let text = pipeline(args, stdin, &fields, &time);
    match &args.output {
        None => print(&text)?,
        Some(path) => {
            if path.exists() && !args.force {
                return Err(Failure::Usage(format!(
                    "{} is there already; --force overwrites it",
                    path.display()
                )));
            }
            std::fs::write(path, &text)
                .map_err(|error| Failure::Io(format!("{} cannot be written: {error}", path.display())))?;
            eprintln!(
                "wrote {}; look it over, then: tocsin run {}",
                path.display(),
                path.display()
            );
        }
    }
    if args.output.is_none() && std::io::stdout().is_terminal() {
        let _ = std::io::stderr().write_all(b"\n(-o FILE writes it to a file)\n");
    }
    Ok(())
}

fn sample(args: &InitArgs, stdin: bool) -> Result<Vec<Map<String, Value>>, Failure> {
    // The first line tells: an object begins with a brace.
    let lines = read(args, stdin, Framing::Lines)?;
    let is_json = lines.0.iter().any(|line| line.trim_ascii_start().starts_with(b"{"));
    if is_json {
        return Ok(lines
            .0
            .iter()
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect());
    }
    if stdin {
        let mut lines = lines.0.into_iter();
        let header = lines.next().unwrap_or_default();
        let rows: Vec<Vec<u8>> = lines.collect();
        return Ok(csv_rows(&header, &rows));
    }
    let (rows, header) = read(args, stdin, Framing::Csv)?;
    Ok(csv_rows(&header.unwrap_or_default(), &rows))
}

fn csv_rows(header: &[u8], rows: &[Vec<u8>]) -> Vec<Map<String, Value>> {
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    records_as_json(header, &rows)
        .into_iter()
        .filter_map(|row| serde_json::from_str(&row).ok())
        .collect()
}

type Lines = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn read(args: &InitArgs, stdin: bool, framing: Framing) -> Result<Lines, Failure> {
    let options = InputOptions::new("records", framing);
    let source: Result<Box<dyn Source>, _> = if stdin {
        StdinSource::new(options).map(|source| Box::new(source) as Box<dyn Source>)
    } else {
        FileSource::open(&args.records, options).map(|source| Box::new(source) as Box<dyn Source>)
    };
    let mut source = source.map_err(|error| Failure::Io(error.to_string()))?;
    let mut block = Block::default();
    let mut lines = Vec::new();
    while lines.len() < SAMPLE {
        match source
            .poll(&mut block, Duration::from_secs(1))
            .map_err(|error| Failure::Io(error.to_string()))?
        {
            Polled::End => break,
            Polled::Idle => {}
            Polled::Records => {
                let spans = block.spans.iter().take(SAMPLE - lines.len());
                lines.extend(spans.map(|span| block.bytes[span.start..span.end].to_vec()));
            }
        }
    }
    Ok((lines, source.header().map(<[u8]>::to_vec)))
}

fn quoted(name: &str) -> String {
    let plain =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn pipeline(args: &InitArgs, stdin: bool, fields: &Fields, time: &Time) -> String {
    let mut out = String::new();
    let name: String = args
        .records
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.split('.').next())
        .filter(|_| !stdin)
        .unwrap_or("events")
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "events" } else { name };
    let is_csv = !stdin && fields_are_csv(args);
    // Writing to a text does not fail.
    let mut line = |text: &str| {
        let _ = writeln!(out, "{text}");
    };
    line(&format!(
        "# Made by `tocsin init` from {} records. Every line is yours to change;",
        fields.n_records
    ));
    line("# `tocsin check` says what the file means, `tocsin run` runs it.");
    line("apiVersion: tocsin.dev/v1alpha1");
    line("kind: IncidentPipeline");
    line(&format!("metadata: {{name: {name}}}"));
    line("spec:");
    line("  sources:");
    line("  - name: events");
    if stdin {
        line("    stdin: {}");
    } else {
        let path = args.records.canonicalize().unwrap_or_else(|_| args.records.clone());
        let shown = if args.output.is_some() {
            path.display().to_string()
        } else {
            args.records.display().to_string()
        };
        line(&format!("    file: {{path: {}}}", serde_json::Value::from(shown)));
    }
    line(&format!(
        "    # `{}` is read as the event time: windows and alarms go by it, not by the clock.",
        time.field
    ));
    line(&format!(
        "    eventTime: {{field: {}, unit: {}, maxOutOfOrderness: 5s, allowedLateness: 1m}}",
        quoted(&time.field),
        time.unit
    ));
    line("    format:");
    line(&format!("      type: {}", if is_csv { "Csv" } else { "Json" }));
    line("      # Guessed types. A value of another type makes its record a dead letter.");
    line("      fields:");
    for name in fields.order.iter().filter(|name| **name != time.field) {
        let field = &fields.by_name[name];
        if let Some(kind) = field.kind() {
            line(&format!(
                "      - {{name: {}, type: {kind}}}   # such as {}",
                quoted(name),
                field.sample
            ));
        }
    }
    let key = fields.key(time);
    let by = key.map(|key| format!("by: [{}], ", quoted(key))).unwrap_or_default();
    line("  stages:");
    line("  # How many events there are a minute.");
    let measure = fields.measure(time);
    let select = match measure {
        Some((name, _)) => format!(
            "{{events: \"count(*)\", {0}_mean: \"avg({0})\", {0}_p95: \"p95({0})\"}}",
            quoted(name)
        ),
        None => "{events: \"count(*)\"}".to_owned(),
    };
    line(&format!(
        "  - {{name: kpis, from: events, aggregate: {{{by}window: {{tumbling: 1m}}, select: {select}}}}}"
    ));
    let mut inputs = Vec::new();
    if let Some(key) = key {
        if let Some((severity, worst)) = fields.severity() {
            line(&format!(
                "  # Three bad events of one {key} within ten minutes escalate."
            ));
            line(&format!(
                "  - {{name: bad, from: events, filter: \"{} = '{}'\"}}",
                quoted(severity),
                worst.replace('\'', "''")
            ));
            line(&format!(
                "  - {{name: escalated, from: bad, escalate: {{by: [{}], count: 3, within: 10m}}}}",
                quoted(key)
            ));
            inputs.push("escalated");
        }
        if let Some((name, field)) = measure {
            let (low, high) = field.range.unwrap_or((0.0, 1.0));
            let threshold = low + (high - low) * 0.9;
            line(&format!(
                "  # `{name}` went from {low} to {high} in these records; the threshold is a guess."
            ));
            line(&format!(
                "  - {{name: high, from: events, alarm: {{by: [{}], when: \"{} > {threshold:.3}\", severity: MAJOR, summary: \"{name} is {{{name}}}\"}}}}",
                quoted(key),
                quoted(name)
            ));
            inputs.push("high");
        }
        if !inputs.is_empty() {
            line(&format!(
                "  # What belongs together is one incident a {key}; it is over after half an hour without news."
            ));
            line(&format!(
                "  - {{name: incidents, from: [{}], incident: {{by: [{}], openFor: 30m}}}}",
                inputs.join(", "),
                quoted(key)
            ));
        }
    }
    line("  sinks:");
    let taken = if inputs.is_empty() { "kpis" } else { "incidents" };
    line(&format!("  - {{name: out, from: {taken}, stdout: {{}}}}"));
    if !inputs.is_empty() {
        line("  # - {name: kpis-out, from: kpis, file: {path: kpis.jsonl}}");
    }
    out
}

fn fields_are_csv(args: &InitArgs) -> bool {
    let name = args.records.to_string_lossy().to_lowercase();
    name.trim_end_matches(".gz").trim_end_matches(".zst").ends_with(".csv")
}
