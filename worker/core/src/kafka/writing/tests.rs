//! Batches that are sent, sent again, cut in halves and given up.
#![allow(clippy::unwrap_used, clippy::panic)]

use kafka_protocol::records::RecordBatchDecoder;

use super::*;

const PRODUCER: Producer = Producer {
    id: 5,
    epoch: 1,
    is_transactional: true,
};

/// One topic of two partitions, led by brokers 1 and 2.
fn writing() -> Writing {
    let settings = Settings {
        batch_bytes: 100,
        ..Settings::default()
    };
    let mut writing = Writing::new(settings);
    writing.begin(PRODUCER);
    assert_eq!(writing.add_topic(), 0);
    assert!(writing.take_wants_leaders());
    assert!(!writing.push(0, Some(0), None, Some(b"too early"), None));
    writing.led(0, vec![Some(1), Some(2)]);
    writing
}

fn at(partition: u32) -> Partition {
    Partition { topic: 0, partition }
}

/// Values of a batch's records, and the number of the first.
fn read(due: &Due) -> (Vec<String>, i32) {
    let records = RecordBatchDecoder::decode(&mut due.batch.clone()).unwrap().records;
    let text = |value: &Option<Bytes>| String::from_utf8(value.as_ref().unwrap().to_vec()).unwrap();
    (
        records.iter().map(|record| text(&record.value)).collect(),
        records[0].sequence,
    )
}

fn push(writing: &mut Writing, partition: u32, value: &str) {
    assert!(writing.push(0, Some(partition), None, Some(value.as_bytes()), None));
}

/// What is due of partition 0, and nothing else.
fn due(writing: &mut Writing, now: Millis) -> (Vec<String>, i32) {
    let due = writing.due(now, 0);
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!((due[0].broker, due[0].partition), (1, at(0)));
    read(&due[0])
}

fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn partitions_are_written_side_by_side_each_with_one_batch_on_the_way() {
    let mut writing = writing();
    let long = "x".repeat(100);
    for value in [long.as_str(), "b", "c"] {
        push(&mut writing, 0, value);
    }
    push(&mut writing, 1, "other");
    let sent = writing.due(0, 0);
    assert_eq!(sent.len(), 2);
    assert_eq!(read(&sent[0]), (texts(&[&long]), 0), "a full batch takes no more");
    assert_eq!((sent[1].broker, sent[1].partition), (2, at(1)));
    assert!(writing.due(0, 0).is_empty(), "one on the way");
    assert_eq!(writing.next_try(0), None);
    assert_eq!(writing.answered(at(0), 0, 70, 1), Verdict::Written(Some(70)));
    assert_eq!(due(&mut writing, 1), (texts(&["b", "c"]), 1));
    assert_eq!(writing.answered(at(1), 0, 7, 1), Verdict::Written(Some(7)));
    assert!(!writing.is_done());
    // It was there already: where, nobody knows.
    assert_eq!(writing.answered(at(0), 46, -1, 2), Verdict::Written(None));
    assert!(writing.is_done());
    push(&mut writing, 0, "next");
    assert_eq!(due(&mut writing, 2), (texts(&["next"]), 3));
}

#[test]
fn records_go_to_the_partition_of_their_key() {
    let mut writing = writing();
    for key in ["21", "foobar", "abc"] {
        assert!(writing.push(0, None, Some(key.as_bytes()), Some(key.as_bytes()), None));
    }
    let mut by_partition: Vec<Vec<String>> = vec![Vec::new(); 2];
    for due in writing.due(0, 0) {
        by_partition[due.partition.partition as usize] = read(&due).0;
    }
    // The low bit of murmur2's value, as Java's client has it.
    assert_eq!(by_partition, [texts(&["21", "foobar"]), texts(&["abc"])]);
    assert!(!writing.push(0, Some(2), None, Some(b"no such partition"), None));
    assert!(!writing.push(1, None, None, Some(b"no such topic"), None));
}

#[test]
fn records_without_a_key_go_together_and_to_each_partition_in_turn() {
    let mut writing = writing();
    let mut seen = Vec::new();
    for round in 0..3 {
        for _ in 0..2 {
            assert!(writing.push(0, None, None, Some(b"v"), None));
        }
        let due = writing.due(0, 0);
        assert_eq!((due.len(), read(&due[0]).0.len()), (1, 2), "round {round}");
        seen.push(due[0].partition.partition);
        writing.answered(due[0].partition, 0, 0, 0);
    }
    assert_eq!(seen, [0, 1, 0]);
}

#[test]
fn a_broker_is_not_sent_more_at_a_time_than_it_takes() {
    let mut writing = writing();
    writing.settings.request_bytes = 50;
    writing.led(0, vec![Some(1), Some(1)]);
    push(&mut writing, 0, "a");
    push(&mut writing, 1, "b");
    let sent = writing.due(0, 0);
    assert_eq!((sent.len(), sent[0].partition), (1, at(0)));
    let rest = writing.due(0, 0);
    assert_eq!((rest.len(), rest[0].partition), (1, at(1)));
}

