//! What the workers say of themselves, added up: lag, checkpoints, run epoch.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tocsin_contract::pipeline::status::{CheckpointStatus, LagStatus};
use tocsin_contract::worker::{ShardCheckpoint, WorkerStatus};

/// Lag moves with every record. What is said of it is renewed this often, or at once when it crosses zero.
const RENEWED: Duration = Duration::from_secs(15);

/// Lag of all workers together. None if no worker has answered.
pub fn lag(workers: &[WorkerStatus], now: Timestamp) -> Option<LagStatus> {
    if workers.is_empty() {
        return None;
    }
    let mut lag = LagStatus {
        observed_at: Some(Time(now)),
        ..LagStatus::default()
    };
    for worker in workers {
        lag.records = lag.records.saturating_add(whole(worker.lag.records as f64));
        lag.seconds = lag.seconds.max(whole(worker.lag.seconds.ceil()));
        lag.partitions_lagging = lag.partitions_lagging.saturating_add(worker.lag.partitions_lagging);
    }
    Some(lag)
}

/// The lag to say, of what was said and what was measured: the same as before unless it is time for another word.
pub fn lag_to_say(said: Option<&LagStatus>, measured: Option<LagStatus>, now: Timestamp) -> Option<LagStatus> {
    let (Some(said), Some(measured)) = (said, measured.clone()) else {
        return measured.or_else(|| said.cloned());
    };
    let numbers = |lag: &LagStatus| (lag.records, lag.seconds, lag.partitions_lagging);
    let since = said.observed_at.as_ref().map(|at| now.duration_since(at.0));
    let is_due = since.is_none_or(|since| Duration::try_from(since).is_ok_and(|since| since >= RENEWED));
    let crosses = (said.seconds == 0) != (measured.seconds == 0);
    let is_news = numbers(said) != numbers(&measured) && (is_due || crosses);
    Some(if is_news { measured } else { said.clone() })
}

/// The newest checkpoint, and failures since, of all workers together. None if there is none yet.
///
/// Each shard has checkpoints of its own. The oldest of the shards' newest is what the pipeline as a whole can go back to.
pub fn checkpoint(workers: &[WorkerStatus]) -> Option<CheckpointStatus> {
    let shards = workers.iter().flat_map(|worker| &worker.shards);
    let newest: Vec<&ShardCheckpoint> = shards.filter_map(|shard| shard.checkpoint.as_ref()).collect();
    let failures = workers
        .iter()
        .map(|worker| worker.checkpoints.failures_in_a_row)
        .max()
        .unwrap_or(0);
    let oldest = newest.iter().min_by_key(|checkpoint| checkpoint.completed_ms);
    if oldest.is_none() && failures == 0 {
        return None;
    }
    let sizes = newest.iter().map(|checkpoint| whole(checkpoint.size_bytes as f64));
    let longest = newest
        .iter()
        .map(|checkpoint| whole(checkpoint.duration_seconds * 1_000.0))
        .max();
    Some(CheckpointStatus {
        last_id: oldest.map_or(0, |checkpoint| i64::try_from(checkpoint.sequence).unwrap_or(i64::MAX)),
        last_completed_time: oldest
            .and_then(|checkpoint| Timestamp::from_millisecond(checkpoint.completed_ms).ok())
            .map(Time),
        size_bytes: sizes.fold(0, i64::saturating_add),
        duration_millis: longest.unwrap_or(0),
        failures_in_a_row: failures,
    })
}

/// The run epoch: the highest that a worker knows of. None if no worker has said one.
pub fn epoch(workers: &[WorkerStatus]) -> Option<u32> {
    let shards = workers.iter().flat_map(|worker| &worker.shards);
    shards.filter_map(|shard| shard.epoch).max()
}

/// A number as a whole one; what is none is 0.
fn whole(number: f64) -> i64 {
    // Casts of floats saturate, and of what is no number give 0.
    number as i64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tocsin_contract::worker::{self, ShardStatus};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn worker(records: u64, seconds: f64) -> WorkerStatus {
        WorkerStatus {
            lag: worker::LagStatus {
                records,
                seconds,
                partitions_lagging: 1,
                partitions_unknown: 0,
            },
            ..WorkerStatus::default()
        }
    }

    #[test]
    fn records_add_up_and_the_oldest_counts() {
        let lag = lag(&[worker(10, 0.2), worker(5, 3.1)], at(1)).unwrap();
        assert_eq!((lag.records, lag.seconds, lag.partitions_lagging), (15, 4, 2));
        assert_eq!(super::lag(&[], at(1)), None);
        let odd = super::lag(&[worker(u64::MAX, f64::NAN), worker(u64::MAX, f64::INFINITY)], at(1)).unwrap();
        assert_eq!((odd.records, odd.seconds), (i64::MAX, i64::MAX));
    }

    #[test]
    fn lag_is_said_anew_now_and_then_and_at_once_when_there_is_some_or_none() {
        let said = lag(&[worker(10, 2.0)], at(0));
        let check = |records, seconds, now, is_news: bool| {
            let measured = lag(&[worker(records, seconds)], at(now));
            let told = lag_to_say(said.as_ref(), measured.clone(), at(now));
            assert_eq!(
                told,
                if is_news { measured } else { said.clone() },
                "{records} {seconds} {now}"
            );
        };
        check(11, 3.0, 14, false);
        check(11, 3.0, 15, true);
        check(10, 2.0, 60, false);
        check(0, 0.0, 1, true);
        assert_eq!(
            lag_to_say(said.as_ref(), None, at(60)),
            said,
            "workers that are silent change nothing"
        );
    }

    #[test]
    fn the_pipeline_can_go_back_to_the_oldest_of_its_shards_checkpoints() {
        let shard = |sequence, completed_ms, size_bytes| ShardStatus {
            checkpoint: Some(ShardCheckpoint {
                sequence,
                completed_ms,
                size_bytes,
                duration_seconds: 0.25,
            }),
            epoch: Some(2),
            ..ShardStatus::default()
        };
        let mut one = worker(0, 0.0);
        one.shards = vec![shard(9, 5_000, 100), shard(7, 3_000, 50)];
        let told = checkpoint(&[one.clone(), worker(0, 0.0)]).unwrap();
        assert_eq!(told.last_completed_time, Some(Time(at(3))));
        assert_eq!((told.size_bytes, told.duration_millis, told.last_id), (150, 250, 7));
        assert_eq!(epoch(&[worker(0, 0.0), one]), Some(2));
        assert_eq!(checkpoint(&[worker(0, 0.0)]), None);
    }
}
