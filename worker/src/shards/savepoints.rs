//! Savepoints that were asked for, and how far each is.
//!
//! Every worker of a pipeline is asked for a savepoint of the same name; each writes its shards. Whoever writes the last of
//! all shards writes the savepoint's manifest too. Nobody coordinates.
//!
//! For one that drains the shards are held until nothing is on its way between them, and stay so behind it. One that ends the
//! run holds them until the next run epoch begins with it, through any restart; only giving it up lets them go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tocsin_worker_core::shard::Hold;
use tocsin_worker_core::snapshot::SavepointNames;

use crate::admin::Manner;

/// How far a savepoint is, as far as this worker knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavepointProgress {
    /// Shards that this worker has written.
    pub n_written: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Whether all shards of the pipeline are written.
    pub complete: bool,
    /// Why it failed, if it did. It may be asked for again.
    pub error: Option<String>,
}

/// What a savepoint is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be kept; the pipeline goes on meanwhile.
    Plain,
    /// To be gone on from by any number of shards: the pipeline stands still behind it.
    Drained,
    /// The same, because topics have grown: the run epoch that begins with it, and the topics' partitions.
    Grown(u32, BTreeMap<String, u32>),
    /// The same, and the run ends with it: behind it nothing is given out until this run epoch.
    Ending(u32),
}

impl Kind {
    /// For what shards are held, if they are: `id` is its name.
    pub fn hold(&self, id: &str) -> Option<Hold> {
        match self {
            Self::Plain => None,
            Self::Drained => Some(Hold::default()),
            Self::Grown(epoch, _) => Some(Hold {
                until: Some(*epoch),
                savepoint: None,
            }),
            Self::Ending(epoch) => Some(Hold {
                until: Some(*epoch),
                savepoint: Some(SavepointNames::number(id)),
            }),
        }
    }

    /// The run epoch that ends with it, if one does.
    pub fn ends(&self) -> Option<u32> {
        match self {
            Self::Grown(epoch, _) | Self::Ending(epoch) => epoch.checked_sub(1),
            Self::Plain | Self::Drained => None,
        }
    }
}

impl Asked {
    /// The savepoint with which the run ends, if it was asked for.
    fn ending(&self) -> Option<&String> {
        let mut ending = self.holding.iter().filter(|(_, hold)| hold.until.is_some());
        ending.next().map(|(id, _)| id)
    }
}

/// Savepoints of a run: shared by those who ask and by the threads that take them.
#[derive(Debug, Default)]
pub struct Savepoints {
    asked: Mutex<Asked>,
    /// How often somebody asked: threads look at nothing else as a rule.
    n_asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Asked {
    /// Names in the order in which they were asked for, and what for.
    order: Vec<(String, Kind)>,
    /// Those for which shards are held.
    holding: BTreeMap<String, Hold>,
    /// Those that were given up.
    given_up: BTreeSet<u64>,
    progress: BTreeMap<String, SavepointProgress>,
    /// The run epoch, once it is known.
    epoch: Option<u32>,
}

/// Why there can be no such savepoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It would lead elsewhere.
    #[error(
        "'{0}' is no name of a savepoint: use a-z, 0-9, '-' and '.', at most {longest}, and no '.' in front",
        longest = SavepointNames::LONGEST_ID
    )]
    Malformed(String),
    /// A pipeline whose topics have grown looks for it.
    #[error("'{0}' is a name that Tocsin gives its own savepoints, when a topic has grown: choose another")]
    Reserved(String),
    /// A run that has not begun cannot be ended.
    #[error("the worker does not know yet in which run epoch the pipeline is")]
    NoEpoch,
    /// One run has one end.
    #[error("the run ends with '{0}' already")]
    Ends(String),
    /// It was given up.
    #[error("'{0}' was given up: choose another name")]
    GivenUp(String),
}

