//! Turns the text of numbers into numbers, exactly: whole numbers and decimals never pass through floating point.
//!
//! The text was found to be well-formed: digits with an optional `-`, point and exponent.

/// Why a number cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is not a multiple of what was asked for: it has digits too far behind the point.
    Inexact,
    /// It is too large.
    TooLarge,
}

/// A number times a power of ten, cut to a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    /// The whole number, rounded down.
    pub(crate) floor: i128,
    /// Whether nothing was cut off.
    pub(crate) exact: bool,
}

/// A number as `i64`, if it is one exactly: `1.0` and `1e3` are.
pub(crate) fn int64(text: &[u8]) -> Result<i64, NumberError> {
    i64::try_from(exact(text, 0)?).map_err(|_| NumberError::TooLarge)
}

/// A number as `u64`, if it is one exactly.
pub(crate) fn uint64(text: &[u8]) -> Result<u64, NumberError> {
    u64::try_from(exact(text, 0)?).map_err(|_| NumberError::TooLarge)
}

/// Digits of a decimal.
pub(crate) const DECIMAL_PRECISION: u8 = 38;

/// Digits of a decimal behind the point.
pub(crate) const DECIMAL_SCALE: i8 = 9;

/// A number as a decimal of 38 digits, 9 of them behind the point, if it is one exactly.
pub(crate) fn decimal(text: &[u8]) -> Result<i128, NumberError> {
    const BOUND: i128 = 10_i128.pow(DECIMAL_PRECISION as u32);
    let units = exact(text, DECIMAL_SCALE.into())?;
    if -BOUND < units && units < BOUND {
        Ok(units)
    } else {
        Err(NumberError::TooLarge)
    }
}

fn exact(text: &[u8], shift: i64) -> Result<i128, NumberError> {
    match scaled(text, shift)? {
        Scaled { floor, exact: true } => Ok(floor),
        _ => Err(NumberError::Inexact),
    }
}

/// A number times ten to the power of `shift`, rounded down to a whole number.
pub(crate) fn scaled(text: &[u8], shift: i64) -> Result<Scaled, NumberError> {
    let (negative, magnitude) = match text.split_first() {
        Some((b'-', magnitude)) => (true, magnitude),
        _ => (false, text),
    };
    let (mantissa, exponent) = match magnitude.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (
            magnitude.get(..at).unwrap_or_default(),
            read_exponent(magnitude.get(at + 1..).unwrap_or_default()),
        ),
        None => (magnitude, 0),
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    // So many digits of the mantissa, with zeros behind it, stand before the point of the result.
    let mut places = exponent.saturating_add(shift).saturating_add(point as i64);
    let mut whole: i128 = 0;
    let mut exact = true;
    for digit in mantissa
        .iter()
        .filter(|byte| **byte != b'.')
        .map(|byte| i128::from(byte & 0xf))
    {
        if places > 0 {
            whole = whole
                .checked_mul(10)
                .and_then(|whole| whole.checked_add(digit))
                .ok_or(NumberError::TooLarge)?;
            places -= 1;
        } else {
            exact &= digit == 0;
        }
    }
    if whole != 0 && places > 0 {
        let zeros = u32::try_from(places).map_err(|_| NumberError::TooLarge)?;
        let factor = 10_i128.checked_pow(zeros).ok_or(NumberError::TooLarge)?;
        whole = whole.checked_mul(factor).ok_or(NumberError::TooLarge)?;
    }
    let floor = if negative { -whole - i128::from(!exact) } else { whole };
    Ok(Scaled { floor, exact })
}

/// An exponent, kept within bounds that no number of digits makes up for.
fn read_exponent(text: &[u8]) -> i64 {
    const FAR: i64 = i64::MAX / 4;
    let (sign, digits) = match text.split_first() {
        Some((b'-', digits)) => (-1, digits),
        Some((b'+', digits)) => (1, digits),
        _ => (1, text),
    };
    let magnitude = digits.iter().fold(0_i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit & 0xf))
            .min(FAR)
    });
    sign * magnitude
}

