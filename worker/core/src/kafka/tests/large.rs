//! Memory stays bounded whatever a producer packs into a batch: about a block, or what a codec gives at once (LZ4: 4 MiB).

use super::*;
use crate::decode::Cause;

const SMALL: Settings = Settings {
    block_bytes: 64 << 10,
    record_limit: 32 << 10,
    head_bytes: 16,
};

/// Reads, and answers with what came and the most memory that the reader held.
fn read_small(batch: &Sent) -> (Vec<Got>, usize) {
    let bytes = batch.bytes();
    let mut reader = PartitionReader::new(SMALL);
    let (mut got, mut most) = (Vec::new(), 0);
    let mut from = batch.base;
    loop {
        // Begun anew behind each block, as after a crash.
        let mut reading = reader.read(&bytes, &[], from);
        let Some(block) = reading.next_block().unwrap() else {
            break;
        };
        from = block.next_offset;
        take(&block, &mut got);
        most = most.max(reader.memory());
    }
    (got, most)
}

#[test]
fn a_record_that_grows_beyond_the_limit_is_passed_over_without_being_unpacked_as_a_whole() {
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4] {
        let huge = vec![b'x'; 64 << 20];
        let sent = Sent::of(codec, 3, &[b"before", &huge, b"behind"]);
        let (got, most) = read_small(&sent);
        let too_long = Cause::TooLong {
            bytes: huge.len(),
            limit: SMALL.record_limit,
        };
        let values: Vec<_> = got.iter().map(|got| got.value.clone()).collect();
        assert_eq!(values, [Ok(b"before".to_vec()), Err(too_long), Ok(b"behind".to_vec())]);
        assert!(most < 6 << 20, "{codec:?}: {most} bytes held");
    }
}

#[test]
fn the_head_of_a_record_that_is_too_long_is_kept() {
    for (codec, size) in [(Codec::None, 40 << 10), (Codec::Zstd, 40 << 10), (Codec::Zstd, 8 << 20)] {
        let mut value = b"0123456789abcdef".to_vec();
        value.resize(size, b'-');
        let bytes = Sent::of(codec, 0, &[&value]).bytes();
        let mut reader = PartitionReader::new(SMALL);
        let mut reading = reader.read(&bytes, &[], 0);
        let block = reading.next_block().unwrap().unwrap();
        assert_eq!(block.unread[0].head, b"0123456789abcdef");
        assert_eq!(block.unread[0].offset, 0);
    }
}

#[test]
fn many_records_in_a_small_batch_come_in_blocks_of_the_size_asked_for() {
    for codec in CODECS {
        let value = vec![b'x'; 1_000];
        let values = vec![&value[..]; 4_000];
        let sent = Sent::of(codec, 0, &values);
        let (got, most) = read_small(&sent);
        assert_eq!(got.len(), 4_000);
        assert!(most < 6 << 20, "{codec:?}: {most} bytes held");
    }
}
