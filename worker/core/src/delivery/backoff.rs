//! How long is waited between two tries: twice as long each time, up to a bound, and never all at the same moment.

use core::time::Duration;

/// A schedule of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait behind the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Backoff {
    /// The wait behind this many failures in a row: half of it is certain, the other half random.
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        let half = whole / 2;
        // The upper 32 bits as a share of one.
        let share = f64::from((random >> 32) as u32) / f64::from(u32::MAX);
        half + half.mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u64> = (1..9)
            .map(|failures| BACKOFF.wait(failures, u64::MAX).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(BACKOFF.wait(1, 0), Duration::from_millis(500));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_beyond_its_bounds(failures: u32, random: u64) {
            let wait = BACKOFF.wait(failures, random);
            prop_assert!((BACKOFF.first / 2..=BACKOFF.longest).contains(&wait), "{:?}", wait);
        }
    }
}
