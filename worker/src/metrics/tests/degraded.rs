//! What is wrong that does not stop a worker.

use tocsin_contract::conditions;
use tocsin_worker_core::engine::TopKey;

use super::*;

/// Reasons that are told of a worker of which something is changed, each once.
fn check(change: impl FnOnce(&mut ThreadSample), expected: &[&str]) -> Vec<String> {
    let measures = Measures::new(about());
    measures.assigned(&[3]);
    let slot = measures.add_thread("shards-0");
    {
        let mut sample = slot.lock();
        sample.shards = vec![shard(3, ShardPhase::Running)];
        change(&mut sample);
    }
    let degraded = status(&measures.view(), false).degraded;
    let reasons: Vec<&str> = degraded.iter().map(|degraded| degraded.reason.as_str()).collect();
    assert_eq!(reasons, expected);
    assert!(
        reasons
            .iter()
            .all(|reason| conditions::is_known(conditions::DEGRADED, reason))
    );
    degraded.into_iter().map(|degraded| degraded.message).collect()
}

#[test]
fn a_worker_that_does_well_says_nothing() {
    check(|_| {}, &[]);
}

#[test]
fn a_key_of_most_rows_is_named_where_its_shard_is_busy() {
    let top = |share| TopKey {
        stage: 1,
        key: "service=api".to_owned(),
        share,
    };
    let shard_of = |busy: f64, share: f64| {
        move |sample: &mut ThreadSample| {
            sample.shards[0].busy_ratio = busy;
            sample.shards[0].top_keys = vec![top(share)];
        }
    };
    let said = check(shard_of(0.9, 0.6), &["KeySkew"]);
    assert!(
        said[0].contains("shard 3") && said[0].contains("60 %") && said[0].contains("kpis"),
        "{said:?}"
    );
    assert!(
        said[0].contains("service=api") && said[0].contains("TwoPhase"),
        "{said:?}"
    );
    check(shard_of(0.5, 0.6), &[]);
    check(shard_of(0.9, 0.3), &[]);
}

#[test]
fn mistakes_are_told_above_one_in_a_hundred() {
    let misplaced = |misplaced, rows_in| {
        move |sample: &mut ThreadSample| {
            sample.stages[1].rows_in = rows_in;
            sample.stages[1].misplaced = Some(misplaced);
        }
    };
    let said = check(misplaced(20, 1_000), &["KeyMisplaced"]);
    assert!(said[0].contains("20 of 1000 rows of stage kpis"), "{said:?}");
    check(misplaced(10, 1_000), &[]);
    check(misplaced(500, 999), &[]);
    let mistaken = |sample: &mut ThreadSample| {
        (sample.sources[0].records, sample.sources[0].mismatches) = (5_000, 51);
    };
    let said = check(mistaken, &["SchemaDrift"]);
    assert!(said[0].contains("spec.sources[alerts].format.fields"), "{said:?}");
}

#[test]
fn a_partition_that_no_broker_answers_for_is_named() {
    let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(20)) else {
        return;
    };
    let stalled = |waits: bool| {
        move |sample: &mut ThreadSample| {
            if let Some(input) = &mut sample.shards[0].inputs[0] {
                (input.answered, input.waits) = (long_ago, waits);
            }
        }
    };
    let said = check(stalled(false), &["SourceStalled"]);
    assert!(said[0].contains("partition 3 of incident_alerts"), "{said:?}");
    check(stalled(true), &[]);
}

#[test]
fn a_transaction_that_was_left_open_is_told_once_it_is_long_open() {
    let held_up = |seconds: u64| {
        move |sample: &mut ThreadSample| {
            if let Some(input) = &mut sample.shards[0].inputs[0] {
                input.held_up_since = Instant::now().checked_sub(Duration::from_secs(seconds));
            }
        }
    };
    let said = check(held_up(75), &["SourceStalled"]);
    assert!(
        said[0].contains("from offset 40") && said[0].contains("partition 3 of incident_alerts"),
        "{said:?}"
    );
    check(held_up(20), &[]);
}

#[test]
fn a_checkpoint_older_than_half_of_what_a_topic_keeps_is_told() {
    let said = |age: i64| {
        let measures = Measures::new(about());
        measures.assigned(&[3]);
        measures.add_thread("shards-0").lock().shards = vec![shard(3, ShardPhase::Running)];
        measures.retention(Some(("incident_alerts".to_owned(), Duration::from_secs(600))));
        measures.checkpoint_written(Checkpoint {
            shard: 3,
            sequence: 7,
            bytes: 1_000,
            duration: Duration::from_millis(250),
            pause: Pause {
                wall: Duration::from_millis(2),
                cpu: Duration::from_millis(1),
            },
            at: wall() - age * 1_000_000,
        });
        let degraded = status(&measures.view(), false).degraded;
        degraded
            .into_iter()
            .map(|degraded| degraded.message)
            .collect::<Vec<_>>()
    };
    assert_eq!(said(200), [""; 0]);
    let late = said(400);
    assert!(
        late[0].contains("shard 3") && late[0].contains("incident_alerts keeps records for 10m"),
        "{late:?}"
    );
}
