//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Waits that double up to a limit, spread so that what failed together is not tried again together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl BackOff {
    /// Of reconciles: half a second at first, five minutes at most.
    pub const RECONCILE: Self = Self {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(300),
    };

    /// Behind a conflict: what is newer is on its way, as a rule, and whoever hears of it looks at once.
    pub const CONFLICT: Self = Self {
        first: Duration::from_millis(50),
        longest: Duration::from_secs(5),
    };

    /// The wait before the next try, `failures` in a row behind it.
    ///
    /// `spread` is a random number from 0 to 1: waits lie between three quarters of the doubled time and all of it. What the
    /// other side asked for (`Retry-After`) is kept, however long.
    pub fn wait(&self, failures: u32, spread: f64, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32
            .checked_pow(failures.saturating_sub(1))
            .and_then(|factor| self.first.checked_mul(factor))
            .map_or(self.longest, |wait| wait.min(self.longest));
        let spread = if spread.is_finite() {
            spread.clamp(0.0, 1.0)
        } else {
            1.0
        };
        let wait = doubled.mul_f64(0.75 + 0.25 * spread);
        asked.map_or(wait, |asked| asked.max(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(failures: u32) -> f64 {
        BackOff::RECONCILE.wait(failures, 1.0, None).as_secs_f64()
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        assert_eq!([1, 2, 3, 4].map(seconds), [0.5, 1.0, 2.0, 4.0]);
        assert_eq!([10, 11, 64, u32::MAX].map(seconds), [256.0, 300.0, 300.0, 300.0]);
    }

    #[test]
    fn what_the_other_side_asks_for_is_kept() {
        let asked = Some(Duration::from_secs(900));
        assert_eq!(BackOff::RECONCILE.wait(1, 0.0, asked), Duration::from_secs(900));
        let asked = Some(Duration::from_millis(1));
        assert_eq!(BackOff::RECONCILE.wait(1, 1.0, asked), Duration::from_millis(500));
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_three_quarters_or_longer_than_the_longest(
            failures in any::<u32>(), spread in any::<f64>()
        ) {
            let wait = BackOff::RECONCILE.wait(failures, spread, None);
            prop_assert!(wait >= Duration::from_millis(375) && wait <= Duration::from_secs(300), "{:?}", wait);
        }
    }
}
