//! What the API server says no with, and what follows from it.

use std::time::Duration;

use thiserror::Error;
use tocsin_contract::labels::FIELD_MANAGER;

use super::gate::NotLeading;

/// A request that did not succeed.
#[derive(Debug, Error)]
#[error("{what}: {why}")]
pub struct ApiError {
    /// What was asked: verb, kind, namespace and name.
    what: String,
    /// What follows from the answer.
    pub kind: Kind,
    why: String,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing may be changed any more: another operator leads.
    NotLeading,
    /// The object changed meanwhile: look at it anew.
    Conflict,
    /// Fields of the object are somebody else's: it is theirs, or somebody wrote into it.
    Taken,
    /// There is no such object.
    NotFound,
    /// The namespace is on its way out: nothing can be made in it.
    NamespaceEnds,
    /// The operator may not do that: its role must change.
    Forbidden,
    /// The API server, or somebody that it asks, does not take the object as it is. Asking again changes nothing.
    Refused,
    /// It may be otherwise in a moment; not before this time, if there is one.
    Transient(Option<Duration>),
}

impl ApiError {
    /// What follows from `error`, which `what` came back with.
    pub fn new(what: impl Into<String>, error: kube::Error) -> Self {
        let (kind, why) = classify(error);
        Self {
            what: what.into(),
            kind,
            why,
        }
    }

    /// No answer came.
    pub fn timed_out(what: String, after: Duration) -> Self {
        Self {
            what,
            kind: Kind::Transient(None),
            why: format!("no answer within {after:?}"),
        }
    }

    /// Something that was to be written cannot be made.
    pub fn unmade(what: &str, why: &dyn std::fmt::Display) -> Self {
        Self {
            what: what.to_owned(),
            kind: Kind::Transient(None),
            why: why.to_string(),
        }
    }

    /// What the API server would take, and must not be done: somebody must decide.
    pub fn refused(what: &str, why: String) -> Self {
        Self {
            what: what.to_owned(),
            kind: Kind::Refused,
            why,
        }
    }

    /// What is known is older than what is there.
    pub fn stale(what: String) -> Self {
        Self {
            what,
            kind: Kind::Conflict,
            why: "the object changed since it was looked at".to_owned(),
        }
    }

    /// Whether asking again changes nothing: somebody must hear of it.
    pub fn stays(&self) -> bool {
        matches!(self.kind, Kind::Refused | Kind::Taken | Kind::Forbidden)
    }

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }
}

fn classify(error: kube::Error) -> (Kind, String) {
    let status = match error {
        kube::Error::Api(status) => status,
        kube::Error::Service(error) if error.is::<NotLeading>() => return (Kind::NotLeading, error.to_string()),
        // What could not be sent, or was cut off. Its words are nested; the innermost say what happened.
        other => return (Kind::Transient(None), innermost(&other)),
    };
    let retry_after = status
        .details
        .as_ref()
        .map(|details| details.retry_after_seconds)
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Duration::from_secs(u64::from(seconds)));
    let ends = |cause: &kube::core::response::StatusCause| cause.reason == "NamespaceTerminating";
    let namespace_ends = status
        .details
        .as_ref()
        .is_some_and(|details| details.causes.iter().any(ends));
    // What the operator itself wrote on an object that an earlier pipeline left goes with that.
    let own = format!("\"{FIELD_MANAGER}\"");
    let is_of_others = |cause: &kube::core::response::StatusCause| {
        cause.reason == "FieldManagerConflict" && !cause.message.contains(&own)
    };
    let is_taken = status
        .details
        .as_ref()
        .is_some_and(|details| details.causes.iter().any(is_of_others));
    let kind = match status.code {
        _ if namespace_ends => Kind::NamespaceEnds,
        409 if is_taken => Kind::Taken,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        401 | 403 => Kind::Forbidden,
        400 | 405 | 406 | 413 | 415 | 422 => Kind::Refused,
        _ => Kind::Transient(retry_after),
    };
    (kind, format!("{} ({})", status.message, status.code))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{Status, StatusCause, StatusDetails};

    fn details(retry_after_seconds: u32, causes: Vec<StatusCause>) -> StatusDetails {
        StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes,
            retry_after_seconds,
        }
    }

    fn check(code: u16, details: Option<StatusDetails>, expected: Kind) {
        let mut status = Status::failure("no", "Whatever").with_code(code);
        status.details = details;
        let error = ApiError::new("patch Service ops/noc-workers", kube::Error::Api(status.boxed()));
        assert_eq!(error.kind, expected);
        assert_eq!(error.to_string(), format!("patch Service ops/noc-workers: no ({code})"));
    }

    #[test]
    fn what_follows_hangs_on_the_code() {
        check(404, None, Kind::NotFound);
        check(409, None, Kind::Conflict);
        check(403, None, Kind::Forbidden);
        check(422, None, Kind::Refused);
        check(503, None, Kind::Transient(None));
    }

    #[test]
    fn how_long_to_wait_is_heeded() {
        let details = details(7, Vec::new());
        check(429, Some(details), Kind::Transient(Some(Duration::from_secs(7))));
    }

    #[test]
    fn an_object_that_is_somebody_elses_is_told_from_one_that_changed() {
        let with = |manager: &str| StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with \"{manager}\" using apps/v1"),
            field: ".spec.replicas".to_owned(),
        };
        check(409, Some(details(0, vec![with("kubectl")])), Kind::Taken);
        check(409, Some(details(0, vec![with(FIELD_MANAGER)])), Kind::Conflict);
        check(409, None, Kind::Conflict);
    }

    #[test]
    fn a_namespace_that_ends_is_told_from_a_missing_right() {
        let cause = StatusCause {
            reason: "NamespaceTerminating".to_owned(),
            message: String::new(),
            field: String::new(),
        };
        let details = details(0, vec![cause]);
        check(403, Some(details), Kind::NamespaceEnds);
    }
}
