//! Offsets: of partitions, and of groups.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::Kafka;
use super::admin::PATIENCE;
use super::client::Quiet;
use super::options::Listener;
use super::records::Isolation;
use crate::RigError;
use crate::wait::until;

/// What a group committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The partition's number.
    pub partition: i32,
    /// The offset of the next record to read.
    pub offset: i64,
    /// What the group wrote beside it.
    pub metadata: String,
}

impl Kafka {
    /// The first offset of a partition, and the one behind its last record (under `Isolation::Committed`: behind the
    /// last that a committed reader may see, open transactions stand before it).
    ///
    /// # Errors
    /// When there is no such partition or its leader does not answer.
    pub fn offsets(&self, topic: &str, partition: i32, isolation: Isolation) -> Result<(i64, i64), RigError> {
        ends(&self.reader("rig", isolation)?, topic, partition)
    }

    /// The first offset whose record is not before a time (milliseconds since 1970), if there is one.
    ///
    /// # Errors
    /// As [`Kafka::offsets`].
    pub fn offset_at(&self, topic: &str, partition: i32, time: i64) -> Result<Option<i64>, RigError> {
        let what = || format!("asking for the offset of {topic}/{partition} at {time}");
        let mut times = TopicPartitionList::new();
        times
            .add_partition_offset(topic, partition, Offset::Offset(time))
            .map_err(RigError::client(what()))?;
        let consumer = self.reader("rig", Isolation::Uncommitted)?;
        let found = consumer
            .offsets_for_times(times, PATIENCE)
            .map_err(RigError::client(what()))?;
        Ok(
            match found
                .elements()
                .first()
                .map(rdkafka::topic_partition_list::TopicPartitionListElem::offset)
            {
                Some(Offset::Offset(offset)) => Some(offset),
                _ => None,
            },
        )
    }

    /// What a group committed for the partitions of a topic; partitions without are left out.
    ///
    /// # Errors
    /// When the group's coordinator does not answer.
    pub fn committed(&self, group: &str, topic: &str) -> Result<Vec<Committed>, RigError> {
        let what = format!("asking what {group} committed of {topic}");
        let mut asked = TopicPartitionList::new();
        for partition in self.describe(topic)? {
            asked.add_partition(topic, partition.number);
        }
        let consumer = self.reader(group, Isolation::Uncommitted)?;
        // A coordinator that was elected just now reads what it has to know first.
        let found = until(&what, PATIENCE, || {
            match consumer.committed_offsets(asked.clone(), PATIENCE) {
                Ok(found) => Ok(Some(found)),
                Err(error) if is_passing(&error) => Ok(None),
                Err(error) => Err(RigError::client(what.as_str())(error)),
            }
        })?;
        let elements = found.elements();
        let committed = elements.iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(Committed {
                partition: element.partition(),
                offset,
                metadata: element.metadata().to_owned(),
            }),
            _ => None,
        });
        Ok(committed.collect())
    }

    /// Sets where a group without members reads on, as its tools would.
    ///
    /// # Errors
    /// When the group's coordinator refuses.
    pub fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) -> Result<(), RigError> {
        let what = || format!("committing an offset of {topic}/{partition} for {group}");
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .map_err(RigError::client(what()))?;
        let consumer = self.reader(group, Isolation::Uncommitted)?;
        consumer
            .commit(&offsets, CommitMode::Sync)
            .map_err(RigError::client(what()))
    }

    /// A consumer that joins no group as long as it does not subscribe.
    pub(crate) fn reader(&self, group: &str, isolation: Isolation) -> Result<BaseConsumer<Quiet>, RigError> {
        let mut config = self.client(Listener::Plain)?;
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "20")
            .set("isolation.level", isolation.name());
        config
            .create_with_context(Quiet::default())
            .map_err(RigError::client("creating a consumer"))
    }
}

/// The first offset of a partition and the one behind its last. A leader that is told of its partitions a moment later
/// than clients are is asked again.
pub(super) fn ends(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Result<(i64, i64), RigError> {
    let what = format!("asking for the offsets of {topic}/{partition}");
    until(&what, PATIENCE, || {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Ok(ends) => Ok(Some(ends)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(RigError::client(what.as_str())(error)),
        }
    })
}

/// What mends itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
        )
    )
}
