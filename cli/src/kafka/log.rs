//! What a worker logs, and where its traces go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::traces::{self, Traces};
use crate::failure::{Failure, note};

/// Environment variable with a filter for the log, as `tracing` has it: `debug`, `tocsin_worker=debug`.
const LOG: &str = "TOCSIN_LOG";

/// Files of the folder whose changes a running worker takes up.
const LEVEL: &str = "log-level";
const FORMAT: &str = "log-format";

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Sets up the log on standard error, and traces if somebody takes them. They end with what this gives. What stands in the
/// folder `live` counts more than the environment, and is taken up when it changes.
pub fn begin(
    live: Option<PathBuf>,
    otlp: Option<&str>,
    pipeline: &str,
    worker: &str,
) -> Result<Option<Traces>, Failure> {
    let asked = std::env::var(LOG).unwrap_or_else(|_| "warn".to_owned());
    EnvFilter::try_new(&asked)
        .map_err(|error| Failure::Usage(format!("{LOG}: {error}; expected such as info or tocsin_worker=debug")))?;
    let first = match &live {
        Some(folder) => read(folder).map_err(Failure::Usage)?,
        None => Logging {
            filter: asked,
            is_json: false,
        },
    };
    // A filter can be changed while it is in use, a format cannot: so there are both, and one is silent.
    let (text_filter, text) = reload::Layer::new(first.filter_of(false));
    let (json_filter, json) = reload::Layer::new(first.filter_of(true));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let objects = tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr);
    let (layer, traces) = traces::begin::<Registry>(otlp, pipeline, worker)?.unzip();
    // Whoever set up a log before keeps theirs.
    tracing_subscriber::registry()
        .with(layer)
        .with(lines.with_filter(text_filter))
        .with(objects.with_filter(json_filter))
        .try_init()
        .ok();
    if let Some(folder) = live {
        std::thread::spawn(move || follow(&folder, first, &text, &json));
    }
    Ok(traces)
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Logging {
    filter: String,
    is_json: bool,
}

impl Logging {
    /// The filter of the lines, or of the JSON: one of them lets nothing through.
    fn filter_of(&self, is_json: bool) -> EnvFilter {
        // It was read as a filter before.
        EnvFilter::new(if is_json == self.is_json { &self.filter } else { "off" })
    }
}

/// Takes up what changes in the folder, for as long as the process lives. What cannot be read is said once, and changes nothing.
fn follow<S, T>(folder: &Path, first: Logging, text: &Handle<EnvFilter, S>, json: &Handle<EnvFilter, T>) {
    let mut known = Ok(first);
    loop {
        std::thread::park_timeout(LOOK);
        let found = read(folder);
        if found == known {
            continue;
        }
        match &found {
            Ok(logging) => {
                // They fail only once nobody logs any more.
                text.reload(logging.filter_of(false)).ok();
                json.reload(logging.filter_of(true)).ok();
            }
            Err(error) => note(error),
        }
        known = found;
    }
}

/// What the folder says. A file that is not there says what is usual.
fn read(folder: &Path) -> Result<Logging, String> {
    let file = |name: &str, usual: &str| match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(usual.to_owned()),
        Err(error) => Err(format!("{}: {error}", folder.join(name).display())),
    };
    let wrong = |name: &str, found: &str, expected: &str| {
        format!("{}: `{found}`; expected {expected}", folder.join(name).display())
    };
    let (filter, format) = (file(LEVEL, "info")?, file(FORMAT, "text")?);
    if !["error", "warn", "info", "debug", "trace"].contains(&filter.as_str()) {
        return Err(wrong(LEVEL, &filter, "error, warn, info, debug or trace"));
    }
    match format.as_str() {
        "text" | "json" => Ok(Logging {
            filter,
            is_json: format == "json",
        }),
        _ => Err(wrong(FORMAT, &format, "text or json")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_says_what_is_logged_and_how() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let check = |filter: &str, is_json: bool| {
            let filter = filter.to_owned();
            assert_eq!(read(folder.path()), Ok(Logging { filter, is_json }));
        };
        check("info", false);
        write(LEVEL, "debug\n");
        write(FORMAT, "json");
        check("debug", true);
        write(LEVEL, "loud");
        let error = read(folder.path()).unwrap_err();
        assert!(error.contains("log-level: `loud`; expected error, warn"), "{error}");
    }
}