/// A number as the nearest `f64`, if that is finite. `-0` is 0: comparisons put -0.0 below 0.0, and no user means that.
pub(crate) fn float64(text: &[u8]) -> Result<f64, NumberError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let finite = parsed
        .filter(|number| number.is_finite())
        .ok_or(NumberError::TooLarge)?;
    Ok(finite + 0.0)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{NumberError, decimal, float64, int64, scaled, uint64};

    /// More digits than an exponent of three digits and a shift move the point.
    const ZEROS: usize = 1100;

    /// The whole number that a number is, times ten to the power of `shift`, found by moving the point in its text.
    pub(crate) fn whole(text: &str, shift: i64) -> Option<String> {
        let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let zeros = "0".repeat(ZEROS);
        let digits = format!("{zeros}{before}{behind}{zeros}");
        let point = ZEROS as i64 + before.len() as i64 + exponent.parse::<i64>().unwrap() + shift;
        let (before, behind) = digits.split_at(point as usize);
        let before = before.trim_start_matches('0');
        let before = if before.is_empty() {
            "0".to_owned()
        } else {
            format!("{sign}{before}")
        };
        behind.bytes().all(|digit| digit == b'0').then_some(before)
    }

    const INEXACT: NumberError = NumberError::Inexact;
    const TOO_LARGE: NumberError = NumberError::TooLarge;

    fn check_int64(text: &str, expected: Result<i64, NumberError>) {
        assert_eq!(int64(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn integers_are_exact_however_they_are_written() {
        check_int64("0", Ok(0));
        check_int64("-0", Ok(0));
        check_int64("1.0", Ok(1));
        check_int64("1e3", Ok(1000));
        check_int64("1.25e2", Ok(125));
        check_int64("-12300E-2", Ok(-123));
        check_int64("1e+3", Ok(1000));
        check_int64("9007199254740993", Ok(9_007_199_254_740_993));
        check_int64("9223372036854775807", Ok(i64::MAX));
        check_int64("-9223372036854775808", Ok(i64::MIN));
        check_int64("922337203685477580.7e1", Ok(i64::MAX));
        check_int64("0e999999999999999999999", Ok(0));
        check_int64("0.000e-99999999999999999999999999", Ok(0));
        check_int64(&format!("1{}e-40", "0".repeat(40)), Ok(1));
    }

    #[test]
    fn numbers_that_are_no_such_integers_are_refused() {
        check_int64("1.5", Err(INEXACT));
        check_int64("1e-1", Err(INEXACT));
        check_int64("1e-99999999999999999999", Err(INEXACT));
        check_int64("9223372036854775808", Err(TOO_LARGE));
        check_int64("-9223372036854775809", Err(TOO_LARGE));
        check_int64("1e19", Err(TOO_LARGE));
        check_int64("1e99999999999999999999", Err(TOO_LARGE));
        check_int64(&"9".repeat(400), Err(TOO_LARGE));
    }

    #[test]
    fn unsigned_integers_reach_beyond_signed_ones() {
        assert_eq!(uint64(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(uint64(b"18446744073709551616"), Err(TOO_LARGE));
        assert_eq!(uint64(b"-1"), Err(TOO_LARGE));
        assert_eq!(uint64(b"-0"), Ok(0));
    }

    #[test]
    fn decimals_have_38_digits_9_of_them_behind_the_point() {
        assert_eq!(decimal(b"1.5"), Ok(1_500_000_000));
        assert_eq!(decimal(b"-0.000000001"), Ok(-1));
        assert_eq!(decimal(b"0.0000000001"), Err(INEXACT));
        assert_eq!(decimal(b"0.0000000010"), Ok(1));
        let largest = "9".repeat(29);
        assert_eq!(
            decimal(format!("{largest}.999999999").as_bytes()),
            Ok(10_i128.pow(38) - 1)
        );
        assert_eq!(
            decimal(format!("-{largest}.999999999").as_bytes()),
            Ok(1 - 10_i128.pow(38))
        );
        assert_eq!(decimal(b"1e29"), Err(TOO_LARGE));
        assert_eq!(decimal(b"123456789012345678901234567890"), Err(TOO_LARGE));
    }

    #[test]
    fn what_is_cut_off_goes_down() {
        let floor = |text: &str| scaled(text.as_bytes(), 0).unwrap().floor;
        assert_eq!(
            (floor("1.9"), floor("-1.1"), floor("-1.0"), floor("-0.1")),
            (1, -2, -1, -1)
        );
    }

    #[test]
    fn floats_are_finite() {
        assert_eq!(float64(b"1.7976931348623157e308"), Ok(f64::MAX));
        assert_eq!(float64(b"1e309"), Err(TOO_LARGE));
        assert_eq!(float64(b"-1e400"), Err(TOO_LARGE));
        assert_eq!(float64(b"1e-400"), Ok(0.0));
        assert!(float64(b"-0").unwrap().is_sign_positive());
    }

    /// A number that follows the grammar of JSON.
    pub(crate) fn number() -> impl Strategy<Value = String> {
        let whole = prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,20}"];
        let fraction = prop_oneof![3 => Just(String::new()), 2 => "\\.[0-9]{1,18}"];
        let exponent = prop_oneof![3 => Just(String::new()), 1 => "[eE][+-]?[0-9]{1,3}"];
        ("-?", whole, fraction, exponent)
            .prop_map(|(sign, whole, fraction, exponent)| sign + &whole + &fraction + &exponent)
    }

    proptest! {
        #[test]
        fn integers_agree_with_their_text(text in number()) {
            let expected = whole(&text, 0);
            prop_assert_eq!(int64(text.as_bytes()).ok(), expected.clone().and_then(|text| text.parse().ok()));
            prop_assert_eq!(uint64(text.as_bytes()).ok(), expected.and_then(|text| text.parse().ok()));
        }

        #[test]
        fn decimals_agree_with_their_text(text in number()) {
            let expected = whole(&text, 9).and_then(|text| text.parse::<i128>().ok());
            let expected = expected.filter(|units| units.unsigned_abs() < 10_u128.pow(38));
            prop_assert_eq!(decimal(text.as_bytes()).ok(), expected);
        }

        #[test]
        fn floats_are_the_nearest(text in number()) {
            let expected = text.parse::<f64>().unwrap();
            prop_assert_eq!(float64(text.as_bytes()).ok(), Some(expected).filter(|number| number.is_finite()));
        }
    }
}
