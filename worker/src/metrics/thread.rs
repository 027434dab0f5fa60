//! What a shard thread counts for itself, and publishes ten times a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::engine::{Engine, EventTime, Outputs, SourceCounters};
use tocsin_worker_core::stream::Micros;

use super::sample::{ShardSample, SourceTotals, StageTotals, ThreadSample, Times, Transactions};
use super::{Measures, Pulse, wall};
use crate::dead_letter::cause_code;

/// Time between two times that it publishes.
const BETWEEN: Duration = Duration::from_millis(100);

/// Time over which ratios are taken, in steps of a second.
const WINDOW: usize = 10;
const STEP: Duration = Duration::from_secs(1);

/// Time between two looks at the size of state: some stages must count for that.
const BETWEEN_SIZES: Duration = Duration::from_secs(5);

/// What a shard thread counts for itself.
pub(crate) struct ThreadMeasure {
    measures: Arc<Measures>,
    slot: Arc<Mutex<ThreadSample>>,
    pulse: Arc<Pulse>,
    doing: Doing,
    since: Instant,
    /// As the clock has it, without regard to the CPU quota; up to now, and when it was last published.
    clock: Times,
    clock_published: Times,
    published: Instant,
    /// When the size of state was last looked at, and of how many shards.
    sized: Option<(Instant, usize)>,
    window: VecDeque<(Instant, Times)>,
    own: ThreadSample,
    /// What the counters of each running shard were when they were last looked at.
    seen: BTreeMap<u32, Counted>,
    /// What is not handed over to the committer, and what is.
    pending: Pending,
    under_way: Pending,
    handed_over: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Working,
    HeldBack,
    Nothing,
}

/// Counters of an engine.
struct Counted {
    sources: Vec<SourceTotals>,
    stages: Vec<StageTotals>,
}

/// When records came, and how many each time stands for.
pub type Arrivals = Vec<(Micros, u64)>;

/// What counts once it is committed.
#[derive(Default)]
struct Pending {
    dead: Vec<(usize, &'static str)>,
    rows: Vec<(usize, u64)>,
    observed: Vec<(usize, Encoded)>,
    arrivals: Arrivals,
}

/// A shard of the thread, for a publication.
pub(crate) struct Seen<'a> {
    pub sample: ShardSample,
    /// Its engine, if it runs.
    pub engine: Option<&'a Engine>,
}

impl ThreadMeasure {
    /// For a thread of this name.
    pub fn new(measures: &Arc<Measures>, name: &str) -> Self {
        let now = Instant::now();
        Self {
            slot: measures.add_thread(name),
            pulse: measures.pulse(name),
            own: ThreadSample::of(measures.about()),
            measures: Arc::clone(measures),
            doing: Doing::Nothing,
            since: now,
            clock: Times::default(),
            clock_published: Times::default(),
            published: now,
            sized: None,
            window: VecDeque::new(),
            seen: BTreeMap::new(),
            pending: Pending::default(),
            under_way: Pending::default(),
            handed_over: now,
        }
    }

    /// It works from now on.
    pub fn works(&mut self) {
        self.does(Doing::Working);
    }

    /// It waits from now on; `held_back` if there are records that it may not take yet.
    pub fn waits(&mut self, held_back: bool) {
        self.does(if held_back { Doing::HeldBack } else { Doing::Nothing });
    }

