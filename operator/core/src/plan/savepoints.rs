//! The savepoints of a pipeline that runs: by its time table, when `savepointNonce` changes, and which of them go again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tocsin_contract::pipeline::state::State;
use tocsin_contract::pipeline::time_table::TimeTable;
use tocsin_contract::snapshot::{SnapshotState, SnapshotTrigger};

use super::history::{Entry, Limits, outdated};
use crate::names::Names;

/// A PipelineSnapshot that the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Why.
    pub trigger: SnapshotTrigger,
    /// How far it is.
    pub state: SnapshotState,
    /// When its object was made.
    pub created: Timestamp,
    /// When it was complete; when it was asked for, if it never was.
    pub at: Timestamp,
    /// Whether workers began with it, or will.
    pub is_in_use: bool,
}

/// What is known of the savepoints of a pipeline whose workers run.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The names of its objects.
    pub names: Names<'a>,
    /// The pipeline's UID.
    pub uid: &'a str,
    /// The generation of its spec.
    pub generation: i64,
    /// What is asked for.
    pub state: &'a State,
    /// The nonce that was heeded last.
    pub heeded_nonce: i64,
    /// When the pipeline was made.
    pub created: Timestamp,
    /// Those that the operator asked for, by name.
    pub taken: &'a BTreeMap<String, Taken>,
    /// The time.
    pub now: Timestamp,
}

/// What is to be done about savepoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One that is asked for: its name, and why.
    pub ask: Option<(String, SnapshotTrigger)>,
    /// The nonce that is heeded with that.
    pub heed: Option<i64>,
    /// Those that go.
    pub remove: Vec<String>,
    /// When there is something to do next, if nothing changes.
    pub next: Option<Timestamp>,
}

/// Decides about savepoints. At most one is asked for at a time; a time that passed meanwhile is made up for once.
pub fn plan(facts: &Facts<'_>) -> Plan {
    let mut plan = Plan {
        remove: outdated(&entries(facts.taken), limits(facts.state), facts.now),
        ..Plan::default()
    };
    let nonce = facts.state.savepoint_nonce;
    if nonce != facts.heeded_nonce {
        plan.heed = Some(nonce);
        plan.ask = Some((
            facts.names.asked_savepoint(nonce, facts.uid, facts.generation),
            SnapshotTrigger::Manual,
        ));
        return plan;
    }
    let schedule = facts.state.savepoint.schedule.as_deref();
    // One that is none was refused before.
    let Some(table) = schedule.and_then(|text| TimeTable::parse(text).ok()) else {
        return plan;
    };
    let is_under_way = |taken: &Taken| matches!(taken.state, SnapshotState::Pending | SnapshotState::InProgress);
    if facts.taken.values().any(is_under_way) {
        return plan;
    }
    let scheduled = facts
        .taken
        .values()
        .filter(|taken| taken.trigger == SnapshotTrigger::Schedule);
    let since = scheduled.map(|taken| taken.created).max().unwrap_or(facts.created);
    let due = table.last(facts.now).filter(|due| *due > since);
    if let Some(due) = due {
        plan.ask = Some((facts.names.scheduled_savepoint(due), SnapshotTrigger::Schedule));
    }
    plan.next = table.next(facts.now);
    plan
}

fn limits(state: &State) -> Limits {
    Limits {
        count: state.savepoint.history_max_count,
        age: Duration::from_micros(state.savepoint.history_max_age.as_micros().unsigned_abs()),
    }
}

fn entries(taken: &BTreeMap<String, Taken>) -> Vec<Entry> {
    let entry = |(name, taken): (&String, &Taken)| Entry {
        name: name.clone(),
        state: taken.state,
        at: taken.at,
        is_in_use: taken.is_in_use,
    };
    taken.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn taken(trigger: SnapshotTrigger, state: SnapshotState, time: &str) -> Taken {
        Taken {
            trigger,
            state,
            created: at(time),
            at: at(time),
            is_in_use: false,
        }
    }

    fn planned(state: &State, taken: &BTreeMap<String, Taken>, now: &str) -> Plan {
        plan(&Facts {
            names: Names::of("noc"),
            uid: "5c0e7a8e-0000-4000-8000-000000000001",
            generation: 7,
            state,
            heeded_nonce: 0,
            created: at("2026-03-01T10:10:00Z"),
            taken,
            now: at(now),
        })
    }

    fn every_six_hours() -> State {
        let mut state = State::default();
        state.savepoint.schedule = Some("0 */6 * * *".to_owned());
        state
    }

    #[test]
    fn a_time_of_the_table_that_passed_is_made_up_for_once() {
        let state = every_six_hours();
        let mut all = BTreeMap::new();
        let early = planned(&state, &all, "2026-03-01T11:59:59Z");
        assert_eq!((early.ask, early.next), (None, Some(at("2026-03-01T12:00:00Z"))));
        let due = planned(&state, &all, "2026-03-03T01:00:00Z");
        let name = "noc-scheduled-20260303-0000".to_owned();
        assert_eq!(due.ask, Some((name.clone(), SnapshotTrigger::Schedule)));
        all.insert(
            name,
            taken(
                SnapshotTrigger::Schedule,
                SnapshotState::Completed,
                "2026-03-03T01:00:00Z",
            ),
        );
        let done = planned(&state, &all, "2026-03-03T05:59:00Z");
        assert_eq!((done.ask, done.next), (None, Some(at("2026-03-03T06:00:00Z"))));
    }

    #[test]
    fn none_is_asked_for_while_another_is_taken() {
        let state = every_six_hours();
        let upgrade = taken(
            SnapshotTrigger::Upgrade,
            SnapshotState::InProgress,
            "2026-03-01T11:59:00Z",
        );
        let all = [("noc-ending-x".to_owned(), upgrade)].into();
        assert_eq!(planned(&state, &all, "2026-03-01T12:00:01Z").ask, None);
    }

    #[test]
    fn another_nonce_asks_for_one_and_is_heeded() {
        let state = State {
            savepoint_nonce: 3,
            ..every_six_hours()
        };
        let plan = planned(&state, &BTreeMap::new(), "2026-03-01T12:00:00Z");
        assert_eq!(plan.heed, Some(3));
        assert_eq!(
            plan.ask,
            Some(("noc-asked-3-5c0e7a8e-7".to_owned(), SnapshotTrigger::Manual))
        );
    }

    #[test]
    fn what_is_older_than_the_history_goes() {
        let state = every_six_hours();
        let old = |time| taken(SnapshotTrigger::Schedule, SnapshotState::Completed, time);
        let all = [
            ("noc-scheduled-1".to_owned(), old("2026-02-01T00:00:00Z")),
            ("noc-scheduled-2".to_owned(), old("2026-03-01T06:00:00Z")),
        ];
        let plan = planned(&state, &all.into(), "2026-03-01T11:00:00Z");
        assert_eq!(plan.remove, ["noc-scheduled-1"]);
    }
}
