//! The state of one key under one rule: what samples and timers do to it.

use serde::{Deserialize, Serialize};
use tocsin_contract::pipeline::stage::OnNoData;

use crate::stream::Micros;

/// The times of a rule, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// How long the condition must hold.
    pub hold: Micros,
    /// Largest gap between two samples that still counts as holding.
    pub max_gap: Micros,
    /// How long the alarm stays after its condition ended.
    pub keep_firing_for: Micros,
    /// What a key without samples for `max_gap` means.
    pub on_no_data: OnNoData,
}

/// A change that is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whether the alarm fires or resolves.
    pub firing: bool,
    /// Since when the condition holds: the same for the firing and the resolving of one alarm.
    pub since: Micros,
    /// Event time of the change.
    pub at: Micros,
}

/// The state of a key under a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Level {
    /// The condition does not hold.
    #[default]
    Normal,
    /// It holds, not yet long enough.
    Pending {
        /// Time of the first sample for which it holds.
        since: Micros,
        /// Time of the last one.
        newest: Micros,
        /// How many, counted up to 2.
        n_samples: u8,
    },
    /// The alarm is firing.
    Firing {
        /// Since when the condition holds.
        since: Micros,
        /// Time of the newest sample.
        newest: Micros,
        /// When the condition ended; the alarm stays for `keep_firing_for`.
        ended: Option<Micros>,
    },
}

impl Level {
    /// Takes a sample. One that is older than the newest says nothing about how things are now.
    pub fn sample(&mut self, time: Micros, holds: bool, clears: bool, timing: &Timing) -> Option<Transition> {
        match *self {
            Self::Normal if holds => self.begin(time, timing),
            Self::Normal => None,
            Self::Pending { newest, .. } if time < newest => None,
            Self::Pending { .. } if !holds => {
                *self = Self::Normal;
                None
            }
            Self::Pending { newest, .. } if time.saturating_sub(newest) > timing.max_gap => self.begin(time, timing),
            Self::Pending { since, .. } if time.saturating_sub(since) >= timing.hold => {
                *self = Self::Firing {
                    since,
                    newest: time,
                    ended: None,
                };
                Some(Transition {
                    firing: true,
                    since,
                    at: time,
                })
            }
            Self::Pending { since, .. } => {
                *self = Self::Pending {
                    since,
                    newest: time,
                    n_samples: 2,
                };
                None
            }
            Self::Firing { newest, .. } if time < newest => None,
            Self::Firing { since, .. } if !clears || holds => {
                *self = Self::Firing {
                    since,
                    newest: time,
                    ended: None,
                };
                None
            }
            Self::Firing { since, ended, .. } => {
                let ended = ended.unwrap_or(time);
                if time.saturating_sub(ended) >= timing.keep_firing_for {
                    return Some(self.resolve(since, time));
                }
                *self = Self::Firing {
                    since,
                    newest: time,
                    ended: Some(ended),
                };
                None
            }
        }
    }

    fn begin(&mut self, time: Micros, timing: &Timing) -> Option<Transition> {
        if timing.hold == 0 {
            *self = Self::Firing {
                since: time,
                newest: time,
                ended: None,
            };
            return Some(Transition {
                firing: true,
                since: time,
                at: time,
            });
        }
        *self = Self::Pending {
            since: time,
            newest: time,
            n_samples: 1,
        };
        None
    }

    fn resolve(&mut self, since: Micros, at: Micros) -> Transition {
        *self = Self::Normal;
        Transition {
            firing: false,
            since,
            at,
        }
    }

    /// When the state changes without a sample.
    pub fn due(&self, timing: &Timing) -> Option<Micros> {
        match *self {
            Self::Normal => None,
            // One sample is not enough to say that something holds.
            Self::Pending { n_samples: 1, .. } => None,
            Self::Pending { since, .. } => Some(since.saturating_add(timing.hold)),
            Self::Firing { ended: Some(ended), .. } => Some(ended.saturating_add(timing.keep_firing_for)),
            Self::Firing { newest, .. } => match timing.on_no_data {
                OnNoData::Ok => Some(newest.saturating_add(timing.max_gap)),
                OnNoData::Keep | OnNoData::Alert => None,
            },
        }
    }