    fn does(&mut self, next: Doing) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.since);
        match self.doing {
            Doing::Working => self.clock.busy += passed,
            Doing::HeldBack => self.clock.held_back += passed,
            Doing::Nothing => self.clock.idle += passed,
        }
        (self.doing, self.since) = (next, now);
        self.pulse.beat_at(now);
    }

    /// So many bytes of a source are done with.
    pub fn done_with(&mut self, source: usize, bytes: usize) {
        if let Some(totals) = self.own.sources.get_mut(source) {
            totals.bytes += bytes as u64;
        }
    }

    /// A broker could not be used.
    pub fn trouble(&self, error: &dyn std::fmt::Display) {
        self.measures.trouble(error);
    }

    /// A shard came to where the pipeline had committed: what its engine has counted so far was done before.
    pub fn shard_runs(&mut self, shard: u32, engine: &Engine) {
        self.own.recoveries += 1;
        self.seen.insert(shard, counted(engine, &engine.source_counters()));
    }

    /// These outputs of records that came at these times are about to be committed. What a person watches is taken out.
    pub fn cut(&mut self, outputs: &mut Outputs, arrivals: impl IntoIterator<Item = (Micros, u64)>) {
        self.ahead(outputs);
        self.pending.observed.append(&mut outputs.observed);
        self.pending.arrivals.extend(arrivals);
    }

    /// These outputs were sent ahead of the transaction that they belong to.
    pub fn ahead(&mut self, outputs: &Outputs) {
        let dead = outputs
            .dead
            .iter()
            .map(|letter| (letter.source, cause_code(&letter.cause)));
        self.pending.dead.extend(dead);
        let rows = outputs.sinks.iter().map(|(sink, rows)| (*sink, rows.ends.len() as u64));
        self.pending.rows.extend(rows);
    }

    /// What records led to that came at these times is written.
    pub fn written(&mut self, arrivals: Arrivals) {
        let now = wall();
        for (arrived, weight) in arrivals {
            let micros = u64::try_from(now.saturating_sub(arrived)).unwrap_or_default();
            self.own.latency.add(Duration::from_micros(micros), weight);
        }
    }

    /// What was sent ahead of the next transaction is done again.
    pub fn done_again(&mut self) {
        self.pending = Pending::default();
    }

    /// A transaction was handed over with all that was cut.
    pub fn handed_over(&mut self) {
        self.under_way = std::mem::take(&mut self.pending);
        self.handed_over = Instant::now();
    }

    /// The transaction that was handed over is committed.
    pub fn committed(&mut self) {
        let done = std::mem::take(&mut self.under_way);
        self.own.durations.add(self.handed_over.elapsed(), 1);
        for (source, cause) in done.dead {
            if let Some(totals) = self.own.sources.get_mut(source) {
                *totals.dead.entry(cause).or_default() += 1;
            }
        }
        for (sink, rows) in done.rows {
            if let Some(total) = self.own.sinks.get_mut(sink) {
                *total += rows;
            }
        }
        self.written(done.arrivals);
        if let Some(watcher) = self.measures.watcher.get() {
            show(watcher, done.observed);
        }
    }

    /// The transaction that was handed over is given up.
    pub fn lost(&mut self) {
        self.under_way = Pending::default();
        self.own.transactions.lost += 1;
    }

    /// Rows and dead letters that were committed.
    pub fn rows_and_dead(&self) -> (u64, u64) {
        let dead = self.own.sources.iter().flat_map(|totals| totals.dead.values());
        (self.own.sinks.iter().sum(), dead.sum())
    }

    /// Whether it is time to publish.
    pub fn is_due(&self) -> bool {
        self.published.elapsed() >= BETWEEN
    }

    /// Publishes how its shards stand, and what was counted.
    pub fn publish(&mut self, shards: Vec<Seen<'_>>, transactions: Transactions) {
        let now = Instant::now();
        let lost = self.own.transactions.lost;
        self.own.transactions = Transactions { lost, ..transactions };
        self.seen.retain(|shard, _| {
            shards
                .iter()
                .any(|seen| seen.sample.shard == *shard && seen.engine.is_some())
        });
        let n_running = shards.iter().filter(|seen| seen.engine.is_some()).count();
        let is_old = |(at, n): (Instant, usize)| n != n_running || now.duration_since(at) >= BETWEEN_SIZES;
        let sizes_are_due = self.sized.is_none_or(is_old);
        if sizes_are_due {
            self.sized = Some((now, n_running));
            self.own.state.iter_mut().for_each(|size| *size = (0, 0));
        }
        self.own.event_time = None;
        for seen in &shards {
            if let Some(engine) = seen.engine {
                self.look(seen.sample.shard, engine, sizes_are_due);
            }
        }
        self.own.shards = shards.into_iter().map(|seen| seen.sample).collect();
        self.pass_time(now);
        self.published = now;
        self.slot.lock().clone_from(&self.own);
    }

    /// Adds what the engine of a shard has counted since it was last looked at.
    fn look(&mut self, shard: u32, engine: &Engine, with_size: bool) {
        let counters = engine.source_counters();
        let now = counted(engine, &counters);
        if let Some(before) = self.seen.get(&shard) {
            let sources = self.own.sources.iter_mut().zip(&now.sources).zip(&before.sources);
            for ((total, now), before) in sources {
                total.records += now.records.saturating_sub(before.records);
                total.mismatches += now.mismatches.saturating_sub(before.mismatches);
            }
            let stages = self.own.stages.iter_mut().zip(&now.stages).zip(&before.stages);
            for ((total, now), before) in stages {
                *total += StageTotals {
                    rows_in: now.rows_in.saturating_sub(before.rows_in),
                    rows_out: now.rows_out.saturating_sub(before.rows_out),
                    late: now.late.saturating_sub(before.late),
                    misplaced: now
                        .misplaced
                        .map(|now| now.saturating_sub(before.misplaced.unwrap_or(0))),
                    failures: now.failures.saturating_sub(before.failures),
                };
            }
        }
        self.seen.insert(shard, now);
        if with_size {
            for (total, (keys, bytes)) in self.own.state.iter_mut().zip(engine.state_size()) {
                total.0 += keys;
                total.1 += bytes;
            }
        }
        self.own.event_time = furthest(self.own.event_time, engine.event_time());
    }

    /// Takes what it did with its time since it last published. While the CPU quota holds the process back, nobody can say
    /// what a waiting thread waits for: that share of its waiting counts as work.
    fn pass_time(&mut self, now: Instant) {
        self.does(self.doing);
        let passed = self.clock - self.clock_published;
        self.clock_published = self.clock;
        let throttled = passed.idle.mul_f64(self.measures.throttling.ratio());
        let times = &mut self.own.times;
        times.busy += passed.busy + throttled;
        times.held_back += passed.held_back;
        times.idle += passed.idle.saturating_sub(throttled);
        let since = self.window.front().map_or(Times::default(), |(_, times)| *times);
        let lately = *times - since;
        let total = lately.total().as_secs_f64();
        if total > 0.0 {
            self.own.busy_ratio = lately.busy.as_secs_f64() / total;
            self.own.held_back_ratio = lately.held_back.as_secs_f64() / total;
        }
        let step_is_over = self.window.back().is_none_or(|(at, _)| now.duration_since(*at) >= STEP);
        if step_is_over {
            self.window.push_back((now, self.own.times));
            if self.window.len() > WINDOW {
                self.window.pop_front();
            }
        }
    }
}

