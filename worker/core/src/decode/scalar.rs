//! What a value of a format with types means as a value of a column, by the rules that JSON has.
//!
//! Whole numbers stay exact, a number is no text, and a text is a time only if it is one by RFC 3339. A key, which asks
//! for text as it is written, takes numbers, booleans and times as well.

use std::borrow::Cow;

use tocsin_contract::pipeline::source::TimeUnit;

use super::number;
use super::plain_number::plain;
use super::plain_text;
use super::time::{self, TimeError};
use super::value::{Fault, Value};
use super::{ColumnSpec, ColumnType, Origin};
use crate::encode::rfc3339;
use crate::stream::Micros;

/// A value as a format knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// Missing, or null.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number, also one that is not finite.
    Float(f64),
    /// A number as digits, exactly.
    Digits(Cow<'a, str>),
    /// A time, in microseconds since 1970.
    Time(Micros),
    /// A text that is nothing else.
    Text(Cow<'a, str>),
    /// A text that stands for anything, for the format says no type.
    Plain(Cow<'a, str>),
    /// An object or an array, as JSON.
    Json(String),
}

/// The value for a column.
pub(crate) fn value<'a>(scalar: Scalar<'a>, spec: &ColumnSpec) -> Result<Value<'a>, Fault> {
    let wrong = |scalar: &Scalar<'_>| Fault::WrongType { found: scalar.found() };
    match (spec.ty, scalar) {
        (_, Scalar::Null) => Ok(Value::Null),
        (ColumnType::Json, scalar) => Ok(Value::Text(scalar.json().into())),
        (ColumnType::Utf8, Scalar::Text(text) | Scalar::Plain(text)) => Ok(Value::Text(text)),
        (ColumnType::Utf8, scalar) => match (spec.origin, scalar.as_written()) {
            (Origin::Key | Origin::IfPresent, Some(text)) => Ok(Value::Text(text)),
            _ => Err(wrong(&scalar)),
        },
        (ty, Scalar::Plain(text)) => plain_text::read(&text, ty).map(Value::into_static),
        (ColumnType::Boolean, Scalar::Boolean(value)) => Ok(Value::Boolean(value)),
        (ColumnType::Timestamp(unit), scalar) => match time_of(&scalar, unit) {
            Ok(time) => Ok(Value::Timestamp(time)),
            Err(TimeError::NotRfc3339) => Err(wrong(&scalar)),
            Err(TimeError::Fraction | TimeError::OutOfRange) => Err(Fault::OutOfRange),
        },
        (ColumnType::Int64, Scalar::Int(value)) => Ok(Value::Int64(value)),
        (ColumnType::UInt64, Scalar::Int(value)) => {
            u64::try_from(value).map(Value::UInt64).map_err(|_| Fault::OutOfRange)
        }
        (ColumnType::Float64, Scalar::Int(value)) => Ok(Value::Float64(value as f64)),
        // -0 is 0, as in all decoders.
        (ColumnType::Float64, Scalar::Float(value)) if value.is_finite() => Ok(Value::Float64(value + 0.0)),
        (ColumnType::Int64 | ColumnType::UInt64 | ColumnType::Float64 | ColumnType::Decimal, scalar) => {
            match scalar.digits() {
                Some(digits) => number_of(digits.as_bytes(), spec.ty),
                None => Err(wrong(&scalar)),
            }
        }
        (ColumnType::Boolean, scalar) => Err(wrong(&scalar)),
    }
}

/// The time that a value stands for.
pub(crate) fn time_of(scalar: &Scalar<'_>, unit: TimeUnit) -> Result<Micros, TimeError> {
    match scalar {
        Scalar::Time(time) => Ok(*time),
        Scalar::Int(number) => time::from_integer((*number).into(), unit),
        Scalar::Text(text) => time::from_rfc3339(text.as_bytes()),
        Scalar::Plain(text) => plain_text::timestamp(text.trim_ascii(), unit).map_err(|fault| match fault {
            Fault::WrongType { .. } => TimeError::NotRfc3339,
            Fault::OutOfRange => TimeError::OutOfRange,
        }),
        scalar => match scalar.digits() {
            Some(digits) => time::from_number(digits.as_bytes(), unit),
            None => Err(TimeError::NotRfc3339),
        },
    }
}

