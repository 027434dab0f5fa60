//! Conditions: set one, and it keeps the time of its last transition.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tocsin_contract::conditions;

/// Longest message of a condition, in bytes: the schema's limit, and enough for a hundred problems of a file.
const MAX_MESSAGE: usize = 32_000;

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl Verdict {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Verdict {
    fn from(is_so: bool) -> Self {
        if is_so { Self::True } else { Self::False }
    }
}

/// What is said of one thing: everything of a condition but its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type, one of [`conditions::ALL`].
    pub kind: &'static str,
    /// Whether it is so.
    pub verdict: Verdict,
    /// Why, in one word of that type's list.
    pub reason: &'static str,
    /// Why, in a sentence with the next step.
    pub message: String,
}

impl Finding {
    /// A finding. `reason` must be on the type's list; a test of the status walks all that are given out.
    pub fn new(
        kind: &'static str,
        verdict: impl Into<Verdict>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        debug_assert!(conditions::is_known(kind, reason), "{kind} has no reason {reason}");
        Self {
            kind,
            verdict: verdict.into(),
            reason,
            message: message.into(),
        }
    }
}

/// The conditions that `findings` make of the `old` ones: one of each type, in the order of [`conditions::ALL`].
///
/// A type that no finding speaks of goes. The time of a transition moves only when the verdict does.
pub fn conditions_of(old: &[Condition], findings: &[Finding], generation: i64, now: Timestamp) -> Vec<Condition> {
    let of_kind = |(kind, _): &(&str, &[&str])| {
        // The last one counts: who comes later knows more.
        let finding = findings.iter().rev().find(|finding| finding.kind == *kind)?;
        let before = old.iter().find(|condition| condition.type_ == *kind);
        let since = before
            .filter(|before| before.status == finding.verdict.as_str())
            .map_or_else(|| Time(now), |before| before.last_transition_time.clone());
        Some(Condition {
            type_: finding.kind.to_owned(),
            status: finding.verdict.as_str().to_owned(),
            observed_generation: Some(generation),
            last_transition_time: since,
            reason: finding.reason.to_owned(),
            message: bounded(&finding.message),
        })
    };
    conditions::ALL.iter().filter_map(of_kind).collect()
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn bounded(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &message[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(is_ready: bool, reason: &'static str) -> Finding {
        Finding::new(conditions::READY, is_ready, reason, "a sentence")
    }

    #[test]
    fn a_transition_has_the_time_at_which_the_verdict_changed() {
        let first = conditions_of(&[], &[ready(false, "ComponentNotReady")], 1, at(10));
        assert_eq!(first[0].last_transition_time.0, at(10));
        let same = conditions_of(&first, &[ready(false, "Suspended")], 2, at(20));
        assert_eq!(
            (same[0].last_transition_time.0, same[0].observed_generation),
            (at(10), Some(2)),
            "another reason is no transition"
        );
        let other = conditions_of(&same, &[ready(true, "AllComponentsReady")], 2, at(30));
        assert_eq!(
            (other[0].last_transition_time.0, other[0].status.as_str()),
            (at(30), "True")
        );
    }

    #[test]
    fn conditions_stand_in_one_order_and_once_each() {
        let kafka = Finding::new(conditions::KAFKA_READY, Verdict::Unknown, "Deploying", "");
        let findings = [
            kafka,
            ready(false, "ComponentNotReady"),
            ready(true, "AllComponentsReady"),
        ];
        let made = conditions_of(&[], &findings, 1, at(1));
        let kinds: Vec<_> = made.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(kinds, [conditions::READY, conditions::KAFKA_READY]);
        assert_eq!(find(&made, conditions::READY).unwrap().reason, "AllComponentsReady");
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_between_two_letters() {
        let long = Finding::new(conditions::READY, true, "AllComponentsReady", "ä".repeat(20_000));
        let message = &conditions_of(&[], &[long], 1, at(1))[0].message;
        assert!(
            message.len() <= MAX_MESSAGE + 4 && message.ends_with("ä ..."),
            "{}",
            message.len()
        );
    }
}
