//! Whether a worker lives and is ready, and its status.

use tocsin_contract::worker::WorkerStatus;

use super::*;

/// Why a worker is not ready, whose samples were changed so.
fn check(change: impl FnOnce(&Measures), expected: &[&str]) {
    let measures = full();
    change(&measures);
    let view = measures.view();
    assert_eq!(not_ready(&view), expected);
    assert_eq!(status(&view, false).ready, expected.is_empty());
}

fn samples(measures: &Measures, change: impl Fn(&mut ShardSample)) {
    for (_, sample) in measures.threads.lock().iter() {
        sample.lock().shards.iter_mut().for_each(&change);
    }
}

#[test]
fn a_worker_whose_shards_run_is_ready_and_so_is_one_without_any() {
    check(|_| {}, &[]);
    check(|measures| measures.revoked(&[0, 3], false), &[]);
}

#[test]
fn a_worker_that_the_group_has_said_nothing_to_or_given_up_is_not_ready() {
    let reason = "the consumer group has not said yet which shards are this worker's";
    assert_eq!(not_ready(&Measures::new(about()).view()), [reason]);
    check(|measures| measures.revoked(&[0, 3], true), &[reason]);
}

#[test]
fn a_shard_on_its_way_is_named() {
    check(
        |measures| samples(measures, |shard| shard.phase = ShardPhase::Replaying),
        &["shards are not recovered yet: 0 (Replaying), 3 (Replaying)"],
    );
    check(
        |measures| measures.assigned(&[5]),
        &["shards are not recovered yet: 5 (Asking)"],
    );
    let many: Vec<u32> = (10..30).collect();
    check(
        |measures| measures.assigned(&many),
        &[
            "shards are not recovered yet: 10 (Asking), 11 (Asking), 12 (Asking), 13 (Asking), 14 (Asking), 15 (Asking), \
           16 (Asking), 17 (Asking) and 12 more",
        ],
    );
}

#[test]
fn a_partition_that_no_broker_answers_for_is_named_unless_records_of_it_wait() {
    let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(11)) else {
        return;
    };
    let silent = |waits| {
        move |measures: &Measures| {
            samples(measures, |shard| {
                let input = shard.inputs[0].as_mut().unwrap();
                (input.answered, input.waits) = (long_ago, waits);
            });
        }
    };
    check(silent(true), &[]);
    check(
        silent(false),
        &["no broker has answered for 10 s for incident_alerts-0, incident_alerts-3"],
    );
}

#[test]
fn trouble_of_the_group_counts_where_nothing_else_shows_it() {
    check(|measures| measures.group_trouble(&"all brokers are down"), &[]);
    check(
        |measures| {
            measures.revoked(&[0, 3], false);
            measures.group_trouble(&"all brokers are down");
        },
        &["the consumer group's brokers cannot be reached"],
    );
}

#[test]
fn a_thread_without_progress_is_named_and_one_that_rests_is_not() {
    let measures = full();
    let (stands, rests) = (measures.pulse("shards-0"), measures.pulse("group"));
    stands.beat();
    rests.rest();
    let mut view = measures.view();
    assert_eq!(stuck(&view), [] as [&str; 0]);
    for beat in &mut view.beats {
        beat.value = beat.value.map(|age| age + Duration::from_secs(61));
    }
    assert_eq!(stuck(&view), ["thread shards-0 has made no progress for 61 s"]);
}

#[test]
fn the_status_sums_up_and_reads_back() {
    let status = status(&full().view(), true);
    assert!(status.draining && !status.ready && status.not_ready.is_empty());
    assert_eq!((status.lag.records, status.lag.partitions_lagging), (120, 2));
    assert!(status.lag.seconds >= 3.0);
    assert_eq!(
        status.last_error.as_ref().unwrap().message,
        "shard 0: no snapshot: the store is away"
    );
    assert_eq!(status.shards[0].checkpoint.as_ref().unwrap().size_bytes, 1_000);
    assert_eq!(status.checkpoints.failures_in_a_row, 0);
    let timer = status.shards[0].earliest_timer.as_ref().unwrap();
    assert_eq!((timer.stage.as_str(), timer.due_ms), ("kpis", 1_767_225_660_000));
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<WorkerStatus>(&text).unwrap(), status);
}

#[test]
fn the_status_of_the_documentation_has_every_field_and_no_other() {
    let page = include_str!("../../../../docs/admin.md");
    let example = page
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let of_page: serde_json::Value = serde_json::from_str(example).unwrap();
    let of_page_read: WorkerStatus = serde_json::from_str(example).unwrap();
    assert_eq!(serde_json::to_value(of_page_read).unwrap(), of_page);
}
