//! Random kills and faults over a stream of numbered events, for as long as one likes: no result is lost, none is there
//! twice. `make soak` runs it for hours, `make test` for a moment.
//!
//! `TOCSIN_SOAK_SECONDS` says for how long, `TOCSIN_SOAK_SEED` with which faults, `TOCSIN_SOAK_REPORT` to which file a line
//! of the outcome is added.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::{END, keep_state, object_store, or_tell};
use tocsin_e2e::http::{HttpProxy, HttpRule};
use tocsin_e2e::ids::{Ids, Pace, Placing, Tail};
use tocsin_e2e::wait::until;
use tocsin_e2e::{ApiKey, Kafka, KafkaOptions, Listener, Rule, Worker};

/// The short form: a few faults, the same ones each time.
const SHORT: Duration = Duration::from_secs(20);
const SHORT_SEED: u64 = 7;

/// After the last fault all must be through within this: brokers and workers that were away come back first.
const CATCHES_UP: Duration = Duration::from_secs(120);

/// Between two faults, at most, in milliseconds.
const REST: u64 = 3_000;

/// A fault lasts so long at most, in milliseconds: longer than the session of a worker, and the time-out of a transaction.
const LONGEST: u64 = 12_000;

const BROKERS: usize = 3;
const WORKERS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KilledWorker,
    EndedWorker,
    PausedWorker,
    KilledBroker,
    PausedBroker,
    CutConnections,
    LostAnswer,
    HeldRequest,
    StoreRefuses,
    StoreCuts,
}

const FAULTS: [Fault; 10] = [
    Fault::KilledWorker,
    Fault::EndedWorker,
    Fault::PausedWorker,
    Fault::KilledBroker,
    Fault::PausedBroker,
    Fault::CutConnections,
    Fault::LostAnswer,
    Fault::HeldRequest,
    Fault::StoreRefuses,
    Fault::StoreCuts,
];

/// Requests that are held, or whose answers are lost.
const REQUESTS: [ApiKey; 7] = [
    ApiKey::PRODUCE,
    ApiKey::TXN_OFFSET_COMMIT,
    ApiKey::END_TXN,
    ApiKey::INIT_PRODUCER_ID,
    ApiKey::HEARTBEAT,
    ApiKey::JOIN_GROUP,
    ApiKey::OFFSET_FETCH,
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KilledWorker => "workers killed",
            Self::EndedWorker => "workers ended",
            Self::PausedWorker => "workers paused",
            Self::KilledBroker => "brokers killed",
            Self::PausedBroker => "brokers paused",
            Self::CutConnections => "connections cut",
            Self::LostAnswer => "answers lost",
            Self::HeldRequest => "requests held",
            Self::StoreRefuses => "refusals of the store",
            Self::StoreCuts => "answers of the store cut",
        })
    }
}

/// What faults are done to.
struct Target<'a> {
    kafka: &'a Kafka,
    ids: Ids<'a>,
    store: HttpProxy,
    workers: Vec<Worker>,
    /// Workers that gave up, as they may: whoever runs them starts them again.
    gave_up: Vec<String>,
}

impl Target<'_> {
    fn worker(&self, number: usize) -> Worker {
        self.ids.worker(WORKERS[number]).unwrap()
    }

    /// Starts workers that ended again.
    fn start_again(&mut self) {
        for number in 0..self.workers.len() {
            if self.workers[number].check().is_err() {
                self.gave_up.push(self.workers[number].last_lines());
                self.workers[number] = self.worker(number);
            }
        }
    }

    fn all(&self) -> Vec<&Worker> {
        self.workers.iter().collect()
    }

    /// Does a fault, which lasts a while.
    fn does(&mut self, fault: Fault, rng: &mut Rng, mut lasts: impl FnMut(Duration)) {
        let while_it_lasts = Duration::from_millis(rng.u64(0..LONGEST));
        let worker = rng.usize(0..self.workers.len());
        let broker = rng.usize(0..BROKERS);
        match fault {
            Fault::KilledWorker | Fault::EndedWorker => {
                if fault == Fault::KilledWorker {
                    self.workers[worker].kill().unwrap();
                } else {
                    // It may be asked to while it cannot commit.
                    self.workers[worker].ask_to_end().ok();
                    self.workers[worker].wait(2 * END).unwrap();
                }
                lasts(while_it_lasts);
                self.workers[worker] = self.worker(worker);
            }
            Fault::PausedWorker => {
                self.workers[worker].pause().unwrap();
                lasts(while_it_lasts);
                self.workers[worker].resume().unwrap();
            }
            Fault::KilledBroker => {
                self.kafka.kill(broker).unwrap();
                lasts(while_it_lasts);
                self.kafka.start_again(broker).unwrap();
            }
            Fault::PausedBroker => {
                self.kafka.pause(broker).unwrap();
                lasts(while_it_lasts);
                self.kafka.resume(broker).unwrap();
            }
            Fault::CutConnections => {
                self.kafka.proxy(broker).unwrap().reset_connections();
                lasts(while_it_lasts / 4);
            }
            Fault::LostAnswer | Fault::HeldRequest => {
                let rule = Rule::nth(REQUESTS[rng.usize(0..REQUESTS.len())], rng.u64(1..20));
                let rule = match fault {
                    Fault::LostAnswer => rule.drop_answer_and_cut(),
                    _ => rule.hold_request(),
                };
                let handle = self.kafka.proxy(broker).unwrap().add(rule);
                lasts(while_it_lasts);
                handle.remove();
            }
            Fault::StoreRefuses | Fault::StoreCuts => {
                let rule = match fault {
                    Fault::StoreRefuses => HttpRule::every().answer(503, &[("Retry-After", "1")], b""),
                    _ => HttpRule::every().cut_answer_after(rng.usize(0..200)),
                };
                let handle = self.store.add(rule);
                lasts(while_it_lasts);
                handle.remove();
            }
        }
    }
}