impl Drop for ThreadMeasure {
    fn drop(&mut self) {
        self.pulse.rest();
    }
}

fn counted(engine: &Engine, sources: &[SourceCounters]) -> Counted {
    let source = |counters: &SourceCounters| SourceTotals {
        records: counters.records,
        mismatches: counters.mismatches.iter().sum(),
        ..SourceTotals::default()
    };
    let stages = engine.stage_counters().into_iter().zip(engine.n_failures());
    let stages = stages.zip(engine.n_misplaced());
    Counted {
        sources: sources.iter().map(source).collect(),
        stages: stages
            .map(|((counters, failures), misplaced)| StageTotals {
                rows_in: counters.rows_in,
                rows_out: counters.rows_out,
                late: counters.late,
                misplaced,
                failures,
            })
            .collect(),
    }
}

/// The newest event of two shards, and the watermark of the one that is further behind.
pub(super) fn furthest(one: Option<EventTime>, other: Option<EventTime>) -> Option<EventTime> {
    let (Some(a), Some(b)) = (one, other) else {
        return one.or(other);
    };
    Some(EventTime {
        newest: a.newest.max(b.newest),
        watermark: a.watermark.zip(b.watermark).map(|(a, b)| a.min(b)),
    })
}

/// Hands rows over to whoever watches. What there is no room for is left out: work waits for no one who looks.
fn show(watcher: &Sender<(usize, Encoded)>, rows: Vec<(usize, Encoded)>) {
    for part in rows {
        if watcher.try_send(part).is_err() {
            tracing::debug!("the live page has fallen behind: rows are left out");
            return;
        }
    }
}
