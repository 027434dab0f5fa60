//! Readers of committed records pass over aborted ones and over markers, and move on behind them.

use super::*;

fn transactional(producer: i64, base: i64, n_records: usize) -> Sent {
    let values = vec![&b"v"[..]; n_records];
    Sent {
        producer,
        transactional: true,
        ..Sent::of(Codec::Lz4, base, &values)
    }
}

/// The marker that ends a transaction.
fn marker(producer: i64, base: i64, kind: u8) -> Sent {
    Sent {
        producer,
        transactional: true,
        control: true,
        records: vec![(0, Some(vec![0, 0, 0, kind]), Some(vec![0; 6]))],
        last_delta: 0,
        ..Sent::of(Codec::None, base, &[])
    }
}

const ABORT: u8 = 0;
const COMMIT: u8 = 1;

fn aborted(producer_id: i64, first_offset: i64) -> AbortedTransaction {
    AbortedTransaction {
        first_offset,
        producer_id,
    }
}

#[test]
fn an_aborted_transaction_is_passed_over_and_the_producers_next_one_is_not() {
    let log = response(&[
        transactional(1, 0, 2),
        transactional(2, 2, 1),
        transactional(1, 3, 1),
        marker(1, 4, ABORT),
        transactional(1, 5, 1),
        marker(2, 6, COMMIT),
        marker(1, 7, COMMIT),
        Sent::of(Codec::None, 8, &[b"plain"]),
    ]);
    assert_eq!(offsets(&log, &[aborted(1, 0)], 0), (vec![2, 5, 8], 9));
    assert_eq!(
        offsets(&log, &[], 0).0,
        [0, 1, 2, 3, 5, 8],
        "uncommitted records are wanted"
    );
}

#[test]
fn one_producer_aborts_twice() {
    let log = response(&[
        transactional(1, 0, 1),
        marker(1, 1, ABORT),
        transactional(1, 2, 1),
        marker(1, 3, COMMIT),
        transactional(1, 4, 1),
        marker(1, 5, ABORT),
    ]);
    assert_eq!(offsets(&log, &[aborted(1, 4), aborted(1, 0)], 0), (vec![2], 6));
}

#[test]
fn a_transaction_that_began_before_the_position_is_passed_over_too() {
    let log = response(&[transactional(1, 3, 4), marker(1, 7, ABORT)]);
    assert_eq!(offsets(&log, &[aborted(1, 0)], 5), (vec![], 8));
}

#[test]
fn a_transaction_that_ended_before_the_position_harms_no_later_one() {
    let log = response(&[
        transactional(1, 0, 2),
        marker(1, 2, ABORT),
        transactional(1, 3, 2),
        marker(1, 5, COMMIT),
    ]);
    for from in 0..=3 {
        assert_eq!(offsets(&log, &[aborted(1, 0)], from), (vec![3, 4], 6), "from {from}");
    }
}

#[test]
fn records_outside_of_transactions_are_nobodys_victims() {
    let plain = Sent {
        producer: 1,
        ..Sent::of(Codec::None, 1, &[b"idempotent"])
    };
    let log = response(&[transactional(1, 0, 1), plain, marker(1, 2, ABORT)]);
    assert_eq!(offsets(&log, &[aborted(1, 0)], 0), (vec![1], 3));
}

#[test]
fn reading_goes_on_behind_a_marker_that_is_alone() {
    assert_eq!(offsets(&marker(1, 9, COMMIT).bytes(), &[], 9), (vec![], 10));
}
