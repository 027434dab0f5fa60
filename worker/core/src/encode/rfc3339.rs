//! Times as RFC 3339.

use std::io::Write as _;

use crate::stream::Micros;

/// A time as RFC 3339 in UTC, with as many digits of the second as it needs, in threes.
pub fn rfc3339(time: Micros) -> String {
    let mut out = Vec::with_capacity(27);
    write_rfc3339(time, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn write_rfc3339(time: Micros, out: &mut Vec<u8>) {
    let days = time.div_euclid(86_400_000_000);
    let rest = time.rem_euclid(86_400_000_000);
    let (year, month, day) = civil(days);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    if (0..=9_999).contains(&year) {
        digits::<4>(year, out);
    } else {
        // Writing to memory does not fail.
        let _ = write!(out, "{year:04}");
    }
    let parts = [
        (b'-', month),
        (b'-', day),
        (b'T', seconds / 3600),
        (b':', seconds / 60 % 60),
        (b':', seconds % 60),
    ];
    for (before, part) in parts {
        out.push(before);
        digits::<2>(part, out);
    }
    if micros != 0 {
        out.push(b'.');
        if micros % 1000 == 0 {
            digits::<3>(micros / 1000, out);
        } else {
            digits::<6>(micros, out);
        }
    }
    out.push(b'Z');
}

/// The last `N` digits of a number that is not negative.
fn digits<const N: usize>(number: i64, out: &mut Vec<u8>) {
    let mut rest = number;
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
/// After Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_767_225_600_123_000), "2026-01-01T00:00:00.123Z");
        assert_eq!(rfc3339(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(253_402_300_800_000_000), "10000-01-01T00:00:00Z");
        assert_eq!(rfc3339(-62_167_219_200_000_001), "-001-12-31T23:59:59.999999Z");
    }
}