/// What is wrong with an event time, for its dead letter.
pub(crate) fn no_time(scalar: &Scalar<'_>, error: TimeError) -> &'static str {
    match (error, scalar) {
        (_, Scalar::Null) => "it is missing",
        (TimeError::NotRfc3339, Scalar::Text(_) | Scalar::Plain(_)) => "the text is not an RFC 3339 time",
        (TimeError::NotRfc3339, _) => "expected a number or an RFC 3339 time",
        (TimeError::Fraction, _) => "a fraction is allowed only if the unit is Seconds",
        (TimeError::OutOfRange, _) => "outside the years 0000 to 9999; is the unit right?",
    }
}

fn number_of<'a>(digits: &[u8], ty: ColumnType) -> Result<Value<'a>, Fault> {
    Ok(match ty {
        ColumnType::Int64 => Value::Int64(number::int64(digits)?),
        ColumnType::UInt64 => Value::UInt64(number::uint64(digits)?),
        ColumnType::Decimal => Value::Decimal(number::decimal(digits)?),
        _ => Value::Float64(number::float64(digits)?),
    })
}

impl Scalar<'_> {
    /// The digits of a number, for [`number`].
    fn digits(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Int(value) => Some(value.to_string().into()),
            Self::Float(value) if value.is_finite() => Some(value.to_string().into()),
            Self::Digits(digits) => plain(digits).map(|_| digits.strip_prefix('+').unwrap_or(digits).into()),
            _ => None,
        }
    }

    /// The text of a value as a key.
    fn as_written(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Boolean(value) => Some(if *value { "true" } else { "false" }.into()),
            Self::Time(time) => Some(rfc3339(*time).into()),
            scalar => scalar.digits().map(|digits| digits.into_owned().into()),
        }
    }

    /// What a message calls it.
    fn found(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Float(value) if !value.is_finite() => "a number that is not finite",
            Self::Int(_) | Self::Float(_) | Self::Digits(_) => "a number",
            Self::Time(_) => "a time",
            Self::Text(_) | Self::Plain(_) => "a string",
            Self::Json(json) if json.starts_with('[') => "an array",
            Self::Json(_) => "an object",
        }
    }

    /// The JSON text.
    pub(crate) fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => serde_json::Value::from(*value).to_string(),
            Self::Digits(digits) => json_number(digits),
            Self::Time(time) => json_string(&rfc3339(*time)),
            Self::Text(text) | Self::Plain(text) => json_string(text),
            Self::Json(json) => json.clone(),
        }
    }
}

