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

/// Reason of the event that says who asked for a deletion.
pub const DELETION_REQUESTED: &str = "DeletionRequested";

/// Who asked for the deletion of an object, as the API server knows them.
pub fn deletion(user: &str) -> Event {
    Event {
        weight: Weight::Normal,
        reason: DELETION_REQUESTED.to_owned(),
        message: format!("{ASKED_BY}{user}"),
    }
}

/// Reason of the event that says who asked for another number of workers.
pub const SCALE_REQUESTED: &str = "ScaleRequested";

/// Who asked for another number of workers by `kubectl scale`, as the API server knows them.
pub fn scaling(user: &str) -> Event {
    Event {
        weight: Weight::Normal,
        reason: SCALE_REQUESTED.to_owned(),
        message: format!("{ASKED_BY}{user}"),
    }
}

/// Annotation of such an event: the revision of the object that was asked about, or that the request made.
pub const ASKED_REVISION: &str = "tocsin.dev/revision";
/// Annotation of such an event: the operator's signature, as anybody may write events.
pub const ASKED_SIGNATURE: &str = "tocsin.dev/signature";

/// What the signature is of: what was asked for of which object, who did, and the revision.
pub fn asked_text(uid: &str, reason: &str, user: &str, revision: &str) -> String {
    format!("asked/{uid}/{reason}/{revision}/{user}")
}

/// The user whom such an event about the object with this UID names, and the revision: nobody, if the operator did not write
/// it. `annotation` gives those of the event, `sign` the signature of a text.
pub fn asked_by<'a>(
    (uid, reason): (&str, &str),
    message: &'a str,
    annotation: impl Fn(&str) -> Option<&'a str>,
    sign: impl Fn(&str) -> String,
) -> Option<(&'a str, i64)> {
    let user = message.strip_prefix(ASKED_BY)?;
    let revision = annotation(ASKED_REVISION)?;
    let is_signed = annotation(ASKED_SIGNATURE)? == sign(&asked_text(uid, reason, user, revision));
    Some((user, revision.parse().ok().filter(|_| is_signed)?))
}

const ASKED_BY: &str = "asked for by ";

/// Longest message that the API server takes, in bytes.
pub const MAX_MESSAGE: usize = 1_024;

/// Conditions that others sum up: a word on each would say the same twice.
const SUMMARIES: [&str; 1] = [kinds::RECONCILING];

/// Conditions that are bad when they are so.
const BAD_WHEN_TRUE: [&str; 4] = [
    kinds::STALLED,
    kinds::DEGRADED,
    kinds::SCALING_LIMITED,
    kinds::MANUAL_SCALE_IGNORED,
];

/// Reasons that tell of work in hand, or of what was asked for, not of trouble.
const IN_HAND: [&str; 14] = [
    "Applying",
    "ComponentNotReady",
    "Creating",
    "Deploying",
    "Disabled",
    "InProgress",
    "NoSnapshot",
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

    #[test]
    fn only_what_the_operator_wrote_names_who_asked() {
        let sign = |text: &str| format!("signed:{text}");
        let event = deletion("alice");
        let signature = sign(&asked_text("uid-1", DELETION_REQUESTED, "alice", "7"));
        let asked = |uid: &str, message: &str, revision: &'static str| {
            let of = |name: &str| (name == ASKED_REVISION).then_some(revision).or(Some(&*signature));
            asked_by((uid, DELETION_REQUESTED), message, of, sign).map(|(user, revision)| (user.to_owned(), revision))
        };
        assert_eq!(asked("uid-1", &event.message, "7"), Some(("alice".to_owned(), 7)));
        assert_eq!(asked("uid-2", &event.message, "7"), None);
        assert_eq!(asked("uid-1", "asked for by bob", "7"), None);
        assert_eq!(asked("uid-1", &event.message, "8"), None);
    }
}
