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

/// The same read in parts of so many offsets, each from the mark of the one before.
fn offsets_in_parts(log: &[u8], aborted: &[AbortedTransaction], part: i64) -> Vec<i64> {
    let (mut reader, mut mark) = (PartitionReader::new(SETTINGS), ReadMark::new(aborted));
    let (mut got, mut position) = (Vec::new(), 0);
    for until in (part..).step_by(part as usize).take(20) {
        let mut reading = reader.read_on(log, &mark, position, until);
        while let Some(block) = reading.next_block().unwrap() {
            got.extend(block.records.spans.iter().map(|span| span.offset as i64));
            position = block.next_offset;
        }
        mark = reading.mark();
    }
    got
}

#[test]
fn what_is_read_in_parts_passes_over_the_same() {
    let log = response(&[
        transactional(1, 0, 2),
        marker(1, 2, ABORT),
        transactional(2, 3, 3),
        transactional(1, 6, 1),
        marker(1, 7, COMMIT),
        marker(2, 8, ABORT),
        transactional(2, 9, 2),
        marker(2, 11, COMMIT),
    ]);
    let aborted = [aborted(1, 0), aborted(2, 3)];
    assert_eq!(offsets(&log, &aborted, 0).0, vec![6, 9, 10]);
    for part in 1..14 {
        assert_eq!(
            offsets_in_parts(&log, &aborted, part),
            vec![6, 9, 10],
            "parts of {part}"
        );
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
