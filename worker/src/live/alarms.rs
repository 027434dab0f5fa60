//! The latest alarms and escalations: one entry for the life of an alarm, from firing to resolved.

use std::collections::VecDeque;

use serde::Serialize;

use super::row::{self, Row};
use super::severity::level;

/// Entries kept.
pub const LATEST: usize = 100;

/// An alarm, or an escalation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmEntry {
    /// Number of the entry in this run.
    number: u64,
    /// The alarm's id, the same in all rows of its life; an escalation has none.
    #[serde(skip)]
    alarm: Option<String>,
    stage: String,
    rule: Option<String>,
    key: Vec<String>,
    status: AlarmStatus,
    severity: String,
    level: u8,
    /// Since when the condition held.
    since_ms: Option<i64>,
    /// When it fired, in event time.
    event_time_ms: Option<i64>,
    /// When it was resolved, in event time.
    ended_ms: Option<i64>,
    summary: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum AlarmStatus {
    Firing,
    Resolved,
    Escalated,
}

/// The latest entries, newest first, and how many there were.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmsView {
    /// Alarms that fire now.
    firing: u64,
    /// Alarms that ever fired.
    fired: u64,
    /// Escalations so far.
    escalations: u64,
    latest: Vec<AlarmEntry>,
}

/// Keeps the latest alarms.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    /// Newest first.
    latest: VecDeque<AlarmEntry>,
    numbered: u64,
    fired: u64,
    resolved: u64,
    escalations: u64,
}

impl Alarms {
    /// Takes a row of an alarm stage. A resolved one ends its entry, which moves to the front.
    pub fn observe_alarm(&mut self, stage: &str, key_columns: &[String], row: &Row) {
        let resolved = row::text(row, "status").is_some_and(|status| status.eq_ignore_ascii_case("resolved"));
        let mut entry = self.entry(stage, key_columns, row);
        let life = self.latest.iter().position(|other| {
            // Not by the key: a rule may have keys of its own behind those of the stage.
            other.status == AlarmStatus::Firing
                && entry.alarm.is_some()
                && (&other.stage, &other.alarm) == (&entry.stage, &entry.alarm)
        });
        let begun = life.and_then(|position| self.latest.remove(position));
        match (resolved, &begun) {
            (true, _) => self.resolved += 1,
            (false, None) => self.fired += 1,
            (false, Some(_)) => {} // A revision of an alarm that fires already.
        }
        if resolved {
            entry.status = AlarmStatus::Resolved;
            entry.ended_ms = entry.event_time_ms.take();
        }
        if let Some(begun) = begun {
            entry.number = begun.number;
            entry.since_ms = begun.since_ms.or(entry.since_ms);
            entry.event_time_ms = begun.event_time_ms.or(entry.event_time_ms);
            entry.summary = entry.summary.or(begun.summary);
        }
        self.push(entry);
    }

    /// Takes a row of an escalate stage.
    pub fn observe_escalation(&mut self, stage: &str, key_columns: &[String], row: &Row) {
        let mut entry = self.entry(stage, key_columns, row);
        entry.status = AlarmStatus::Escalated;
        entry.summary = entry.summary.or_else(|| row::text(row, "message"));
        self.escalations += 1;
        self.push(entry);
    }

    /// The latest alarms.
    pub fn view(&self) -> AlarmsView {
        AlarmsView {
            firing: self.fired.saturating_sub(self.resolved),
            fired: self.fired,
            escalations: self.escalations,
            latest: self.latest.iter().cloned().collect(),
        }
    }

    fn entry(&mut self, stage: &str, key_columns: &[String], row: &Row) -> AlarmEntry {
        self.numbered += 1;
        let severity = row::text(row, "severity").unwrap_or_default();
        AlarmEntry {
            number: self.numbered,
            alarm: row::text(row, "alarm"),
            stage: stage.to_owned(),
            rule: row::text(row, "rule"),
            key: row::key(row, key_columns),
            status: AlarmStatus::Firing,
            level: level(&severity),
            severity,
            since_ms: row::time(row, "since"),
            event_time_ms: row::time(row, "event_time"),
            ended_ms: None,
            summary: row::text(row, "summary"),
        }
    }