    /// Event time came to `now`, which is when [`Level::due`] said.
    pub fn timer(&mut self, now: Micros, timing: &Timing) -> Option<Transition> {
        match *self {
            Self::Normal => None,
            Self::Pending { newest, .. } if now.saturating_sub(newest) > timing.max_gap => {
                *self = Self::Normal;
                None
            }
            Self::Pending { since, newest, .. } => {
                *self = Self::Firing {
                    since,
                    newest,
                    ended: None,
                };
                Some(Transition {
                    firing: true,
                    since,
                    at: now,
                })
            }
            Self::Firing { since, .. } => Some(self.resolve(since, now)),
        }
    }

    /// Whether the alarm is firing.
    pub fn is_firing(&self) -> bool {
        matches!(self, Self::Firing { .. })
    }

    /// Whether this is the state of a key that was never seen.
    pub fn at_rest(&self) -> bool {
        *self == Self::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = 60_000_000;

    /// Samples as `(minute, holds)`; expected transitions as `minute` with `!` for firing and `.` for resolved.
    fn check(timing: Timing, samples: &[(i64, bool)], until: i64, expected: &str) {
        let mut level = Level::default();
        let mut seen = Vec::new();
        let advance = |level: &mut Level, now: Micros, seen: &mut Vec<Transition>| {
            while let Some(due) = level.due(&timing).filter(|due| *due <= now) {
                seen.extend(level.timer(due, &timing));
            }
        };
        for (minute, holds) in samples {
            advance(&mut level, minute * MINUTE, &mut seen);
            seen.extend(level.sample(minute * MINUTE, *holds, !holds, &timing));
        }
        advance(&mut level, until * MINUTE, &mut seen);
        let seen: Vec<String> = seen
            .iter()
            .map(|t| format!("{}{}", t.at / MINUTE, if t.firing { '!' } else { '.' }))
            .collect();
        assert_eq!(seen.join(" "), expected, "{samples:?}");
    }

    fn for_five_minutes() -> Timing {
        Timing {
            hold: 5 * MINUTE,
            max_gap: 2 * MINUTE,
            keep_firing_for: 0,
            on_no_data: OnNoData::Keep,
        }
    }

    #[test]
    fn an_alarm_without_for_fires_and_resolves_with_the_sample() {
        let timing = Timing {
            hold: 0,
            ..for_five_minutes()
        };
        check(timing, &[(0, false), (1, true), (2, true), (3, false)], 9, "1! 3.");
    }

    #[test]
    fn a_condition_that_holds_long_enough_fires_by_the_timer() {
        check(
            for_five_minutes(),
            &[(0, true), (1, true), (2, true), (3, true), (4, true)],
            9,
            "5!",
        );
    }

    #[test]
    fn one_sample_against_it_begins_the_time_anew() {
        check(
            for_five_minutes(),
            &[(0, true), (2, true), (3, false), (4, true), (6, true), (8, true)],
            20,
            "9!",
        );
    }

    #[test]
    fn a_gap_between_samples_begins_the_time_anew() {
        check(
            for_five_minutes(),
            &[(0, true), (1, true), (4, true), (6, true), (8, true)],
            20,
            "9!",
        );
    }

    #[test]
    fn one_sample_is_not_enough() {
        check(for_five_minutes(), &[(0, true)], 60, "");
    }

    #[test]
    fn silence_does_not_fire() {
        check(for_five_minutes(), &[(0, true), (1, true)], 60, "");
    }

    #[test]
    fn a_kept_alarm_resolves_when_its_time_is_over() {
        let timing = Timing {
            hold: 0,
            keep_firing_for: 3 * MINUTE,
            ..for_five_minutes()
        };
        check(
            timing,
            &[(0, true), (1, false), (2, true), (3, false), (4, false)],
            20,
            "0! 6.",
        );
    }

    #[test]
    fn a_silent_key_resolves_if_no_data_means_ok() {
        let timing = Timing {
            hold: 0,
            on_no_data: OnNoData::Ok,
            ..for_five_minutes()
        };
        check(timing, &[(0, true)], 20, "0! 2.");
    }
}
