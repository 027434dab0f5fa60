//! Decimal numbers as text, exactly: into integers, decimals, and times, without a detour over floating point.

use tocsin_contract::pipeline::source::TimeUnit;

/// A decimal number: `mantissa * 10^exponent`, with the sign apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

/// Why a text gives no [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotExact {
    /// Not a number at all.
    NoNumber,
    /// A number with more than 38 digits.
    TooManyDigits,
}

impl Number {
    /// Reads digits with an optional sign, point and exponent: what JSON takes as a number, and `+5`, `007`, `.5`, `5.`.
    pub(super) fn parse(text: &str) -> Result<Self, NotExact> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, bytes),
        };
        let (whole, rest) = digits(bytes);
        let (fraction, rest) = digits(rest.strip_prefix(b".").unwrap_or(rest));
        if whole.is_empty() && fraction.is_empty() {
            return Err(NotExact::NoNumber);
        }
        let exponent = exponent(rest).ok_or(NotExact::NoNumber)?;
        let mut number = Self {
            negative,
            mantissa: 0,
            exponent: 0,
        };
        // Zeros are held back: those at the end are part of the exponent, so that 1e3 = 1000.000.
        let mut zeros = 0;
        for digit in whole.iter().chain(fraction) {
            if *digit == b'0' {
                zeros += u32::from(number.mantissa != 0);
            } else {
                number.push(zeros, digit - b'0').ok_or(NotExact::TooManyDigits)?;
                zeros = 0;
            }
        }
        if number.mantissa != 0 {
            let scale = i64::from(zeros) - fraction.len() as i64;
            number.exponent = exponent.saturating_add(scale).clamp(-1_000_000, 1_000_000) as i32;
        }
        Ok(number)
    }

    /// Appends zeros and a digit.
    fn push(&mut self, zeros: u32, digit: u8) -> Option<()> {
        let scale = 10u128.checked_pow(zeros.checked_add(1)?)?;
        self.mantissa = self.mantissa.checked_mul(scale)?.checked_add(u128::from(digit))?;
        (self.mantissa < 10u128.pow(38)).then_some(())
    }

    /// The number times ten to the power of `scale`, if that is a whole number of at most 38 digits.
    pub(super) fn scaled(self, scale: i32) -> Option<i128> {
        let exponent = self.exponent + scale;
        if self.mantissa == 0 {
            return Some(0);
        }
        let power = u128::checked_pow(10, u32::try_from(exponent).ok()?)?;
        let size = self.mantissa.checked_mul(power).filter(|size| *size < 10u128.pow(38))?;
        let size = i128::try_from(size).ok()?;
        Some(if self.negative { -size } else { size })
    }

    /// The number as a time in this unit, in microseconds; what is smaller than a microsecond is cut off.
    pub(super) fn micros(self, unit: TimeUnit) -> Option<i64> {
        let scale = match unit {
            TimeUnit::Seconds => 6,
            TimeUnit::Milliseconds => 3,
            TimeUnit::Microseconds => 0,
            TimeUnit::Nanoseconds => -3,
        };
        // Nine digits are kept behind the microsecond, which is more than any clock has.
        let fine = self.scaled(scale + 9).or_else(|| self.rounded(scale + 9))?;
        i64::try_from(fine.div_euclid(1_000_000_000)).ok()
    }

    /// The number times ten to the power of `scale`, cut off towards minus infinity.
    fn rounded(self, scale: i32) -> Option<i128> {
        let drop = u32::try_from(-(self.exponent + scale)).ok()?;
        let power = 10u128.checked_pow(drop);
        let size = power.map_or(0, |power| self.mantissa / power);
        let is_exact = power.is_some_and(|power| self.mantissa.is_multiple_of(power));
        let size = i128::try_from(size).ok()?;
        Some(if self.negative {
            -size - i128::from(!is_exact)
        } else {
            size
        })
    }
}

fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|b| b.is_ascii_digit()).count())
}

