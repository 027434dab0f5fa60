//! Offsets that a group has committed, with what was written beside them.
//!
//! A broker that stood still, or was cut off from the others, takes itself for the group's coordinator until it hears that there
//! is another, and answers out of its memory: with offsets as they were when it was one. Whoever began there would give out
//! again what others gave out since. So who goes on from offsets asks behind a barrier: a commit of its own, which only the true
//! coordinator can bring to the other brokers, and whose text the answer must show.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaResult;
use tocsin_worker_core::kafka::error_code::{
    FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, UNSTABLE_OFFSET_COMMIT,
};

use super::cluster::{Cluster, topic_name};
use super::connection::Connection;
use super::error::KafkaError;
use super::groups::{CoordinatorOf, group_id};
use super::writer::Membership;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset.
    pub offset: i64,
    /// Reign of the last record; -1 if it is not known.
    pub epoch: i32,
    /// What was written beside it.
    pub metadata: String,
}

/// Committed offsets by topic and partition; partitions without one are left out.
pub type CommittedOffsets = BTreeMap<(String, u32), Committed>;

/// A commit that changes no offset that anybody uses: what is read behind it is what is committed now.
pub struct Barrier<'a> {
    /// Whose it is: the group takes it from members alone.
    pub by: &'a Membership,
    /// Commits as that member, without waiting, where librdkafka is asked in our place.
    pub commit: &'a dyn Fn(&TopicPartitionList) -> KafkaResult<()>,
    /// The partition that it is written to, and for which nobody commits anything else.
    pub topic: &'a str,
    /// Its number.
    pub partition: u32,
    /// What tells it from all others.
    pub text: &'a str,
    /// Whether the group has taken it, as far as is known: then it is only read.
    pub is_written: bool,
}

/// What a group's coordinator answers behind a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommittedNow {
    /// These offsets are committed.
    Offsets(CommittedOffsets),
    /// A transaction that commits some of them is open. The barrier is written.
    Unstable,
    /// The group does not know the member in its generation, or the broker does not show the barrier: another may be asked.
    NotShown,
}

/// OffsetFetch: version 8 and newer take several groups.
const OFFSET_FETCH: i16 = 8;
/// OffsetCommit: version 10 and newer have ids of topics.
const OFFSET_COMMIT: i16 = 9;

/// "There is none": tools show no lag for it, and who begins there begins as if nothing had been committed.
const NO_OFFSET: i64 = -1;

/// Errors of a member that the group does not know, or not in this generation. It will hear it, or has.
const OF_ANOTHER_GENERATION: [i16; 4] = [
    ILLEGAL_GENERATION,
    UNKNOWN_MEMBER_ID,
    REBALANCE_IN_PROGRESS,
    FENCED_INSTANCE_ID,
];

impl Cluster {
    /// Offsets that a group has committed, as of now, whichever broker is asked.
    ///
    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn committed_now(
        &mut self,
        barrier: &Barrier<'_>,
        partitions: &[(String, u32)],
    ) -> Result<CommittedNow, KafkaError> {
        let at = (barrier.topic.to_owned(), barrier.partition);
        let asked: Vec<(String, u32)> = partitions.iter().chain([&at]).cloned().collect();
        let found = match &mut self.other {
            Some(other) => other.committed_now(barrier, &asked),
            None => self.commit_and_fetch(barrier, &asked),
        };
        let answer = found.map(|found| match found {
            CommittedNow::Offsets(mut found) => match found.remove(&at) {
                Some(shown) if shown.metadata == barrier.text => CommittedNow::Offsets(only_offsets(found)),
                _ => CommittedNow::NotShown,
            },
            other => other,
        });
        if matches!(answer, Err(_) | Ok(CommittedNow::NotShown)) {
            // Another broker may know of another coordinator.
            self.forget_any();
        }
        answer
    }

    /// Offsets that a group has committed, as far as the broker knows that takes itself for its coordinator. Nothing while a
    /// transaction that commits some of them is open.
    ///
    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn committed(
        &mut self,
        group: &str,
        partitions: &[(String, u32)],
    ) -> Result<Option<CommittedOffsets>, KafkaError> {
        if let Some(other) = &mut self.other {
            return other.committed(group, partitions);
        }
        let found = self.fetch_offsets(group, partitions, true)?;
        Ok(found.map(only_offsets))
    }

