//! From pipelines that nobody has looked at to all that they are made of.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tocsin_e2e::{Kubernetes, Operator, OperatorOptions};

use crate::args::Args;
use crate::client::{client, each};
use crate::pipelines::{Pipeline, Prepared, all_are_observed, counts, prepare};
use crate::recorded::{IN_HAND, QUEUE_DEPTH, Recorded};

/// The longest that a round may take.
const PATIENCE: Duration = Duration::from_secs(1_800);

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    pub wall: Duration,
    /// Processor time of the operator, or of this process as the client.
    pub writer: Duration,
    /// Processor time of the API server and etcd.
    pub servers: Duration,
}

/// A cluster whose pipelines the operator has brought about.
pub struct Operated {
    pub kubernetes: Kubernetes,
    pub pipelines: Vec<Pipeline>,
    pub operator: Operator,
}

fn servers(kubernetes: &Kubernetes) -> anyhow::Result<Duration> {
    Ok(kubernetes.apiserver().cpu_time()? + kubernetes.etcd().cpu_time()?)
}

/// Lets a client write it that knows in advance what is to be written.
///
/// # Errors
/// When a request is refused.
pub async fn by_client(args: Args, recorded: &Recorded) -> anyhow::Result<Cold> {
    let Prepared { kubernetes, pipelines } = prepare(args.pipelines, args.namespaces).await?;
    let client = client(&kubernetes).await?;
    let collections = recorded.collections();
    let names: Vec<String> = collections.keys().cloned().collect();
    let before = counts(&client, &names).await?;
    let (began, servers_before) = (Instant::now(), servers(&kubernetes)?);
    let own_before = own_cpu_time()?;
    each(&pipelines, args.concurrency, |_, pipeline| {
        let client = client.clone();
        let requests = recorded.for_pipeline(pipeline);
        async move {
            for request in requests {
                request.send(&client).await?;
            }
            Ok(())
        }
    })
    .await?;
    let cold = Cold {
        wall: began.elapsed(),
        writer: own_cpu_time()? - own_before,
        servers: servers(&kubernetes)? - servers_before,
    };
    let wanted = wanted(recorded, &before, pipelines.len());
    let there = counts(&client, &names).await?;
    ensure!(
        there == wanted,
        "of {names:?} there are {there:?} in the place of {wanted:?}"
    );
    Ok(cold)
}

/// Lets an operator that starts do it.
///
/// # Errors
/// When it does not get there.
pub async fn by_operator(args: Args, recorded: &Recorded) -> anyhow::Result<(Operated, Cold)> {
    let Prepared { kubernetes, pipelines } = prepare(args.pipelines, args.namespaces).await?;
    let client = client(&kubernetes).await?;
    let collections = recorded.collections();
    let names: Vec<String> = collections.keys().cloned().collect();
    let wanted = wanted(recorded, &counts(&client, &names).await?, pipelines.len());
    let mut namespaces: Vec<String> = pipelines.iter().map(|pipeline| pipeline.namespace.clone()).collect();
    namespaces.sort();
    namespaces.dedup();

    let (began, servers_before) = (Instant::now(), servers(&kubernetes)?);
    let operator = Operator::launch(&kubernetes, &options("operator-0", args))?;
    let cold = loop {
        if began.elapsed() > PATIENCE {
            let there = counts(&client, &names).await?;
            bail!(
                "of {names:?} there are {there:?} in the place of {wanted:?}\n{}",
                operator.process().last_lines()
            );
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        operator.process().check()?;
        if !is_idle(&operator) {
            continue;
        }
        let cold = Cold {
            wall: began.elapsed(),
            writer: operator.process().cpu_time()?,
            servers: servers(&kubernetes)? - servers_before,
        };
        // Counted in the kinds' own time: what the clock says is of before.
        let there = counts(&client, &names).await?;
        let all = there.iter().zip(&wanted).all(|(there, wanted)| there >= wanted);
        if all && all_are_observed(&client, &namespaces).await? {
            break cold;
        }
    };
    let operated = Operated {
        kubernetes,
        pipelines,
        operator,
    };
    Ok((operated, cold))
}

/// How an operator is started: as it is by default.
pub fn options(identity: &str, args: Args) -> OperatorOptions {
    OperatorOptions {
        identity: identity.to_owned(),
        arguments: vec!["--concurrency".to_owned(), args.concurrency.to_string()],
        ..OperatorOptions::default()
    }
}

/// Whether it has nothing in hand and nothing before it.
fn is_idle(operator: &Operator) -> bool {
    let value = |name| operator.metric(name).ok().flatten();
    value("tocsin_operator_leader") == Some(1.0) && value(QUEUE_DEPTH) == Some(0.0) && value(IN_HAND) == Some(0.0)
}

fn wanted(recorded: &Recorded, before: &[u64], pipelines: usize) -> Vec<u64> {
    let made = recorded.collections();
    let each = made.values().zip(before);
    each.map(|(each, before)| before + each * pipelines as u64).collect()
}

/// Processor time of this process.
fn own_cpu_time() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|field| field.parse::<u64>().ok());
    let sum = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
    // Ticks are of 10 ms on all machines that Linux runs on.
    Ok(Duration::from_millis(sum.context("utime and stime")? * 10))
}
