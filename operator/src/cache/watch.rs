//! Watches: they keep the cache as the cluster is, and say what changed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::metrics::Metrics;

/// Takes in what a watch tells of one kind.
pub trait Taker: Send + Sync + 'static {
    /// The objects.
    type Object: Resource + Send;
    /// What tells two of them apart.
    type Name: Eq + Hash + Send;

    /// The kind, for people.
    fn kind(&self) -> &'static str;
    /// What tells an object from others.
    fn name(&self, object: &Self::Object) -> Self::Name;
    /// An object is so now.
    fn saw(&self, object: Self::Object);
    /// An object is gone.
    fn gone(&self, object: Self::Object);
    /// All objects that are known, as far as this watch tells of them.
    fn known(&self) -> HashSet<Self::Name>;
    /// An object is not there any more: all that are there were told, and it was not among them.
    fn missing(&self, name: Self::Name);
}

/// How many watches there are that have not told of all objects yet. Until they have, nothing may be concluded from an
/// object's not being known.
#[derive(Debug, Default)]
pub struct Unlisted {
    watches: AtomicUsize,
    listed: Notify,
}

impl Unlisted {
    /// One more watch.
    fn begin(&self) {
        self.watches.fetch_add(1, Ordering::AcqRel);
    }

    /// One fewer.
    fn end(&self) {
        self.watches.fetch_sub(1, Ordering::AcqRel);
        self.listed.notify_waiters();
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.watches.load(Ordering::Acquire)
    }

    /// Waits until all watches have told of all objects.
    pub async fn wait(&self) {
        loop {
            let listed = self.listed.notified();
            if self.count() == 0 {
                return;
            }
            listed.await;
        }
    }
}

/// How often a watch is begun anew, whether or not it was broken off: what it did not tell is found then.
#[derive(Clone, Copy, Debug)]
pub struct Relist {
    /// So often, where that is not too much.
    pub every: Duration,
}

/// So many objects of a kind are listed in a second at most, so that many of them leave the API server room to breathe.
const LISTED_A_SECOND: f64 = 500.0;

impl Relist {
    /// How long a watch of so many objects is followed. What was begun together is not begun anew together.
    fn after(self, objects: usize, spread: f64) -> Duration {
        let gentle = Duration::from_secs_f64(objects as f64 / LISTED_A_SECOND);
        self.every.max(gentle).mul_f64(0.75 + 0.25 * spread)
    }
}

/// A list that takes longer is begun anew: whoever should answer it may be gone.
const LONGEST_LIST: Duration = Duration::from_secs(300);

/// Follows a kind for as long as the process lives: one watch after the other.
pub fn follow<T, S>(
    begin: impl Fn() -> S + Send + 'static,
    taker: T,
    relist: Relist,
    unlisted: Arc<Unlisted>,
    metrics: Arc<Metrics>,
) where
    T: Taker,
    T::Object: Debug,
    S: Stream<Item = watcher::Result<Event<T::Object>>> + Send + 'static,
{
    unlisted.begin();
    tokio::spawn(async move {
        let mut first = Some(unlisted);
        loop {
            follow_one(begin(), &taker, relist, &mut first, &metrics).await;
        }
    });
}

/// Follows a watch until it is to be begun anew.
async fn follow_one<T: Taker>(
    events: impl Stream<Item = watcher::Result<Event<T::Object>>>,
    taker: &T,
    relist: Relist,
    first: &mut Option<Arc<Unlisted>>,
    metrics: &Metrics,
) where
    T::Object: Debug,
{
    // What is known and was not told of in this round.
    let mut missing = HashSet::new();
    let mut until = Instant::now() + LONGEST_LIST;
    let mut events = std::pin::pin!(events.default_backoff());
    loop {
        let Ok(event) = timeout_at(until, events.next()).await else {
            return;
        };
        match event {
            Some(Ok(Event::Init)) => {
                metrics.relisted(taker.kind());
                missing = taker.known();
                until = Instant::now() + LONGEST_LIST;
            }
            Some(Ok(Event::InitApply(object))) => {
                missing.remove(&taker.name(&object));
                taker.saw(object);
            }
            Some(Ok(Event::InitDone)) => {
                missing.drain().for_each(|name| taker.missing(name));
                if let Some(unlisted) = first.take() {
                    unlisted.end();
                }
                until = Instant::now() + relist.after(taker.known().len(), fastrand::f64());
            }
            Some(Ok(Event::Apply(object))) => taker.saw(object),
            Some(Ok(Event::Delete(object))) => taker.gone(object),
            // It is followed anew by itself, after a wait that grows.
            Some(Err(error)) => tracing::warn!(kind = taker.kind(), %error, "a watch was broken off"),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_of_many_objects_is_begun_anew_less_often() {
        let relist = Relist {
            every: Duration::from_secs(120),
        };
        assert_eq!(relist.after(1_000, 1.0), Duration::from_secs(120));
        assert_eq!(relist.after(1_000, 0.0), Duration::from_secs(90));
        assert_eq!(relist.after(100_000, 1.0), Duration::from_secs(200));
    }
}
