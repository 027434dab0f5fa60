//! Time tables of cron.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Times in UTC, by cron's five fields or a word like `@daily`.
#[derive(Clone, Debug)]
pub struct TimeTable(Cron);

impl TimeTable {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none, or no time is in it: why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = if text == "@midnight" { "@daily" } else { text };
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let table = Self(parser.parse(text).map_err(|error| error.to_string())?);
        // The 30th of February is well written.
        match table.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(table),
            None => Err("no time is ever in it".to_owned()),
        }
    }

    /// The last time of the table up to `now`.
    pub fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let found = self.0.find_previous_occurrence(&in_utc(now), true);
        found.ok().map(|zoned| zoned.timestamp())
    }

    /// The first time of the table behind `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let found = self.0.find_next_occurrence(&in_utc(now), false);
        found.ok().map(|zoned| zoned.timestamp())
    }
}

fn in_utc(time: Timestamp) -> Zoned {
    time.to_zoned(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_tables_are_cron_s_five_fields_or_a_word() {
        for good in ["0 */6 * * *", "@daily", "@midnight", "30 2 * * MON-FRI", "0 0 29 2 *"] {
            assert!(TimeTable::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "0 0 0 * * *",
            "61 * * * *",
            "0 0 30 2 *",
            "soon",
            "* * * *",
            "99 99 * * *",
        ] {
            assert!(TimeTable::parse(bad).is_err(), "{bad}");
        }
    }
}
