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
