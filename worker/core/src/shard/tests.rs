//! Journal records. What a shard does with them is in `tests/replay.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

#[test]
fn a_record_is_read_as_it_was_written_and_nothing_else_is() {
    let record = JournalRecord {
        sequence: 7,
        epoch: 2,
        cut: vec![Some(Position { offset: 40, epoch: 3 }), None],
        steps: vec![
            Step::Read { source: 0, to: 40 },
            Step::Tick {
                source: 0,
                now: 5_000_000,
            },
        ],
        sources: Vec::new(),
        topic_ids: Vec::new(),
        restored_from: None,
    };
    let bytes = record.encode();
    assert!(bytes.len() < 32, "a record is small: {} bytes", bytes.len());
    assert_eq!(JournalRecord::decode(&bytes), Ok(record));
    for cut in 0..bytes.len() {
        assert_eq!(JournalRecord::decode(&bytes[..cut]), Err(InvalidJournal::Corrupt));
    }
    let newer = [&[9], &bytes[1..]].concat();
    assert_eq!(JournalRecord::decode(&newer), Err(InvalidJournal::Newer(9)));
}

#[test]
fn a_record_of_an_earlier_version_is_read() {
    let record = JournalRecord {
        sequence: 0,
        epoch: 0,
        cut: vec![Some(Position { offset: 40, epoch: 3 })],
        steps: Vec::new(),
        sources: vec!["alerts".to_owned()],
        topic_ids: Vec::new(),
        restored_from: None,
    };
    let bytes = record.encode();
    // Whether it began with a savepoint, and the ids of topics, stand at the end, in a byte each.
    for (version, without) in [(2, 2), (5, 1)] {
        let earlier = [&[version], &bytes[1..bytes.len() - without]].concat();
        assert_eq!(JournalRecord::decode(&earlier), Ok(record.clone()), "version {version}");
    }
    let restored_from = Some("noc/savepoints/before".to_owned());
    let record = JournalRecord {
        restored_from,
        topic_ids: vec![Some("id".to_owned())],
        ..record
    };
    assert_eq!(JournalRecord::decode(&record.encode()), Ok(record));
}
