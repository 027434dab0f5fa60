//! Consumer groups, as far as librdkafka has no word for it: who coordinates one, who is a member, and leaving for good.

use std::collections::BTreeSet;

use bytes::Buf as _;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, LeaveGroupRequest,
};
use kafka_protocol::protocol::{Decodable as _, StrBytes};
use tocsin_worker_core::kafka::error_code::UNKNOWN_MEMBER_ID;

use super::cluster::Cluster;
use super::connection::Connection;
use super::error::KafkaError;

/// Whose coordinator is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum CoordinatorOf {
    Group = 0,
    Transactions = 1,
}

/// Answer to FindCoordinator: version 4 and newer take several groups.
const FIND_COORDINATOR: i16 = 4;
/// LeaveGroup: version 3 and newer take names of static members.
const LEAVE_GROUP: i16 = 4;

/// DescribeGroups: version 4 and newer tell names of static members.
const DESCRIBE_GROUPS: i16 = 5;
/// The newest version of what members of consumer groups are assigned.
const ASSIGNMENT: i16 = 3;
/// State of a group whose members have what they were dealt.
const STABLE: &str = "Stable";

impl Cluster {
    /// Partitions of a topic that members of a group have. Nothing while the group has no members, or deals.
    ///
    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn assigned(&mut self, group: &str, topic: &str) -> Result<Option<BTreeSet<u32>>, KafkaError> {
        if self.other.is_some() {
            return Ok(None);
        }
        let (group, connection) = self.described(group)?;
        let Some(group) = group.filter(|group| group.group_state.as_str() == STABLE) else {
            return Ok(None);
        };
        let mut assigned = BTreeSet::new();
        for member in group.members {
            let mut bytes = member.member_assignment;
            let Some(version) = bytes.try_get_i16().ok() else {
                continue;
            };
            // Versions only add fields behind the others.
            let decoded = ConsumerProtocolAssignment::decode(&mut bytes, version.clamp(0, ASSIGNMENT));
            let decoded = decoded.map_err(|error| KafkaError::Protocol {
                broker: connection.broker().to_owned(),
                what: format!("the assignment of a member of the group: {error}"),
            })?;
            let of_topic = decoded.assigned_partitions.into_iter();
            for of_topic in of_topic.filter(|of| of.topic.as_str() == topic) {
                assigned.extend(
                    of_topic
                        .partitions
                        .into_iter()
                        .filter_map(|number| u32::try_from(number).ok()),
                );
            }
        }
        Ok(Some(assigned))
    }

    /// Names of a group's static members.
    ///
    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn members(&mut self, group: &str) -> Result<BTreeSet<String>, KafkaError> {
        let (group, _) = self.described(group)?;
        let members = group.into_iter().flat_map(|group| group.members);
        let names = members.filter_map(|member| Some(member.group_instance_id?.to_string()));
        Ok(names.collect())
    }

    /// A group, as its coordinator describes it.
    fn described(&mut self, group: &str) -> Result<(Option<DescribedGroup>, Connection), KafkaError> {
        let what = "DescribeGroups";
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        let mut connection = self.coordinator(CoordinatorOf::Group, group)?;
        let response = connection.call(what, &request, DESCRIBE_GROUPS)?;
        let described = response.groups.into_iter().next();
        if let Some(group) = &described {
            connection.check(what, group.error_code)?;
        }
        Ok((described, connection))
    }

    /// Takes a static member out of its group, which librdkafka leaves in: its partitions go to others at once.
    ///
    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn leave_group(&mut self, group: &str, instance: &str) -> Result<(), KafkaError> {
        if self.other.is_some() {
            tracing::info!("librdkafka leaves no group: shards go to others when the session of {instance} is over");
            return Ok(());
        }
        let what = "LeaveGroup";
        let member = MemberIdentity::default().with_group_instance_id(Some(StrBytes::from_string(instance.to_owned())));
        let request = LeaveGroupRequest::default()
            .with_group_id(group_id(group))
            .with_members(vec![member]);
        let mut connection = self.coordinator(CoordinatorOf::Group, group)?;
        let response = connection.call(what, &request, LEAVE_GROUP)?;
        connection.check(what, response.error_code)?;
        for member in response
            .members
            .iter()
            .filter(|member| member.error_code != UNKNOWN_MEMBER_ID)
        {
            connection.check(what, member.error_code)?;
        }
        Ok(())
    }

    /// A connection to the coordinator of a group, or of a producer's transactions. It is looked for each time: such
    /// questions are rare.
    pub(super) fn coordinator(&mut self, of: CoordinatorOf, key: &str) -> Result<Connection, KafkaError> {
        let what = "FindCoordinator";
        let request = FindCoordinatorRequest::default()
            .with_key_type(of as i8)
            .with_coordinator_keys(vec![StrBytes::from_string(key.to_owned())]);
        let any = self.any()?;
        let response = match any.call(what, &request, FIND_COORDINATOR) {
            Ok(response) => response,
            Err(error) => {
                self.forget_any();
                return Err(error);
            }
        };
        let any = self.any()?;
        let broker = any.broker().to_owned();
        let coordinator = response
            .coordinators
            .into_iter()
            .next()
            .ok_or_else(|| KafkaError::Protocol {
                broker,
                what: "the answer to FindCoordinator has no coordinator".to_owned(),
            })?;
        any.check(what, coordinator.error_code)?;
        let address = format!("{}:{}", coordinator.host, coordinator.port);
        self.connect(&address)
    }
}

pub(super) fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}
