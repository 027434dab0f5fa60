//! Damaged batches are faults that name their offset; nothing makes a panic, and what stands before them is read.

use proptest::prelude::*;

use super::*;

fn check(change: impl FnOnce(&mut Vec<u8>), sealed: bool, expected: Fault) {
    let first = Sent::of(Codec::None, 0, &[b"good"]).bytes();
    let mut second = Sent::of(Codec::None, 1, &[b"bad", b"bad too"]).bytes();
    change(&mut second);
    if sealed {
        seal(&mut second);
    }
    let log = [first, second].concat();
    let (got, position, fault) = read(&log, &[], 0, SETTINGS);
    assert_eq!(fault.map(|fault| (fault.offset, fault.fault)), Some((1, expected)));
    assert_eq!(got[0].value, Ok(b"good".to_vec()));
    assert!(position >= 1);
    // Who reads on from the mark behind the block that the fault ended meets it again, unless records of the batch were given out.
    let mut reader = PartitionReader::new(SETTINGS);
    let mut reading = reader.read(&log, &[], 0);
    assert!(reading.next_block().unwrap().is_some());
    let (mark, behind) = (reading.mark(), reading.behind());
    let mut reading = reader.read_on(&log, &mark, behind, i64::MAX);
    let fault =
        std::iter::from_fn(|| reading.next_block().map(|block| block.map(|_| ())).transpose()).find_map(Result::err);
    let expected = (behind == 1 || fault.is_some()).then_some((1, expected));
    assert_eq!(fault.map(|fault| (fault.offset, fault.fault)), expected);
}

#[test]
fn each_damage_is_named() {
    check(|batch| *batch.last_mut().unwrap() ^= 1, false, Fault::Checksum);
    check(|batch| batch[16] = 1, false, Fault::Format(1));
    check(
        |batch| batch[8..12].copy_from_slice(&[0, 0, 0, 3]),
        false,
        Fault::Header,
    );
    check(|batch| batch[23] = 0xff, true, Fault::Header);
    check(|batch| batch[22] |= 7, true, Fault::Codec(7));
    check(|batch| batch[22] |= 3, true, Fault::Compression);
    check(|batch| batch[60] = 9, true, Fault::Records);
    check(|batch| batch[60] = 1, true, Fault::Records);
    check(|batch| batch[26] = 0, true, Fault::Records);
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic(
        codec in prop::sample::select(&CODECS[..]),
        other_form in any::<bool>(),
        at in 21..400_usize,
        noise in prop::collection::vec(any::<u8>(), 1..40),
        sealed in any::<bool>(),
    ) {
        let sent = Sent { other_form, ..Sent::of(codec, 0, &[b"some", &[b'x'; 300], b"records"]) };
        let mut bytes = sent.bytes();
        let at = at.min(bytes.len() - 1);
        for (byte, noise) in bytes[at..].iter_mut().zip(&noise) {
            *byte = *noise;
        }
        if sealed {
            seal(&mut bytes);
        }
        let small = Settings { block_bytes: 64, record_limit: 100, head_bytes: 8 };
        let mut reader = PartitionReader::new(small);
        let mut reading = reader.read(&bytes, &[], 0);
        let mut n_blocks = 0;
        while let Ok(Some(_)) = reading.next_block() {
            n_blocks += 1;
            prop_assert!(n_blocks < 10_000);
        }
    }
}
