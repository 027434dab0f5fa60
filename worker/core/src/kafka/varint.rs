//! Kafka's variable-length numbers: zigzag in groups of seven bits, the lowest first.

/// Takes a number from the front; nothing if it is cut off or longer than 64 bits.
#[inline(always)]
pub fn take(bytes: &mut &[u8]) -> Option<i64> {
    // Nearly all are of one byte or two: deltas, and lengths of records.
    match *bytes {
        [byte @ 0..0x80, rest @ ..] => {
            *bytes = rest;
            Some(unzigzag(u64::from(*byte)))
        }
        [low, high @ 0..0x80, rest @ ..] => {
            *bytes = rest;
            Some(unzigzag(u64::from(*low & 0x7f) | u64::from(*high) << 7))
        }
        _ => take_long(bytes),
    }
}

#[inline(never)]
fn take_long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        let group = u64::from(byte & 0x7f);
        if i == 9 && group > 1 {
            return None;
        }
        value |= group << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(unzigzag(value));
        }
    }
    None
}

/// Takes a length from the front: -1 stands for nothing.
#[inline(always)]
pub fn take_length(bytes: &mut &[u8]) -> Option<Option<usize>> {
    match take(bytes)? {
        -1 => Some(None),
        n => usize::try_from(n).ok().map(Some),
    }
}

/// How many bytes a number has.
pub fn length(number: i64) -> usize {
    let bits = 64 - (zigzag(number) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Writes a number behind the others.
pub fn put(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = zigzag(number);
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Option<i64>, left: usize) {
        let mut rest = bytes;
        assert_eq!(take(&mut rest), expected, "{bytes:x?}");
        if let Some(number) = expected {
            let mut written = Vec::new();
            put(&mut written, number);
            assert_eq!(written, bytes[..bytes.len() - left]);
            assert_eq!(length(number), written.len());
            assert_eq!(rest.len(), left, "{bytes:x?}");
        }
    }

    #[test]
    fn numbers_are_read_as_kafka_writes_them() {
        check(&[0], Some(0), 0);
        check(&[1, 9], Some(-1), 1);
        check(&[2], Some(1), 0);
        check(&[0x7f], Some(-64), 0);
        check(&[0x80, 0x01], Some(64), 0);
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(i64::from(i32::MIN)), 0);
        let mut longest = [0xff; 10];
        longest[9] = 1;
        check(&longest, Some(i64::MIN), 0);
    }

    #[test]
    fn a_number_that_is_cut_off_or_too_long_is_none() {
        check(&[], None, 0);
        check(&[0x80], None, 0);
        check(&[0xff; 10], None, 0);
        check(
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            None,
            0,
        );
    }
}
