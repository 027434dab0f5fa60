//! Reads times: RFC 3339 text, and numbers in a unit. The result is in microseconds since 1970, UTC.
//!
//! Exact: no floating point. What is finer than a microsecond is cut off towards the past.

use tocsin_contract::pipeline::source::TimeUnit;

use super::number::{NumberError, Scaled, scaled};

/// Why a value is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeError {
    /// The text is not RFC 3339.
    NotRfc3339,
    /// A number with a fraction in a unit finer than seconds.
    Fraction,
    /// Before the year 0 or after the year 9999.
    OutOfRange,
}

/// The years 0000 to 9999, all that RFC 3339 can write, in microseconds since 1970.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

const SECOND: i64 = 1_000_000;

/// Reads the text of a number in a unit. Seconds may have a fraction.
pub(crate) fn from_number(text: &[u8], unit: TimeUnit) -> Result<i64, TimeError> {
    let shift = if unit == TimeUnit::Seconds { 6 } else { 0 };
    match scaled(text, shift) {
        Ok(Scaled { floor, .. }) if unit == TimeUnit::Seconds => from_integer(floor, TimeUnit::Microseconds),
        Ok(Scaled { floor, exact: true }) => from_integer(floor, unit),
        Ok(_) | Err(NumberError::Inexact) => Err(TimeError::Fraction),
        Err(NumberError::TooLarge) => Err(TimeError::OutOfRange),
    }
}

/// Reads a whole number of at most 18 digits in a unit.
#[inline(always)]
pub(crate) fn from_short(number: i64, unit: TimeUnit) -> Result<i64, TimeError> {
    let micros = match unit {
        TimeUnit::Seconds => number.saturating_mul(1_000_000),
        TimeUnit::Milliseconds => number.saturating_mul(1_000),
        TimeUnit::Microseconds => number,
        TimeUnit::Nanoseconds => number.div_euclid(1_000),
    };
    if RANGE.contains(&micros) {
        Ok(micros)
    } else {
        Err(TimeError::OutOfRange)
    }
}

/// Reads a whole number in a unit.
pub(crate) fn from_integer(number: i128, unit: TimeUnit) -> Result<i64, TimeError> {
    // What does not fit is out of range in any unit: the finest has three digits more than are kept.
    match i64::try_from(if unit == TimeUnit::Nanoseconds {
        number.div_euclid(1_000)
    } else {
        number
    }) {
        Ok(number) if unit == TimeUnit::Nanoseconds => from_short(number, TimeUnit::Microseconds),
        Ok(number) => from_short(number, unit),
        Err(_) => Err(TimeError::OutOfRange),
    }
}

/// Reads RFC 3339 text: `2026-01-01T12:00:00.123456+02:00`. A space may stand for the `T`. A leap second is the first
/// second of the next minute.
pub(crate) fn from_rfc3339(text: &[u8]) -> Result<i64, TimeError> {
    let (date_time, rest) = text.split_first_chunk::<19>().ok_or(TimeError::NotRfc3339)?;
    let seconds = date_and_time(date_time).ok_or(TimeError::NotRfc3339)?;
    let (micros, rest) = fraction(rest).ok_or(TimeError::NotRfc3339)?;
    let offset = offset(rest).ok_or(TimeError::NotRfc3339)?;
    let micros = (seconds - offset) * SECOND + micros;
    if RANGE.contains(&micros) {
        Ok(micros)
    } else {
        Err(TimeError::OutOfRange)
    }
}

/// `2026-01-01T12:00:00` in seconds since 1970.
fn date_and_time(text: &[u8; 19]) -> Option<i64> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = *text
    else {
        return None;
    };
    let year = two_digits(y1, y2)? * 100 + two_digits(y3, y4)?;
    let month = two_digits(m1, m2)?;
    let day = two_digits(d1, d2)?;
    let (hour, minute, second) = (two_digits(h1, h2)?, two_digits(n1, n2)?, two_digits(s1, s2)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(seconds_at(year, month, day)? + hour * 3_600 + minute * 60 + second)
}

/// Midnight of a day in seconds since 1970, if there is such a day.
pub(crate) fn seconds_at(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_day = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    is_day.then(|| days_since_1970(year, month, day) * 86_400)
}

/// The fraction of a second in microseconds, and what stands behind it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(count).filter(|_| count > 0)?;
    let in_micros = digits
        .iter()
        .map(|digit| i64::from(digit & 0xf))
        .chain(std::iter::repeat(0))
        .take(6);
    Some((in_micros.fold(0, |micros, digit| micros * 10 + digit), rest))
}

