//! What was sent is what is read.

use proptest::prelude::*;

use super::*;
use crate::decode::Cause;

/// What a reader from `from` on gets of these batches.
fn expected(batches: &[Sent], from: i64, settings: Settings) -> Vec<Got> {
    let records = batches
        .iter()
        .flat_map(|batch| batch.records.iter().map(move |record| (batch, record)));
    let wanted = records.filter(|(batch, (delta, _, _))| batch.base + delta >= from);
    wanted
        .map(|(batch, (delta, key, value))| {
            let value = match value {
                None => Err(Cause::NoValue),
                Some(value) if value.len() > settings.record_limit => Err(Cause::TooLong {
                    bytes: value.len(),
                    limit: settings.record_limit,
                }),
                Some(value) => Ok(value.clone()),
            };
            Got {
                offset: batch.base + delta,
                key: key.clone().filter(|_| value.is_ok()),
                arrived: value.is_ok().then_some((batch.timestamp + delta) * 1_000),
                value,
            }
        })
        .collect()
}

/// Batches behind each other, with gaps where a log was compacted.
fn batches() -> impl Strategy<Value = Vec<Sent>> {
    let value = prop_oneof![
        1 => Just(None),
        6 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Some),
        2 => (any::<u8>(), 0..3_000_usize).prop_map(|(byte, n)| Some(vec![byte; n])),
    ];
    let record = (
        0..3_i64,
        prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
        value,
    );
    let batch = (
        prop::sample::select(&CODECS[..]),
        any::<bool>(),
        prop::collection::vec(record, 1..12),
        0..3_i64,
        0..4_i64,
    );
    prop::collection::vec(batch, 1..8).prop_map(|batches| {
        let mut base = 5;
        let mut sent = Vec::new();
        for (codec, other_form, records, gap, behind) in batches {
            base += gap;
            let mut delta = -1;
            let records: Vec<_> = records
                .into_iter()
                .enumerate()
                .map(|(i, (gap, key, value))| {
                    // The writer takes the first record's offset for the batch's.
                    delta += if i == 0 { 1 } else { gap + 1 };
                    (delta, key, value)
                })
                .collect();
            let batch = Sent {
                codec,
                other_form,
                last_delta: delta + behind,
                records,
                ..Sent::of(codec, base, &[])
            };
            base = batch.next_offset();
            sent.push(batch);
        }
        sent
    })
}

proptest! {
    #[test]
    fn what_was_sent_is_read_whatever_the_codec_the_cuts_and_the_position(
        batches in batches(),
        block_bytes in 1..5_000_usize,
        record_limit in 1..2_000_usize,
        from in 0..60_i64,
        cut in 0..40_000_usize,
        part in 0..20_usize,
        stops_early in any::<bool>(),
    ) {
        let settings = Settings { block_bytes, record_limit, head_bytes: 16 };
        let whole = response(&batches);
        let (got, position, fault) = read(&whole, &[], from, settings);
        prop_assert_eq!(fault, None);
        prop_assert_eq!(got, expected(&batches, from, settings));
        let end = batches.last().unwrap().next_offset();
        prop_assert_eq!(position, end.max(from));

        // Up to any offset, and from there on, it is the same.
        let middle = from + block_bytes as i64 % 50;
        let mut reader = PartitionReader::new(settings);
        let mut halves = Vec::new();
        for (from, until) in [(from, middle), (middle, i64::MAX)] {
            let mut reading = reader.read_until(&whole, &[], from, until);
            while let Some(block) = reading.next_block().unwrap() {
                prop_assert!(block.next_offset <= until);
                take(&block, &mut halves);
            }
        }
        prop_assert_eq!(halves, expected(&batches, from, settings));

        // So it is if each part goes on from the mark of the one before, of which not all was wanted.
        let (mut parts, mut position) = (Vec::new(), from);
        let mut mark = ReadMark::new(&[]);
        for until in (from..).step_by(1 + part).take(60).chain([i64::MAX]) {
            let mut reading = reader.read_on(&whole, &mark, position, until);
            while let Some(block) = reading.next_block().unwrap() {
                position = block.next_offset;
                take(&block, &mut parts);
                if stops_early && until < i64::MAX {
                    break;
                }
            }
            mark = reading.mark();
        }
        prop_assert_eq!(parts, expected(&batches, from, settings));

        // A broker cuts the last batch where the response is full.
        let cut = cut.min(whole.len());
        let mut there = 0;
        let complete: Vec<Sent> = batches
            .iter()
            .take_while(|batch| {
                there += batch.bytes().len();
                there <= cut
            })
            .cloned()
            .collect();
        let (got, _, fault) = read(&whole[..cut], &[], from, settings);
        prop_assert_eq!(fault, None);
        prop_assert_eq!(got, expected(&complete, from, settings));
    }
}

#[test]
fn a_response_without_batches_gives_nothing() {
    assert_eq!(offsets(&[], &[], 7), (vec![], 7));
}

#[test]
fn where_the_log_sets_the_times_all_records_have_that_of_their_batch() {
    let mut bytes = Sent::of(Codec::Lz4, 0, &[b"a", b"b"]).bytes();
    bytes[22] |= 0b1000;
    bytes[35..43].copy_from_slice(&42_i64.to_be_bytes());
    seal(&mut bytes);
    let (got, _, _) = read(&bytes, &[], 0, SETTINGS);
    let arrived: Vec<_> = got.iter().map(|got| got.arrived).collect();
    assert_eq!(arrived, [Some(42_000), Some(42_000)]);
}

#[test]
fn a_record_without_a_time_is_never_too_early() {
    let sent = Sent {
        timestamp: -1,
        ..Sent::of(Codec::None, 0, &[b"a"])
    };
    let (got, _, _) = read(&sent.bytes(), &[], 0, SETTINGS);
    assert_eq!(got[0].arrived, Some(Micros::MAX));
}

#[test]
fn plain_records_are_read_where_they_stand() {
    let bytes = response(&[
        Sent::of(Codec::None, 0, &[b"a", b"b"]),
        Sent::of(Codec::None, 2, &[b"c"]),
    ]);
    let mut reader = PartitionReader::new(SETTINGS);
    let mut reading = reader.read(&bytes, &[], 0);
    let block = reading.next_block().unwrap().unwrap();
    assert_eq!(block.records.spans.len(), 3);
    assert_eq!(block.records.bytes.as_ptr(), bytes.as_ptr());
}
