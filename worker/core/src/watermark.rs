//! Event time of a source: its watermark, record by record, and jumps that nobody confirms.
//!
//! The watermark is the running maximum of the event times minus the bound. A record that jumps ahead by more than
//! `max_ahead` could be a clock gone wrong, and would make every record behind it late. So a jump is held until another
//! record confirms it: one whose event time is not more than `max_ahead` below. Records that are not new say nothing of
//! it, as they may just be late. When three records (`AGAINST`) went on without the jump, or another jump did, it is a dead
//! record (`TimestampAhead`) and never moved the watermark; unless the stream has jumped as far before, as sparse ones do.

use serde::{Deserialize, Serialize};

use crate::stream::{Micros, NO_WATERMARK};

/// A last record is believed when it jumps less than this, or less than the stream jumped before.
const BELIEVED_AT_END: Micros = 24 * 3_600_000_000;

/// So many records that go on from where the stream was speak against a jump.
const AGAINST: u8 = 3;

/// The clock of one source (or one partition of it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventClock {
    bound: Micros,
    max_ahead: Micros,
    /// Largest event time that counts.
    newest: Option<Micros>,
    /// Largest jump that was confirmed.
    largest_jump: Micros,
    /// Event time of the record that is held.
    held: Option<Micros>,
    /// How many records speak against it.
    against: u8,
}

/// What the clock says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts; this was the watermark just before it.
    Counts(Micros),
    /// It jumps ahead. The verdict comes with a later record, or at the end.
    Held,
}

/// What became of the held record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It counts; this was the watermark just before it.
    Counts(Micros),
    /// Nobody confirmed it: a dead record.
    Ahead,
}

impl EventClock {
    /// A clock for events at most `bound` out of order, that jump at most `max_ahead`, both in microseconds.
    pub fn new(bound: Micros, max_ahead: Micros) -> Self {
        Self {
            bound,
            max_ahead: max_ahead.max(bound),
            newest: None,
            largest_jump: 0,
            held: None,
            against: 0,
        }
    }

    /// The watermark behind all records that count so far.
    pub fn watermark(&self) -> Micros {
        self.newest
            .map_or(NO_WATERMARK, |newest| newest.saturating_sub(self.bound))
    }

    /// The largest event time that counts so far.
    pub fn newest(&self) -> Option<Micros> {
        self.newest
    }

    /// Whether a record is held.
    pub fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Takes the next records as long as all is usual: none is held, none jumps. Writes the watermark before each to
    /// `watermarks`, and answers how many it took.
    pub fn run(&mut self, times: &[Micros], watermarks: &mut Vec<Micros>) -> usize {
        let (None, Some(mut newest)) = (self.held, self.newest) else {
            return 0;
        };
        let mut taken = 0;
        for &time in times {
            if time > newest.saturating_add(self.max_ahead) {
                break;
            }
            watermarks.push(newest.saturating_sub(self.bound));
            newest = newest.max(time);
            taken += 1;
        }
        self.newest = Some(newest);
        taken
    }

    /// Takes the next record: first what becomes of the held one, if that is known now, then of this.
    pub fn step(&mut self, time: Micros) -> (Option<Released>, Verdict) {
        let released = self.held.and_then(|held| self.weigh(held, time));
        // In front of a jump that is still held a record has nothing to prove.
        let usual = self.held.is_some()
            || self
                .newest
                .is_some_and(|newest| time <= newest.saturating_add(self.max_ahead));
        if !usual {
            (self.held, self.against) = (Some(time), 0);
            return (released, Verdict::Held);
        }
        let before = self.watermark();
        self.newest = self.newest.max(Some(time));
        (released, Verdict::Counts(before))
    }

    /// What a record with this event time says of the held one.
    fn weigh(&mut self, held: Micros, time: Micros) -> Option<Released> {
        if time >= held.saturating_sub(self.max_ahead) {
            self.held = None;
            return Some(self.believe(held));
        }
        match self.newest {
            Some(newest) if time <= newest => return None,
            Some(newest) if time > newest.saturating_add(self.max_ahead) => {}
            _ => {
                self.against += 1;
                if self.against < AGAINST {
                    return None;
                }
            }
        }
        self.held = None;
        let jump = self.newest.map_or(Micros::MAX, |newest| held.saturating_sub(newest));
        Some(if jump <= self.largest_jump {
            self.believe(held)
        } else {
            Released::Ahead
        })
    }

    /// Takes a record whose arrival is known: it counts unless it is more than `max_ahead` in front of it. Answers the
    /// watermark just before it, or nothing if it does not count. No other record needs to confirm it.
    pub fn arrive(&mut self, time: Micros, arrived: Micros) -> Option<Micros> {
        if time > arrived.saturating_add(self.max_ahead) {
            return None;
        }
        let before = self.watermark();
        self.newest = self.newest.max(Some(time));
        Some(before)
    }

    /// No record will follow: what becomes of the held one. A jump of less than a day, or than one before, is believed.
    pub fn end(&mut self) -> Option<Released> {
        let held = self.held.take()?;
        let jump = self.newest.map_or(0, |newest| held.saturating_sub(newest));
        if jump > BELIEVED_AT_END.max(self.largest_jump) {
            return Some(Released::Ahead);
        }
        Some(self.believe(held))
    }

