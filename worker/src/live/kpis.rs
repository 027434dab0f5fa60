//! The series of one aggregate stage: for each numeric column, the last windows of its busiest keys.
//!
//! Some more keys than are shown are followed, so that a key that becomes busy has a past when it is shown. Which keys
//! those are goes by the first numeric column (often a count); which are shown goes by the column itself.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::Value;

use super::kpi_key::{KeySeries, Point};
use super::row::{self, Row};

/// Keys shown for each column.
pub const KEYS_SHOWN: usize = 8;
/// Keys followed.
pub const KEYS_FOLLOWED: usize = 64;
/// Windows kept of each key, and shown of each column.
pub const WINDOWS: usize = 240;
/// Numeric columns shown; further ones are left out.
pub const COLUMNS: usize = 12;
/// Keys told apart when they are counted.
const KEYS_COUNTED: usize = 10_000;
/// A newcomer must be this much busier than a shown key to take its place, so that lines do not come and go.
const HOLD: f64 = 1.3;

/// The series of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KpiView {
    pub(super) stage: String,
    /// Number of keys seen; exact if below 10,000.
    keys_total: usize,
    keys_total_exact: bool,
    pub(super) columns: Vec<ColumnView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ColumnView {
    pub(super) name: String,
    /// Starts of the windows, in milliseconds since 1970, ascending.
    pub(super) window_starts_ms: Vec<i64>,
    /// Busiest first.
    pub(super) series: Vec<SeriesView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeriesView {
    pub(super) key: Vec<String>,
    /// A value or none for each window.
    pub(super) values: Vec<Option<f64>>,
}

/// Follows one aggregate stage.
#[derive(Clone, Debug, Default)]
pub struct Kpis {
    columns: Vec<String>,
    keys: HashMap<Vec<String>, KeySeries>,
    seen: HashSet<u64>,
    /// Start of the newest window of all keys.
    newest_ms: Option<i64>,
    /// `newest_ms`, and the activity of the least busy key at that time: who is not busier need not be looked at.
    least: Option<(i64, f64)>,
    /// The last `window_start` and its time: most rows have the same as the row before.
    last_start: Option<(String, i64)>,
    /// Keys shown of each column: they are held against newcomers.
    shown: Vec<Vec<Vec<String>>>,
}

impl Kpis {
    /// Takes a row; `event_time_ms` is its place if the stage has no window. True if it changed what is kept.
    pub fn observe(&mut self, key_columns: &[String], row: &Row, event_time_ms: Option<i64>) -> bool {
        let window = self
            .window_start(row)
            .or_else(|| row::time(row, "event_time"))
            .or(event_time_ms);
        let Some(start_ms) = window else { return false };
        let values = self.values(key_columns, row);
        let key = row::key(row, key_columns);
        if self.seen.len() < KEYS_COUNTED {
            self.seen.insert(hash(&key));
        }
        self.newest_ms = self.newest_ms.max(Some(start_ms));
        if !self.keys.contains_key(&key) && !self.admit(&values) {
            return false;
        }
        let length_ms = row::time(row, "window_end").map_or(0, |end_ms| end_ms.saturating_sub(start_ms));
        let point = Point {
            revision: row::revision(row),
            values,
        };
        self.keys.entry(key).or_default().put(start_ms, length_ms, point)
    }

    /// The series to show. Remembers them, so that the next call shows the same keys unless others got busier.
    pub fn view(&mut self, stage: &str) -> KpiView {
        self.shown = (0..self.columns.len()).map(|column| self.busiest(column)).collect();
        KpiView {
            stage: stage.to_owned(),
            keys_total: self.seen.len(),
            keys_total_exact: self.seen.len() < KEYS_COUNTED,
            columns: (0..self.columns.len()).map(|column| self.column_view(column)).collect(),
        }
    }

    /// The numbers of a row in the order of `columns`; new numeric columns join them while there is room.
    fn values(&mut self, key_columns: &[String], row: &Row) -> Vec<f64> {
        let mut values = vec![f64::NAN; self.columns.len()];
        for (name, value) in row {
            let Some(number) = value.as_f64() else { continue };
            if name.starts_with('_') || key_columns.contains(name) {
                continue;
            }
            match self.columns.iter().position(|column| column == name) {
                Some(place) => values[place] = number,
                None if self.columns.len() < COLUMNS => {
                    self.columns.push(row::display(&Value::String(name.clone())));
                    values.push(number);
                }
                None => {}
            }
        }
        values
    }

    fn window_start(&mut self, row: &Row) -> Option<i64> {
        let text = row.get("window_start")?.as_str()?;
        if let Some((_, time_ms)) = self.last_start.as_ref().filter(|(last, _)| last == text) {
            return Some(*time_ms);
        }
        let time_ms = row::time(row, "window_start")?;
        self.last_start = Some((text.to_owned(), time_ms));
        Some(time_ms)
    }

    /// Makes room for a key that is not followed, if it is busier than the least busy one that is.
    fn admit(&mut self, values: &[f64]) -> bool {
        if self.keys.len() < KEYS_FOLLOWED {
            return true;
        }
        let newest_ms = self.newest_ms.unwrap_or(0);
        let own = KeySeries::first_activity(values.first().copied().unwrap_or(0.0));
        if self
            .least
            .is_some_and(|(at_ms, activity)| at_ms == newest_ms && own <= activity)
        {
            return false;
        }
        let all = self
            .keys
            .iter()
            .map(|(key, series)| (series.activity(0, newest_ms), key));
        let Some((activity, key)) = all.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1))) else {
            return true;
        };
        self.least = Some((newest_ms, activity));
        if own <= activity {
            return false;
        }
        let key = key.clone();
        self.keys.remove(&key);
        true
    }

    fn busiest(&self, column: usize) -> Vec<Vec<String>> {
        let newest_ms = self.newest_ms.unwrap_or(0);
        let held = self.shown.get(column);
        let mut ranked: Vec<(f64, &Vec<String>)> = self
            .keys
            .iter()
            .filter(|(_, series)| series.has(column))
            .map(|(key, series)| {
                let hold = if held.is_some_and(|shown| shown.contains(key)) {
                    HOLD
                } else {
                    1.0
                };
                (series.activity(column, newest_ms) * hold, key)
            })
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        ranked
            .into_iter()
            .take(KEYS_SHOWN)
            .map(|(_, key)| key.clone())
            .collect()
    }

    fn column_view(&self, column: usize) -> ColumnView {
        let shown: Vec<_> = self.shown[column]
            .iter()
            .filter_map(|key| self.keys.get_key_value(key))
            .collect();
        let mut starts: Vec<i64> = shown.iter().flat_map(|(_, series)| series.starts()).collect();
        starts.sort_unstable();
        starts.dedup();
        let window_starts_ms = starts.split_off(starts.len().saturating_sub(WINDOWS));
        let series = shown.iter().map(|(key, series)| SeriesView {
            key: (*key).clone(),
            values: window_starts_ms
                .iter()
                .map(|start_ms| series.value(*start_ms, column))
                .collect(),
        });
        ColumnView {
            name: self.columns[column].clone(),
            series: series.collect(),
            window_starts_ms,
        }
    }
}

fn hash(key: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "kpis_tests.rs"]
mod tests;
