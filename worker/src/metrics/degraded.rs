//! What is wrong with a worker that does not stop it: reasons of the condition `Degraded`, with what may be done.

use tocsin_contract::worker::{DegradedStatus, ShardPhase};

use super::View;
use super::sample::{InputSample, ShardSample};

/// A key with this share of a stage's rows makes a shard that is as busy as this wait for itself.
const MOST_ROWS: f64 = 0.5;
const BUSY: f64 = 0.8;

/// A worker goes on with so many misplaced or mistaken values; more are a mistake of the pipeline.
const SHARE_OF_MISTAKES: f64 = 0.01;

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
                    "{} of {} records of {source} ({topic}) have a value of another type than the pipeline reads: it counts as NULL; \
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
        if let Some(message) = key_skew(view, shard) {
            say("KeySkew", message);
        }
        if shard.phase == ShardPhase::Running {
            let inputs = shard.inputs.iter().zip(&view.about.sources);
            let stalled = inputs.filter(|(input, _)| input.is_some_and(|input| is_stalled(view, &input)));
            for (_, (source, topic)) in stalled {
                let number = shard.shard;
                say(
                    "SourceStalled",
                    format!("no broker answers for partition {number} of {topic} (source {source})"),
                );
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

fn is_stalled(view: &View, input: &InputSample) -> bool {
    !input.waits && view.now.saturating_duration_since(input.answered) > super::ready::UNANSWERED
}