#[test]
fn a_batch_that_was_not_taken_is_sent_again_as_it_was() {
    let mut writing = writing();
    push(&mut writing, 0, "a");
    let first = writing.due(0, 1_000)[0].batch.clone();
    push(&mut writing, 0, "behind");
    assert_eq!(writing.answered(at(0), 51, -1, 10), Verdict::Later);
    assert!(writing.due(10, 2_000).is_empty());
    assert_eq!(writing.next_try(10), Some(11));
    let again = writing.due(11, 2_000);
    assert_eq!(again[0].batch, first, "brokers know it by its bytes");
    assert!(!writing.take_wants_leaders());
    // The pauses grow; whoever does not lead is not asked again before somebody said who does.
    assert_eq!(writing.answered(at(0), 6, -1, 20), Verdict::Later);
    assert_eq!(writing.next_try(20), Some(22));
    assert!(writing.take_wants_leaders());
    writing.led(0, vec![None, Some(2)]);
    assert!(writing.due(22, 0).is_empty());
    assert!(writing.take_wants_leaders());
    writing.led(0, vec![Some(2), Some(2)]);
    let elsewhere = writing.due(1_000, 0);
    assert_eq!((elsewhere[0].broker, &elsewhere[0].batch), (2, &first));
    writing.unanswered(at(0), 1_000);
    assert!(writing.take_wants_leaders());
    assert_eq!(writing.due(2_000, 0)[0].batch, first);
    assert_eq!(writing.answered(at(0), 0, 3, 2_000), Verdict::Written(Some(3)));
    let (values, sequence) = read(&writing.due(2_000, 0)[0]);
    assert_eq!((values, sequence), (texts(&["behind"]), 1));
}

#[test]
fn a_broker_that_throttles_is_sent_nothing_until_it_listens_or_nobody_waits_for_that() {
    let mut writing = writing();
    push(&mut writing, 0, "a");
    push(&mut writing, 1, "b");
    assert_eq!(writing.due(0, 0).len(), 2);
    assert_eq!(writing.answered(at(0), 0, 0, 10), Verdict::Written(Some(0)));
    writing.throttled(1, 500);
    assert_eq!(writing.throttled_until(10), Some(500));
    push(&mut writing, 0, "later");
    assert!(writing.due(499, 0).is_empty());
    assert_eq!(writing.next_try(10), Some(500));
    // The other broker goes on.
    writing.unanswered(at(1), 10);
    assert_eq!(writing.next_try(10), Some(11));
    assert_eq!(writing.due(11, 0)[0].broker, 2);
    assert_eq!(due(&mut writing, 500), (texts(&["later"]), 1));
    assert_eq!(writing.answered(at(0), 0, 1, 510), Verdict::Written(Some(1)));
    writing.throttled(1, 900);
    push(&mut writing, 0, "at once");
    assert!(writing.due(520, 0).is_empty());
    assert_eq!(writing.forget_throttling(), [1]);
    assert_eq!(writing.throttled_until(520), None);
    assert_eq!(due(&mut writing, 520), (texts(&["at once"]), 2));
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_halves_down_to_one_record() {
    let mut writing = writing();
    for value in ["a", "b", "c"] {
        push(&mut writing, 0, value);
    }
    assert_eq!(due(&mut writing, 0).0.len(), 3);
    assert_eq!(writing.answered(at(0), 10, -1, 0), Verdict::Later);
    assert_eq!(due(&mut writing, 0), (texts(&["a"]), 0));
    assert_eq!(writing.answered(at(0), 0, 0, 0), Verdict::Written(Some(0)));
    assert_eq!(due(&mut writing, 0), (texts(&["b", "c"]), 1));
    assert_eq!(writing.answered(at(0), 10, -1, 0), Verdict::Later);
    assert_eq!(due(&mut writing, 0), (texts(&["b"]), 1));
    assert_eq!(writing.answered(at(0), 10, -1, 0), Verdict::Refused);
}

#[test]
fn a_producer_goes_on_in_its_epoch_only_if_it_knows_what_brokers_have() {
    let mut writing = writing();
    push(&mut writing, 0, "a");
    assert!(writing.give_up(), "nothing was sent");
    push(&mut writing, 0, "b");
    due(&mut writing, 0);
    writing.answered(at(0), 0, 8, 0);
    assert!(writing.give_up(), "all was written");
    push(&mut writing, 0, "c");
    due(&mut writing, 0);
    writing.unanswered(at(0), 0);
    assert!(!writing.give_up(), "nobody knows");
    // Brokers also answer so behind the append, the last two of them about the producer.
    for code in [6, 7, 51, -1, 120] {
        push(&mut writing, 0, "d");
        due(&mut writing, 0);
        writing.answered(at(0), code, -1, 0);
        assert!(!writing.give_up(), "{code}");
        assert!(writing.is_done());
    }
    // In a new epoch brokers count from 0 again.
    push(&mut writing, 0, "e");
    due(&mut writing, 0);
    writing.answered(at(0), 0, 9, 0);
    writing.begin(Producer { epoch: 2, ..PRODUCER });
    push(&mut writing, 0, "f");
    assert_eq!(due(&mut writing, 0), (texts(&["f"]), 0));
}

#[test]
fn errors_of_the_producer_end_it_and_those_of_the_topic_do_not() {
    for (code, expected) in [
        (29, Verdict::Refused),
        (87, Verdict::Refused),
        (45, Verdict::Ended),
        (47, Verdict::Ended),
        (90, Verdict::Ended),
        (120, Verdict::Ended),
        (19, Verdict::Later),
    ] {
        let mut writing = writing();
        push(&mut writing, 0, "a");
        due(&mut writing, 0);
        assert_eq!(writing.answered(at(0), code, -1, 0), expected, "{code}");
    }
}
