//! Measures Tocsin against Flink and a loop over librdkafka, on one Kafka: what `bench/flink.sh` runs.
//!
//! Engines are child processes; their processor time is the kernel's count of the whole process. Result lines (see
//! `bench/README.md`) go to standard output, everything else to standard error.

mod args;
mod broker;
mod cpu;
mod drain;
mod engine;
mod follow;
mod live;
mod load;
mod memory;
mod outputs;
mod report;
mod rows;
mod snapshots;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run(args) => rows::run(&args),
        Command::LibrdkafkaLoop(args) => engine::librdkafka::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
