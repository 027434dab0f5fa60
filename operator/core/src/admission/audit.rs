//! Who changed what: annotations that the admission webhook sets on pipelines, rule sets and models, and nobody else can.
//!
//! A change of the spec gets the user, the time and the revision of the request that made it, whatever the request itself says
//! there. A request that leaves the spec alone leaves these as they are, too: whoever writes them gets the old ones back.
//!
//! They are signed, with a key that the operator alone has: what somebody wrote while no webhook was asked names nobody.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Annotation: who changed the spec last, as the API server knows them.
pub const CHANGED_BY: &str = "tocsin.dev/changed-by";
/// Annotation: when, in UTC.
pub const CHANGED_AT: &str = "tocsin.dev/changed-at";
/// Annotation: the revision that the change made: the generation of the spec.
pub const REVISION: &str = "tocsin.dev/changed-revision";

/// Annotation: the signature of the three.
pub const SIGNATURE: &str = "tocsin.dev/changed-signature";

const ANNOTATIONS: [&str; 4] = [CHANGED_BY, CHANGED_AT, REVISION, SIGNATURE];

/// An object by its kind, namespace and name.
pub type Place<'a> = (&'a str, &'a str, &'a str);

/// What the signature is of.
pub fn signed_text((kind, namespace, name): Place<'_>, by: &str, at: &str, revision: &str) -> String {
    format!("changed/{kind}/{namespace}/{name}/{revision}/{at}/{by}")
}

/// Who changed the spec of an object to its generation, and when: empty if nobody knows. `annotation` gives those of the object,
/// `sign` the signature of a text.
pub fn who_changed<'a>(
    place: Place<'_>,
    generation: i64,
    annotation: impl Fn(&str) -> Option<&'a str>,
    sign: impl Fn(&str) -> String,
) -> (&'a str, &'a str) {
    let [by, at, revision, signature] = ANNOTATIONS.map(|name| annotation(name).unwrap_or_default());
    let is_of_now = revision.parse() == Ok(generation);
    if is_of_now && sign(&signed_text(place, by, at, revision)) == signature {
        (by, at)
    } else {
        ("", "")
    }
}

/// A request to make or change an object.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The object.
    pub place: Place<'a>,
    /// Gives the signature of a text.
    pub sign: &'a dyn Fn(&str) -> String,
    /// Who asks, as the API server knows them.
    pub user: &'a str,
    /// The time.
    pub now: Timestamp,
    /// The object before; none if it is made.
    pub old: Option<&'a Value>,
    /// The object as the request would have it.
    pub new: &'a Value,
}

