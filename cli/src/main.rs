//! `tocsin`: checks and runs pipelines on one machine.
//!
//! Results go to standard output, everything else to standard error.

mod args;
mod check;
mod demo;
mod failure;
mod files;
mod incidents;
mod init;
mod page;
mod progress;
mod run;
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
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Args::command(), "tocsin", &mut std::io::stdout());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
