//! What a worker logs, and where its traces go.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::traces::{self, Traces};
use crate::failure::Failure;

/// Environment variable with a filter for the log, as `tracing` has it: `debug`, `tocsin_worker=debug`.
const LOG: &str = "TOCSIN_LOG";

/// Sets up the log on standard error, and traces if somebody takes them. They end with what this gives.
pub fn begin(otlp: Option<&str>, pipeline: &str, worker: &str) -> Result<Option<Traces>, Failure> {
    let filter = std::env::var(LOG).unwrap_or_else(|_| "warn".to_owned());
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::Usage(format!("{LOG}: {error}; expected such as info or tocsin_worker=debug")))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_filter(filter);
    let (layer, traces) = traces::begin::<Registry>(otlp, pipeline, worker)?.unzip();
    // Whoever set up a log before keeps theirs.
    tracing_subscriber::registry().with(layer).with(lines).try_init().ok();
    Ok(traces)
}