fn seconds() -> Duration {
    let asked = std::env::var("TOCSIN_SOAK_SECONDS").ok();
    asked.map_or(SHORT, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}

fn seed() -> u64 {
    let asked = std::env::var("TOCSIN_SOAK_SEED").ok();
    asked.map_or(SHORT_SEED, |seed| seed.parse().unwrap())
}

fn tell(line: &str) {
    println!("{line}");
    if let Ok(path) = std::env::var("TOCSIN_SOAK_REPORT") {
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// Lets time pass while what comes out is read.
fn reads_on(tail: &mut Tail, upto: i64, within: Duration) {
    // Nobody knows how far it comes while something is away.
    tail.wait_for(upto, within).ok();
}

#[test]
fn whatever_is_killed_paused_or_cut_each_result_is_there_once() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let options = KafkaOptions::default().brokers(BROKERS).listener(Listener::Proxied);
    let kafka = Kafka::start(options.setting("broker.session.timeout.ms", "3000")).unwrap();
    let (_s3, store) = object_store().unwrap();
    let placing = [Placing::ByService, Placing::Anywhere][rng.usize(0..2)];
    let mut ids = Ids::placed(&kafka, &format!("soak-{seed}"), placing).unwrap();
    ids.come_through(Listener::Proxied);
    keep_state(&mut ids, &store);
    let stream = ids.stream(Pace::default()).unwrap();
    let mut tail = ids.tail().unwrap();
    let workers = WORKERS.map(|name| ids.worker(name).unwrap());
    let mut target = Target {
        kafka: &kafka,
        ids,
        store,
        workers: workers.into(),
        gave_up: Vec::new(),
    };
    let mut faults: BTreeMap<Fault, u32> = BTreeMap::new();
    or_tell("before all", &target.all(), tail.wait_for(stream.written(), CATCHES_UP));
    let end = Instant::now() + seconds();
    while Instant::now() < end {
        let fault = FAULTS[rng.usize(0..FAULTS.len())];
        target.does(fault, &mut rng, |lasts| reads_on(&mut tail, i64::MAX, lasts));
        *faults.entry(fault).or_default() += 1;
        target.start_again();
        // Now and then all is well for a while, and everything comes through.
        if rng.u32(0..4) == 0 {
            let at = format!("seed {seed}, after {faults:?}");
            or_tell(&at, &target.all(), tail.wait_for(stream.written(), CATCHES_UP));
        } else {
            reads_on(&mut tail, i64::MAX, Duration::from_millis(rng.u64(0..REST)));
        }
    }
    let n_events = stream.end().unwrap();
    let stopped = Instant::now();
    target.start_again();
    let at = format!("seed {seed}, at the end, after {faults:?}");
    or_tell(&at, &target.all(), tail.wait_for_all_passed(n_events, CATCHES_UP));
    if placing != Placing::ByService {
        // They come by another shard, a transaction later.
        let gathered = until("escalations", CATCHES_UP, || {
            Ok(target.ids.escalations_are_gathered()?.then_some(()))
        });
        or_tell(&at, &target.all(), gathered);
    }
    let caught_up = stopped.elapsed();
    for worker in &target.workers {
        // One that has just been started has to hear it.
        or_tell(
            &at,
            &target.all(),
            worker.wait_for_line("shards were assigned", CATCHES_UP),
        );
        or_tell(&at, &target.all(), worker.end(END));
    }
    let checked = match placing {
        Placing::ByService => target.ids.check(),
        _ => target.ids.check_gathered(),
    };
    let checked = or_tell(&at, &target.all(), checked);
    assert_eq!(i64::try_from(checked).unwrap(), n_events);
    let faults: Vec<String> = faults.iter().map(|(fault, times)| format!("{times} {fault}")).collect();
    tell(&format!(
        "- seed {seed}, {placing:?}: {n_events} events, each result once; {}; {} workers gave up and were started again; all \
         was through {:.1} s after the end",
        faults.join(", "),
        target.gave_up.len(),
        caught_up.as_secs_f64()
    ));
    for lines in &target.gave_up {
        let last = lines.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        tell(&format!("  - {last}"));
    }
}
