//! Which savepoints a pipeline keeps.

use std::time::Duration;

use jiff::Timestamp;
use tocsin_contract::snapshot::SnapshotState;

/// A savepoint of the pipeline's history: one that the operator asked for. Those of users stay until users remove them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the PipelineSnapshot.
    pub name: String,
    /// How far it is.
    pub state: SnapshotState,
    /// When it was complete; when it was asked for, if it never was.
    pub at: Timestamp,
    /// Whether workers that run began with it, or others will: it goes whatever its age only when they no longer need it.
    pub is_in_use: bool,
}

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most so many.
    pub count: u32,
    /// At most so old.
    pub age: Duration,
}

/// The savepoints that go now, the oldest first. The newest complete one stays, whatever its age, and so do those in use and
/// those that are still being taken.
pub fn outdated(entries: &[Entry], limits: Limits, now: Timestamp) -> Vec<String> {
    let mut newest_first: Vec<&Entry> = entries.iter().collect();
    newest_first.sort_by(|one, other| (other.at, &other.name).cmp(&(one.at, &one.name)));
    let newest = newest_first
        .iter()
        .position(|entry| entry.state == SnapshotState::Completed);
    let stays = |rank: usize, entry: &Entry| {
        let is_settled = !matches!(entry.state, SnapshotState::Pending | SnapshotState::InProgress);
        let age = Duration::try_from(now.duration_since(entry.at)).unwrap_or_default();
        let fits = rank < limits.count as usize && age <= limits.age;
        !is_settled || entry.is_in_use || Some(rank) == newest || fits
    };
    let goes = newest_first
        .iter()
        .enumerate()
        .filter(|(rank, entry)| !stays(*rank, entry));
    let mut goes: Vec<String> = goes.map(|(_, entry)| entry.name.clone()).collect();
    goes.reverse();
    goes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * HOUR).unwrap()
    }

    fn entry(name: &str, hour: i64) -> Entry {
        Entry {
            name: name.to_owned(),
            state: SnapshotState::Completed,
            at: at(hour),
            is_in_use: false,
        }
    }

    const LIMITS: Limits = Limits {
        count: 2,
        age: Duration::from_secs(10 * 3_600),
    };

    #[test]
    fn the_oldest_go_first_by_number_and_by_age() {
        let entries = [entry("a", 1), entry("b", 3), entry("c", 2), entry("d", 4)];
        assert_eq!(outdated(&entries, LIMITS, at(5)), ["a", "c"]);
        assert_eq!(outdated(&entries[..2], LIMITS, at(12)), ["a"]);
    }

    #[test]
    fn the_newest_complete_one_stays_and_so_does_one_in_use() {
        let mut entries = [entry("a", 1), entry("b", 2), entry("c", 3)];
        entries[0].is_in_use = true;
        entries[2].state = SnapshotState::Failed;
        assert_eq!(outdated(&entries, LIMITS, at(100)), ["c"]);
    }

    proptest! {
        #[test]
        fn a_complete_one_is_always_left(hours in prop::collection::vec((0..50_i64, 0..4_u8), 1..20), now in 0..500_i64) {
            let states = [SnapshotState::Completed, SnapshotState::Failed, SnapshotState::Pending, SnapshotState::Abandoned];
            let entries: Vec<Entry> = hours
                .iter()
                .enumerate()
                .map(|(number, (hour, state))| Entry { state: states[*state as usize], ..entry(&number.to_string(), *hour) })
                .collect();
            let gone = outdated(&entries, LIMITS, at(now));
            let complete = |entry: &&Entry| entry.state == SnapshotState::Completed;
            if entries.iter().any(|entry| complete(&entry)) {
                prop_assert!(entries.iter().filter(complete).any(|entry| !gone.contains(&entry.name)));
            }
            for entry in entries.iter().filter(|entry| entry.state == SnapshotState::Pending) {
                prop_assert!(!gone.contains(&entry.name));
            }
        }
    }
}