/// The JSON patch that sets the annotations right. Empty if they are.
pub fn audit_patch(request: &Request<'_>) -> Vec<Value> {
    let wanted = wanted(request);
    let there = |name: &str| annotation(request.new, name);
    let mut patch = Vec::new();
    let has_annotations = request
        .new
        .pointer("/metadata/annotations")
        .is_some_and(Value::is_object);
    for (name, value) in ANNOTATIONS.iter().zip(wanted) {
        let path = format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
        match (there(name), value) {
            (Some(there), Some(value)) if *there == value => {}
            // `add` replaces what is there.
            (_, Some(value)) => patch.push(json!({"op": "add", "path": path, "value": value})),
            (Some(_), None) => patch.push(json!({"op": "remove", "path": path})),
            (None, None) => {}
        }
    }
    if !patch.is_empty() && !has_annotations {
        patch.insert(0, json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    patch
}

/// What the annotations must be.
fn wanted(request: &Request<'_>) -> [Option<Value>; 4] {
    let changed = request.old.is_none_or(|old| old.get("spec") != request.new.get("spec"));
    if !changed {
        return ANNOTATIONS.map(|name| request.old.and_then(|old| annotation(old, name)).cloned());
    }
    let generation = request
        .old
        .and_then(|old| old.pointer("/metadata/generation"))
        .and_then(Value::as_i64);
    let revision = generation.unwrap_or(0).saturating_add(1).to_string();
    let at = request.now.to_string();
    let signature = (request.sign)(&signed_text(request.place, request.user, &at, &revision));
    [request.user.to_owned(), at, revision, signature].map(|text| Some(text.into()))
}

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.pointer("/metadata/annotations")?.get(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_767_225_600).unwrap()
    }

    const NOC: Place<'_> = ("IncidentPipeline", "ops", "noc");
    const AT: &str = "2026-01-01T00:00:00Z";

    fn sign(text: &str) -> String {
        format!("signed:{text}")
    }

    fn annotations(by: &str, revision: &str) -> Value {
        let signature = sign(&signed_text(NOC, by, AT, revision));
        json!({CHANGED_BY: by, CHANGED_AT: AT, REVISION: revision, SIGNATURE: signature})
    }

    /// The annotations behind the patch.
    fn check(old: Option<&Value>, new: &Value, expected: &Value) {
        let patch = audit_patch(&Request {
            place: NOC,
            sign: &sign,
            user: "eve",
            now: now(),
            old,
            new,
        });
        let mut patched = new.clone();
        for step in &patch {
            let path = step["path"].as_str().unwrap();
            let (outer, name) = path.rsplit_once('/').unwrap();
            let name = name.replace("~1", "/").replace("~0", "~");
            let outer = patched.pointer_mut(outer).unwrap().as_object_mut().unwrap();
            match step["op"].as_str().unwrap() {
                "add" => outer.insert(name, step["value"].clone()),
                _ => outer.remove(&name),
            };
        }
        let found = patched.pointer("/metadata/annotations").cloned().unwrap_or(Value::Null);
        assert_eq!(&found, expected, "{patch:?}");
    }

    #[test]
    fn who_makes_an_object_is_written_on_it() {
        let new = json!({"metadata": {"name": "noc"}, "spec": {"a": 1}});
        check(None, &new, &annotations("eve", "1"));
    }

    #[test]
    fn a_change_of_the_spec_is_the_users_own_whatever_the_request_says() {
        let old = json!({"metadata": {"generation": 4, "annotations": annotations("bob", "4")}, "spec": {"a": 1}});
        let mut forged = annotations("alice", "99");
        forged["other"] = "kept".into();
        let new = json!({"metadata": {"generation": 4, "annotations": forged}, "spec": {"a": 2}});
        let mut expected = annotations("eve", "5");
        expected["other"] = "kept".into();
        check(Some(&old), &new, &expected);
    }

    #[test]
    fn who_changes_only_the_annotations_gets_the_old_ones_back() {
        let old = json!({"metadata": {"generation": 4, "annotations": annotations("bob", "4")}, "spec": {"a": 1}});
        let forged = json!({"metadata": {"annotations": annotations("alice", "4")}, "spec": {"a": 1}});
        check(Some(&old), &forged, &annotations("bob", "4"));
        let removed = json!({"metadata": {}, "spec": {"a": 1}});
        check(Some(&old), &removed, &annotations("bob", "4"));
        let before = json!({"metadata": {}, "spec": {"a": 1}});
        check(Some(&before), &forged, &json!({}));
    }

    #[test]
    fn only_what_the_operator_wrote_of_this_very_change_names_somebody() {
        let who = |annotations: &Value, generation| {
            let (by, at) = who_changed(NOC, generation, |name| annotations[name].as_str(), sign);
            (by.to_owned(), at.to_owned())
        };
        let nobody = (String::new(), String::new());
        assert_eq!(who(&annotations("bob", "4"), 4), ("bob".to_owned(), AT.to_owned()));
        // It was scaled since, which leaves the annotations alone.
        assert_eq!(who(&annotations("bob", "4"), 5), nobody);
        let mut forged = annotations("bob", "4");
        forged[CHANGED_BY] = "alice".into();
        assert_eq!(who(&forged, 4), nobody);
        assert_eq!(who(&json!({}), 1), nobody);
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let object = json!({"metadata": {"generation": 4, "annotations": annotations("bob", "4")}, "spec": {"a": 1}});
        check(Some(&object), &object, &annotations("bob", "4"));
        let untouched = json!({"metadata": {}, "spec": {}});
        check(Some(&untouched), &untouched, &Value::Null);
    }
}