    /// The same without a look at transactions that are still open: nothing that a process has left open holds it up.
    ///
    /// # Errors
    /// As [`Cluster::committed`].
    pub fn committed_so_far(
        &mut self,
        group: &str,
        partitions: &[(String, u32)],
    ) -> Result<CommittedOffsets, KafkaError> {
        if let Some(other) = &mut self.other {
            return other.committed_so_far(group, partitions);
        }
        let found = self.fetch_offsets(group, partitions, false)?;
        Ok(found.map(only_offsets).unwrap_or_default())
    }

    fn commit_and_fetch(
        &mut self,
        barrier: &Barrier<'_>,
        partitions: &[(String, u32)],
    ) -> Result<CommittedNow, KafkaError> {
        let group = &barrier.by.group;
        let mut connection = self.coordinator(CoordinatorOf::Group, group)?;
        if !barrier.is_written && !write(&mut connection, barrier)? {
            return Ok(CommittedNow::NotShown);
        }
        let found = ask(&mut connection, group, partitions, true)?;
        Ok(found.map_or(CommittedNow::Unstable, CommittedNow::Offsets))
    }

    fn fetch_offsets(
        &mut self,
        group: &str,
        partitions: &[(String, u32)],
        require_stable: bool,
    ) -> Result<Option<CommittedOffsets>, KafkaError> {
        let mut connection = self.coordinator(CoordinatorOf::Group, group)?;
        ask(&mut connection, group, partitions, require_stable)
    }
}

/// Writes a barrier. Answers whether the group has taken it.
fn write(connection: &mut Connection, barrier: &Barrier<'_>) -> Result<bool, KafkaError> {
    let what = "OffsetCommit";
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(barrier.partition as i32)
        .with_committed_offset(NO_OFFSET)
        .with_committed_metadata(Some(StrBytes::from_string(barrier.text.to_owned())));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(barrier.topic))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id(&barrier.by.group))
        .with_generation_id_or_member_epoch(barrier.by.generation)
        .with_member_id(StrBytes::from_string(barrier.by.member.clone()))
        .with_group_instance_id(barrier.by.instance.clone().map(StrBytes::from_string))
        .with_topics(vec![topic]);
    let response = connection.call(what, &request, OFFSET_COMMIT)?;
    for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
        if OF_ANOTHER_GENERATION.contains(&partition.error_code) {
            return Ok(false);
        }
        connection.check(what, partition.error_code)?;
    }
    Ok(true)
}

/// Asks a coordinator for what is committed for partitions, be there an offset or only a text.
fn ask(
    connection: &mut Connection,
    group: &str,
    partitions: &[(String, u32)],
    require_stable: bool,
) -> Result<Option<CommittedOffsets>, KafkaError> {
    let what = "OffsetFetch";
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition as i32);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetFetchRequestTopics::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(partitions)
    });
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group_id(group))
        .with_topics(Some(topics.collect()));
    let request = OffsetFetchRequest::default()
        .with_groups(vec![asked])
        .with_require_stable(require_stable);
    let response = connection.call(what, &request, OFFSET_FETCH)?;
    let mut found = CommittedOffsets::new();
    for answer in response.groups {
        if answer.error_code == UNSTABLE_OFFSET_COMMIT {
            return Ok(None);
        }
        connection.check(what, answer.error_code)?;
        for topic in answer.topics {
            for partition in topic.partitions {
                if partition.error_code == UNSTABLE_OFFSET_COMMIT {
                    return Ok(None);
                }
                connection.check(what, partition.error_code)?;
                let committed = Committed {
                    offset: partition.committed_offset,
                    epoch: partition.committed_leader_epoch,
                    metadata: partition.metadata.as_deref().unwrap_or_default().to_owned(),
                };
                let place = (topic.name.0.to_string(), partition.partition_index as u32);
                found.insert(place, committed);
            }
        }
    }
    Ok(Some(found))
}

fn only_offsets(mut found: CommittedOffsets) -> CommittedOffsets {
    found.retain(|_, committed| committed.offset >= 0);
    found
}