impl Savepoints {
    /// Asks for a savepoint. One that is under way or complete is not begun again.
    ///
    /// # Errors
    /// If there can be none.
    pub fn ask(&self, id: &str, manner: Manner) -> Result<(), NotTaken> {
        if !SavepointNames::is_id(id) {
            return Err(NotTaken::Malformed(id.to_owned()));
        }
        if SavepointNames::epoch_of_growth(id).is_some() {
            return Err(NotTaken::Reserved(id.to_owned()));
        }
        let mut asked = self.lock();
        if asked.given_up.contains(&SavepointNames::number(id)) {
            return Err(NotTaken::GivenUp(id.to_owned()));
        }
        let kind = match manner {
            Manner::Plain => Kind::Plain,
            Manner::Drained => Kind::Drained,
            Manner::Ending => {
                if let Some(other) = asked.ending().filter(|other| *other != id) {
                    return Err(NotTaken::Ends(other.to_owned()));
                }
                Kind::Ending(asked.epoch.ok_or(NotTaken::NoEpoch)?.saturating_add(1))
            }
        };
        self.begin(&mut asked, id, kind);
        Ok(())
    }

    /// Asks for the savepoint with which run epoch `epoch` begins, because topics have these partitions now. Not if the run
    /// ends with another: whoever goes on with that sees the partitions.
    pub(super) fn ask_grown(&self, epoch: u32, partitions: BTreeMap<String, u32>) -> bool {
        let mut asked = self.lock();
        let id = SavepointNames::id_of_growth(epoch);
        if asked.ending().is_some_and(|other| *other != id) {
            return false;
        }
        self.begin(&mut asked, &id, Kind::Grown(epoch, partitions));
        true
    }

    fn begin(&self, asked: &mut Asked, id: &str, kind: Kind) {
        if asked.progress.get(id).is_some_and(|known| known.error.is_none()) {
            return;
        }
        asked.progress.insert(id.to_owned(), SavepointProgress::default());
        if let Some(hold) = kind.hold(id) {
            asked.holding.insert(id.to_owned(), hold);
        }
        asked.order.push((id.to_owned(), kind));
        self.n_asked.store(asked.order.len() as u64, Ordering::Release);
    }

    /// A savepoint will never be complete: the store has it so. Shards that are held for it go on.
    pub fn give_up(&self, id: &str) {
        let mut asked = self.lock();
        asked.given_up.insert(SavepointNames::number(id));
        asked.holding.remove(id);
        let progress = asked.progress.entry(id.to_owned()).or_default();
        progress.error.get_or_insert_with(|| "it was given up".to_owned());
    }

    /// Whether a savepoint was given up.
    pub(super) fn is_given_up(&self, id: &str) -> bool {
        self.lock().given_up.contains(&SavepointNames::number(id))
    }

    /// For what shards are held, if they are, and which savepoints were given up. They are held behind a savepoint that is
    /// complete, too, until the run ends.
    pub(super) fn holds(&self) -> (Option<Hold>, BTreeSet<u64>) {
        let asked = self.lock();
        (asked.holding.values().copied().max(), asked.given_up.clone())
    }

    /// A run begins: nothing of one before it is held.
    pub(super) fn begin_run(&self) {
        let mut asked = self.lock();
        asked.epoch = None;
        let Asked {
            order,
            holding,
            progress,
            ..
        } = &mut *asked;
        holding.clear();
        let is_open = |id: &String| {
            progress
                .get(id)
                .is_some_and(|known| !known.complete && known.error.is_none())
        };
        order.retain(|(id, kind)| *kind == Kind::Plain && is_open(id));
        self.n_asked.store(asked.order.len() as u64, Ordering::Release);
    }

    /// The run that has begun is this run epoch.
    pub(super) fn is_in(&self, epoch: u32) {
        self.lock().epoch = Some(epoch);
    }

    /// How far a savepoint is; nothing if nobody asked for it.
    pub fn progress(&self, id: &str) -> Option<SavepointProgress> {
        self.lock().progress.get(id).cloned()
    }

    /// The names that were asked for since `seen` were.
    pub(super) fn since(&self, seen: &mut u64) -> Vec<(String, Kind)> {
        if self.n_asked.load(Ordering::Acquire) == *seen {
            return Vec::new();
        }
        let asked = self.lock();
        let new = asked.order.get(*seen as usize..).unwrap_or_default().to_vec();
        *seen = asked.order.len() as u64;
        new
    }

