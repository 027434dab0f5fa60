//! Events per second over time, in a bounded number of equal steps.
//!
//! A run begins with fine steps, so that a short one fills the chart; they get coarser until a step is a second, and
//! from then on the oldest fall out: the last ten minutes stay.

use std::collections::VecDeque;

use serde::Serialize;

/// Points kept.
pub const POINTS: usize = 600;

const FIRST_STEP_MS: i64 = 250;
const LAST_STEP_MS: i64 = 1_000;
/// The end of the year 9999: sums of times below it do not overflow.
const LATEST_MS: i64 = 253_402_300_799_999;

/// The finished steps, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThroughputView {
    /// Begin of the first step, in milliseconds since 1970.
    pub start_ms: i64,
    /// Length of a step in milliseconds.
    pub step_ms: i64,
    /// Events per second in each step.
    pub events_per_second: Vec<f64>,
}

/// Collects counts at any times into equal steps.
#[derive(Clone, Debug)]
pub struct Throughput {
    step_ms: i64,
    counts: VecDeque<f64>,
    /// Begin of the step that is being filled.
    open_ms: i64,
    open_count: f64,
    last_ms: i64,
    last_events: u64,
}

impl Throughput {
    /// Begins at `now_ms` with no events read.
    pub fn new(now_ms: i64) -> Self {
        let now_ms = now_ms.clamp(0, LATEST_MS);
        Self {
            step_ms: FIRST_STEP_MS,
            counts: VecDeque::with_capacity(POINTS),
            open_ms: now_ms,
            open_count: 0.0,
            last_ms: now_ms,
            last_events: 0,
        }
    }

    /// Takes the number of events read until `now_ms`, spread evenly over the time since the last call.
    /// True if a step was finished.
    pub fn observe(&mut self, now_ms: i64, events: u64) -> bool {
        let now_ms = now_ms.clamp(0, LATEST_MS);
        if now_ms <= self.last_ms {
            return false; // No time has passed: the events count with the next call.
        }
        let per_ms = events.saturating_sub(self.last_events) as f64 / (now_ms - self.last_ms) as f64;
        self.last_events = events;
        let kept_ms = self.step_ms * POINTS as i64;
        if now_ms - self.last_ms > kept_ms {
            self.skip_to(now_ms - kept_ms);
        }
        let mut finished = false;
        while now_ms >= self.open_ms + self.step_ms {
            let end = self.open_ms + self.step_ms;
            self.counts
                .push_back(self.open_count + per_ms * (end - self.last_ms) as f64);
            (self.open_ms, self.open_count, self.last_ms) = (end, 0.0, end);
            self.make_room();
            finished = true;
        }
        self.open_count += per_ms * (now_ms - self.last_ms) as f64;
        self.last_ms = now_ms;
        finished
    }

    /// The finished steps.
    pub fn view(&self) -> ThroughputView {
        let seconds = self.step_ms as f64 / 1e3;
        ThroughputView {
            start_ms: self.open_ms - self.step_ms * self.counts.len() as i64,
            step_ms: self.step_ms,
            events_per_second: self.counts.iter().map(|count| (count / seconds).round()).collect(),
        }
    }

    /// After a gap longer than all points together (a machine that slept), old points say nothing.
    fn skip_to(&mut self, time_ms: i64) {
        self.counts.clear();
        (self.open_ms, self.open_count, self.last_ms) = (time_ms, 0.0, time_ms);
    }

    fn make_room(&mut self) {
        if self.counts.len() <= POINTS {
            return;
        }
        if self.step_ms >= LAST_STEP_MS {
            self.counts.pop_front();
            return;
        }
        // POINTS is even: the points make pairs, and one is left that begins the step that is being filled.
        let odd = self.counts.pop_back().unwrap_or(0.0);
        self.counts = self
            .counts
            .make_contiguous()
            .chunks(2)
            .map(|pair| pair.iter().sum())
            .collect();
        self.open_ms -= self.step_ms;
        self.open_count = odd;
        self.step_ms *= 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_steady_rate_is_flat_whatever_the_times_of_the_calls() {
        let mut throughput = Throughput::new(0);
        for now_ms in [130, 260, 500, 501, 990, 1_700, 2_000] {
            throughput.observe(now_ms, now_ms as u64 * 5);
        }
        assert_eq!(throughput.view().events_per_second, [5_000.0; 8]);
    }

    #[test]
    fn a_long_run_keeps_its_last_ten_minutes() {
        let mut throughput = Throughput::new(0);
        for second in 1..=3_000_i64 {
            throughput.observe(second * 1_000, second as u64 * 10);
        }
        let view = throughput.view();
        assert_eq!(
            (view.step_ms, view.start_ms, view.events_per_second.len()),
            (1_000, 2_400_000, POINTS)
        );
        assert!(view.events_per_second.iter().all(|rate| *rate == 10.0));
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_loses_no_event() {
        let mut throughput = Throughput::new(1_000);
        throughput.observe(1_000, 100);
        throughput.observe(500, 150);
        throughput.observe(1_250, 200);
        assert_eq!(throughput.view().events_per_second, [800.0]);
    }

    proptest! {
        #[test]
        fn no_event_is_lost_and_no_bound_is_passed(
            calls in prop::collection::vec((1_i64..5_000, 0_u64..10_000), 1..400)
        ) {
            let mut throughput = Throughput::new(0);
            let (mut now_ms, mut events) = (0, 0);
            for (pause, more) in calls {
                now_ms += pause;
                events += more;
                throughput.observe(now_ms, events);
                prop_assert!(throughput.counts.len() <= POINTS);
                prop_assert!(now_ms - throughput.open_ms < throughput.step_ms);
            }
            if now_ms < 600_000 {
                let kept: f64 = throughput.counts.iter().sum::<f64>() + throughput.open_count;
                prop_assert!((kept - events as f64).abs() < 1e-3 * (events as f64 + 1.0), "{} of {}", kept, events);
            }
        }

        #[test]
        fn no_time_and_no_count_breaks_it(calls in prop::collection::vec((any::<i64>(), any::<u64>()), 1..20)) {
            let mut throughput = Throughput::new(0);
            for (now_ms, events) in calls {
                throughput.observe(now_ms, events);
                prop_assert!(throughput.view().events_per_second.len() <= POINTS);
            }
        }
    }
}