/// How many seconds a time zone is before UTC. Nothing may stand behind it.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, h1, h2, m1, m2) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, h1, h2, m1, m2),
        [b'-', h1, h2, b':', m1, m2] => (-1, h1, h2, m1, m2),
        _ => return None,
    };
    let (hours, minutes) = (two_digits(h1, h2)?, two_digits(m1, m2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`): years begin in March, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use tocsin_contract::pipeline::source::TimeUnit;

    use super::{RANGE, TimeError, from_number, from_rfc3339, from_short};

    fn check(text: &str, expected: Result<i64, TimeError>) {
        assert_eq!(from_rfc3339(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn rfc_3339_times_are_read() {
        check("1970-01-01T00:00:00Z", Ok(0));
        check("1970-01-01t00:00:00z", Ok(0));
        check("1970-01-01 00:00:00Z", Ok(0));
        check("2026-01-01T00:00:00.123Z", Ok(1_767_225_600_123_000));
        check("2026-01-01T02:00:00.123456+02:00", Ok(1_767_225_600_123_456));
        check("2025-12-31T18:30:00-05:30", Ok(1_767_225_600_000_000));
        check("1985-04-12T23:20:50.52-00:00", Ok(482_196_050_520_000));
        check("2100-02-28T23:59:59Z", Ok(4_107_542_399_000_000));
        check("2000-02-29T00:00:00Z", Ok(951_782_400_000_000));
        check("0000-01-01T00:00:00Z", Ok(*RANGE.start()));
        check("9999-12-31T23:59:59.999999Z", Ok(*RANGE.end()));
    }

    #[test]
    fn a_leap_second_is_the_first_second_of_the_next_minute() {
        check("2016-12-31T23:59:60Z", Ok(1_483_228_800_000_000));
        check("2017-01-01T05:29:60.25+05:30", Ok(1_483_228_800_250_000));
    }

    #[test]
    fn fractions_finer_than_a_microsecond_are_cut_off_towards_the_past() {
        check("1970-01-01T00:00:00.0000019Z", Ok(1));
        check("1969-12-31T23:59:59.9999999Z", Ok(-1));
        check(&format!("1970-01-01T00:00:00.{}Z", "9".repeat(1000)), Ok(999_999));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "Z",
            "2026",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00+0200",
            "2026-01-01T00:00:00+02",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+02:60",
            "2026-01-01T00:00:00ZZ",
            "2026-01-01T00:00:00Z ",
            " 2026-01-01T00:00:00Z",
            "+2026-01-01T00:00:00Z",
            "2026-01-01T00:00:0\u{661}Z",
        ] {
            check(text, Err(TimeError::NotRfc3339));
        }
        check("0000-01-01T00:00:00+00:01", Err(TimeError::OutOfRange));
        check("9999-12-31T23:59:60Z", Err(TimeError::OutOfRange));
    }

    fn check_number(text: &str, unit: TimeUnit, expected: Result<i64, TimeError>) {
        assert_eq!(from_number(text.as_bytes(), unit), expected, "{text} {unit:?}");
        if let Ok(number) = text.parse::<i64>()
            && number.unsigned_abs() < 10_u64.pow(18)
        {
            assert_eq!(from_short(number, unit), expected, "{text} {unit:?}");
        }
    }

    #[test]
    fn numbers_are_times_in_their_unit() {
        use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        check_number("0", Seconds, Ok(0));
        check_number("1767225600", Seconds, Ok(1_767_225_600_000_000));
        check_number("1767225600.123456", Seconds, Ok(1_767_225_600_123_456));
        check_number("1767225600.1234569", Seconds, Ok(1_767_225_600_123_456));
        check_number("-0.0000001", Seconds, Ok(-1));
        check_number("1.7672256e9", Seconds, Ok(1_767_225_600_000_000));
        check_number("1767225600123", Milliseconds, Ok(1_767_225_600_123_000));
        check_number("1.767225600123e12", Milliseconds, Ok(1_767_225_600_123_000));
        check_number("1767225600123.0", Milliseconds, Ok(1_767_225_600_123_000));
        check_number("1767225600123456", Microseconds, Ok(1_767_225_600_123_456));
        check_number("1767225600123456789", Nanoseconds, Ok(1_767_225_600_123_456));
        check_number("-1", Nanoseconds, Ok(-1));
        check_number("-1000", Nanoseconds, Ok(-1));
        check_number("253402300799999999999", Nanoseconds, Ok(*RANGE.end()));
    }

    #[test]
    fn numbers_that_are_no_times_are_refused() {
        use TimeUnit::{Milliseconds, Nanoseconds, Seconds};
        check_number("1.5", Milliseconds, Err(TimeError::Fraction));
        check_number("1e-1", Nanoseconds, Err(TimeError::Fraction));
        check_number("253402300800", Seconds, Err(TimeError::OutOfRange));
        check_number("-62167219201", Seconds, Err(TimeError::OutOfRange));
        check_number("1767225600123456789", Milliseconds, Err(TimeError::OutOfRange));
        check_number("1e99", Seconds, Err(TimeError::OutOfRange));
        check_number(&"9".repeat(500), Nanoseconds, Err(TimeError::OutOfRange));
        check_number("999999999999999999", Seconds, Err(TimeError::OutOfRange));
    }

    proptest! {
        #[test]
        fn a_time_that_was_printed_is_read_back(micros in RANGE, minutes in -1439_i64..1440) {
            // The calendar backwards, day by day from the start of a 400-year cycle, so that it shares no formula.
            let local = micros + minutes * 60_000_000;
            prop_assume!(RANGE.contains(&local));
            let days = local.div_euclid(86_400_000_000) + 719_528;
            let (mut year, mut day) = (days.div_euclid(146_097) * 400, days.rem_euclid(146_097));
            let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            while day >= 365 + i64::from(is_leap(year)) {
                day -= 365 + i64::from(is_leap(year));
                year += 1;
            }
            let mut month = 0;
            let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            while day >= lengths[month] {
                day -= lengths[month];
                month += 1;
            }
            let of_day = local.rem_euclid(86_400_000_000);
            let (second, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
            let sign = if minutes < 0 { '-' } else { '+' };
            let text = format!(
                "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction:06}{sign}{:02}:{:02}",
                month + 1, day + 1, second / 3600, second / 60 % 60, second % 60, minutes.abs() / 60, minutes.abs() % 60
            );
            prop_assert_eq!(from_rfc3339(text.as_bytes()), Ok(micros), "{}", text);
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec(prop::sample::select(b"0123456789-:TZ+. tz".to_vec()), 0..40)) {
            let _ = from_rfc3339(&text);
        }
    }
}