/// The exponent; 0 if there is none, `None` if it is not well-formed.
fn exponent(bytes: &[u8]) -> Option<i64> {
    let [b'e' | b'E', rest @ ..] = bytes else {
        return bytes.is_empty().then_some(0);
    };
    let (negative, rest) = match rest {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, rest),
    };
    let (digits, rest) = digits(rest);
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let size = digits.iter().fold(0i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    let size = size.min(1 << 40);
    Some(if negative { -size } else { size })
}

/// Whether a text is a number by JSON's grammar.
pub(super) fn is_json_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (whole, rest) = digits(bytes.strip_prefix(b"-").unwrap_or(bytes));
    let rest = match rest.strip_prefix(b".") {
        Some(behind) => match digits(behind) {
            ([], _) => return false,
            (_, rest) => rest,
        },
        None => rest,
    };
    !whole.is_empty() && (whole.len() == 1 || whole[0] != b'0') && exponent(rest).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn check_integer(text: &str, expected: Option<i128>) {
        assert_eq!(Number::parse(text).ok().and_then(|n| n.scaled(0)), expected, "{text}");
    }

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        check_integer("0", Some(0));
        check_integer("-0.000", Some(0));
        check_integer("0e99999999999999999999", Some(0));
        check_integer("007", Some(7));
        check_integer("1.0", Some(1));
        check_integer("1e3", Some(1_000));
        check_integer("12.50e1", Some(125));
        check_integer("1000.000", Some(1_000));
        check_integer("100200", Some(100_200));
        check_integer("18446744073709551615", Some(18_446_744_073_709_551_615));
        check_integer("-9223372036854775808", Some(-9_223_372_036_854_775_808));
        check_integer("+5.", Some(5));
        check_integer(".5e1", Some(5));
        check_integer("1.5", None);
        check_integer("1e39", None);
        check_integer("1e99999999999999999999", None);
        check_integer("99999999999999999999999999999999999999", Some(10i128.pow(38) - 1));
        check_integer("999999999999999999999999999999999999991", None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "+", ".", ".e1", "1e", "1e+", "0x10", "1 ", "NaN", "inf", "1_000", "--1", "1.2.3", "1e5.0",
        ] {
            assert_eq!(Number::parse(text), Err(NotExact::NoNumber), "{text}");
        }
    }

    #[test]
    fn times_are_microseconds() {
        for (text, unit, expected) in [
            ("1467294000", TimeUnit::Seconds, 1_467_294_000_000_000),
            ("1467294000.5", TimeUnit::Seconds, 1_467_294_000_500_000),
            ("1.4672940005e9", TimeUnit::Seconds, 1_467_294_000_500_000),
            ("1467294000000", TimeUnit::Milliseconds, 1_467_294_000_000_000),
            ("1467294000000000999", TimeUnit::Nanoseconds, 1_467_294_000_000_000),
            ("-1", TimeUnit::Nanoseconds, -1),
            ("-1e-30", TimeUnit::Seconds, -1),
            ("1e-30", TimeUnit::Seconds, 0),
            ("0.123456789012345678901234567890123456789", TimeUnit::Seconds, 123_456),
            ("-0.5", TimeUnit::Microseconds, -1),
        ] {
            let number = Number::parse(text);
            if text.len() > 40 {
                assert_eq!(number, Err(NotExact::TooManyDigits));
            } else {
                assert_eq!(number.unwrap().micros(unit), Some(expected), "{text} {unit:?}");
            }
        }
        assert_eq!(Number::parse("1e30").unwrap().micros(TimeUnit::Nanoseconds), None);
    }

    proptest! {
        #[test]
        fn integers_read_as_the_standard_library_reads_them(n: i64) {
            check_integer(&n.to_string(), Some(i128::from(n)));
        }

        #[test]
        fn json_numbers_are_those_of_serde_json(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?[ a]?") {
            let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|v| v.is_number());
            // serde_json takes white space around a number.
            prop_assume!(!text.ends_with(' '));
            prop_assert_eq!(is_json_number(&text), is_json, "{}", text);
        }
    }
}
