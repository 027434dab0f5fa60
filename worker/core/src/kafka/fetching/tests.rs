//! Partitions that are asked for, lost, and moved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const P: Partition = Partition { topic: 0, partition: 3 };

const START: Position = Position { offset: 10, epoch: -1 };

const LEADER: Leader = Leader { broker: 1, epoch: 4 };

/// A partition with a leader, and the question that was asked of it at time 0.
fn asked() -> (Fetching, Ask) {
    let mut fetching = Fetching::new(Settings::default());
    fetching.add(P, START);
    assert!(fetching.take_wants_leaders());
    assert_eq!(fetching.led(P, Some(LEADER), 0), None);
    let asks = fetching.ask(1, 0);
    (fetching, asks[0])
}

fn code(code: i16) -> Answer<'static> {
    Answer {
        code,
        ..Answer::default()
    }
}

/// A batch without records, as far as its header is looked at.
fn batch(base: i64, last_delta: i32, epoch: i32) -> Vec<u8> {
    let mut bytes = vec![0; 61];
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[8..12].copy_from_slice(&49_i32.to_be_bytes());
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes[23..27].copy_from_slice(&last_delta.to_be_bytes());
    bytes
}

#[test]
fn a_partition_is_asked_for_once_at_a_time_and_goes_on_behind_the_last_batch() {
    let (mut fetching, ask) = asked();
    assert_eq!((ask.from, ask.leader_epoch), (START, 4));
    assert_eq!(fetching.ask(1, 0), [], "one question at a time");
    let records = [batch(8, 5, 4), batch(14, 0, 5), vec![0; 20]].concat();
    let answer = Answer {
        records: &records,
        ..Answer::default()
    };
    assert_eq!(fetching.answered(&ask, &answer, 1), Verdict::Good);
    assert_eq!(fetching.ask(1, 1), [], "not before it is handed on");
    fetching.told(&ask);
    let from = Position { offset: 15, epoch: 5 };
    assert_eq!(fetching.ask(1, 1)[0].from, from);
}

#[test]
fn a_broker_that_throttles_us_is_left_alone_for_as_long_and_others_are_not() {
    let (mut fetching, ask) = asked();
    let elsewhere = Partition { topic: 0, partition: 4 };
    fetching.add(elsewhere, START);
    fetching.led(elsewhere, Some(Leader { broker: 2, epoch: 1 }), 0);
    fetching.answered(&ask, &Answer::default(), 5);
    fetching.told(&ask);
    fetching.throttled(1, 105);
    assert_eq!(fetching.ask(1, 104), []);
    assert_eq!(fetching.next_try(1, 104), Some(105));
    assert_eq!(fetching.ask(2, 104).len(), 1);
    assert_eq!(fetching.ask(1, 105).len(), 1);
    assert_eq!(fetching.next_try(1, 105), None);
}

/// A partition of which 100 bytes may wait, and these came.
fn holding(records: &[u8]) -> Fetching {
    let mut fetching = Fetching::new(Settings {
        buffered: 100,
        ..Settings::default()
    });
    fetching.add(P, START);
    fetching.led(P, Some(LEADER), 0);
    let ask = fetching.ask(1, 0)[0];
    bring(&mut fetching, &ask, records);
    fetching
}

fn bring(fetching: &mut Fetching, ask: &Ask, records: &[u8]) {
    let answer = Answer {
        records,
        ..Answer::default()
    };
    assert_eq!(fetching.answered(ask, &answer, 0), Verdict::Good);
    fetching.told(ask);
}

#[test]
fn what_waits_to_be_processed_is_bounded() {
    let mut fetching = holding(&[batch(10, 0, 0), batch(11, 0, 0)].concat());
    assert_eq!(fetching.ask(1, 0), [], "122 bytes wait");
    fetching.processed(P, 61);
    assert_eq!(fetching.ask(1, 0).len(), 1);
}

#[test]
fn what_waits_is_counted_with_the_batch_at_the_end_that_is_cut() {
    let records = [&batch(10, 0, 0)[..], &batch(11, 0, 0)[..39]].concat();
    let mut fetching = holding(&records);
    assert_eq!(fetching.ask(1, 0), [], "100 bytes wait");
    fetching.processed(P, records.len());
    assert_eq!(fetching.ask(1, 0).len(), 1);
}

#[test]
fn a_question_that_leaves_a_partition_out_is_short_and_longer_each_time_until_records_come() {
    let records = [batch(10, 0, 0), batch(11, 0, 0)].concat();
    let mut fetching = holding(&records);
    let quiet = Partition { topic: 1, partition: 0 };
    fetching.add(quiet, START);
    fetching.led(quiet, Some(LEADER), 0);
    let ask_of_quiet = fetching.ask(1, 0)[0];
    assert_eq!(ask_of_quiet.partition, quiet);
    let mut next = |longest| fetching.next_wait(1, 0, longest);
    assert_eq!([100; 5].map(&mut next), [10, 20, 40, 80, 100]);
    assert_eq!(next(5), 5, "the longest that was asked for");
    bring(&mut fetching, &ask_of_quiet, &[]);
    assert_eq!(fetching.ask(1, 0)[0].partition, quiet);
    assert_eq!(fetching.next_wait(1, 0, 100), 100, "nothing came");
    let ask_of_quiet = Ask {
        number: ask_of_quiet.number + 1,
        ..ask_of_quiet
    };
    bring(&mut fetching, &ask_of_quiet, &records);
    assert_eq!(fetching.next_wait(1, 0, 100), 10, "records came");
    assert_eq!(
        fetching.next_wait(2, 0, 100),
        100,
        "another broker has nothing that is left out"
    );
    fetching.processed(P, records.len());
    fetching.processed(quiet, records.len());
    let asks = fetching.ask(1, 0);
    assert_eq!(fetching.next_wait(1, 0, 100), 100, "all are asked for");
    fetching.told(&asks[0]);
    assert_eq!(fetching.next_wait(1, 0, 100), 10, "one is left out anew");
}

