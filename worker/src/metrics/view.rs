//! What there is to see of a worker at one time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tocsin_worker_core::kafka::lag::Behind;
use tocsin_worker_core::stream::Micros;

use super::About;
use super::checkpoints::Checkpoints;
use super::deliveries::DeliverySample;
use super::group::Group;
use super::process::Process;
use super::sample::{ShardSample, ThreadSample};
use super::thread::furthest;

/// What there is to see of a worker at one time. A copy: whoever has it disturbs nobody.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) about: About,
    pub(super) now: Instant,
    /// The wall clock.
    pub(super) wall: Micros,
    pub(super) uptime: Duration,
    /// When the worker started, by the wall clock.
    pub(super) started_at: Micros,
    /// How long ago each thread made progress; nothing of those that rest.
    pub(super) beats: Vec<Named<Option<Duration>>>,
    pub(super) threads: Vec<Named<ThreadSample>>,
    pub(super) group: Group,
    pub(super) checkpoints: Checkpoints,
    /// The topic that keeps what recovery needs for the shortest time, and that; none where all is kept.
    pub(super) retention: Option<(String, Duration)>,
    pub(super) trouble: Option<Trouble>,
    /// Time that the CPU quota held the worker back.
    pub(super) throttled: Option<Duration>,
    pub(super) process: Process,
    /// Sinks outside of Kafka, by name.
    pub(super) deliveries: Vec<Named<DeliverySample>>,
}

/// Something of a thread, or of a sink.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: T,
}

/// What went wrong last, and how often something did.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub(super) count: u64,
    pub(super) at: Micros,
    pub(super) message: String,
}

impl View {
    /// The shards, in order.
    pub fn shards(&self) -> Vec<&ShardSample> {
        let mut shards: Vec<&ShardSample> = self
            .threads
            .iter()
            .flat_map(|thread| &thread.value.shards)
            .filter(|sample| self.group.shards.contains(&sample.shard))
            .collect();
        shards.sort_by_key(|sample| sample.shard);
        shards
    }

    /// What all threads have done together.
    pub fn all(&self) -> ThreadSample {
        let mut all = ThreadSample::of(&self.about);
        for Named { value, .. } in &self.threads {
            let sources = all.sources.iter_mut().zip(&value.sources);
            sources.for_each(|(total, more)| *total += more);
            let stages = all.stages.iter_mut().zip(&value.stages);
            stages.for_each(|(total, more)| *total += *more);
            let sinks = all.sinks.iter_mut().zip(&value.sinks);
            sinks.for_each(|(total, more)| *total += more);
            for (total, (keys, bytes)) in all.state.iter_mut().zip(&value.state) {
                total.0 += keys;
                total.1 += bytes;
            }
            all.latency.merge(&value.latency);
            all.durations.merge(&value.durations);
            all.transactions += value.transactions;
            all.recoveries += value.recoveries;
            all.event_time = furthest(all.event_time, value.event_time);
        }
        all
    }

    /// Number of the source, shard, and how far it is behind, of each partition of this worker.
    pub fn partitions(&self) -> Vec<(usize, u32, Option<Behind>)> {
        let of_shard = |shard: &ShardSample| {
            let inputs = shard.inputs.iter().enumerate();
            inputs
                .filter_map(|(source, input)| Some((source, shard.shard, (*input)?.behind)))
                .collect::<Vec<_>>()
        };
        self.shards().into_iter().flat_map(of_shard).collect()
    }

    /// Age in seconds, by the wall clock, of something that was at `at`.
    pub fn age(&self, at: Micros) -> f64 {
        self.wall.saturating_sub(at).max(0) as f64 / 1e6
    }

    /// Age in seconds of the oldest record that waits; 0 when none does, nothing when that is not known.
    pub fn seconds_behind(&self, behind: Behind) -> Option<f64> {
        match behind {
            Behind { records: 0, .. } => Some(0.0),
            Behind { since, .. } => since.map(|since| self.age(since)),
        }
    }

    /// The least watermark of each source's shards that are not idle, by number of the source.
    pub fn watermarks(&self) -> BTreeMap<usize, Micros> {
        let mut least = BTreeMap::new();
        for shard in self.shards() {
            for (source, input) in shard.inputs.iter().enumerate() {
                let watermark = input
                    .as_ref()
                    .filter(|input| !input.idle)
                    .and_then(|input| input.watermark);
                if let Some(watermark) = watermark {
                    let known = least.entry(source).or_insert(watermark);
                    *known = watermark.min(*known);
                }
            }
        }
        least
    }
}
