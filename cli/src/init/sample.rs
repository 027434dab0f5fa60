//! Some records of a file or of standard input, and the format that they are in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tocsin_contract::pipeline::source::FormatKind;
use tocsin_worker::source::{Block, Framing, InputOptions, Polled, Source, open_file, open_stdin};
use tocsin_worker_core::csv::records_as_json;
use tocsin_worker_core::{influx, syslog};

use crate::args::InitArgs;
use crate::failure::Failure;

/// Records that are looked at.
pub const SAMPLE: usize = 2_000;

/// Some records.
pub struct Sample {
    /// As objects.
    pub records: Vec<Map<String, Value>>,
    /// How they are written.
    pub format: FormatKind,
    /// The year of their times, if they do not say it.
    pub year: Option<i32>,
}

impl Sample {
    fn of(format: FormatKind, records: Vec<Map<String, Value>>) -> Self {
        let year = None;
        Self { records, format, year }
    }
}

/// Reads some records. They tell their format, not the name of the file.
pub fn sample(args: &InitArgs, stdin: bool) -> Result<Sample, Failure> {
    let (lines, _) = read(args, stdin, Framing::Lines)?;
    // No record of another format is a JSON object.
    let objects: Vec<Map<String, Value>> = lines
        .iter()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    if !objects.is_empty() {
        return Ok(Sample::of(FormatKind::Json, objects));
    }
    let events: Vec<Map<String, Value>> = lines.iter().flat_map(|line| influx::events(line)).collect();
    if are_most(events.len(), lines.len()) {
        return Ok(Sample::of(FormatKind::InfluxLine, events));
    }
    if let Some(sample) = messages(&lines) {
        return Ok(sample);
    }
    let (header, rows) = if stdin {
        // It can be read only once, so a cell with a line end is not understood here.
        let mut lines = lines.into_iter();
        (lines.next().unwrap_or_default(), lines.collect())
    } else {
        let (rows, header) = read(args, stdin, Framing::Csv)?;
        (header.unwrap_or_default(), rows)
    };
    Ok(Sample::of(FormatKind::Csv, csv_rows(&header, &rows)))
}

/// A header, or a line that was cut, is in another format than the rest.
fn are_most(some: usize, all: usize) -> bool {
    some > 0 && some * 10 >= all * 9
}

/// The lines as messages of syslog. Times without a year are of this year, as far as anyone can tell.
fn messages(lines: &[Vec<u8>]) -> Option<Sample> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let arrived = i64::try_from(now.as_micros()).ok();
    let read = |arrived| {
        let objects = lines
            .iter()
            .filter_map(move |line| syslog::message_as_json(line, arrived));
        let objects = objects.filter_map(|object| serde_json::from_str(&object).ok());
        let timed = objects.filter(|object: &Map<String, Value>| object.contains_key("timestamp"));
        timed.collect::<Vec<_>>()
    };
    let records = read(arrived);
    if !are_most(records.len(), lines.len()) {
        return None;
    }
    let needs_year = read(None).len() < records.len();
    let newest = records.iter().filter_map(|record| record["timestamp"].as_str()).max();
    let year = newest
        .and_then(|time| time.get(..4)?.parse().ok())
        .filter(|_| needs_year);
    Some(Sample {
        year,
        ..Sample::of(FormatKind::Syslog, records)
    })
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
    let source = if stdin {
        open_stdin(options)
    } else {
        open_file(&args.records, options)
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
