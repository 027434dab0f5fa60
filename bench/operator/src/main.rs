//! Measures Tocsin's operator on a real etcd and API server: what `bench/operator.sh` runs.
//!
//! Result lines (see `bench/README.md`) go to standard output, everything else to standard error.

mod args;
mod client;
mod cold;
mod loaded;
mod pipelines;
mod recorded;
mod report;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::args::Args;
use crate::cold::Cold;
use crate::loaded::Loaded;
use crate::recorded::Recorded;

/// What a round gave.
struct Round {
    bare: Cold,
    operator: Cold,
    loaded: Loaded,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: Args) -> anyhow::Result<()> {
    // Only one of rustls' providers is in the tree; another one was there before if this fails.
    rustls::crypto::ring::default_provider().install_default().ok();
    let recorded = Recorded::make().await.context("recording what the operator writes")?;
    eprintln!("{}", recorded.told());
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let round = round(args, &recorded, number % 2 == 0).await?;
        eprintln!(
            "round {number}: the client {:.1} s, the operator {:.1} s; {} MB; a change p99 {:.0} ms; another leads after {:.1} s",
            round.bare.wall.as_secs_f64(),
            round.operator.wall.as_secs_f64(),
            round.loaded.memory >> 20,
            report::percentile(&round.loaded.changes, 990),
            round.loaded.failover.as_secs_f64(),
        );
        rounds.push(round);
    }
    report::print(args, &recorded, &rounds);
    Ok(())
}

async fn round(args: Args, recorded: &Recorded, operator_first: bool) -> anyhow::Result<Round> {
    if operator_first {
        let (operator, loaded) = by_operator(args, recorded).await?;
        let bare = cold::by_client(args, recorded).await?;
        return Ok(Round { bare, operator, loaded });
    }
    let bare = cold::by_client(args, recorded).await?;
    let (operator, loaded) = by_operator(args, recorded).await?;
    Ok(Round { bare, operator, loaded })
}

async fn by_operator(args: Args, recorded: &Recorded) -> anyhow::Result<(Cold, Loaded)> {
    let (operated, cold) = cold::by_operator(args, recorded).await?;
    let loaded = loaded::measure(args, operated).await?;
    Ok((cold, loaded))
}
