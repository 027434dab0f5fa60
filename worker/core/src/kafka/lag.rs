//! How far a partition is behind, in records and in time.
//!
//! In time it is the age of the oldest record that waits, by when Kafka got it. A topic that is filled with old records
//! would look hours behind while each is processed as it comes; so the age counts at most from when nothing waited.

use crate::stream::Micros;

/// What is known of a partition that is read. Times are those of the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// The offset behind its last record, and when a broker said so.
    end: Option<(i64, Micros)>,
    /// When Kafka got the last record that was processed.
    newest: Option<Micros>,
    /// When nothing waited.
    caught_up: Option<Micros>,
}

/// How far a partition is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Offsets up to its end. Marks of transactions and records of aborted ones count, as they do for Kafka's own tools.
    pub records: u64,
    /// Since when the oldest of them has waited, if that is known; none when nothing waits.
    pub since: Option<Micros>,
}

impl Lag {
    /// A broker said at `now` that the partition ends at `end`. Offsets below 0 say nothing.
    pub fn answered(&mut self, end: i64, now: Micros) {
        if end >= 0 {
            self.end = Some((end, now));
        }
    }

    /// All is processed up to `position`; the last record there came at `arrived`.
    pub fn processed(&mut self, position: i64, arrived: Option<Micros>) {
        self.newest = arrived.filter(|arrived| *arrived != Micros::MAX).or(self.newest);
        self.look(position);
    }

    /// How far behind `position` is; nothing as long as no broker has said where the partition ends.
    pub fn look(&mut self, position: i64) -> Option<Behind> {
        let (end, at) = self.end?;
        if position >= end {
            // What came later is younger than that answer.
            self.caught_up = Some(at);
            return Some(Behind {
                records: 0,
                since: None,
            });
        }
        Some(Behind {
            records: end.abs_diff(position),
            since: self.newest.max(self.caught_up),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        let mut lag = Lag::default();
        lag.processed(5, Some(1));
        assert_eq!(lag.look(5), None);
        lag.answered(-1, 3);
        assert_eq!(lag.look(5), None);
    }

    #[test]
    fn a_backlog_is_as_old_as_the_record_where_it_begins() {
        let mut lag = Lag::default();
        lag.answered(100, 5_000);
        lag.processed(40, Some(1_000));
        let behind = Behind {
            records: 60,
            since: Some(1_000),
        };
        assert_eq!(lag.look(40), Some(behind));
    }

    #[test]
    fn a_caught_up_partition_is_not_behind_however_old_its_records() {
        let mut lag = Lag::default();
        lag.answered(100, 5_000);
        lag.processed(100, Some(1));
        assert_eq!(
            lag.look(100),
            Some(Behind {
                records: 0,
                since: None
            })
        );
        lag.answered(101, 9_000);
        // It came behind the answer of 5000, whatever its timestamp says.
        assert_eq!(lag.look(100).unwrap().since, Some(5_000));
    }

    #[test]
    fn a_record_without_a_timestamp_says_nothing() {
        let mut lag = Lag::default();
        lag.answered(10, 7);
        lag.processed(1, Some(2));
        lag.processed(2, Some(Micros::MAX));
        assert_eq!(lag.look(2).unwrap().since, Some(2));
    }

    proptest! {
        #[test]
        fn it_is_never_further_behind_than_the_last_time_that_nothing_waited(
            steps in prop::collection::vec((0_i64..4, 0_i64..4, 0_i64..50), 1..60)
        ) {
            let (mut lag, mut end, mut position, mut caught_up) = (Lag::default(), 0, 0, None);
            for (now, (written, read, age)) in (100..).zip(steps) {
                end += written;
                lag.answered(end, now);
                position = (position + read).min(end);
                lag.processed(position, Some(now - age));
                let behind = lag.look(position).unwrap();
                prop_assert_eq!(behind.records, (end - position) as u64);
                prop_assert_eq!(behind.records == 0, behind.since.is_none());
                if behind.records == 0 {
                    caught_up = Some(now);
                }
                prop_assert!(behind.records == 0 || behind.since >= caught_up);
            }
        }
    }
}