    fn push(&mut self, entry: AlarmEntry) {
        self.latest.push_front(entry);
        self.latest.truncate(LATEST);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    fn alarm(host: &str, status: &str, minute: u32) -> Row {
        json!({
            "alarm": format!("alm-{host}"), "host": host, "rule": "hot_cpu", "status": status, "severity": "MAJOR",
            "since": "2026-01-01T00:00:00Z", "event_time": format!("2026-01-01T00:{minute:02}:00Z"),
        })
        .as_object()
        .unwrap()
        .clone()
    }

    /// (key, status) newest first, and how many fire, after `rows`.
    fn check(rows: &[(&str, &str)], latest: &[(&str, AlarmStatus)], firing: u64) {
        let mut alarms = Alarms::default();
        for (minute, (host, status)) in rows.iter().enumerate() {
            alarms.observe_alarm("hot_cpu", &["host".to_owned()], &alarm(host, status, minute as u32));
        }
        let view = alarms.view();
        let shown: Vec<_> = view
            .latest
            .iter()
            .map(|entry| (entry.key[0].as_str(), entry.status))
            .collect();
        assert_eq!(shown, latest);
        assert_eq!(view.firing, firing);
    }

    #[test]
    fn a_resolved_alarm_ends_its_own_entry() {
        use AlarmStatus::{Firing, Resolved};
        check(&[("a", "firing"), ("b", "firing")], &[("b", Firing), ("a", Firing)], 2);
        check(
            &[("a", "firing"), ("b", "firing"), ("a", "resolved")],
            &[("a", Resolved), ("b", Firing)],
            1,
        );
        check(
            &[("a", "firing"), ("a", "resolved"), ("a", "firing")],
            &[("a", Firing), ("a", Resolved)],
            1,
        );
        check(&[("a", "firing"), ("a", "firing")], &[("a", Firing)], 1);
        check(&[("a", "resolved")], &[("a", Resolved)], 0);
    }

    #[test]
    fn alarms_of_one_key_are_told_apart_by_their_ids() {
        let mut alarms = Alarms::default();
        // A rule with `by: [disk]` of its own: the stage's key is the host alone.
        let of = |id: &str, status: &str| {
            let mut row = alarm("a", status, 0);
            row.insert("alarm".to_owned(), json!(id));
            row
        };
        let rows = [("disk-1", "firing"), ("disk-2", "firing"), ("disk-1", "resolved")];
        for (id, status) in rows {
            alarms.observe_alarm("hot_cpu", &["host".to_owned()], &of(id, status));
        }
        let view = alarms.view();
        assert_eq!((view.fired, view.firing, view.latest.len()), (2, 1, 2));
        assert_eq!(view.latest[0].alarm.as_deref(), Some("disk-1"));
        assert_eq!(view.latest[0].status, AlarmStatus::Resolved);
    }

    #[test]
    fn an_entry_keeps_when_it_fired_and_when_it_ended() {
        let mut alarms = Alarms::default();
        for row in [alarm("a", "firing", 5), alarm("a", "resolved", 9)] {
            alarms.observe_alarm("hot_cpu", &["host".to_owned()], &row);
        }
        let entry = &alarms.view().latest[0];
        let minute = |time: Option<i64>| time.unwrap() % 3_600_000 / 60_000;
        assert_eq!(
            (
                minute(entry.since_ms),
                minute(entry.event_time_ms),
                minute(entry.ended_ms)
            ),
            (0, 5, 9)
        );
    }

    #[test]
    fn only_the_latest_are_kept_but_all_are_counted() {
        let mut alarms = Alarms::default();
        for number in 0..1_000 {
            alarms.observe_alarm(
                "hot_cpu",
                &["host".to_owned()],
                &alarm(&number.to_string(), "firing", 0),
            );
        }
        let view = alarms.view();
        assert_eq!((view.latest.len(), view.fired, view.firing), (LATEST, 1_000, 1_000));
        assert_eq!(view.latest[0].key, ["999"]);
    }

    #[test]
    fn an_escalation_is_an_entry_of_its_own() {
        let mut alarms = Alarms::default();
        let row = json!({"service": "api", "severity": "ESCALATED", "message": "down"})
            .as_object()
            .unwrap()
            .clone();
        alarms.observe_escalation("escalated", &["service".to_owned()], &row);
        let view = alarms.view();
        assert_eq!((view.escalations, view.firing, view.latest[0].level), (1, 0, 5));
        assert_eq!(view.latest[0].summary.as_deref(), Some("down"));
    }
}
