//! A member of a consumer group: how librdkafka is set up for one, and what an error means for its membership.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::types::RDKafkaErrorCode;

use super::config::client_config;
use crate::kafka::ClusterSettings;

/// How often another member may have our name within so long: two workers of one name fence each other without end.
const MOST_FENCED: usize = 3;
const AGAIN_AND_AGAIN: Duration = Duration::from_secs(60);

/// Before a member that was fenced joins anew.
pub const BEFORE_JOINING: Duration = Duration::from_secs(1);

/// What all members are set up with: static ones of one assignor, that commit by themselves. `longest_poll` is the time within
/// which each polls.
pub fn member_config(cluster: &ClusterSettings, group: &str, instance: &str, longest_poll: Duration) -> ClientConfig {
    let mut config = client_config(cluster);
    config
        .set("group.id", group)
        .set("group.instance.id", instance)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        .set("max.poll.interval.ms", longest_poll.as_millis().to_string())
        // The group is without us for as long as a question for its coordinator waits on a connection that is of no use.
        .set("socket.timeout.ms", "10000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed");
    config
}

/// What an error means for a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberTrouble {
    /// It may pass: librdkafka tries again.
    Passing,
    /// Another member has our name.
    Fenced,
    /// No other try would do.
    Final,
}

impl MemberTrouble {
    /// What this error means for who was a member before, or was not.
    pub fn of(code: Option<RDKafkaErrorCode>, was_member: bool) -> Self {
        match code {
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId) => Self::Fenced,
            Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Self::Final
            }
            // A login that was good once is tried again: who gives tokens or tickets may be away for a while.
            Some(RDKafkaErrorCode::Authentication) if !was_member => Self::Final,
            _ => Self::Passing,
        }
    }
}

/// How often a member was fenced of late. A coordinator that goes away in the midst of a join knows us by two members, and
/// fences the first: once or twice says nothing.
#[derive(Debug, Default)]
pub struct Fences(VecDeque<Instant>);

impl Fences {
    /// It was fenced once more: whether it may join anew.
    pub fn may_join_anew(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.saturating_duration_since(*at) < AGAIN_AND_AGAIN);
        self.0.push_back(now);
        self.0.len() <= MOST_FENCED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_waited_for_and_what_may_not_ends() {
        for (code, was_member, expected) in [
            (None, true, MemberTrouble::Passing),
            (Some(RDKafkaErrorCode::AllBrokersDown), false, MemberTrouble::Passing),
            (Some(RDKafkaErrorCode::Fatal), false, MemberTrouble::Fenced),
            (Some(RDKafkaErrorCode::FencedInstanceId), true, MemberTrouble::Fenced),
            (
                Some(RDKafkaErrorCode::GroupAuthorizationFailed),
                true,
                MemberTrouble::Final,
            ),
            (
                Some(RDKafkaErrorCode::TopicAuthorizationFailed),
                true,
                MemberTrouble::Final,
            ),
            (Some(RDKafkaErrorCode::Authentication), false, MemberTrouble::Final),
            (Some(RDKafkaErrorCode::Authentication), true, MemberTrouble::Passing),
        ] {
            assert_eq!(MemberTrouble::of(code, was_member), expected, "{code:?}, {was_member}");
        }
    }

    #[test]
    fn who_is_fenced_again_and_again_ends() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut fences = Fences::default();
        assert!([0, 1, 2].into_iter().all(|seconds| fences.may_join_anew(at(seconds))));
        assert!(!fences.may_join_anew(at(3)));
        assert!(fences.may_join_anew(at(100)));
    }
}
