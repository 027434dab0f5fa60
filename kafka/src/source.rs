//! Where records come from: our own Fetch path, or a consumer of librdkafka, behind one trait.

use crossbeam_channel::Receiver;
use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position};

use super::cluster::{Cluster, TopicInfo};
use super::error::KafkaError;
use super::fetcher::{Event, FetcherSettings, OwnSource};
use super::librdkafka::LibrdkafkaSource;
use super::settings::ClientKind;

/// Reads partitions, each from a position on, and never from another.
pub trait RecordSource: Send {
    /// What happened, in order for each partition.
    fn events(&self) -> &Receiver<Event>;

    /// Reads a partition from a position on. What has this number, or one before it, was fetched before.
    fn add(&self, partition: Partition, position: Position) -> u64;

    /// Reads a partition no more. Events that wait may still be of it.
    fn remove(&self, partition: Partition);

    /// [`Fetched::records`](super::Fetched::records) of so many bytes were processed.
    fn processed(&self, partition: Partition, bytes: usize);

    /// A batch at `offset` is damaged, in front of which all is processed up to `position`: it is fetched again. Answers as
    /// [`RecordSource::add`].
    ///
    /// # Errors
    /// What ends the partition, if it came like that too often.
    fn damaged(&self, partition: Partition, position: Position, offset: i64) -> Result<u64, Loss>;
}

/// The source that the settings of a cluster ask for.
pub struct Fetcher(Box<dyn RecordSource>);

impl Fetcher {
    /// A source for partitions of `topics`, which the cluster has just described; their numbers are those of
    /// [`Partition::topic`].
    ///
    /// # Errors
    /// If librdkafka takes no such settings.
    pub fn start(cluster: Cluster, topics: Vec<TopicInfo>, settings: FetcherSettings) -> Result<Self, KafkaError> {
        Ok(Self(match cluster.settings().client() {
            ClientKind::Own => Box::new(OwnSource::start(cluster, topics, settings)),
            ClientKind::Librdkafka => Box::new(LibrdkafkaSource::start(cluster, topics, settings)?),
        }))
    }

    /// See [`RecordSource::events`].
    pub fn events(&self) -> &Receiver<Event> {
        self.0.events()
    }

    /// See [`RecordSource::add`].
    pub fn add(&self, partition: Partition, position: Position) -> u64 {
        self.0.add(partition, position)
    }

    /// See [`RecordSource::remove`].
    pub fn remove(&self, partition: Partition) {
        self.0.remove(partition);
    }

    /// See [`RecordSource::processed`].
    pub fn processed(&self, partition: Partition, bytes: usize) {
        self.0.processed(partition, bytes);
    }

    /// See [`RecordSource::damaged`].
    ///
    /// # Errors
    /// As that.
    pub fn damaged(&self, partition: Partition, position: Position, offset: i64) -> Result<u64, Loss> {
        self.0.damaged(partition, position, offset)
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}
