//! What `/status` answers.

use tocsin_contract::worker::{
    CheckpointStatus, ErrorStatus, InputStatus, LagStatus, ShardCheckpoint, ShardStatus, ThreadStatus, TimerStatus,
    TopKeyStatus, WorkerStatus,
};

use super::degraded::degraded;
use super::sample::ShardSample;
use super::view::Trouble;
use super::{View, not_ready};

/// What the worker is doing; `draining` if it was asked to end.
pub fn status(view: &View, draining: bool) -> WorkerStatus {
    let reasons = not_ready(view);
    let shards = view.shards().into_iter().map(|shard| shard_status(view, shard));
    let threads = view.threads.iter().map(|thread| ThreadStatus {
        thread: thread.name.clone(),
        busy_ratio: thread.value.busy_ratio,
        backpressure_ratio: thread.value.held_back_ratio,
    });
    let checkpoints = &view.checkpoints;
    WorkerStatus {
        pipeline: view.about.pipeline.clone(),
        worker: view.about.worker.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: view.uptime.as_secs_f64(),
        ready: reasons.is_empty() && !draining,
        not_ready: reasons,
        draining,
        shards: shards.collect(),
        threads: threads.collect(),
        lag: lag(view),
        checkpoints: CheckpointStatus {
            written: checkpoints.written,
            failed: checkpoints.failed,
            failures_in_a_row: checkpoints.failed_in_a_row,
        },
        degraded: degraded(view),
        last_error: view.trouble.as_ref().map(|Trouble { at, message, .. }| ErrorStatus {
            at_ms: at / 1_000,
            message: message.clone(),
        }),
    }
}

fn shard_status(view: &View, shard: &ShardSample) -> ShardStatus {
    let inputs = shard.inputs.iter().zip(&view.about.sources);
    let inputs = inputs.filter_map(|(input, (source, topic))| {
        let input = (*input)?;
        Some(InputStatus {
            source: source.clone(),
            topic: topic.clone(),
            offset: input.offset,
            lag_records: input.behind.map(|behind| behind.records),
            lag_seconds: input.behind.and_then(|behind| view.seconds_behind(behind)),
            watermark_ms: input.watermark.map(|watermark| watermark.div_euclid(1_000)),
            idle: input.idle,
            held_up_seconds: input
                .held_up_since
                .map(|since| view.now.saturating_duration_since(since).as_secs_f64()),
        })
    });
    let top_keys = shard.top_keys.iter().map(|top| TopKeyStatus {
        stage: view.about.stages.get(top.stage).cloned().unwrap_or_default(),
        key: top.key.clone(),
        share: top.share,
    });
    let checkpoint = view.checkpoints.newest.get(&shard.shard);
    ShardStatus {
        shard: shard.shard,
        phase: shard.phase,
        sequence: shard.sequence,
        epoch: shard.epoch,
        held: shard.held,
        busy_ratio: shard.busy_ratio,
        top_keys: top_keys.collect(),
        earliest_timer: shard.earliest_timer.map(|timer| TimerStatus {
            stage: view.about.stages.get(timer.stage).cloned().unwrap_or_default(),
            due_ms: timer.due.saturating_add(999).div_euclid(1_000),
        }),
        inputs: inputs.collect(),
        checkpoint: checkpoint.map(|checkpoint| ShardCheckpoint {
            sequence: checkpoint.sequence,
            completed_ms: checkpoint.at / 1_000,
            size_bytes: checkpoint.bytes,
            duration_seconds: checkpoint.duration.as_secs_f64(),
        }),
    }
}

fn lag(view: &View) -> LagStatus {
    let mut lag = LagStatus::default();
    for (_, _, behind) in view.partitions() {
        let Some(behind) = behind else {
            lag.partitions_unknown += 1;
            continue;
        };
        lag.records += behind.records;
        lag.partitions_lagging += u32::from(behind.records > 0);
        lag.seconds = lag.seconds.max(view.seconds_behind(behind).unwrap_or_default());
    }
    lag
}
