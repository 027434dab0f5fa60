//! What the operator logs: a line for each change, none for a look that found nothing new.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Args, LogFormat};

/// Begins to log on standard error.
pub fn begin(args: &Args) {
    let filter = EnvFilter::try_new(&args.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    // The client says of each request that fails what the operator says better, with the object's name.
    let quiet = ["kube_client=off", "kube_runtime=off", "tower=off"];
    let filter = quiet
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    // Whoever set up a log before keeps theirs.
    match args.log_format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init().ok(),
        LogFormat::Text => registry.with(lines).try_init().ok(),
    };
}
