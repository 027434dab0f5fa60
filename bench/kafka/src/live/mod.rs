//! A load at the pace of a clock, and how long its probes take from produce to a committed read.

mod kept;
mod latencies;
pub mod pager;
mod pauses;
mod prepared;
mod probes;
mod recovery;
mod sender;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use tocsin_e2e::process::Process;

use crate::broker::Broker;
use crate::cpu::{Moment, Used};
use crate::engine::{Delivery, Topics, tocsin};

pub use self::kept::{KeptRun, StateSize};
pub use self::latencies::Latencies;
pub use self::prepared::Prepared;
pub use self::probes::Probes;
pub use self::recovery::{Recovered, Taker, recover};

/// How long the engine may take to give out its first result.
const START: Duration = Duration::from_secs(180);

/// How long an answer may take behind the end of the load.
const LATEST: Duration = Duration::from_secs(15);

/// From the decision to begin to the first record.
const LEAD: Duration = Duration::from_millis(200);

/// The load of a row.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Alerts a second.
    pub rate: u64,
    /// For how long it is not measured.
    pub warm_up: Duration,
    /// For how long it is measured then.
    pub measured: Duration,
}

/// How Tocsin runs.
#[derive(Clone, Copy, Debug)]
pub struct LiveCase {
    /// What a crash does to results.
    pub delivery: Delivery,
    /// Whether it checks what it does not read.
    pub is_strict: bool,
    /// Whether each row goes to another shard through a repartition topic.
    pub is_dealt: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct LiveRun {
    /// Latencies of the probes that were due while it was measured.
    pub latencies: Latencies,
    /// How long after they were due the broker had them: the share that no engine can shorten.
    pub acknowledged: Latencies,
    /// What was used meanwhile.
    pub used: Used,
    /// By how much the load was behind its clock, at most.
    pub behind: Duration,
}

/// Runs Tocsin under a prepared load.
pub fn run(broker: &Broker, load: Load, prepared: &mut Prepared, case: LiveCase) -> anyhow::Result<LiveRun> {
    let run = broker.new_name("live");
    let topics = Topics::new(&run, &format!("{run}-alerts"));
    for topic in [&topics.alerts, &topics.counts, &topics.escalations] {
        broker.create(topic)?;
    }
    let options = tocsin::Options {
        delivery: case.delivery,
        is_strict: case.is_strict,
        is_dealt: case.is_dealt,
        threads: broker.partitions(),
        // A load that falls behind its probes is not late, and costs what it should.
        out_of_order: "1m",
        processors: None,
        kept: None,
    };
    let engine = tocsin::start(broker, &topics, options)?;
    let probes = Probes::new(load.warm_up + load.measured).moved(case.is_dealt);
    let live = under_load(broker, &topics, load, prepared, &probes, &engine.process, |begin| {
        let pid = engine.process.pid();
        sender::wait_until(begin + load.warm_up);
        let from = Moment::now(Some(pid), broker.pid()?)?;
        sender::wait_until(begin + load.warm_up + load.measured);
        Ok(Moment::now(Some(pid), broker.pid()?)?.since(&from))
    });
    // What the engine said says more than a probe that did not come.
    engine.process.check()?;
    let live = live?;
    let live = LiveRun {
        latencies: probes.latencies(&live.received, live.begin, load.warm_up),
        acknowledged: live.acknowledged,
        used: live.meanwhile,
        behind: live.behind,
    };
    ensure!(live.latencies.n() > 0, "no probe was due while it was measured");
    if live.latencies.missing() > 0 {
        let missing = live.latencies.missing();
        eprintln!(
            "{missing} probes never came; the last lines of the log:\n{}",
            engine.process.last_lines()
        );
    }
    engine.process.kill()?;
    broker.delete(&[&topics.alerts, &topics.counts, &topics.escalations])?;
    Ok(live)
}

/// What came of a load.
struct Loaded<T> {
    begin: Instant,
    /// The numbers of the probes that came, each as often as it did, and when.
    received: Vec<(u32, Instant)>,
    acknowledged: Latencies,
    behind: Duration,
    meanwhile: T,
}

/// Sends a prepared load and probes among it, once the engine has given out its first results; does something meanwhile.
fn under_load<T>(
    broker: &Broker,
    topics: &Topics,
    load: Load,
    prepared: &mut Prepared,
    probes: &Probes,
    engine: &Process,
    meanwhile: impl FnOnce(Instant) -> anyhow::Result<T>,
) -> anyhow::Result<Loaded<T>> {
    let stop = AtomicBool::new(false);
    let partitions: Vec<_> = prepared.partitions().collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| probes.read(broker, &topics.escalations, &stop));
        let work = || -> anyhow::Result<(Instant, T, Duration, Latencies)> {
            probes.wait_for_first(broker, &topics.alerts, engine, START)?;
            let begin = Instant::now() + LEAD;
            let send = |(partition, batches)| {
                let partition = probes.moved_partition(partition, broker.partitions());
                scope.spawn(move || sender::send(broker, &topics.alerts, partition, batches, begin))
            };
            let senders: Vec<_> = partitions.into_iter().map(send).collect();
            let prober = scope.spawn(move || probes.send(broker, &topics.alerts, begin, load.warm_up));
            let done = meanwhile(begin)?;
            let panicked = |_| anyhow!("a thread of the load panicked");
            let acknowledged = prober.join().map_err(panicked)??;
            let mut behind = Duration::ZERO;
            for sender in senders {
                behind = behind.max(sender.join().map_err(panicked)??);
            }
            probes.wait_for_all(LATEST);
            Ok((begin, done, behind, acknowledged))
        };
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let received = reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        let (begin, meanwhile, behind, acknowledged) = done?;
        Ok(Loaded {
            begin,
            received,
            acknowledged,
            behind,
            meanwhile,
        })
    })
}

/// Waits until an engine has given out its first results.
pub fn first_results(
    broker: &Broker,
    topics: &Topics,
    probes: &Probes,
    engine: &Process,
    within: Duration,
) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| probes.read(broker, &topics.escalations, &stop));
        let came = probes.wait_for_first(broker, &topics.alerts, engine, within);
        stop.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        came
    })
}
