//! What another client has unpacked is read as it was written.

use proptest::prelude::*;

use super::*;
use crate::kafka::fetching::Position;

/// Distance from the record before, timestamp, key, value, headers.
type Given = (
    i64,
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40))
}

fn given_records() -> impl Strategy<Value = Vec<Given>> {
    let distance = prop_oneof![8 => Just(1_i64), 2 => 1..100_i64, 1 => (1_i64 << 31)..(1_i64 << 34)];
    let headers = prop::collection::vec((prop::collection::vec(any::<u8>(), 0..5), bytes()), 0..3);
    let record = (distance, -1..2_000_000_000_000_i64, bytes(), bytes(), headers);
    prop::collection::vec(record, 0..30)
}

proptest! {
    #[test]
    fn records_that_are_framed_again_are_read_as_they_were(
        records in given_records(),
        from in 0..1_000_i64,
        over in prop_oneof![0..10_i64, (1_i64 << 31)..(1_i64 << 34)],
    ) {
        let mut framing = Framing::new(Position { offset: from, epoch: 3 });
        let mut offset = from - 1;
        let mut expected = Vec::new();
        for (distance, timestamp, key, value, headers) in &records {
            offset += distance;
            let borrowed: Vec<(&[u8], Option<&[u8]>)> =
                headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
            let (key, value) = (key.as_deref(), value.as_deref());
            framing.push(&Unpacked { offset, timestamp: *timestamp, key, value, headers: &borrowed }, 4);
            expected.push((offset, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec), headers.clone()));
        }
        let next = offset + 1 + over;
        framing.go_over(next);
        prop_assert_eq!(framing.next().offset, next);
        let framed = framing.finish();
        prop_assert_eq!(framed.is_empty(), next == from);

        let mut reader = PartitionReader::new(SETTINGS);
        let mut reading = reader.read(&framed, &[], from);
        let mut read = Vec::new();
        while let Some(block) = reading.next_block().unwrap() {
            for (i, span) in block.records.spans.iter().enumerate() {
                let record = block.record(i);
                let value = block.records.bytes[span.start..span.end].to_vec();
                read.push((span.offset as i64, record.key.map(<[u8]>::to_vec), Some(value), record.owned_headers()));
            }
            read.extend(block.unread.iter().map(|unread| (unread.offset, unread.key.clone(), None, Vec::new())));
        }
        prop_assert_eq!(reading.behind(), next);
        read.sort_by_key(|(offset, ..)| *offset);
        // Of tombstones no headers are kept.
        for (_, _, value, headers) in &mut expected {
            if value.is_none() {
                headers.clear();
            }
        }
        prop_assert_eq!(read, expected);
    }
}
