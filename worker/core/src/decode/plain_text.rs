//! What a text means where a format says no types (a cell of CSV, a tag): the value of the type that is asked for.
//!
//! An empty text is NULL. Nothing is guessed: a text that does not fit the type is a [`Fault`], and the column's origin
//! says what becomes of it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tocsin_contract::pipeline::source::TimeUnit;

use super::ColumnType;
use super::number;
use super::plain_number::plain;
use super::time;
use super::value::{Fault, Value};

const NO_NUMBER: Fault = Fault::WrongType { found: "text" };

/// Reads a text as a value of this type. White space around numbers, booleans and times does not count.
pub(crate) fn read(text: &str, ty: ColumnType) -> Result<Value<'_>, Fault> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let bare = text.trim_ascii();
    match ty {
        ColumnType::Utf8 | ColumnType::Json => Ok(Value::Text(text.into())),
        ColumnType::Boolean => boolean(bare).map(Value::Boolean),
        ColumnType::Int64 => Ok(Value::Int64(number::int64(plain(bare).ok_or(NO_NUMBER)?)?)),
        ColumnType::UInt64 => Ok(Value::UInt64(number::uint64(plain(bare).ok_or(NO_NUMBER)?)?)),
        ColumnType::Float64 => Ok(Value::Float64(number::float64(plain(bare).ok_or(NO_NUMBER)?)?)),
        ColumnType::Decimal => Ok(Value::Decimal(number::decimal(plain(bare).ok_or(NO_NUMBER)?)?)),
        ColumnType::Timestamp(unit) => timestamp(bare, unit).map(Value::Timestamp),
    }
}

fn boolean(text: &str) -> Result<bool, Fault> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(Fault::WrongType {
            found: if plain(text).is_some() { "a number" } else { "text" },
        })
    }
}

/// RFC 3339, a date with or without time taken as UTC, or a number in the unit; in microseconds since 1970.
pub(crate) fn timestamp(text: &str, unit: TimeUnit) -> Result<i64, Fault> {
    if let Some(digits) = plain(text) {
        return time::from_number(digits, unit).map_err(|_| Fault::OutOfRange);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(floor_micros(time));
    }
    let local = text
        .parse::<DateTime>()
        .map_err(|_| Fault::WrongType { found: "text" })?;
    local
        .to_zoned(TimeZone::UTC)
        .map(|time| floor_micros(time.timestamp()))
        .map_err(|_| Fault::OutOfRange)
}

fn floor_micros(time: jiff::Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond().div_euclid(1_000)).unwrap_or_else(|_| time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Result<Value<'_>, Fault> = Err(Fault::WrongType { found: "text" });

    fn check(cell: &str, ty: ColumnType, expected: Result<Value<'_>, Fault>) {
        assert_eq!(read(cell, ty), expected, "{cell:?} as {ty:?}");
    }

    #[test]
    fn an_empty_cell_is_null_whatever_the_type() {
        for ty in [
            ColumnType::Utf8,
            ColumnType::Int64,
            ColumnType::Boolean,
            ColumnType::Json,
        ] {
            check("", ty, Ok(Value::Null));
        }
    }

    #[test]
    fn whole_numbers_are_exact_or_refused() {
        check("1.0", ColumnType::Int64, Ok(Value::Int64(1)));
        check("1e3", ColumnType::UInt64, Ok(Value::UInt64(1_000)));
        check(" 7 ", ColumnType::Int64, Ok(Value::Int64(7)));
        check("9223372036854775807", ColumnType::Int64, Ok(Value::Int64(i64::MAX)));
        check("9223372036854775808", ColumnType::Int64, Err(Fault::OutOfRange));
        check("9223372036854775808", ColumnType::UInt64, Ok(Value::UInt64(1 << 63)));
        check("-1", ColumnType::UInt64, Err(Fault::OutOfRange));
        check("1.5", ColumnType::Int64, Err(Fault::OutOfRange));
        check("seven", ColumnType::Int64, TEXT);
        check("true", ColumnType::Int64, TEXT);
    }

    #[test]
    fn a_float_is_finite() {
        check("-2.5e-3", ColumnType::Float64, Ok(Value::Float64(-0.0025)));
        for word in ["NaN", "nan", "inf", "-inf", "Infinity", "e5", "-", "+-1"] {
            check(word, ColumnType::Float64, TEXT);
        }
        check("1e999", ColumnType::Float64, Err(Fault::OutOfRange));
    }

    #[test]
    fn decimals_keep_nine_places_exactly() {
        check("0.1", ColumnType::Decimal, Ok(Value::Decimal(100_000_000)));
        check(
            "-12345678901234567890.000000001",
            ColumnType::Decimal,
            Ok(Value::Decimal(-12_345_678_901_234_567_890_000_000_001)),
        );
        check("0.0000000001", ColumnType::Decimal, Err(Fault::OutOfRange));
        check("1e30", ColumnType::Decimal, Err(Fault::OutOfRange));
    }

    #[test]
    fn booleans_are_true_and_false() {
        check("true", ColumnType::Boolean, Ok(Value::Boolean(true)));
        check("False", ColumnType::Boolean, Ok(Value::Boolean(false)));
        check("1", ColumnType::Boolean, Err(Fault::WrongType { found: "a number" }));
        check("yes", ColumnType::Boolean, TEXT);
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let ty = ColumnType::Timestamp(TimeUnit::Milliseconds);
        for text in [
            "2013-07-04T21:00:00Z",
            "2013-07-04T23:00:00+02:00",
            "2013-07-04 21:00:00",
            "2013-07-04T21:00:00",
            "2013-07-04 21:00:00.000",
            "1372971600000",
            "1.3729716e12",
        ] {
            check(text, ty, Ok(Value::Timestamp(1_372_971_600_000_000)));
        }
        check("2013-07-04", ty, Ok(Value::Timestamp(1_372_896_000_000_000)));
        check("1969-12-31T23:59:59.9999999Z", ty, Ok(Value::Timestamp(-1)));
        check("2100-01-01T00:00:00Z", ty, Ok(Value::Timestamp(4_102_444_800_000_000)));
        for text in ["yesterday", "2013-02-30 00:00:00", "2013-07-04 25:00:00", "21:00:00"] {
            check(text, ty, TEXT);
        }
        check("1e40", ty, Err(Fault::OutOfRange));
    }
}
