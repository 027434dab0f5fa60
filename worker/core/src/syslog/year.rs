//! The year of a time that has none.
//!
//! RFC 3164 writes `Oct 11 22:14:15`. The year is that in which the record arrived, or the one before if it would lie
//! ahead: a message of the 31st of December may come in January. No clock is asked, so that a replay reads the same.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::message::Time;
use crate::decode::time::seconds_at;
use crate::stream::Micros;

/// What is known of the year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Year {
    /// Nothing.
    #[default]
    Unknown,
    /// It is this.
    Known(i64),
    /// When the record arrived.
    Arrived(Micros),
}

/// Times say no zone, and clocks differ: so far a time may lie ahead of its arrival.
const AHEAD: Micros = 24 * 3_600 * 1_000_000;

/// From a 29th of February to the one before it are eight years at most.
const BETWEEN_LEAP_YEARS: i64 = 8;

/// The time of a date. `of_day` is in seconds and microseconds; `is_valid` says whether there is such a time of day.
pub(super) fn at_date(year: Year, month: i64, day: i64, of_day: (i64, i64), is_valid: bool) -> Time {
    const NO_DATE: Time = Time::Vague("there is no such date");
    let at = |year: i64| {
        let midnight = seconds_at(year, month, day).filter(|_| is_valid)?;
        Some((midnight + of_day.0) * 1_000_000 + of_day.1)
    };
    match year {
        Year::Unknown => Time::Vague(
            "it has no year, and nobody knows when the record arrived: say the year, as in format: {type: Syslog, year: 2026}",
        ),
        Year::Known(year) => at(year).map_or(NO_DATE, Time::At),
        Year::Arrived(arrived) => {
            let Ok(arrival) = Timestamp::from_microsecond(arrived) else {
                return Time::Vague("it has no year, and the record's arrival is no time");
            };
            let year = i64::from(arrival.to_zoned(TimeZone::UTC).year());
            let years = (0..=BETWEEN_LEAP_YEARS + 1).map(|back| year + 1 - back);
            let times = years.filter_map(at);
            let last = times.into_iter().find(|time| *time <= arrived.saturating_add(AHEAD));
            last.map_or(NO_DATE, Time::At)
        }
    }
}
