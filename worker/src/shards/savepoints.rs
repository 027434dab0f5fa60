//! Savepoints that were asked for, and how far each is.
//!
//! Every worker of a pipeline is asked for a savepoint of the same name; each writes its shards. Whoever writes the last of
//! all shards writes the savepoint's manifest too. Nobody coordinates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// Savepoints of a run: shared by those who ask and by the threads that take them.
#[derive(Debug, Default)]
pub struct Savepoints {
    asked: Mutex<Asked>,
    /// How often somebody asked: threads look at nothing else as a rule.
    n_asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Asked {
    /// Names in the order in which they were asked for.
    order: Vec<String>,
    progress: BTreeMap<String, SavepointProgress>,
}

/// A name that no savepoint can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no name of a savepoint: use a-z, 0-9, '-' and '.', at most {longest}, and no '.' in front",
    longest = SavepointNames::LONGEST_ID
)]
pub struct InvalidName(String);

impl Savepoints {
    /// Asks for a savepoint. One that is under way or complete is not begun again.
    ///
    /// # Errors
    /// If there can be none of that name.
    pub fn ask(&self, id: &str) -> Result<(), InvalidName> {
        if !SavepointNames::is_id(id) {
            return Err(InvalidName(id.to_owned()));
        }
        let mut asked = self.lock();
        if asked.progress.get(id).is_some_and(|known| known.error.is_none()) {
            return Ok(());
        }
        asked.progress.insert(id.to_owned(), SavepointProgress::default());
        asked.order.push(id.to_owned());
        self.n_asked.store(asked.order.len() as u64, Ordering::Release);
        Ok(())
    }

    /// How far a savepoint is; nothing if nobody asked for it.
    pub fn progress(&self, id: &str) -> Option<SavepointProgress> {
        self.lock().progress.get(id).cloned()
    }

    /// The names that were asked for since `seen` were.
    pub(super) fn since(&self, seen: &mut u64) -> Vec<String> {
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
        if let Some(progress) = self.lock().progress.get_mut(id) {
            progress.error.get_or_insert(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
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
        savepoints.ask("a").unwrap();
        savepoints.ask("b").unwrap();
        savepoints.ask("a").unwrap();
        assert_eq!(savepoints.since(&mut seen), ["a", "b"]);
        assert_eq!(savepoints.since(&mut seen), [""; 0]);
        savepoints.written("a", 7, false);
        savepoints.failed("a", "the disk is full".to_owned());
        assert_eq!(
            savepoints.progress("a").unwrap().error.as_deref(),
            Some("the disk is full")
        );
        savepoints.ask("a").unwrap();
        assert_eq!(savepoints.since(&mut seen), ["a"]);
        savepoints.written("a", 7, true);
        let progress = savepoints.progress("a").unwrap();
        assert_eq!((progress.n_written, progress.complete), (1, true));
        assert_eq!(savepoints.progress("c"), None);
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_is_refused() {
        for id in ["", "../x", "a/b", "A", "a b", &"a".repeat(129)] {
            assert!(Savepoints::default().ask(id).is_err(), "{id}");
        }
    }
}
