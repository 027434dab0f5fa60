//! Events: one for each transition, none for a look that found nothing new.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tocsin_contract::conditions as kinds;

use super::condition::find;

/// Whether an event asks for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It tells what happened.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Weight {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it asks for attention.
    pub weight: Weight,
    /// What happened, in one word: the reason of the condition that changed.
    pub reason: String,
    /// What happened, in a sentence with the next step.
    pub message: String,
}

/// Longest message that the API server takes, in bytes.
const MAX_MESSAGE: usize = 1_024;

/// Conditions that others sum up: a word on each would say the same twice.
const SUMMARIES: [&str; 1] = [kinds::RECONCILING];

/// Conditions that are bad when they are so.
const BAD_WHEN_TRUE: [&str; 4] = [
    kinds::STALLED,
    kinds::DEGRADED,
    kinds::SCALING_LIMITED,
    kinds::MANUAL_SCALE_IGNORED,
];

/// Reasons that tell of work in hand, not of trouble.
const IN_HAND: [&str; 12] = [
    "Applying",
    "ComponentNotReady",
    "Creating",
    "Deploying",
    "InProgress",
    "Pending",
    "Provisioning",
    "Reconciling",
    "RollingOut",
    "ScaledToZero",
    "Suspended",
    "Verifying",
];

/// The events of what changed between two statuses.
pub fn events(old: &[Condition], new: &[Condition]) -> Vec<Event> {
    let changed = new.iter().filter(|condition| {
        let before = find(old, &condition.type_);
        let is_news = before.map_or_else(
            // That a thing is as it should be from the first is no news, but that all is ready.
            || weight(condition) == Weight::Warning || condition.type_ == kinds::READY,
            |before| (&before.status, &before.reason) != (&condition.status, &condition.reason),
        );
        is_news && !SUMMARIES.contains(&condition.type_.as_str())
    });
    let mut events: Vec<Event> = Vec::new();
    for condition in changed {
        let event = Event {
            weight: weight(condition),
            reason: condition.reason.clone(),
            message: bounded(&condition.message),
        };
        // Ready, Stalled and the condition behind them often say the same.
        if !events.iter().any(|known| known.message == event.message) {
            events.push(event);
        }
    }
    events
}

fn weight(condition: &Condition) -> Weight {
    let is_bad = match condition.status.as_str() {
        "True" => BAD_WHEN_TRUE.contains(&condition.type_.as_str()),
        "False" => !BAD_WHEN_TRUE.contains(&condition.type_.as_str()) && !IN_HAND.contains(&condition.reason.as_str()),
        _ => false,
    };
    if is_bad { Weight::Warning } else { Weight::Normal }
}

fn bounded(message: &str) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::status::condition::{Finding, conditions_of};
    use jiff::Timestamp;

    fn conditions(findings: &[(&'static str, bool, &'static str)]) -> Vec<Condition> {
        let findings: Vec<_> = findings
            .iter()
            .map(|(kind, verdict, reason)| Finding::new(kind, *verdict, reason, format!("{kind} {reason}")))
            .collect();
        conditions_of(&[], &findings, 1, Timestamp::from_second(1).unwrap())
    }

    fn told(old: &[Condition], new: &[Condition]) -> Vec<String> {
        let events = events(old, new);
        events
            .iter()
            .map(|event| format!("{} {}", event.weight.as_str(), event.reason))
            .collect()
    }

    #[test]
    fn each_transition_is_one_event() {
        let starting = conditions(&[
            (kinds::READY, false, "ComponentNotReady"),
            (kinds::RECONCILING, true, "Deploying"),
            (kinds::STALLED, false, "NotStalled"),
            (kinds::WORKERS_READY, false, "RollingOut"),
        ]);
        assert_eq!(told(&[], &starting), ["Normal ComponentNotReady"]);
        assert_eq!(told(&starting, &starting), Vec::<String>::new());
        let running = conditions(&[
            (kinds::READY, true, "AllComponentsReady"),
            (kinds::RECONCILING, false, "Done"),
            (kinds::STALLED, false, "NotStalled"),
            (kinds::WORKERS_READY, true, "WorkersReady"),
        ]);
        assert_eq!(
            told(&starting, &running),
            ["Normal AllComponentsReady", "Normal WorkersReady"]
        );
        let crashing = conditions(&[
            (kinds::READY, false, "ComponentNotReady"),
            (kinds::WORKERS_READY, false, "CrashLooping"),
        ]);
        assert_eq!(
            told(&running, &crashing),
            ["Normal ComponentNotReady", "Warning CrashLooping"]
        );
    }

    #[test]
    fn what_is_wrong_from_the_first_is_told() {
        let invalid = conditions(&[
            (kinds::READY, false, "Stalled"),
            (kinds::STALLED, true, "InvalidConfiguration"),
        ]);
        assert_eq!(told(&[], &invalid), ["Warning Stalled", "Warning InvalidConfiguration"]);
    }
}
