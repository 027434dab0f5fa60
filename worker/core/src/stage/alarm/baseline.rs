//! What is usual for a key: average and spread of its own past, and whether a sample is far above.
//!
//! The past is kept in panes, of which [`PANES`] make up the time that the baseline reaches back. A sample is compared
//! with the panes before its own, so that neither it nor its neighbours are part of what they are compared with. Samples
//! while the alarm is open are left out: an outage does not become usual. So an alarm whose value has settled at another
//! level ends when the last pane from before has gone, and the new level is learnt.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::stream::Micros;

/// Panes of a baseline.
pub const PANES: i64 = 96;

/// The least standard deviation that is believed, as a share of the average: a value that never moved must not fire on
/// the last of its digits.
const LEAST_SPREAD: f64 = 0.001;

/// What a baseline is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaselinePlan {
    /// How far back it reaches.
    pub over: Micros,
    /// Standard deviations above the average from which on a sample is far above.
    pub sigmas: f64,
    /// Samples without which it says nothing.
    pub min_samples: u64,
}

/// The past of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// By number of the pane, ascending; panes without samples are left out.
    panes: VecDeque<(i64, Moments)>,
    /// All panes that count for samples of the pane with this number. Found again from `panes` when it is missing.
    #[serde(skip)]
    past: Option<(i64, Moments)>,
}

/// What a sample was compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Average of the past.
    pub average: f64,
    /// Standard deviation of the past, of a sample.
    pub sigma: f64,
    /// Whether the sample is far above.
    pub is_above: bool,
}

/// Count, average and sum of squared distances from it (B. P. Welford, "Note on a method for calculating corrected sums
/// of squares and products", Technometrics 4, 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    n: u64,
    average: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.n += 1;
        let before = value - self.average;
        self.average += before / self.n as f64;
        self.squares += before * (value - self.average);
    }

    /// Both together (T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing
    /// sample variances", 1979).
    fn with(self, other: Self) -> Self {
        if self.n == 0 || other.n == 0 {
            return if self.n == 0 { other } else { self };
        }
        let n = self.n + other.n;
        let apart = other.average - self.average;
        let share = other.n as f64 / n as f64;
        Self {
            n,
            average: self.average + apart * share,
            squares: self.squares + other.squares + apart * apart * self.n as f64 * share,
        }
    }
}

impl BaselinePlan {
    fn pane(&self, time: Micros) -> i64 {
        time.div_euclid((self.over / PANES).max(1))
    }
}

impl Baseline {
    /// Compares a sample with the past; nothing if that says too little.
    pub fn compare(&mut self, time: Micros, value: f64, plan: &BaselinePlan) -> Option<Usual> {
        let pane = plan.pane(time);
        let past = match self.past {
            Some((of, past)) if of == pane => past,
            _ => {
                let counts = |(number, _): &&(i64, Moments)| (pane - PANES..pane).contains(number);
                let panes = self.panes.iter().filter(counts);
                panes.fold(Moments::default(), |sum, (_, moments)| sum.with(*moments))
            }
        };
        self.past = Some((pane, past));
        if past.n < plan.min_samples.max(2) {
            return None;
        }
        let sigma = (past.squares / (past.n - 1) as f64).sqrt();
        let believed = sigma.max(past.average.abs() * LEAST_SPREAD);
        let is_above = value > past.average + plan.sigmas * believed;
        Some(Usual {
            average: past.average,
            sigma,
            is_above,
        })
    }

    /// Takes a sample into the past.
    pub fn learn(&mut self, time: Micros, value: f64, plan: &BaselinePlan) {
        let pane = plan.pane(time);
        let at = self.panes.partition_point(|(number, _)| *number < pane);
        match self.panes.get_mut(at).filter(|(number, _)| *number == pane) {
            Some((_, moments)) => moments.add(value),
            None => {
                let mut moments = Moments::default();
                moments.add(value);
                self.panes.insert(at, (pane, moments));
            }
        }
        // A late sample changes what later ones are compared with.
        if self.past.is_some_and(|(of, _)| pane < of) {
            self.past = None;
        }
    }

