//! `tocsin`: checks and runs pipelines on one machine.
//!
//! Results go to standard output, everything else to standard error.

// They panic where nobody reads any more: `failure` has `print`, `say` and `note`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arg_values;
mod args;
mod check;
mod demo;
mod failure;
mod files;
mod incidents;
mod init;
mod kafka;
mod page;
mod progress;
mod run;
mod snapshot_args;
mod table;
mod targets;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        Command::Run(run) => run::run(run),
        Command::Check(check) => check::check(check),
        Command::Init(init) => init::init(init),
        Command::Demo(demo) => demo::demo(demo),
        Command::Produce(produce) => kafka::produce(produce),
        Command::Consume(consume) => kafka::consume(consume),
        Command::Snapshot(command) => kafka::snapshot(command),
        Command::Completions { shell } => completions(*shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure::note(&failure);
            failure.exit_code()
        }
    }
}

/// Prints a shell's completions. By way of memory, as the generator panics where nobody reads them.
fn completions(shell: clap_complete::Shell) -> Result<(), failure::Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tocsin", &mut script);
    failure::print(&String::from_utf8_lossy(&script))
}
