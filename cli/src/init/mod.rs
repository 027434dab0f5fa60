//! `tocsin init`: a commented pipeline made from some records, field types guessed.

mod fields;
mod quote;
mod write;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tocsin_worker::source::{Block, Framing, InputOptions, Polled, Source, open_file, open_stdin};
use tocsin_worker_core::csv::records_as_json;

use self::fields::Fields;
use self::write::Origin;
use crate::args::InitArgs;
use crate::failure::{Failure, note, print};

/// Records that are looked at.
const SAMPLE: usize = 2_000;

/// Makes a pipeline.
pub fn init(args: &InitArgs) -> Result<(), Failure> {
    let stdin = args.records == Path::new("-");
    let sample = sample(args, stdin)?;
    if sample.records.is_empty() {
        return Err(Failure::Io(format!(
            "{} has no JSON object and no CSV row to learn from; expected one JSON object a line, or CSV with a header. \
             A list [...] becomes lines with: jq -c '.[]'",
            args.records.display()
        )));
    }
    let fields = Fields::of(&sample.records, sample.are_csv);
    let Some(time) = fields.time() else {
        return Err(Failure::Io(format!(
            "no field looks like a time; the fields are: {}. Add one (RFC 3339, or a number of seconds, ms, us or ns since 1970)",
            fields.names()
        )));
    };
    let text = write::pipeline(&origin(args, stdin), &fields, &time);
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
            note(format!(
                "wrote {}; look it over, then: tocsin run {}",
                path.display(),
                path.display()
            ));
        }
    }
    if args.output.is_none() && std::io::stdout().is_terminal() {
        note("\n(-o FILE writes it to a file)");
    }
    Ok(())
}

/// Some records.
struct Sample {
    records: Vec<Map<String, Value>>,
    are_csv: bool,
}

fn sample(args: &InitArgs, stdin: bool) -> Result<Sample, Failure> {
    let (lines, _) = read(args, stdin, Framing::Lines)?;
    // The records tell, not the name of the file: no row of CSV is a JSON object.
    let objects: Vec<Map<String, Value>> = lines
        .iter()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    if !objects.is_empty() {
        return Ok(Sample {
            records: objects,
            are_csv: false,
        });
    }
    let (header, rows) = if stdin {
        // It can be read only once, so a cell with a line end is not understood here.
        let mut lines = lines.into_iter();
        (lines.next().unwrap_or_default(), lines.collect())
    } else {
        let (rows, header) = read(args, stdin, Framing::Csv)?;
        (header.unwrap_or_default(), rows)
    };
    Ok(Sample {
        records: csv_rows(&header, &rows),
        are_csv: true,
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

/// Longest name of a pipeline.
const LONGEST_NAME: usize = 40;

/// Where the records are, and a name for the pipeline after their file.
fn origin(args: &InitArgs, stdin: bool) -> Origin {
    let file = args.records.file_name().and_then(|name| name.to_str());
    let name: String = file
        .and_then(|name| name.split('.').next())
        .filter(|_| !stdin)
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .skip_while(|c| *c == '-')
        .take(LONGEST_NAME)
        .collect();
    let name = match name.trim_matches('-') {
        "" => "events",
        name => name,
    };
    // A path in the file is relative to the file, which may go anywhere.
    let path = match &args.output {
        Some(_) => args.records.canonicalize().unwrap_or_else(|_| args.records.clone()),
        None => args.records.clone(),
    };
    Origin {
        name: name.to_owned(),
        path: (!stdin).then(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests;
