//! How a cluster is: its controllers, and whether all copies of all partitions are in step.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{DescribeQuorumRequest, MetadataRequest};

use super::cluster::{Cluster, METADATA, topic_name};
use super::error::KafkaError;

const DESCRIBE_QUORUM: i16 = 2;

/// The topic of a cluster's own metadata.
const OF_CLUSTER: &str = "__cluster_metadata";

/// A controller that has not caught up with its leader for so long lags.
const LAGS: Duration = Duration::from_secs(10);

/// How a cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitality {
    /// The controller that leads.
    pub leader: Option<i32>,
    /// Controllers that lag behind it.
    pub lagging_controllers: u32,
    /// Partitions of which a copy is not in step, or that nobody leads.
    pub out_of_step: u32,
    /// How many copies of partitions each broker holds.
    pub copies: BTreeMap<i32, u32>,
}

impl Cluster {
    /// How the cluster is.
    ///
    /// # Errors
    /// If no broker answers, or we may not know.
    pub fn vitality(&mut self) -> Result<Vitality, KafkaError> {
        self.needs_own_client("DescribeQuorum")?;
        let mut vitality = self.quorum()?;
        // Without names all topics are meant.
        let request = MetadataRequest::default()
            .with_topics(None)
            .with_allow_auto_topic_creation(false);
        let connection = self.any()?;
        let response = connection.call("Metadata", &request, METADATA)?;
        for broker in &response.brokers {
            vitality.copies.entry(broker.node_id.0).or_insert(0);
        }
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let in_step = partition.isr_nodes.len() >= partition.replica_nodes.len() && partition.leader_id.0 >= 0;
            vitality.out_of_step += u32::from(!in_step);
            for replica in &partition.replica_nodes {
                *vitality.copies.entry(replica.0).or_insert(0) += 1;
            }
        }
        Ok(vitality)
    }

    fn quorum(&mut self) -> Result<Vitality, KafkaError> {
        let what = "DescribeQuorum";
        let topic = TopicData::default()
            .with_topic_name(topic_name(OF_CLUSTER))
            .with_partitions(vec![PartitionData::default().with_partition_index(0)]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let connection = self.any()?;
        let response = connection.call(what, &request, DESCRIBE_QUORUM)?;
        connection.check(what, response.error_code)?;
        let mut vitality = Vitality::default();
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            connection.check(what, partition.error_code)?;
            vitality.leader = Some(partition.leader_id.0).filter(|leader| *leader >= 0);
            let newest = partition
                .current_voters
                .iter()
                .map(|voter| voter.last_caught_up_timestamp);
            let newest = newest.max().unwrap_or(0);
            let lags = |caught_up: i64| newest.saturating_sub(caught_up) > LAGS.as_millis() as i64;
            let lagging = partition.current_voters.iter();
            let lagging = lagging.filter(|voter| lags(voter.last_caught_up_timestamp));
            vitality.lagging_controllers += lagging.count() as u32;
        }
        Ok(vitality)
    }
}
