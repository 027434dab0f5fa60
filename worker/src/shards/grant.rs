//! What the consumer group has granted: shards, and the proof that they are ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use tocsin_kafka::{Barrier, Cluster, CommittedNow, KafkaError, Membership, membership};

/// The group's metadata of one generation. It is taken inside the rebalance callback, together with the assignment: asked
/// for at any other time, librdkafka gives the newest, and a thread that was left behind would pass for a member.
#[derive(Clone)]
pub struct Grant(Arc<Proof>);

/// The same for librdkafka's producers and for our own.
struct Proof {
    metadata: ConsumerGroupMetadata,
    membership: Membership,
}

impl Grant {
    /// What a consumer was granted just now. Nothing if it is in no group.
    pub fn of<C: ConsumerContext + 'static>(consumer: &BaseConsumer<C>) -> Option<Self> {
        let metadata = consumer.group_metadata()?;
        let membership = membership(consumer)?;
        Some(Self(Arc::new(Proof { metadata, membership })))
    }

    pub fn metadata(&self) -> &ConsumerGroupMetadata {
        &self.0.metadata
    }

    pub fn membership(&self) -> &Membership {
        &self.0.membership
    }

    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Which shards are ours, and by which grant.
#[derive(Default)]
pub struct Ownership {
    state: Mutex<State>,
    changed: Condvar,
    /// Commits offsets as the member of the group that we are now.
    commit: Mutex<Option<Commit>>,
}

/// Commits offsets without waiting.
pub type Commit = Box<dyn Fn(&TopicPartitionList) -> KafkaResult<()> + Send>;

/// A question for what is committed, which may have to be repeated.
#[derive(Default)]
pub struct Asking {
    /// The barrier that the group has taken, and by which grant.
    behind: Option<(Grant, String)>,
}

/// Which of a shard's times with us it is: one that was lost and won back is not the one that it was.
pub type Term = u64;

#[derive(Default)]
struct State {
    shards: BTreeMap<u32, Term>,
    grant: Option<Grant>,
    terms: Term,
}

impl State {
    fn has(&self, shards: &[(u32, Term)]) -> bool {
        shards.iter().all(|(shard, term)| self.shards.get(shard) == Some(term))
    }
}

impl Ownership {
    /// These shards are ours too, by a new grant.
    pub(super) fn assign(&self, shards: &[u32], grant: Grant) -> Vec<(u32, Term)> {
        let mut state = self.state.lock();
        state.terms += 1;
        let term = state.terms;
        let assigned: Vec<(u32, Term)> = shards.iter().map(|shard| (*shard, term)).collect();
        state.shards.extend(assigned.iter().copied());
        state.grant = Some(grant);
        drop(state);
        self.changed.notify_all();
        assigned
    }

    pub(super) fn revoke(&self, shards: &[u32]) {
        let mut state = self.state.lock();
        state.shards.retain(|shard, _| !shards.contains(shard));
        drop(state);
        self.changed.notify_all();
    }

    /// From now on offsets are committed as this member, or as none.
    pub(super) fn commits_by(&self, member: Option<Commit>) {
        *self.commit.lock() = member;
    }

    /// What is committed for partitions of shards that are ours by this grant: what others committed before they lost them, all
    /// of it, and nothing can be added. See [`Cluster::committed_now`]; the barrier is of a partition of the journal.
    pub(super) fn committed_now(
        &self,
        cluster: &mut Cluster,
        grant: &Grant,
        asking: &mut Asking,
        (journal, shard): (&str, u32),
        partitions: &[(String, u32)],
    ) -> Result<CommittedNow, KafkaError> {
        let written = asking.behind.take().filter(|(by, _)| by.is(grant));
        let is_written = written.is_some();
        let text = written.map_or_else(
            || format!("tocsin-barrier:{:016x}", fastrand::u64(..)),
            |(_, text)| text,
        );
        let nobody = || ClientError::ConsumerCommit(RDKafkaErrorCode::UnknownMemberId);
        let barrier = Barrier {
            by: grant.membership(),
            commit: &|offsets| self.commit.lock().as_ref().ok_or_else(nobody)?(offsets),
            topic: journal,
            partition: shard,
            text: &text,
            is_written,
        };
        let answer = cluster.committed_now(&barrier, partitions);
        if matches!(answer, Ok(CommittedNow::Unstable)) {
            asking.behind = Some((grant.clone(), text));
        }
        answer
    }

    /// The shards that are ours.
    pub(super) fn shards(&self) -> Vec<u32> {
        let state = self.state.lock();
        state.shards.keys().copied().collect()
    }

    /// The grant by which all these shards are ours.
    pub(super) fn grant(&self, shards: &[(u32, Term)]) -> Option<Grant> {
        let state = self.state.lock();
        state.grant.clone().filter(|_| state.has(shards))
    }

    /// The same, but not this one: waits for a newer. Nothing when the shards are lost, or it takes too long.
    pub(super) fn newer(&self, than: &Grant, shards: &[(u32, Term)], patience: Duration) -> Option<Grant> {
        let until = Instant::now() + patience;
        let mut state = self.state.lock();
        loop {
            if !state.has(shards) {
                return None;
            }
            if let Some(grant) = state.grant.as_ref().filter(|grant| !grant.is(than)) {
                return Some(grant.clone());
            }
            let left = until.checked_duration_since(Instant::now())?;
            self.changed.wait_for(&mut state, left);
        }
    }
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ownership").finish_non_exhaustive()
    }
}
