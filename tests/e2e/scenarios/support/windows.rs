//! Windows of a second: what a recomputation gives, and what was given out.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tocsin_e2e::ids::{Event, Ids};
use tocsin_e2e::kafka::Record;

/// Events and the sum of their ids, by key and second.
pub type Windows = BTreeMap<String, (i64, i64)>;

/// What names the window of an event, beside its time.
pub type Key = fn(&Event) -> String;

/// The key of a stage that counts by severity.
pub fn severity(event: &Event) -> String {
    if event.passes { "CRITICAL" } else { "MINOR" }.to_owned()
}

/// What comes of these events.
pub fn recomputed<'a>(events: impl IntoIterator<Item = &'a Event>, key: Key) -> Windows {
    let mut windows = Windows::new();
    for event in events {
        let window = windows
            .entry(format!("{} {}", key(event), event.time / 1_000))
            .or_default();
        *window = (window.0 + 1, window.1 + event.id);
    }
    windows
}

/// A row that was given out: which window it is of, what it says, and the whole.
pub fn row(record: &Record, key: &str) -> (String, (i64, i64), Json) {
    let row: Json = serde_json::from_str(&record.text()).unwrap();
    let start: jiff::Timestamp = row["window_start"].as_str().unwrap().parse().unwrap();
    let name = format!("{} {}", row[key].as_str().unwrap(), start.as_second());
    let counted = (row["events"].as_i64().unwrap(), row["ids"].as_i64().unwrap());
    (name, counted, row)
}

/// The newest row of each key and window; none may be there twice.
pub fn newest(ids: &Ids<'_>, part: &str, key: &str) -> Windows {
    let mut newest: BTreeMap<String, BTreeMap<i64, (i64, i64)>> = BTreeMap::new();
    for record in ids.kafka.consume_committed(&ids.topic(part)).unwrap() {
        let (name, counted, row) = row(&record, key);
        let revisions = newest.entry(name).or_default();
        let before = revisions.insert(row["_rev"].as_i64().unwrap(), counted);
        assert_eq!(before, None, "{part}: twice: {row}");
    }
    newest
        .into_iter()
        .map(|(name, mut revisions)| (name, revisions.pop_last().unwrap().1))
        .collect()
}
