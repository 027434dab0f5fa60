//! `tocsin init`: a commented pipeline made from some records, field types guessed.

mod fields;
mod quote;
mod sample;
mod write;

use std::io::IsTerminal;
use std::path::Path;

use self::fields::Fields;
use self::sample::sample;
use self::write::Origin;
use crate::args::InitArgs;
use crate::failure::{Failure, note, print};

/// Makes a pipeline.
pub fn init(args: &InitArgs) -> Result<(), Failure> {
    let stdin = args.records == Path::new("-");
    let sample = sample(args, stdin)?;
    if sample.records.is_empty() {
        return Err(Failure::Io(format!(
            "{} has no record to learn from; expected one JSON object a line, line protocol, syslog, or CSV with a header. \
             A list [...] becomes lines with: jq -c '.[]'",
            args.records.display()
        )));
    }
    let fields = Fields::of(&sample.records, sample.format);
    let Some(time) = fields.time() else {
        return Err(Failure::Io(format!(
            "no field looks like a time; the fields are: {}. Add one (RFC 3339, or a number of seconds, ms, us or ns since 1970)",
            fields.names()
        )));
    };
    let text = write::pipeline(&origin(args, stdin, sample.year), &fields, &time);
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

/// Longest name of a pipeline.
const LONGEST_NAME: usize = 40;

/// Where the records are, and a name for the pipeline after their file.
fn origin(args: &InitArgs, stdin: bool, year: Option<i32>) -> Origin {
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
        year,
    }
}

#[cfg(test)]
mod tests;
