//! Chores of the project: `cargo xtask COMMAND`. Looks up the command and nothing else.

mod generate;
mod measured;
mod tidy;
mod yaml;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND
  generate [--check]      writes crds/ from the types, or checks that it is not stale
  tidy                    checks the tree's invariants
  criterion DIR           prints Criterion's results in DIR as result lines
  record NAME             writes result lines from standard input to bench/results/";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["generate"] => generate::write(&generate::folder()),
        ["generate", "--check"] => generate::check(&generate::folder()),
        ["tidy"] => tidy::run(),
        ["criterion", folder] => measured::criterion(folder),
        ["record", name] => measured::record(name),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