    fn believe(&mut self, held: Micros) -> Released {
        let before = self.watermark();
        if let Some(newest) = self.newest {
            self.largest_jump = self.largest_jump.max(held.saturating_sub(newest));
        }
        self.newest = self.newest.max(Some(held));
        Released::Counts(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;
    const HOUR: Micros = 3600 * SECOND;

    /// What becomes of records with these times, in hours: `+` counts, `-` is dead; and the newest time in the end.
    fn check(hours: &[f64], expected: &str, newest: f64) {
        let mut clock = EventClock::new(5 * SECOND, HOUR / 6);
        let mut fates = String::new();
        let mut say = |released: Option<Released>| match released {
            Some(Released::Counts(_)) => fates.push('+'),
            Some(Released::Ahead) => fates.push('-'),
            None => {}
        };
        for hour in hours {
            let (released, verdict) = clock.step((hour * HOUR as f64) as Micros);
            say(released);
            if let Verdict::Counts(watermark) = verdict {
                say(Some(Released::Counts(watermark)));
            }
        }
        say(clock.end());
        assert_eq!(fates, expected, "{hours:?}");
        assert_eq!(clock.newest(), Some((newest * HOUR as f64) as Micros), "{hours:?}");
    }

    #[test]
    fn a_usual_stream_counts() {
        check(&[1.0, 1.001, 1.0005, 1.01], "++++", 1.01);
    }

    #[test]
    fn a_lone_jump_is_dead_and_does_not_move_the_watermark() {
        check(&[1.0, 1.001, 650_000.0, 1.002], "+++-", 1.002);
        check(&[1.0, 1.001, 650_000.0], "++-", 1.001);
    }

    #[test]
    fn a_first_record_in_the_future_is_dead() {
        check(&[650_000.0, 1.0, 1.001], "++-", 1.001);
        check(&[650_000.0, 1.0, 1.001, 1.002, 1.003], "++-++", 1.003);
    }

    #[test]
    fn a_first_record_of_1970_counts_and_does_no_harm() {
        check(&[0.0, 490_000.0, 490_000.1], "+++", 490_000.1);
    }

    #[test]
    fn a_record_of_1970_does_no_harm_wherever_it_stands() {
        for at in 0..5 {
            let mut hours = vec![490_000.0, 490_000.001, 490_000.002, 490_000.003];
            hours.insert(at, 0.0);
            check(&hours, "+++++", 490_000.003);
        }
    }

    #[test]
    fn a_late_record_says_nothing_of_a_jump() {
        check(&[1.0, 2.0, 3.0, 2.2, 4.0, 5.0], "++++++", 5.0);
        check(&[1.0, 1.001, 5.0, 0.9, 0.8, 0.7, 0.6, 5.001], "++++++++", 5.001);
    }

    #[test]
    fn a_jump_is_dead_when_the_stream_goes_on_without_it() {
        check(&[1.0, 1.001, 90.0, 1.002, 1.003, 1.004, 90.0, 1.005], "++++-++-", 1.005);
        check(&[1.0, 2.0, 650_000.0, 3.0, 4.0], "++-++", 4.0);
    }

    #[test]
    fn two_records_together_confirm_a_jump() {
        check(&[1.0, 1.001, 5.0, 5.001, 5.002], "+++++", 5.002);
    }

    #[test]
    fn hourly_records_count_to_the_last() {
        check(&[1.0, 2.0, 3.0, 4.0], "++++", 4.0);
    }

    #[test]
    fn a_record_with_a_known_arrival_is_held_against_that() {
        let mut clock = EventClock::new(5 * SECOND, HOUR);
        assert_eq!(clock.arrive(HOUR, HOUR), Some(NO_WATERMARK));
        assert_eq!(
            clock.arrive(9 * HOUR, 9 * HOUR),
            Some(HOUR - 5 * SECOND),
            "a quiet time is no jump"
        );
        assert_eq!(clock.arrive(11 * HOUR, 9 * HOUR), None);
        assert_eq!(clock.newest(), Some(9 * HOUR));
    }

    #[test]
    fn the_fast_way_agrees_with_the_slow_one() {
        let times: Vec<Micros> = (0..500).map(|i| HOUR + (i * 7919 % 613) * SECOND).collect();
        let mut slow = EventClock::new(5 * SECOND, HOUR);
        let expected: Vec<Micros> = times
            .iter()
            .flat_map(|&time| {
                let (released, verdict) = slow.step(time);
                let released = match released {
                    Some(Released::Counts(watermark)) => Some(watermark),
                    _ => None,
                };
                let own = match verdict {
                    Verdict::Counts(watermark) => Some(watermark),
                    Verdict::Held => None,
                };
                [released, own].into_iter().flatten()
            })
            .collect();
        let mut fast = EventClock::new(5 * SECOND, HOUR);
        fast.step(times[0]);
        fast.step(times[1]);
        let mut watermarks = expected[..2].to_vec();
        assert_eq!(fast.run(&times[2..], &mut watermarks), times.len() - 2);
        assert_eq!(watermarks, expected);
        assert_eq!(fast, slow);
    }
}