/// A text as a JSON string.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Digits as a JSON number: `+5`, `007`, `.5` and `5.` are none as they stand.
fn json_number(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (mantissa, exponent) = digits.split_at(digits.find(['e', 'E']).unwrap_or(digits.len()));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}{exponent}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::plain_number::is_json_number;

    fn check(scalar: Scalar<'_>, ty: ColumnType, origin: Origin, expected: Result<Value<'_>, Fault>) {
        let spec = ColumnSpec {
            name: "c".into(),
            path: vec!["c".into()],
            ty,
            origin,
            read: true,
        };
        let said = format!("{scalar:?} as {ty:?}");
        assert_eq!(value(scalar, &spec), expected, "{said}");
    }

    fn wrong<'a>(found: &'static str) -> Result<Value<'a>, Fault> {
        Err(Fault::WrongType { found })
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        let used = |scalar, ty, expected| check(scalar, ty, Origin::Used, expected);
        used(Scalar::Int(i64::MAX), ColumnType::Int64, Ok(Value::Int64(i64::MAX)));
        used(Scalar::Int(-1), ColumnType::UInt64, Err(Fault::OutOfRange));
        used(Scalar::Float(3.0), ColumnType::Int64, Ok(Value::Int64(3)));
        used(Scalar::Float(3.5), ColumnType::Int64, Err(Fault::OutOfRange));
        used(Scalar::Float(1e300), ColumnType::Int64, Err(Fault::OutOfRange));
        used(Scalar::Float(0.1), ColumnType::Decimal, Ok(Value::Decimal(100_000_000)));
        used(
            Scalar::Float(f64::NAN),
            ColumnType::Float64,
            wrong("a number that is not finite"),
        );
        used(
            Scalar::Float(f64::NAN),
            ColumnType::Decimal,
            wrong("a number that is not finite"),
        );
        used(Scalar::Digits("1e3".into()), ColumnType::Int64, Ok(Value::Int64(1_000)));
        used(
            Scalar::Digits("+.5".into()),
            ColumnType::Float64,
            Ok(Value::Float64(0.5)),
        );
        used(
            Scalar::Digits("18446744073709551615".into()),
            ColumnType::UInt64,
            Ok(Value::UInt64(u64::MAX)),
        );
        used(Scalar::Text("5".into()), ColumnType::Int64, wrong("a string"));
        used(Scalar::Plain("5".into()), ColumnType::Int64, Ok(Value::Int64(5)));
        used(Scalar::Plain("five".into()), ColumnType::Int64, wrong("text"));
        used(Scalar::Boolean(true), ColumnType::Float64, wrong("a boolean"));
    }

    #[test]
    fn a_minus_before_zero_is_dropped() {
        let spec = ColumnType::Float64;
        for scalar in [
            Scalar::Float(-0.0),
            Scalar::Digits("-0".into()),
            Scalar::Plain("-0.0".into()),
        ] {
            let column = ColumnSpec {
                name: "c".into(),
                path: vec!["c".into()],
                ty: spec,
                origin: Origin::Used,
                read: true,
            };
            assert!(matches!(value(scalar, &column), Ok(Value::Float64(zero)) if zero.is_sign_positive()));
        }
    }

    #[test]
    fn only_a_key_is_the_text_of_a_value_that_is_no_text() {
        for (scalar, text) in [
            (Scalar::Int(7), "7"),
            (Scalar::Boolean(true), "true"),
            (Scalar::Digits("1.50".into()), "1.50"),
            (Scalar::Time(0), "1970-01-01T00:00:00Z"),
        ] {
            check(
                scalar.clone(),
                ColumnType::Utf8,
                Origin::Key,
                Ok(Value::Text(text.into())),
            );
            let found = scalar.found();
            check(scalar, ColumnType::Utf8, Origin::Used, wrong(found));
        }
    }

    #[test]
    fn times_are_numbers_in_the_unit_or_rfc_3339() {
        let ms = ColumnType::Timestamp(TimeUnit::Milliseconds);
        let used = |scalar, expected| check(scalar, ms, Origin::Used, expected);
        used(Scalar::Int(1_500), Ok(Value::Timestamp(1_500_000)));
        used(Scalar::Time(7), Ok(Value::Timestamp(7)));
        used(
            Scalar::Text("1970-01-01T00:00:01Z".into()),
            Ok(Value::Timestamp(1_000_000)),
        );
        used(Scalar::Text("1500".into()), wrong("a string"));
        used(Scalar::Plain("1500".into()), Ok(Value::Timestamp(1_500_000)));
        used(Scalar::Int(i64::MAX), Err(Fault::OutOfRange));
        used(Scalar::Float(1.5), Err(Fault::OutOfRange));
        used(Scalar::Boolean(true), wrong("a boolean"));
    }

    proptest! {
        #[test]
        fn digits_become_json_numbers_of_the_same_value(text in "[+-]?[0-9]{0,4}(\\.[0-9]{0,4})?([eE][+-]?[0-9]{1,2})?") {
            if let Some(digits) = plain(&text) {
                let json = json_number(&text);
                prop_assert!(is_json_number(&json), "{} from {}", json, text);
                prop_assert_eq!(number::float64(json.as_bytes()), number::float64(digits), "{} from {}", json, text);
            }
        }
    }
}
