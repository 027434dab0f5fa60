//! Latencies, and what share of them is below which.

use std::time::Duration;

/// Latencies of probes, each from the moment at which it was due. Ordered; a probe that never came counts as later than all.
#[derive(Clone, Debug)]
pub struct Latencies {
    came: Vec<Duration>,
    missing: usize,
    latest: Duration,
}

impl Latencies {
    /// Of probes that came, in any order, and of some that did not come within `latest`.
    pub fn new(mut came: Vec<Duration>, missing: usize, latest: Duration) -> Self {
        came.sort_unstable();
        Self { came, missing, latest }
    }

    /// How many there are.
    pub fn n(&self) -> usize {
        self.came.len() + self.missing
    }

    /// How many never came.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// The latency that a share of a thousand is not above, in milliseconds.
    pub fn at(&self, thousandths: usize) -> f64 {
        let rank = (self.n() * thousandths).div_ceil(1_000).max(1);
        let latency = self.came.get(rank - 1).copied().unwrap_or(self.latest);
        latency.as_secs_f64() * 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_never_came_is_later_than_all() {
        let came = (1..=99).rev().map(Duration::from_millis).collect();
        let latencies = Latencies::new(came, 1, Duration::from_secs(15));
        assert_eq!(latencies.n(), 100);
        assert!((latencies.at(500) - 50.0).abs() < 1e-9);
        assert!((latencies.at(990) - 99.0).abs() < 1e-9);
        assert!((latencies.at(999) - 15_000.0).abs() < 1e-9);
    }
}
