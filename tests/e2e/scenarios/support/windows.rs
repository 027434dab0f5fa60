//! What was given out of windows that may be given out again, as revisions.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tocsin_e2e::ids::Ids;

/// The newest row of each key and window; none may be there twice.
pub fn newest(ids: &Ids<'_>, part: &str, key: &str) -> BTreeMap<String, (i64, i64)> {
    let mut newest: BTreeMap<String, BTreeMap<i64, (i64, i64)>> = BTreeMap::new();
    for record in ids.kafka.consume_committed(&ids.topic(part)).unwrap() {
        let row: Json = serde_json::from_str(&record.text()).unwrap();
        let start: jiff::Timestamp = row["window_start"].as_str().unwrap().parse().unwrap();
        let name = format!("{} {}", row[key].as_str().unwrap(), start.as_second());
        let counted = (row["events"].as_i64().unwrap(), row["ids"].as_i64().unwrap());
        let revisions = newest.entry(name).or_default();
        let before = revisions.insert(row["_rev"].as_i64().unwrap(), counted);
        assert_eq!(before, None, "{part}: twice: {row}");
    }
    newest
        .into_iter()
        .map(|(name, mut revisions)| (name, revisions.pop_last().unwrap().1))
        .collect()
}