#[test]
fn another_leader_is_looked_for_and_an_old_one_does_not_come_back() {
    for error in [3, 5, 6, 9, 74, 100] {
        let (mut fetching, ask) = asked();
        assert_eq!(fetching.answered(&ask, &code(error), 7), Verdict::Later, "{error}");
        assert!(fetching.take_wants_leaders());
        assert_eq!(fetching.led(P, Some(Leader { broker: 2, epoch: 5 }), 8), None);
        assert_eq!(fetching.led(P, Some(LEADER), 9), None);
        assert_eq!(fetching.ask(2, 9), [], "not at once");
        assert_eq!(fetching.next_try(2, 9), Some(57));
        assert_eq!(fetching.ask(1, 57), []);
        assert_eq!(fetching.ask(2, 57)[0].from, START);
    }
}

#[test]
fn a_broker_that_does_not_answer_is_asked_again() {
    let (mut fetching, ask) = asked();
    fetching.unanswered(&[ask], 5);
    assert!(fetching.take_wants_leaders());
    assert_eq!(fetching.ask(1, 55)[0].from, START);
}

#[test]
fn a_topic_that_is_not_there_is_waited_for_and_then_named() {
    let (mut fetching, _) = asked();
    assert_eq!(fetching.led(P, None, 1_000), None);
    assert!(fetching.take_wants_leaders());
    assert_eq!(fetching.led(P, None, 31_000), None);
    assert_eq!(fetching.led(P, None, 31_001), Some(Loss::UnknownTopic));
    assert_eq!(fetching.partitions().count(), 0);
}

#[test]
fn a_position_that_the_log_has_lost_ends_the_partition_and_is_never_reset() {
    let lost = |begins, end| {
        let (mut fetching, ask) = asked();
        assert_eq!(fetching.answered(&ask, &code(1), 0), Verdict::OutOfRange);
        fetching.range(P, begins, end)
    };
    let (wanted, read) = (10, 10);
    assert_eq!(lost(11, 20), Some(Loss::ReplayGap { wanted, begins: 11 }));
    assert_eq!(lost(0, 9), Some(Loss::LogTruncated { end: 9, read }));
    assert_eq!(lost(10, 10), None, "a follower was behind");
    let (mut fetching, ask) = asked();
    let parted = Answer {
        diverging_end: Some(9),
        ..Answer::default()
    };
    let expected = Verdict::Failed(Loss::LogTruncated { end: 9, read });
    assert_eq!(fetching.answered(&ask, &parted, 0), expected);
}

#[test]
fn a_damaged_batch_is_asked_for_a_few_times() {
    let (mut fetching, _) = asked();
    for _ in 0..4 {
        assert_eq!(fetching.damaged(P, START, 12, 0), None);
    }
    assert_eq!(fetching.damaged(P, START, 13, 0), None, "another one");
    let (mut fetching, _) = asked();
    let losses: Vec<_> = (0..5).map(|_| fetching.damaged(P, START, 12, 0)).collect();
    assert_eq!(losses[4], Some(Loss::Corrupt { offset: 12 }));
}

#[test]
fn an_answer_for_a_partition_that_was_given_away_is_unwanted() {
    let (mut fetching, ask) = asked();
    fetching.remove(P);
    assert_eq!(fetching.answered(&ask, &code(0), 0), Verdict::Unwanted);
    fetching.add(P, Position { offset: 50, epoch: 4 });
    assert_eq!(fetching.answered(&ask, &code(0), 0), Verdict::Unwanted);
}

#[test]
fn going_back_to_a_damaged_batch_does_not_wait_for_the_question_that_is_out() {
    let (mut fetching, ask) = asked();
    fetching.damaged(P, Position { offset: 7, epoch: 4 }, 8, 0);
    assert_eq!(fetching.answered(&ask, &code(0), 1), Verdict::Unwanted);
    assert_eq!(fetching.ask(1, 60)[0].from.offset, 7);
}

#[test]
fn what_is_not_allowed_or_not_known_ends_the_partition() {
    for (error, loss) in [(29, Loss::NotAllowed), (76, Loss::Unknown { code: 76 })] {
        let (mut fetching, ask) = asked();
        assert_eq!(fetching.answered(&ask, &code(error), 0), Verdict::Failed(loss));
    }
}

#[test]
fn a_follower_near_by_is_read_from_until_it_fails_or_its_time_is_over() {
    let (mut fetching, ask) = asked();
    let near = Answer {
        follower: Some(7),
        ..Answer::default()
    };
    fetching.answered(&ask, &near, 0);
    fetching.told(&ask);
    assert_eq!(fetching.ask(1, 1), []);
    let ask = fetching.ask(7, 1)[0];
    fetching.unanswered(&[ask], 1);
    assert_eq!(fetching.ask(1, 60).len(), 1);
}
