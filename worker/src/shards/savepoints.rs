//! Savepoints that were asked for, and how far each is.
//!
//! Every worker of a pipeline is asked for a savepoint of the same name; each writes its shards. Whoever writes the last of
//! all shards writes the savepoint's manifest too. Nobody coordinates.
//!
//! For one that drains the shards are held until nothing is on its way between them, and stay so behind it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tocsin_worker_core::snapshot::SavepointNames;

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
}

impl Kind {
    /// Whether shards are held for it.
    pub fn holds(&self) -> bool {
        *self != Self::Plain
    }

    /// The run epoch until which they are, if until one.
    fn until(&self) -> Option<u32> {
        match self {
            Self::Grown(epoch, _) => Some(*epoch),
            Self::Plain | Self::Drained => None,
        }
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
    /// Those for which shards are held, and until which run epoch, if until one.
    holding: BTreeMap<String, Option<u32>>,
    progress: BTreeMap<String, SavepointProgress>,
}

/// A name that no savepoint can have that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It would lead elsewhere.
    #[error(
        "'{0}' is no name of a savepoint: use a-z, 0-9, '-' and '.', at most {longest}, and no '.' in front",
        longest = SavepointNames::LONGEST_ID
    )]
    Malformed(String),
    /// A pipeline whose topics have grown looks for it.
    #[error("'{0}' is a name that Tocsin gives its own savepoints, when a topic has grown: choose another")]
    Reserved(String),
}

impl Savepoints {
    /// Asks for a savepoint; `drains` if shards are held for it. One that is under way or complete is not begun again.
    ///
    /// # Errors
    /// If there can be none of that name.
    pub fn ask(&self, id: &str, drains: bool) -> Result<(), InvalidName> {
        if !SavepointNames::is_id(id) {
            return Err(InvalidName::Malformed(id.to_owned()));
        }
        if SavepointNames::epoch_of_growth(id).is_some() {
            return Err(InvalidName::Reserved(id.to_owned()));
        }
        self.begin(id, if drains { Kind::Drained } else { Kind::Plain });
        Ok(())
    }

    /// Asks for the savepoint with which run epoch `epoch` begins, because topics have these partitions now.
    pub(super) fn ask_grown(&self, epoch: u32, partitions: BTreeMap<String, u32>) {
        self.begin(&SavepointNames::id_of_growth(epoch), Kind::Grown(epoch, partitions));
    }

    fn begin(&self, id: &str, kind: Kind) {
        let mut asked = self.lock();
        if asked.progress.get(id).is_some_and(|known| known.error.is_none()) {
            return;
        }
        asked.progress.insert(id.to_owned(), SavepointProgress::default());
        if kind.holds() {
            asked.holding.insert(id.to_owned(), kind.until());
        }
        asked.order.push((id.to_owned(), kind));
        self.n_asked.store(asked.order.len() as u64, Ordering::Release);
    }

    /// Whether shards are held. They are behind a savepoint that is complete, too, until the run ends.
    /// The run epoch until which, if until one.
    pub(super) fn holds(&self) -> Option<Option<u32>> {
        self.lock().holding.values().copied().max()
    }

    /// A run begins: nothing of one before it is held.
    pub(super) fn begin_run(&self) {
        let mut asked = self.lock();
        let Asked {
            order,
            holding,
            progress,
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
        asked.holding.remove(id);
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
        savepoints.ask("a", false).unwrap();
        savepoints.ask("b", false).unwrap();
        savepoints.ask("a", false).unwrap();
        assert_eq!(savepoints.since(&mut seen), [plain("a"), plain("b")]);
        assert_eq!(savepoints.since(&mut seen), []);
        savepoints.written("a", 7, false);
        savepoints.failed("a", "the disk is full".to_owned());
        assert_eq!(
            savepoints.progress("a").unwrap().error.as_deref(),
            Some("the disk is full")
        );
        savepoints.ask("a", false).unwrap();
        assert_eq!(savepoints.since(&mut seen), [plain("a")]);
        savepoints.written("a", 7, true);
        let progress = savepoints.progress("a").unwrap();
        assert_eq!((progress.n_written, progress.complete), (1, true));
        assert_eq!(savepoints.progress("c"), None);
    }

    #[test]
    fn shards_are_held_for_one_that_drains_until_it_fails() {
        let savepoints = Savepoints::default();
        savepoints.ask("a", false).unwrap();
        assert_eq!(savepoints.holds(), None);
        savepoints.ask("b", true).unwrap();
        savepoints.written("b", 7, true);
        assert_eq!(savepoints.holds(), Some(None));
        savepoints.failed("b", "the disk is full".to_owned());
        assert_eq!(savepoints.holds(), None);
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_is_refused() {
        for id in ["", "../x", "a/b", "A", "a b", "grown-to-epoch-7", &"a".repeat(129)] {
            assert!(Savepoints::default().ask(id, false).is_err(), "{id}");
        }
    }
}
