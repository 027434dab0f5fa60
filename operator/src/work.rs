//! The work queue: what is to be looked at, handed out to those who look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tocsin_operator_core::back_off::BackOff;
use tocsin_operator_core::queue::{self, Queue, Urgency};
use tokio::sync::Notify;

use crate::cache::Key;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// An object that is looked after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// An IncidentPipeline.
    Pipeline(Key),
    /// A PipelineSnapshot.
    Snapshot(Key),
    /// An IncidentRuleSet.
    RuleSet(Key),
    /// An IncidentModel.
    Model(Key),
    /// The operator's own lease, by which it is seen that there is work done.
    Canary(Key),
}

impl Item {
    /// Its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Pipeline(_) => "IncidentPipeline",
            Self::Snapshot(_) => "PipelineSnapshot",
            Self::RuleSet(_) => "IncidentRuleSet",
            Self::Model(_) => "IncidentModel",
            Self::Canary(_) => "Lease",
        }
    }

    /// Its namespace and name.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Pipeline(key) | Self::Snapshot(key) | Self::RuleSet(key) | Self::Model(key) | Self::Canary(key) => {
                key
            }
        }
    }
}

impl queue::Item for Item {
    fn tenant(&self) -> &str {
        &self.key().namespace
    }
}

/// When an object is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes, and as routine at the latest then.
    After(Duration),
    /// At once, behind what waits already.
    Now,
    /// After a wait that grows: it failed. Not before this time, if there is one.
    Again(Option<Duration>),
    /// After a shorter wait that grows: what it was looked at as is no longer so.
    Behind,
    /// Never: it is gone.
    Never,
}

/// The work queue.
pub struct Work {
    clock: Clock,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue<Item>>,
    /// How often in a row an object failed.
    failures: Mutex<HashMap<Item, u32>>,
    wake: Notify,
}

impl Work {
    /// An empty queue for so many workers.
    pub fn new(clock: Clock, metrics: Arc<Metrics>, workers: usize) -> Self {
        Self {
            clock,
            metrics,
            queue: Mutex::new(Queue::of_workers(workers)),
            failures: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Something of the object changed.
    pub fn changed(&self, item: Item) {
        self.queue.lock().add(item, Urgency::Changed);
        self.wake.notify_one();
    }

    /// The next object to look at; waits for one. Whoever takes one says [`done`](Self::done).
    pub async fn take(&self) -> Item {
        loop {
            let woken = self.wake.notified();
            let (item, due) = {
                let mut queue = self.queue.lock();
                let item = queue.take(self.clock.moment());
                self.metrics.queued(queue.depth(), queue.in_hand());
                (item, queue.next_due())
            };
            match (item, due) {
                (Some(item), _) => {
                    // Somebody else may wait for what is left.
                    self.wake.notify_one();
                    return item;
                }
                (None, None) => woken.await,
                (None, Some(due)) => {
                    let wait = due.saturating_sub(self.clock.moment());
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// The object was looked at.
    pub fn done(&self, item: &Item, next: Next) {
        let wait = self.wait(item, next);
        {
            let mut queue = self.queue.lock();
            if next == Next::Never {
                queue.forget(item);
            }
            queue.done(item);
            match wait {
                None => {}
                Some(_) if next == Next::Now => queue.add(item.clone(), Urgency::Changed),
                Some(wait) => queue.add_at(item.clone(), self.clock.moment() + wait),
            }
        }
        self.wake.notify_one();
    }

    fn wait(&self, item: &Item, next: Next) -> Option<Duration> {
        let mut failures = self.failures.lock();
        let mut again = |back_off: BackOff, asked| {
            let failures = failures.entry(item.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            Some(back_off.wait(*failures, fastrand::f64(), asked))
        };
        match next {
            Next::Again(asked) => again(BackOff::RECONCILE, asked),
            Next::Behind => again(BackOff::CONFLICT, None),
            Next::After(wait) => {
                failures.remove(item);
                // What is looked at together is not looked at together again.
                Some(wait.mul_f64(0.9 + 0.1 * fastrand::f64()))
            }
            Next::Now => Some(Duration::ZERO),
            Next::Never => {
                failures.remove(item);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        Work::new(Clock::start(), Arc::default(), 16)
    }

    fn item(name: &str) -> Item {
        Item::Pipeline(Key::new("ops", name))
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_change() {
        let work = Arc::new(work());
        let waiting = tokio::spawn({
            let work = Arc::clone(&work);
            async move { work.take().await }
        });
        tokio::task::yield_now().await;
        work.changed(item("a"));
        assert_eq!(waiting.await.ok(), Some(item("a")));
    }

    #[tokio::test]
    async fn what_changed_while_it_was_looked_at_is_looked_at_again() {
        let work = work();
        work.changed(item("a"));
        let taken = work.take().await;
        work.changed(item("a"));
        work.done(&taken, Next::After(Duration::from_secs(600)));
        assert_eq!(work.take().await, item("a"));
    }

    #[tokio::test]
    async fn what_failed_or_was_behind_comes_again_by_itself() {
        for next in [Next::Again(None), Next::Behind] {
            let work = work();
            work.changed(item("a"));
            let taken = work.take().await;
            work.done(&taken, next);
            assert_eq!(work.take().await, item("a"));
        }
    }
}
