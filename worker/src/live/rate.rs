//! How fast a total grows, smoothed so that the figure can be read.

/// Shortest time between two samples; calls closer together count as one.
const SHORTEST_MS: i64 = 50;

/// The growth of a total per second, as an exponentially weighted average.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    smoothing_ms: f64,
    per_second: f64,
    last: Option<(i64, f64)>,
    begun: bool,
}

impl Rate {
    /// A rate in which a change is seen by two thirds after `smoothing_ms`.
    pub fn new(smoothing_ms: f64) -> Self {
        Self {
            smoothing_ms,
            per_second: 0.0,
            last: None,
            begun: false,
        }
    }

    /// Takes the total at `now_ms`. A total that fell, or a clock that went back, begins anew.
    pub fn observe(&mut self, now_ms: i64, total: f64) {
        let Some((last_ms, last_total)) = self.last else {
            self.last = Some((now_ms, total));
            return;
        };
        let passed_ms = now_ms.saturating_sub(last_ms);
        if (0..SHORTEST_MS).contains(&passed_ms) {
            return;
        }
        self.last = Some((now_ms, total));
        if passed_ms < 0 || total < last_total {
            return;
        }
        let sample = (total - last_total) * 1e3 / passed_ms as f64;
        // The first sample is all that is known; later ones count by the time that they cover.
        let weight = if self.begun {
            1.0 - (-(passed_ms as f64) / self.smoothing_ms).exp()
        } else {
            1.0
        };
        self.begun = true;
        self.per_second += weight * (sample - self.per_second);
    }

    /// The growth per second.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_growth_is_its_rate() {
        let mut rate = Rate::new(2_000.0);
        for step in 0..20 {
            rate.observe(step * 250, step as f64 * 1_000.0);
        }
        assert!((rate.per_second() - 4_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_standstill_fades_to_nothing() {
        let mut rate = Rate::new(2_000.0);
        rate.observe(0, 0.0);
        rate.observe(1_000, 5_000.0);
        for second in 2..40 {
            rate.observe(second * 1_000, 5_000.0);
        }
        assert!(rate.per_second() < 0.01);
    }

    #[test]
    fn a_clock_that_goes_back_and_calls_without_time_between_give_no_absurd_rate() {
        let mut rate = Rate::new(2_000.0);
        for (now_ms, total) in [
            (1_000, 0.0),
            (1_000, 900.0),
            (1_001, 999.0),
            (500, 1_000.0),
            (i64::MAX, 2_000.0),
        ] {
            rate.observe(now_ms, total);
            assert!((0.0..=1_000.0).contains(&rate.per_second()), "{}", rate.per_second());
        }
    }
}
