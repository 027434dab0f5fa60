//! What is wrong with a worker that does not stop it: reasons of the condition `Degraded`, with what may be done.

use std::time::Duration;

use tocsin_contract::worker::{DegradedStatus, ShardPhase};

use super::View;
use super::sample::{InputSample, ShardSample};

/// A key with this share of a stage's rows makes a shard that is as busy as this wait for itself.
const MOST_ROWS: f64 = 0.5;
const BUSY: f64 = 0.8;

/// A worker goes on with so many misplaced or mistaken values; more are a mistake of the pipeline.
const SHARE_OF_MISTAKES: f64 = 0.01;

/// A transaction that is open for longer was left behind.
const LONG_OPEN: Duration = Duration::from_secs(60);

/// Of fewer nothing is said.
const FEW: u64 = 1_000;

/// What is wrong.
pub fn degraded(view: &View) -> Vec<DegradedStatus> {
    let all = view.all();
    let mut degraded = Vec::new();
    let mut say = |reason: &str, message: String| {
        degraded.push(DegradedStatus {
            reason: reason.to_owned(),
            message,
        });
    };
    for ((source, topic), totals) in view.about.sources.iter().zip(&all.sources) {
        if is_many(totals.mismatches, totals.records) {
            say(
                "SchemaDrift",
                format!(
                    "{} values in {} records of {source} ({topic}) have another type than the pipeline reads, and count as NULL: \
                     correct the producers, or spec.sources[{source}].format.fields",
                    totals.mismatches, totals.records
                ),
            );
        }
    }
    for (stage, totals) in view.about.stages.iter().zip(&all.stages) {
        let misplaced = totals.misplaced.unwrap_or(0);
        if is_many(misplaced, totals.rows_in) {
            say(
                "KeyMisplaced",
                format!(
                    "{misplaced} of {} rows of stage {stage} stand in another partition than `partitionedBy` says: each is sent to \
                     its key's; correct the claim, or leave it out",
                    totals.rows_in
                ),
            );
        }
    }
    for shard in view.shards() {
        if let Some(message) = retention_near(view, shard) {
            say("RetentionNear", message);
        }
        if let Some(message) = key_skew(view, shard) {
            say("KeySkew", message);
        }
        if shard.phase == ShardPhase::Running {
            let inputs = shard.inputs.iter().zip(&view.about.sources);
            let stalled = inputs.filter(|(input, _)| input.is_some_and(|input| is_stalled(view, &input)));
            let number = shard.shard;
            for (_, (source, topic)) in stalled {
                say(
                    "SourceStalled",
                    format!("no broker answers for partition {number} of {topic} (source {source})"),
                );
            }
            for (input, (source, topic)) in shard.inputs.iter().zip(&view.about.sources) {
                if let Some((offset, held_up)) = input.and_then(|input| held_up(view, &input)) {
                    say(
                        "SourceStalled",
                        format!(
                            "a transaction that another producer has left open for {} s hides partition {number} of {topic} \
                             (source {source}) from offset {offset} on: find it with `kafka-transactions.sh find-hanging` and \
                             abort it, or wait for its transaction.timeout.ms",
                            held_up.as_secs()
                        ),
                    );
                }
            }
        }
    }
    degraded
}

fn is_many(mistakes: u64, of: u64) -> bool {
    of >= FEW && mistakes as f64 > SHARE_OF_MISTAKES * of as f64
}

fn key_skew(view: &View, shard: &ShardSample) -> Option<String> {
    let top = shard.top_keys.iter().find(|top| top.share >= MOST_ROWS)?;
    let stage = view.about.stages.get(top.stage)?;
    (shard.busy_ratio >= BUSY).then(|| {
        format!(
            "shard {} is busy {:.0} % of the time, and {:.0} % of the rows of stage {stage} there have the key {}: say \
             `skew: TwoPhase` if it aggregates, or take a key of more columns; more partitions do not help",
            shard.shard,
            shard.busy_ratio * 100.0,
            top.share * 100.0,
            top.key
        )
    })
}

/// Whether what a recovery needs may soon be gone.
fn retention_near(view: &View, shard: &ShardSample) -> Option<String> {
    let (topic, keeps) = view.retention.as_ref()?;
    let age = view.age(view.checkpoints.newest.get(&shard.shard)?.at);
    (age * 2.0 > keeps.as_secs_f64()).then(|| {
        format!(
            "the newest checkpoint of shard {} is {age:.0} s old, and {topic} keeps records for {}: a worker that recovers \
             later finds them gone (ReplayGap); look why checkpoints fail, or raise the topic's retention.ms",
            shard.shard,
            told(*keeps)
        )
    })
}

/// A time as a person writes it.
fn told(time: Duration) -> tocsin_contract::duration::Duration {
    tocsin_contract::duration::Duration::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

fn is_stalled(view: &View, input: &InputSample) -> bool {
    !input.waits && view.now.saturating_duration_since(input.answered) > super::ready::UNANSWERED
}

/// For how long an open transaction has held a source up, and where, if it is long.
fn held_up(view: &View, input: &InputSample) -> Option<(i64, Duration)> {
    let held_up = view.now.saturating_duration_since(input.held_up_since?);
    (held_up >= LONG_OPEN).then_some((input.offset, held_up))
}
