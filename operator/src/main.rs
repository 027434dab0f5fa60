//! `tocsin-operator`: keeps a cluster as the IncidentPipelines in it ask.
//!
//! Everything here does IO and decides nothing: `tocsin-operator-core` decides.

mod admission;
mod api;
mod args;
mod authority;
mod cache;
mod canary;
mod clock;
mod controllers;
mod health;
mod kafka;
mod keys;
mod lead;
mod log;
mod metrics;
mod server;
mod start;
mod watches;
mod work;
mod workers;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    log::begin(&args);
    match start::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}
