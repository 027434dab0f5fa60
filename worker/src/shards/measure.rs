//! How the shards of a thread stand, for what is measured.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tocsin_worker_core::plan::Plan;

use super::commit::Counters;
use super::owned::Owned;
use crate::metrics::{InputSample, Seen, ShardSample, ThreadMeasure, Transactions};

/// Publishes how the shards stand.
pub fn publish(measure: &mut ThreadMeasure, owned: &mut BTreeMap<u32, Owned>, counters: &Counters, plan: &Plan) {
    let now = Instant::now();
    let seen = owned.values_mut().map(|owned| seen(owned, plan, now)).collect();
    let transactions = Transactions {
        committed: counters.commits.load(Ordering::Relaxed),
        aborted: counters.aborts.load(Ordering::Relaxed),
        renewed: counters.reinitialised.load(Ordering::Relaxed),
        lost: 0,
    };
    measure.publish(seen, transactions);
}

/// Notes that a shard came to where the pipeline had committed, if it has.
pub fn note_recovered(measure: &mut ThreadMeasure, owned: &mut Owned) {
    let Some(shard) = owned.shard.as_ref().filter(|_| owned.is_running()) else {
        return;
    };
    measure.shard_runs(owned.number, shard.engine());
    for input in &mut owned.inputs {
        // What was done again was committed before.
        input.reading.take_arrivals();
    }
}

fn seen<'a>(owned: &'a mut Owned, plan: &Plan, now: Instant) -> Seen<'a> {
    let is_running = owned.is_running();
    let phase = owned.phase();
    let mut inputs = Vec::new();
    if let Some(shard) = &owned.shard {
        let counters = shard.engine().source_counters();
        for (source, input) in owned.inputs.iter_mut().enumerate() {
            let position = shard.positions().get(source).copied().flatten();
            let idle_timeout = plan.sources.get(source).map_or(0, |source| source.idle_timeout);
            let idle_timeout = Duration::from_micros(idle_timeout.unsigned_abs());
            inputs.push(position.map(|position| InputSample {
                offset: position.offset,
                behind: input.reading.behind(position.offset),
                watermark: counters.get(source).and_then(|counters| counters.watermark),
                idle: input.silent_until(idle_timeout, now).is_some(),
                held_up_since: input.reading.held_up_since(),
                answered: input.answered(),
                waits: !input.is_empty(),
            }));
        }
    }
    let busy_ratio = owned.busy.ratio(now);
    let shard = owned.shard.as_ref();
    let engine = shard.filter(|_| is_running).map(|shard| shard.engine());
    let sample = ShardSample {
        shard: owned.number,
        phase,
        sequence: shard.map(|shard| shard.sequence()),
        epoch: shard.map(|shard| shard.epoch()),
        held: shard.is_some_and(|shard| shard.is_held()),
        busy_ratio,
        top_keys: engine.map(|engine| engine.top_keys()).unwrap_or_default(),
        earliest_timer: engine.and_then(|engine| engine.earliest_timer()),
        inputs,
    };
    Seen { sample, engine }
}
