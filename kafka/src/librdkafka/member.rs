//! A member of a consumer group: how librdkafka is set up for one, and what an error means for its membership.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::config::client_config;
use super::membership::membership;
use crate::ClusterSettings;

/// How often another member may have our name within so long: two workers of one name fence each other without end.
const MOST_FENCED: usize = 3;
const AGAIN_AND_AGAIN: Duration = Duration::from_secs(60);

/// Of whom the group hears nothing for so long is thrown out.
pub const SESSION: Duration = Duration::from_secs(6);

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
        .set("session.timeout.ms", SESSION.as_millis().to_string())
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

/// Whether a consumer is still the member of its group that it was when it was given its partitions.
///
/// Who is thrown out while it asks to join hears that it is unknown. librdkafka then joins as a new member, keeps its partitions
/// and claims them (2.12.1: `rd_kafka_cgrp_handle_JoinGroup`; for other requests it gives them up as lost). Others may have had
/// them since, and the group may take them from their owners for the sake of that claim, in the same generation: what the group
/// deals to such a member in that generation is not to be relied on.
#[derive(Debug, Default)]
pub struct Incarnation(Mutex<Known>);

/// A generation of a group.
pub type Generation = i32;

#[derive(Debug, Default)]
struct Known {
    member: Option<String>,
    /// The generation in which it claimed what it was given as another; first that of a consumer before it.
    spoiled: Option<Generation>,
    is_another: bool,
}

impl Incarnation {
    /// Of a consumer that joins behind one that was another in a generation. A static member that comes back gets what it had,
    /// in the same generation, if the group has not heard that it left.
    pub fn behind(spoiled: Option<Generation>) -> Self {
        Self(Mutex::new(Known {
            spoiled,
            ..Known::default()
        }))
    }

    /// Looks who a consumer is now, within a rebalance. Answers whether it is another: it has to leave the group, and to join anew.
    pub fn look<C: ConsumerContext + 'static>(&self, consumer: &BaseConsumer<C>) -> bool {
        let claims = consumer.assignment().is_ok_and(|assignment| assignment.count() > 0);
        let mut known = self.0.lock();
        if let Some(now) = membership(consumer) {
            known.is_now(now.member, now.generation, claims && !consumer.assignment_lost());
        }
        known.is_another
    }

    /// Whether a consumer is another now than when it was looked at, or was found to be another then.
    pub fn has_changed<C: ConsumerContext + 'static>(&self, consumer: &BaseConsumer<C>) -> bool {
        let now = membership(consumer).map(|membership| membership.member);
        let known = self.0.lock();
        known.is_another || known.member != now
    }

    /// The generation in which it was found to be another, if it was.
    pub fn spoiled(&self) -> Option<Generation> {
        let known = self.0.lock();
        known.spoiled.filter(|_| known.is_another)
    }
}

impl Known {
    fn is_now(&mut self, member: String, generation: Generation, claims: bool) {
        let is_other = claims && self.member.as_ref().is_some_and(|before| *before != member);
        if is_other || self.spoiled == Some(generation) {
            self.is_another = true;
            self.spoiled = Some(generation);
        }
        self.member = Some(member);
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
    fn who_claims_partitions_under_another_name_than_it_was_given_them_is_another_member_in_that_generation() {
        type Look = (&'static str, Generation, bool);
        let cases: [(Option<Generation>, &[Look], Option<Generation>); 8] = [
            (None, &[("a", 1, false), ("a", 2, true), ("a", 4, true)], None),
            (None, &[("a", 1, false), ("b", 3, true)], Some(3)),
            // It holds nothing, or has given it up.
            (None, &[("a", 1, false), ("b", 3, false), ("b", 4, true)], None),
            (None, &[("a", 1, false), ("", -1, false), ("b", 3, false)], None),
            // What the others make of its claim may come later.
            (None, &[("a", 1, false), ("b", 3, true), ("b", 3, true)], Some(3)),
            // It is unknown, and librdkafka has not yet joined again.
            (None, &[("a", 1, false), ("", 1, true)], Some(1)),
            // It came back before the group heard that it left; and behind that.
            (Some(3), &[("c", 3, false)], Some(3)),
            (Some(3), &[("c", 4, false), ("c", 5, true)], None),
        ];
        for (before, looks, expected) in cases {
            let incarnation = Incarnation::behind(before);
            for (member, generation, claims) in looks {
                incarnation.0.lock().is_now((*member).to_owned(), *generation, *claims);
            }
            assert_eq!(incarnation.spoiled(), expected, "{before:?}, {looks:?}");
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
