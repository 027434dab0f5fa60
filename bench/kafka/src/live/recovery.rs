//! From kill -9 under load to the first new output, with much state to bring back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tocsin_e2e::ports;

use super::kept::{KeptRun, StateSize};
use super::pauses::{LongestPause, longest_pause};
use super::probes::Probes;
use super::{Load, Prepared, sender, under_load};
use crate::broker::Broker;
use crate::engine::tocsin;

/// Time between two snapshots.
const INTERVAL: &str = "2s";

/// Who goes on after the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// The same worker, started again at once.
    Same,
    /// Another one that ran beside it.
    Other,
}

/// What came of a crash.
#[derive(Clone, Copy, Debug)]
pub struct Recovered {
    /// From the kill until a committed reader had an escalation of alerts that were sent behind it; the slowest partition.
    pub first_output: Duration,
    /// The same for the partition that was served first: where another worker takes over, one goes on as if nothing were.
    pub fastest: Duration,
    /// The longest that a snapshot kept the worker from records before it was killed.
    pub pause: LongestPause,
    /// What the newest snapshots hold at the end.
    pub state: StateSize,
}

/// Kills a worker under load.
pub fn recover(
    broker: &Broker,
    load: Load,
    prepared: &mut Prepared,
    services: u64,
    taker: Taker,
) -> anyhow::Result<Recovered> {
    let run = KeptRun::new(broker, "recovery", services)?;
    let topics = &run.topics;
    let admin = format!("127.0.0.1:{}", ports::reserve()?).parse()?;
    let start = |worker, admin| {
        let kept = tocsin::Kept {
            worker,
            folder: &run.folder,
            interval: INTERVAL,
            restore_from: None,
            admin,
        };
        run.start(broker, topics, kept)
    };
    let first = start("first", Some(admin))?;
    let other = (taker == Taker::Other).then(|| start("other", None)).transpose()?;
    let probes = Probes::new(load.warm_up + load.measured);
    let loaded = under_load(broker, topics, load, prepared, &probes, &first.process, |begin| {
        let pause = longest_pause(admin, begin + load.warm_up)?;
        first.process.kill()?;
        let killed = Instant::now();
        let again = (taker == Taker::Same).then(|| start("first", None)).transpose()?;
        sender::wait_until(begin + load.warm_up + load.measured);
        Ok((killed, again, pause.context("no snapshot was written before the kill")?))
    });
    for running in other.iter() {
        running.process.check()?;
    }
    let loaded = loaded?;
    let (killed, again, pause) = loaded.meanwhile;
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    for (number, _) in &loaded.received {
        *times.entry(*number).or_default() += 1;
    }
    let twice = times.values().filter(|times| **times > 1).count();
    let missing = probes.n() - times.len();
    ensure!(
        twice == 0 && missing == 0,
        "{twice} probes came twice and {missing} never; the last lines of the log:\n{}",
        again
            .as_ref()
            .or(other.as_ref())
            .map(|running| running.process.last_lines())
            .unwrap_or_default()
    );
    let mut first_of: BTreeMap<u32, Duration> = BTreeMap::new();
    for (number, at) in loaded.received {
        if probes.due(number, loaded.begin) > killed {
            let after = at.saturating_duration_since(killed);
            let first = first_of
                .entry(probes.partition(number, broker.partitions()))
                .or_insert(after);
            *first = after.min(*first);
        }
    }
    ensure!(
        first_of.len() == broker.partitions() as usize,
        "a partition had no output behind the kill"
    );
    let fastest = first_of.values().min().copied().context("no output")?;
    let first_output = first_of.values().max().copied().context("no output")?;
    for running in again.iter().chain(&other) {
        running.process.kill()?;
    }
    let state = run.size(&topics.run)?;
    run.remove(broker)?;
    Ok(Recovered {
        first_output,
        fastest,
        pause,
        state,
    })
}
