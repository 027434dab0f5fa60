//! The table of incidents that a demo ends with.

use std::collections::BTreeMap;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde_json::{Map, Value};

/// Incidents by id, each in its last state.
#[derive(Default)]
pub struct Incidents {
    by_id: BTreeMap<String, Map<String, Value>>,
}

impl Incidents {
    /// Takes a transition.
    pub fn take(&mut self, row: &[u8]) {
        let Ok(row) = serde_json::from_slice::<Map<String, Value>>(row) else {
            return;
        };
        if let Some(id) = row.get("incident").and_then(Value::as_str) {
            self.by_id.insert(id.to_owned(), row);
        }
    }

    /// How many there were.
    pub fn n(&self) -> usize {
        self.by_id.len()
    }

    /// All, by id, each in its last state.
    pub fn all(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.by_id.values()
    }

    /// Those with these keys (all, if `wanted` is none), by time; at most so many, the most severe first kept.
    pub fn table(&self, key: &str, most: usize, wanted: impl Fn(&str) -> bool) -> String {
        let text = |row: &Map<String, Value>, name: &str| -> String {
            row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut rows: Vec<&Map<String, Value>> = self.by_id.values().filter(|row| wanted(&text(row, key))).collect();
        let rank =
            |row: &Map<String, Value>| tocsin_worker_core::stage::incident::severity::rank(&text(row, "severity"));
        rows.sort_by_key(|row| (std::cmp::Reverse(rank(row)), text(row, "opened_at")));
        rows.truncate(most);
        rows.sort_by_key(|row| text(row, "opened_at"));
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(
            ["opened", key, "severity", "state", "cause"].map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
        );
        for row in rows {
            let severity = text(row, "severity");
            let color = match rank(row) {
                6.. => Color::Red,
                4..=5 => Color::Yellow,
                _ => Color::Blue,
            };
            let state = if text(row, "status") == "resolved" {
                "resolved"
            } else {
                "open"
            };
            table.add_row(vec![
                Cell::new(text(row, "opened_at").replace('T', " ").replace('Z', "")),
                Cell::new(text(row, key)),
                Cell::new(severity).fg(color),
                Cell::new(state),
                Cell::new(text(row, "summary")),
            ]);
        }
        table.to_string()
    }
}
