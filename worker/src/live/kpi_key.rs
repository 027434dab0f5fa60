//! The last windows of one key of an aggregate stage, and how busy the key is.

use std::collections::BTreeMap;

use super::kpis::WINDOWS;

/// Weight of the newest window in a key's activity.
const NEWEST: f64 = 0.3;

/// The values of a window.
#[derive(Clone, Debug)]
pub struct Point {
    /// A point gives way to one of the same or a higher revision.
    pub revision: u64,
    /// By column; NaN where the row had no number.
    pub values: Vec<f64>,
}

/// The windows of a key.
#[derive(Clone, Debug, Default)]
pub struct KeySeries {
    points: BTreeMap<i64, Point>,
    /// Smoothed size of each column's values.
    activity: Vec<f64>,
    length_ms: i64,
}

impl KeySeries {
    /// Sets a window; false if a later revision of it is known, or it is older than all that are kept.
    pub fn put(&mut self, start_ms: i64, length_ms: i64, point: Point) -> bool {
        let known = self.points.get(&start_ms);
        if known.is_some_and(|known| known.revision > point.revision) {
            return false;
        }
        if known.is_none() {
            self.activity.resize(self.activity.len().max(point.values.len()), 0.0);
            for (activity, value) in self.activity.iter_mut().zip(&point.values) {
                *activity += NEWEST * (size(*value) - *activity);
            }
        }
        self.length_ms = length_ms;
        self.points.insert(start_ms, point);
        while self.points.len() > WINDOWS {
            self.points.pop_first();
        }
        self.points.contains_key(&start_ms)
    }

    /// How busy the key is in a column: its usual size, halved for each window that it has missed.
    pub fn activity(&self, column: usize, newest_ms: i64) -> f64 {
        let activity = self.activity.get(column).copied().unwrap_or(0.0);
        let last_ms = self.points.last_key_value().map_or(i64::MIN, |(start_ms, _)| *start_ms);
        let missed = newest_ms.saturating_sub(last_ms) / self.length_ms.max(1_000);
        activity * 0.5_f64.powi(missed.clamp(0, 1_000) as i32)
    }

    /// The activity of a key after one window with this value.
    pub fn first_activity(value: f64) -> f64 {
        NEWEST * size(value)
    }

    /// Starts of the windows, ascending.
    pub fn starts(&self) -> impl Iterator<Item = i64> + '_ {
        self.points.keys().copied()
    }

    /// The value of a window.
    pub fn value(&self, start_ms: i64, column: usize) -> Option<f64> {
        self.points
            .get(&start_ms)?
            .values
            .get(column)
            .copied()
            .filter(|value| value.is_finite())
    }

    /// Whether there is any value in a column.
    pub fn has(&self, column: usize) -> bool {
        self.points
            .values()
            .any(|point| point.values.get(column).is_some_and(|value| value.is_finite()))
    }
}

fn size(value: f64) -> f64 {
    if value.is_finite() { value.abs() } else { 0.0 }
}
