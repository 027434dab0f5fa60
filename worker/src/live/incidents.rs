//! Open incidents and the last resolved ones: one entry for the life of an incident.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::row::{self, Row};
use super::severity::level;

/// Open incidents kept: the most severe, and of those the latest changed.
pub const OPEN_SHOWN: usize = 200;
/// Resolved incidents kept.
pub const RESOLVED_SHOWN: usize = 50;
/// Causes kept of an incident.
pub const CAUSES_SHOWN: usize = 12;

/// An incident as of its newest transition. Times are event times.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentEntry {
    id: String,
    stage: String,
    key: Vec<String>,
    severity: String,
    level: u8,
    opened_ms: Option<i64>,
    updated_ms: Option<i64>,
    resolved_ms: Option<i64>,
    events: u64,
    causes: Vec<Cause>,
    /// Number of causes, those not kept included.
    causes_total: usize,
    #[serde(skip)]
    revision: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cause {
    stage: String,
    severity: String,
    level: u8,
    first_seen_ms: Option<i64>,
    count: u64,
}

/// What is open, most severe first, and what was resolved, newest first.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentsView {
    /// Incidents open now, those not kept included.
    open_total: u64,
    /// Incidents resolved so far.
    resolved_total: u64,
    open: Vec<IncidentEntry>,
    resolved: Vec<IncidentEntry>,
}

/// Keeps the incidents.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    open: HashMap<(String, String), IncidentEntry>,
    /// Newest first.
    resolved: VecDeque<IncidentEntry>,
    /// Open incidents that had to make room.
    dropped: u64,
    resolved_total: u64,
}

impl Incidents {
    /// Takes a transition of an incident. One that is older than what is known changes nothing.
    pub fn observe(&mut self, stage: &str, key_columns: &[String], row: &Row) {
        let Some(entry) = entry(stage, key_columns, row) else {
            return;
        };
        if self
            .resolved
            .iter()
            .any(|old| old.id == entry.id && old.stage == entry.stage)
        {
            return; // An incident has one life.
        }
        let id = (entry.stage.clone(), entry.id.clone());
        let status = row::text(row, "status").unwrap_or_default();
        match self.open.get(&id) {
            Some(known) if known.revision > entry.revision => return,
            Some(_) => {}
            // It was dropped, and is back.
            None if !status.eq_ignore_ascii_case("opened") => self.dropped = self.dropped.saturating_sub(1),
            None => {}
        }
        if status.eq_ignore_ascii_case("resolved") {
            self.open.remove(&id);
            self.resolved_total += 1;
            self.resolved.push_front(entry);
            self.resolved.truncate(RESOLVED_SHOWN);
        } else {
            self.open.insert(id, entry);
            self.make_room();
        }
    }

    /// What is open and what was resolved.
    pub fn view(&self) -> IncidentsView {
        let mut open: Vec<_> = self.open.values().cloned().collect();
        open.sort_by(|a, b| {
            b.level
                .cmp(&a.level)
                .then(b.opened_ms.cmp(&a.opened_ms))
                .then_with(|| a.id.cmp(&b.id))
        });
        IncidentsView {
            open_total: self.open.len() as u64 + self.dropped,
            resolved_total: self.resolved_total,
            open,
            resolved: self.resolved.iter().cloned().collect(),
        }
    }

    fn make_room(&mut self) {
        if self.open.len() <= OPEN_SHOWN {
            return;
        }
        let least = self
            .open
            .iter()
            .min_by_key(|(id, entry)| (entry.level, entry.updated_ms, *id));
        if let Some(id) = least.map(|(id, _)| id.clone()) {
            self.open.remove(&id);
            self.dropped += 1;
        }
    }
}

/// The entry of a row; none for a row that names no incident.
fn entry(stage: &str, key_columns: &[String], row: &Row) -> Option<IncidentEntry> {
    let severity = row::text(row, "severity").unwrap_or_default();
    let causes = row
        .get("causes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    Some(IncidentEntry {
        id: row::text(row, "incident")?,
        stage: stage.to_owned(),
        key: row::key(row, key_columns),
        level: level(&severity),
        severity,
        opened_ms: row::time(row, "opened_at"),
        updated_ms: row::time(row, "updated_at"),
        resolved_ms: row::time(row, "resolved_at"),
        events: row::count(row, "events").unwrap_or(0),
        causes: causes
            .iter()
            .filter_map(Value::as_object)
            .take(CAUSES_SHOWN)
            .map(cause)
            .collect(),
        causes_total: causes.len(),
        revision: row::count(row, "_rev")
            .or_else(|| row::count(row, "transition"))
            .unwrap_or(0),
    })
}

