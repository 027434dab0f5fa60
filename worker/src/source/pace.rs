//! Replays at the pace of event time: how long to wait until an event is due.
//!
//! The clock is passed in; nothing here reads one but [`SystemClock`].

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How fast event time goes compared with the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// So many seconds of event time in a second.
    Times(f64),
    /// As fast as the machine can.
    #[default]
    Max,
}

/// A text that is no [`Speed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a speed; expected 1x, 60x, another multiple like 0.5x, or max")]
pub struct InvalidSpeed(String);

/// Largest multiple: a year of event time in about half a minute.
const MOST: f64 = 1_000_000.0;
/// Smallest multiple.
const LEAST: f64 = 0.001;

impl FromStr for Speed {
    type Err = InvalidSpeed;

    fn from_str(text: &str) -> Result<Self, InvalidSpeed> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        let factor = text.strip_suffix(['x', 'X']).and_then(|number| number.parse().ok());
        match factor {
            Some(factor) if (LEAST..=MOST).contains(&factor) => Ok(Self::Times(factor)),
            _ => Err(InvalidSpeed(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(factor) => write!(f, "{factor}x"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// Relates event time to a clock. The first event is due at once; every other keeps its distance to the first.
/// Whoever falls behind catches up as fast as possible.
#[derive(Clone, Debug)]
pub struct Pacer {
    speed: Speed,
    /// The first event time in microseconds since 1970, and the clock at that moment.
    anchor: Option<(i64, Duration)>,
}

impl Pacer {
    /// A pacer that waits for its first event.
    pub fn new(speed: Speed) -> Self {
        Self { speed, anchor: None }
    }

    /// How long to wait from `now` on until an event of this time (microseconds since 1970) is due. `now` is counted
    /// from any moment, the same for all calls.
    pub fn delay(&mut self, event_time: i64, now: Duration) -> Duration {
        let Speed::Times(factor) = self.speed else {
            return Duration::ZERO;
        };
        let (first, begun) = *self.anchor.get_or_insert((event_time, now));
        let distance = event_time.saturating_sub(first).max(0) as f64 / 1e6 / factor;
        let due = begun.saturating_add(Duration::try_from_secs_f64(distance).unwrap_or(Duration::MAX));
        due.saturating_sub(now)
    }

    /// The event time that is due at `now`, in microseconds since 1970: everything at full speed, nothing before the
    /// first event.
    pub fn due_at(&self, now: Duration) -> i64 {
        match (self.speed, self.anchor) {
            (Speed::Max, _) => i64::MAX,
            (Speed::Times(_), None) => i64::MIN,
            (Speed::Times(factor), Some((first, begun))) => {
                first.saturating_add((now.saturating_sub(begun).as_secs_f64() * factor * 1e6) as i64)
            }
        }
    }
}

/// A clock and the ability to wait for it.
pub trait Clock: Send {
    /// The time since some fixed moment.
    fn now(&self) -> Duration;

    /// What a clock on the wall shows, in microseconds since 1970.
    fn unix_micros(&self) -> i64;

    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_micros(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "a replay at a given speed waits by the clock")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock that moves only when somebody waits.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct ManualClock {
    passed: std::sync::Arc<parking_lot::Mutex<Duration>>,
    /// What the wall showed when it began, in microseconds since 1970.
    began: i64,
}

#[cfg(test)]
impl ManualClock {
    /// A clock that begins when the wall shows this, in microseconds since 1970.
    pub(crate) fn beginning_at(began: i64) -> Self {
        Self {
            began,
            ..Self::default()
        }
    }

    fn passed(&self) -> parking_lot::MutexGuard<'_, Duration> {
        self.passed.lock()
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.passed()
    }

    fn unix_micros(&self) -> i64 {
        self.began + i64::try_from(self.now().as_micros()).unwrap_or(i64::MAX)
    }

    fn sleep(&self, duration: Duration) {
        *self.passed() += duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn check(speed: &str, expected: Option<Speed>) {
        assert_eq!(speed.parse().ok(), expected, "{speed}");
    }

    #[test]
    fn a_speed_is_a_multiple_or_max() {
        check("1x", Some(Speed::Times(1.0)));
        check("60x", Some(Speed::Times(60.0)));
        check("0.5X", Some(Speed::Times(0.5)));
        check("max", Some(Speed::Max));
        for text in ["", "x", "1", "0x", "-1x", "NaNx", "infx", "1e9x", "fast"] {
            check(text, None);
        }
    }

    #[test]
    fn events_keep_their_distance_at_the_asked_speed() {
        let mut pacer = Pacer::new(Speed::Times(60.0));
        let begun = Duration::from_secs(100);
        assert_eq!(pacer.due_at(begun), i64::MIN);
        assert_eq!(pacer.delay(7 * SECOND, begun), Duration::ZERO);
        assert_eq!(pacer.delay(67 * SECOND, begun), Duration::from_secs(1));
        assert_eq!(
            pacer.delay(67 * SECOND, begun + Duration::from_millis(400)),
            Duration::from_millis(600)
        );
        assert_eq!(pacer.due_at(begun + Duration::from_secs(2)), 127 * SECOND);
    }

    #[test]
    fn an_event_that_is_overdue_or_out_of_order_does_not_wait() {
        let mut pacer = Pacer::new(Speed::Times(1.0));
        pacer.delay(100 * SECOND, Duration::ZERO);
        assert_eq!(pacer.delay(50 * SECOND, Duration::ZERO), Duration::ZERO);
        assert_eq!(pacer.delay(i64::MIN, Duration::ZERO), Duration::ZERO);
        assert_eq!(pacer.delay(103 * SECOND, Duration::from_secs(10)), Duration::ZERO);
        assert_eq!(
            pacer.delay(111 * SECOND, Duration::from_secs(10)),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn full_speed_never_waits() {
        let mut pacer = Pacer::new(Speed::Max);
        assert_eq!(pacer.delay(i64::MIN, Duration::ZERO), Duration::ZERO);
        assert_eq!(pacer.delay(i64::MAX, Duration::ZERO), Duration::ZERO);
        assert_eq!(pacer.due_at(Duration::ZERO), i64::MAX);
    }
}