    /// Forgets panes that no sample from `horizon` on can be compared with.
    pub fn forget(&mut self, horizon: Micros, plan: &BaselinePlan) {
        let oldest = plan.pane(horizon).saturating_sub(PANES);
        while self.panes.front().is_some_and(|(number, _)| *number < oldest) {
            self.panes.pop_front();
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// Bytes of memory held besides the value itself.
    pub fn memory(&self) -> usize {
        self.panes.capacity() * size_of::<(i64, Moments)>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Micros = 60_000_000;

    fn plan() -> BaselinePlan {
        BaselinePlan {
            over: PANES * MINUTE,
            sigmas: 3.0,
            min_samples: 4,
        }
    }

    fn learnt(samples: &[(i64, f64)]) -> Baseline {
        let mut baseline = Baseline::default();
        for (minute, value) in samples {
            baseline.learn(minute * MINUTE, *value, &plan());
        }
        baseline
    }

    #[test]
    fn too_few_samples_say_nothing() {
        let mut baseline = learnt(&[(0, 1.0), (1, 2.0), (2, 3.0)]);
        assert_eq!(baseline.compare(5 * MINUTE, 100.0, &plan()), None);
    }

    #[test]
    fn a_sample_is_compared_with_the_panes_before_its_own() {
        let mut baseline = learnt(&[(0, 1.0), (1, 3.0), (2, 1.0), (3, 3.0), (4, 1000.0)]);
        let usual = baseline.compare(4 * MINUTE + 1, 6.0, &plan()).unwrap();
        assert_eq!(usual.average, 2.0);
        assert!((usual.sigma - (4.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!(usual.is_above);
        assert!(!baseline.compare(4 * MINUTE + 1, 5.0, &plan()).unwrap().is_above);
    }

    #[test]
    fn what_is_older_than_the_baseline_reaches_is_gone() {
        let samples = [(0, 1.0), (1, 3.0), (2, 1.0), (3, 3.0)];
        let mut baseline = learnt(&samples);
        assert!(baseline.compare((PANES) * MINUTE, 100.0, &plan()).is_some());
        assert_eq!(baseline.compare((PANES + 1) * MINUTE, 100.0, &plan()), None);
        baseline.forget((PANES + 4) * MINUTE, &plan());
        assert!(baseline.is_empty());
    }

    #[test]
    fn a_value_that_never_moved_does_not_fire_on_the_last_of_its_digits() {
        let mut baseline = learnt(&[(0, 50.0), (1, 50.0), (2, 50.0), (3, 50.0)]);
        assert!(!baseline.compare(9 * MINUTE, 50.1, &plan()).unwrap().is_above);
        assert!(baseline.compare(9 * MINUTE, 50.2, &plan()).unwrap().is_above);
    }

    proptest! {
        #[test]
        fn average_and_sigma_are_those_of_the_samples(values in prop::collection::vec(-1e6..1e6f64, 4..300)) {
            let samples: Vec<(i64, f64)> = values.iter().enumerate().map(|(i, value)| (i as i64 / 4, *value)).collect();
            let mut baseline = learnt(&samples);
            let usual = baseline.compare(95 * MINUTE, 0.0, &plan()).unwrap();
            let n = values.len() as f64;
            let average = values.iter().sum::<f64>() / n;
            let sigma = (values.iter().map(|value| (value - average).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            prop_assert!((usual.average - average).abs() < 1e-6);
            prop_assert!((usual.sigma - sigma).abs() < 1e-6 * sigma.max(1.0));
        }

        #[test]
        fn what_is_kept_in_mind_agrees_with_what_is_found_again(
            samples in prop::collection::vec((0..300i64, -100.0..100.0f64), 1..200),
        ) {
            let (mut kept, mut fresh) = (Baseline::default(), Baseline::default());
            for (minute, value) in samples {
                fresh.past = None;
                prop_assert_eq!(
                    kept.compare(minute * MINUTE, value, &plan()),
                    fresh.compare(minute * MINUTE, value, &plan())
                );
                kept.learn(minute * MINUTE, value, &plan());
                fresh.learn(minute * MINUTE, value, &plan());
            }
        }
    }
}