fn cause(row: &Row) -> Cause {
    let severity = row::text(row, "severity").unwrap_or_default();
    Cause {
        stage: row::text(row, "stage").unwrap_or_default(),
        level: level(&severity),
        severity,
        first_seen_ms: row::time(row, "first_seen"),
        count: row::count(row, "count").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn transition(id: &str, status: &str, severity: &str, revision: u64) -> Row {
        json!({
            "incident": id, "service": format!("service-{id}"), "status": status, "severity": severity,
            "opened_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:01:00Z", "events": revision + 1,
            "causes": [{"stage": "escalated", "severity": "CRITICAL", "first_seen": "2026-01-01T00:00:00Z", "count": 3}],
            "_rev": revision,
        })
        .as_object()
        .unwrap()
        .clone()
    }

    /// Ids open (in the order shown), ids resolved, and the number open, after `transitions`.
    fn check(transitions: &[(&str, &str, &str, u64)], open: &[&str], resolved: &[&str]) {
        let mut incidents = Incidents::default();
        for (id, status, severity, revision) in transitions {
            incidents.observe(
                "incidents",
                &["service".to_owned()],
                &transition(id, status, severity, *revision),
            );
        }
        let view = incidents.view();
        let ids = |entries: &[IncidentEntry]| entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&view.open), open);
        assert_eq!(ids(&view.resolved), resolved);
        assert_eq!(
            (view.open_total, view.resolved_total),
            (open.len() as u64, resolved.len() as u64)
        );
    }

    #[test]
    fn an_incident_opens_changes_and_resolves_once() {
        let opened = ("a", "opened", "MINOR", 0);
        let updated = ("a", "updated", "CRITICAL", 1);
        let resolved = ("a", "resolved", "CRITICAL", 2);
        check(&[opened], &["a"], &[]);
        check(&[opened, updated], &["a"], &[]);
        check(&[opened, updated, resolved], &[], &["a"]);
        check(&[opened, resolved, resolved, updated], &[], &["a"]);
        check(&[updated], &["a"], &[]);
        check(&[resolved], &[], &["a"]);
    }

    #[test]
    fn the_most_severe_comes_first() {
        check(
            &[("a", "opened", "MINOR", 0), ("b", "opened", "CRITICAL", 0)],
            &["b", "a"],
            &[],
        );
        check(
            &[
                ("a", "opened", "MINOR", 0),
                ("b", "opened", "CRITICAL", 0),
                ("a", "updated", "ESCALATED", 1),
            ],
            &["a", "b"],
            &[],
        );
    }

    #[test]
    fn an_older_revision_changes_nothing() {
        let mut incidents = Incidents::default();
        for (severity, revision) in [("MINOR", 0), ("CRITICAL", 2), ("MINOR", 1)] {
            incidents.observe("incidents", &[], &transition("a", "updated", severity, revision));
        }
        let view = incidents.view();
        assert_eq!((view.open[0].severity.as_str(), view.open[0].events), ("CRITICAL", 3));
    }

    #[test]
    fn beyond_the_bound_the_least_severe_are_counted_only() {
        let mut incidents = Incidents::default();
        for number in 0..1_000 {
            let severity = if number % 10 == 0 { "CRITICAL" } else { "MINOR" };
            incidents.observe(
                "incidents",
                &[],
                &transition(&number.to_string(), "opened", severity, 0),
            );
        }
        let view = incidents.view();
        assert_eq!((view.open_total, view.open.len()), (1_000, OPEN_SHOWN));
        assert_eq!(
            view.open.iter().filter(|entry| entry.severity == "CRITICAL").count(),
            100
        );
    }

    #[test]
    fn a_row_without_an_id_or_with_strange_columns_is_no_failure() {
        let mut incidents = Incidents::default();
        for row in [
            json!({}),
            json!({"incident": null}),
            json!({"incident": 7, "causes": [1, {}], "events": "x"}),
        ] {
            incidents.observe("incidents", &["service".to_owned()], row.as_object().unwrap());
        }
        let view = incidents.view();
        assert_eq!(
            (view.open.len(), view.open[0].id.as_str(), view.open[0].causes.len()),
            (1, "7", 1)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_number_open_is_exact_beyond_the_bound(lives in prop::collection::vec((0_u32..600, 0_u64..4), 1..2_000)) {
            let mut incidents = Incidents::default();
            let mut model: HashMap<u32, u64> = HashMap::new(); // id -> next revision; u64::MAX once resolved
            for (id, step) in lives {
                let next = *model.entry(id).or_insert(0);
                if next == u64::MAX {
                    continue;
                }
                let status = if next == 0 { "opened" } else if step == 0 { "resolved" } else { "updated" };
                incidents.observe("incidents", &[], &transition(&id.to_string(), status, "MINOR", next));
                model.insert(id, if status == "resolved" { u64::MAX } else { next + 1 });
            }
            let view = incidents.view();
            let open = model.values().filter(|next| **next != u64::MAX).count();
            prop_assert_eq!(view.open_total, open as u64);
            prop_assert!(view.open.len() <= OPEN_SHOWN && view.resolved.len() <= RESOLVED_SHOWN);
        }
    }
}
