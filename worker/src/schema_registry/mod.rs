//! Schemas by their numbers, from a registry with Confluent's API.
//!
//! One thread asks. Who reads records only looks at what is known, so that a registry that is slow or away holds up nobody
//! but the records that need it: they wait, and are never dead letters for it. A schema never changes and is kept. That
//! there is none is kept for a while: it may be registered later.

mod ask;
mod error;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tocsin_worker_core::avro::{SchemaAnswer, SchemaId};

use self::ask::Asker;
pub use self::error::{RegistryError, Unanswered};

/// How long that there is no schema counts before it is asked for again.
pub const ABSENT_FOR: Duration = Duration::from_secs(60);

/// A registry that gave no answer is asked again after this time, and after twice as long each time, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);

/// See [`SHORTEST`].
const LONGEST: Duration = Duration::from_secs(5);

/// What is known of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The registry said this.
    Known(Arc<SchemaAnswer>),
    /// It was asked, and gave no answer yet; why, if it was heard of.
    Waiting(Option<Unanswered>),
}

/// A registry. Clones share what is known; the last one that goes ends the thread.
#[derive(Clone)]
pub struct SchemaRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    url: String,
    absent_for: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was asked, answered, or ended.
    news: Condvar,
}

#[derive(Default)]
struct State {
    answers: HashMap<SchemaId, (Arc<SchemaAnswer>, Instant)>,
    asked: BTreeSet<SchemaId>,
    /// Why the last question has no answer; none if it has one.
    unanswered: Option<Unanswered>,
    has_ended: bool,
}

impl SchemaRegistry {
    /// The registry at an address, which is not asked for anything yet.
    ///
    /// # Errors
    /// If it cannot be asked: no address, no authorities.
    pub fn new(url: &str) -> Result<Self, RegistryError> {
        Self::with_absent_for(url, ABSENT_FOR)
    }

    /// The same, with another time after which a schema that was not there is asked for again.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_absent_for(url: &str, absent_for: Duration) -> Result<Self, RegistryError> {
        let asker = Asker::new(url)?;
        let shared = Arc::new(Shared::default());
        let url = asker.url().to_owned();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("schema-registry".to_owned());
        thread
            .spawn(move || of_thread.answer_all(&asker))
            .map_err(RegistryError::Thread)?;
        let inner = Arc::new(Inner {
            shared,
            url,
            absent_for,
        });
        Ok(Self { inner })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// What is known of a schema. If nothing is, the registry is asked; this does not wait for the answer.
    pub fn lookup(&self, id: SchemaId) -> Lookup {
        let mut state = self.inner.shared.state.lock();
        if let Some((answer, since)) = state.answers.get(&id) {
            if **answer != SchemaAnswer::Absent || since.elapsed() < self.inner.absent_for {
                return Lookup::Known(Arc::clone(answer));
            }
            state.answers.remove(&id);
        }
        if state.asked.insert(id) {
            self.inner.shared.news.notify_all();
        }
        Lookup::Waiting(state.unanswered.clone())
    }

    /// Waits until all of these schemas are known, at most so long; says whether they are.
    pub fn wait(&self, ids: &BTreeSet<SchemaId>, longest: Duration) -> bool {
        let until = Instant::now() + longest;
        for id in ids {
            while let Lookup::Waiting(_) = self.lookup(*id) {
                let Some(left) = until.checked_duration_since(Instant::now()) else {
                    return false;
                };
                let mut state = self.inner.shared.state.lock();
                // An answer may have come since it was looked for.
                let waits = |state: &mut State| state.asked.contains(id) && !state.has_ended;
                let news = &self.inner.shared.news;
                news.wait_while_for(&mut state, waits, left);
            }
        }
        true
    }
}

impl fmt::Debug for SchemaRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaRegistry")
            .field("url", &self.inner.url)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.state.lock().has_ended = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    /// Asks what is wanted, one after the other, until the end.
    fn answer_all(&self, asker: &Asker) {
        let mut pause = SHORTEST;
        let mut last = None;
        while let Some(id) = self.next(last) {
            let answer = asker.schema(id);
            last = Some(id);
            let mut state = self.state.lock();
            match answer {
                Ok(answer) => {
                    state.asked.remove(&id);
                    state.answers.insert(id, (Arc::new(answer), Instant::now()));
                    state.unanswered = None;
                    pause = SHORTEST;
                    self.news.notify_all();
                }
                Err(unanswered) => {
                    if state.unanswered.as_ref() != Some(&unanswered) {
                        tracing::warn!(
                            url = asker.url(),
                            id,
                            "the schema registry gives no answer: {unanswered}"
                        );
                    }
                    state.unanswered = Some(unanswered);
                    self.news.notify_all();
                    self.news.wait_while_for(&mut state, |state| !state.has_ended, pause);
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    /// The next number to ask for; waits until there is one. Nothing at the end. Goes around, so that one that gets no
    /// answer does not hold up the others.
    fn next(&self, last: Option<SchemaId>) -> Option<SchemaId> {
        let idle = |state: &mut State| state.asked.is_empty() && !state.has_ended;
        let mut state = self.state.lock();
        self.news.wait_while(&mut state, idle);
        if state.has_ended {
            return None;
        }
        let behind = last.and_then(|last| state.asked.range(last.checked_add(1)?..).next());
        behind.or(state.asked.first()).copied()
    }
}