    /// A shard's part is written; `complete` if that was the last of all.
    pub(super) fn written(&self, id: &str, bytes: u64, complete: bool) {
        if let Some(progress) = self.lock().progress.get_mut(id) {
            progress.n_written += 1;
            progress.bytes += bytes;
            progress.complete |= complete;
        }
    }

    /// A shard's part could not be written.
    pub(super) fn failed(&self, id: &str, error: String) {
        let mut asked = self.lock();
        if let Some(progress) = asked.progress.get_mut(id) {
            progress.error.get_or_insert(error);
        }
        // Another worker may write it yet: only the store says that it never will be complete.
        if asked.holding.get(id).is_some_and(|hold| hold.until.is_none()) {
            asked.holding.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_that_failed_is_begun_again_and_one_that_did_not_is_not() {
        let savepoints = Savepoints::default();
        let mut seen = 0;
        let plain = |id: &str| (id.to_owned(), Kind::Plain);
        savepoints.ask("a", Manner::Plain).unwrap();
        savepoints.ask("b", Manner::Plain).unwrap();
        savepoints.ask("a", Manner::Plain).unwrap();
        assert_eq!(savepoints.since(&mut seen), [plain("a"), plain("b")]);
        assert_eq!(savepoints.since(&mut seen), []);
        savepoints.written("a", 7, false);
        savepoints.failed("a", "the disk is full".to_owned());
        assert_eq!(
            savepoints.progress("a").unwrap().error.as_deref(),
            Some("the disk is full")
        );
        savepoints.ask("a", Manner::Plain).unwrap();
        assert_eq!(savepoints.since(&mut seen), [plain("a")]);
        savepoints.written("a", 7, true);
        let progress = savepoints.progress("a").unwrap();
        assert_eq!((progress.n_written, progress.complete), (1, true));
        assert_eq!(savepoints.progress("c"), None);
    }

    #[test]
    fn shards_are_held_for_one_that_drains_until_it_fails() {
        let savepoints = Savepoints::default();
        savepoints.ask("a", Manner::Plain).unwrap();
        assert_eq!(savepoints.holds().0, None);
        savepoints.ask("b", Manner::Drained).unwrap();
        savepoints.written("b", 7, true);
        assert_eq!(savepoints.holds().0, Some(Hold::default()));
        savepoints.failed("b", "the disk is full".to_owned());
        assert_eq!(savepoints.holds().0, None);
    }

    #[test]
    fn shards_are_held_for_one_that_ends_the_run_until_it_is_given_up() {
        let savepoints = Savepoints::default();
        assert_eq!(savepoints.ask("a", Manner::Ending), Err(NotTaken::NoEpoch));
        savepoints.is_in(3);
        savepoints.ask("a", Manner::Ending).unwrap();
        savepoints.ask("a", Manner::Ending).unwrap();
        let hold = Hold {
            until: Some(4),
            savepoint: Some(SavepointNames::number("a")),
        };
        assert_eq!(savepoints.holds().0, Some(hold));
        savepoints.failed("a", "the disk is full".to_owned());
        assert_eq!(savepoints.holds().0, Some(hold), "another worker may write it yet");
        assert_eq!(savepoints.ask("b", Manner::Ending), Err(NotTaken::Ends("a".to_owned())));
        assert!(!savepoints.ask_grown(4, BTreeMap::new()));
        savepoints.give_up("a");
        assert_eq!(savepoints.holds(), (None, [SavepointNames::number("a")].into()));
        assert_eq!(
            savepoints.ask("a", Manner::Ending),
            Err(NotTaken::GivenUp("a".to_owned()))
        );
        assert!(savepoints.ask_grown(4, BTreeMap::new()));
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_is_refused() {
        for id in ["", "../x", "a/b", "A", "a b", "grown-to-epoch-7", &"a".repeat(129)] {
            assert!(Savepoints::default().ask(id, Manner::Plain).is_err(), "{id}");
        }
    }
}
