//! Lengths of time as users write them: `250ms`, `90s`, `5m`, `1h30m`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the text of a duration must look like.
pub const PATTERN: &str = "^([0-9]{1,9}(ms|s|m|h|d)){1,5}$";

/// A length of time, in whole microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDuration(String);

/// The units, largest first, in microseconds.
const UNITS: [(&str, i64); 5] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

/// Longest duration: a hundred years. Sums of event times and durations stay far from overflow.
const LONGEST: i64 = 36_525 * 86_400_000_000;

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A duration of so many microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A duration of so many seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000)
    }

    /// A duration of so many minutes.
    pub const fn from_mins(mins: i64) -> Self {
        Self::from_secs(mins * 60)
    }

    /// The duration in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whether this is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn default_out_of_orderness() -> Self {
        Self::from_secs(5)
    }

    pub(crate) fn default_idle_timeout() -> Self {
        Self::from_secs(30)
    }

    pub(crate) fn default_max_ahead() -> Self {
        Self::from_mins(10)
    }

    pub(crate) fn default_alignment() -> Self {
        Self::from_mins(1)
    }

    pub(crate) fn default_webhook_timeout() -> Self {
        Self::from_secs(10)
    }

    pub(crate) fn default_retry_for() -> Self {
        Self::from_mins(24 * 60)
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(Self)
            .ok_or_else(|| InvalidDuration(text.chars().take(40).collect()))
    }
}

fn parse(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: i64 = rest.get(..n_digits)?.parse().ok()?;
        rest = &rest[n_digits..];
        let n_letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..n_letters])?;
        rest = &rest[n_letters..];
        total = total.checked_add(amount.checked_mul(*unit)?)?;
    }
    (total <= LONGEST).then_some(total)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (name, unit) in UNITS {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a length of time; expected something like 90s, 5m or 1h30m",
            self.0
        )
    }
}

impl std::error::Error for InvalidDuration {}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time like 90s, 5m or 1h30m")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 32 })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(
            text.parse::<Duration>().ok().map(Duration::as_micros),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_duration_is_a_sum_of_amounts_with_units() {
        check("90s", Some(90_000_000));
        check("1h30m", Some(5_400_000_000));
        check("250ms", Some(250_000));
        check("7d", Some(604_800_000_000));
        check("0s", Some(0));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "1.5h",
            "5M",
            "99999999999999999999s",
            "999999999d",
            "5m\u{2003}",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_duration_prints_as_it_parses() {
        for text in ["1m30s", "1d", "250ms", "1h", "0s"] {
            assert_eq!(text.parse::<Duration>().unwrap_or_default().to_string(), text);
        }
    }
}
