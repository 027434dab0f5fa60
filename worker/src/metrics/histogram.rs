//! Counts times by length.

use std::time::Duration;

/// Upper bounds of the buckets, in seconds: from a transaction of its own to half an hour of backlog.
pub const BOUNDS: [f64; 15] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
];

/// Times by length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many fell into each bucket; the last is without bound.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// Adds a time, as of so many.
    pub fn add(&mut self, time: Duration, weight: u64) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += weight;
        self.sum += seconds * weight as f64;
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// Sum of all times, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound and count of each bucket.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_a_bound_belongs_to_the_bucket_below() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_millis(5), 3);
        histogram.add(Duration::from_millis(6), 1);
        histogram.add(Duration::from_hours(1), 2);
        let buckets = histogram.buckets();
        assert_eq!((buckets[0].1, buckets[1].1, buckets[15]), (3, 1, (f64::INFINITY, 2)));
        assert_eq!(histogram.count(), 6);
        assert!((histogram.sum() - 7_200.021).abs() < 1e-9);
    }
}
