//! Transactions that were left open by workers which are no longer there. A shard cannot be recovered while one is open that may
//! commit offsets of it. Brokers end it when `transaction.timeout.ms` is over, up to ten seconds later; a worker that has got
//! the shard need not wait for that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::producer::TRANSACTION_TIMEOUT;
use super::{Settings, group};
use tocsin_kafka::{Cluster, ClusterSettings, KafkaError};

/// Who waits for a transaction so long finds out whether it was left open. A live worker's ends sooner.
pub const LONG: Duration = Duration::from_millis(500);

/// Ends what was left open; one for all threads of a worker.
pub struct Abandoned {
    settings: ClusterSettings,
    workers: Workers,
    /// Until when nobody needs to look again; `None` while somebody looks.
    not_before: Arc<Mutex<Option<Instant>>>,
}

impl Abandoned {
    pub fn of(settings: &Settings, n_threads: usize) -> Self {
        Self {
            settings: settings.cluster.clone(),
            workers: Workers {
                group: settings.group.clone(),
                own: group::instance(settings),
                n_threads,
            },
            not_before: Arc::new(Mutex::new(Some(Instant::now()))),
        }
    }

    /// Looks for such transactions and ends them, on a thread of its own: a broker that is away must hold up no shard.
    pub fn end(&self) {
        let now = Instant::now();
        let mut not_before = self.not_before.lock();
        if not_before.is_none_or(|not_before| now < not_before) {
            return;
        }
        *not_before = None;
        drop(not_before);
        let (settings, workers) = (self.settings.clone(), self.workers.clone());
        let done = Arc::clone(&self.not_before);
        std::thread::spawn(move || {
            if let Err(error) = workers.end_abandoned(settings) {
                tracing::warn!(%error, "transactions that were left open cannot be ended yet");
            }
            *done.lock() = Some(Instant::now() + LONG);
        });
    }
}

/// Whose transactions are whose.
#[derive(Clone)]
struct Workers {
    group: String,
    /// The name of this worker as a member of the group, and how many threads of it commit.
    own: String,
    n_threads: usize,
}

impl Workers {
    fn end_abandoned(&self, settings: ClusterSettings) -> Result<(), KafkaError> {
        let mut cluster = Cluster::new(settings)?;
        let open = cluster.open_transactions(&format!("{}.", self.group))?;
        if open.is_empty() {
            return Ok(());
        }
        // Asked behind the other: who joins in between has no transaction that was open before.
        let members = cluster.members(&self.group)?;
        for id in open.iter().filter(|id| self.is_abandoned(id, &members)) {
            tracing::info!(id, "a worker that is gone has left a transaction open: it is ended");
            cluster.end_transaction(id, TRANSACTION_TIMEOUT)?;
        }
        Ok(())
    }

    /// Whether a transaction of this id is one of the pipeline's, and nobody is there who could end it.
    fn is_abandoned(&self, id: &str, members: &BTreeSet<String>) -> bool {
        let Some((member, thread)) = id.rsplit_once('.') else {
            return false;
        };
        let worker = member.strip_prefix(&self.group).and_then(|rest| rest.strip_prefix('.'));
        // A dot more, and it is of another pipeline whose group's name begins with ours.
        let Some((_, thread)) = worker
            .filter(|worker| !worker.is_empty() && !worker.contains('.'))
            .zip(thread.parse::<usize>().ok())
        else {
            return false;
        };
        if member == self.own {
            thread >= self.n_threads
        } else {
            !members.contains(member)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_abandoned_if_it_is_of_a_worker_that_is_no_member_or_of_a_thread_that_is_no_more() {
        let workers = Workers {
            group: "noc".to_owned(),
            own: "noc.a".to_owned(),
            n_threads: 2,
        };
        let members = BTreeSet::from(["noc.a".to_owned(), "noc.b".to_owned()]);
        for (id, expected) in [
            ("noc.a.0", false),
            ("noc.a.1", false),
            // It ran with more threads before.
            ("noc.a.2", true),
            ("noc.b.0", false),
            ("noc.b.7", false),
            ("noc.c.0", true),
            // Of other pipelines, or of something else.
            ("noc.shared.c.0", false),
            ("nocturnal.c.0", false),
            ("noc.c", false),
            ("noc.c.x", false),
            ("noc..0", false),
            ("noc", false),
            ("", false),
        ] {
            assert_eq!(workers.is_abandoned(id, &members), expected, "{id}");
        }
    }
}
