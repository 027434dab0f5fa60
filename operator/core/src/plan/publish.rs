//! What goes out on a pipeline's own topics: rules, KPIs and models, to be signed, and a record of each change.
//!
//! What went out is noted in a ConfigMap of the pipeline behind it. An operator that ends between the two sends the same once
//! more: a record has a key by which it is known again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tocsin_contract::control::{ControlKind, ControlRecord, MAX_PAYLOAD};
use tocsin_contract::labels::Component;

use crate::build::metadata;
use crate::pipeline::Pipeline;

/// A record is valid so long.
const VALID: SignedDuration = SignedDuration::from_hours(30 * 24);
/// It goes out anew when half of that is over.
const AGAIN: SignedDuration = SignedDuration::from_hours(15 * 24);

/// An object that a pipeline is made of, or refers to, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its kind: `IncidentRuleSet`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// When it was made.
    pub created: Timestamp,
    /// Who changed it last, as the API server knows them; empty if nobody knows.
    pub by: String,
    /// When, as it was written then; empty if nobody knows.
    pub at: String,
    /// Its spec.
    pub spec: Value,
}

impl Stored {
    fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.name, self.uid)
    }

    /// Whether its change was not recorded yet.
    pub fn is_news(&self, published: &Published) -> bool {
        let known = published.audited.get(&self.key());
        known.is_none_or(|known| *known < self.generation)
    }
}

/// What went out before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Published {
    /// The generation of each object whose change was recorded last, by kind, name and UID.
    pub audited: BTreeMap<String, i64>,
    /// What was sent to workers last, by kind and name.
    pub sent: BTreeMap<String, Sent>,
}

/// What was sent to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sent {
    /// Its revision.
    pub revision: u64,
    /// When, in milliseconds since 1970.
    pub issued_at: i64,
}

/// A record for a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<T> {
    /// Its key: of two with the same the later one counts.
    pub key: String,
    /// What it says.
    pub value: T,
}

/// What is to go out now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    /// To the audit topic.
    pub audit: Vec<Message<Value>>,
    /// To the control topic, when it is signed.
    pub control: Vec<Message<ControlRecord>>,
    /// What has gone out then.
    pub then: Published,
}

impl Due {
    /// Whether there is nothing.
    pub fn is_nothing(&self) -> bool {
        self.audit.is_empty() && self.control.is_empty()
    }
}

/// An object whose changes were recorded, and that is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Generation of its spec that was recorded last.
    pub generation: i64,
}

/// The objects that are no more. `exists` says of a kind, name and UID whether there is such an object.
pub fn gone(published: &Published, exists: impl Fn(&str, &str, &str) -> bool) -> Vec<Gone> {
    let read = |(key, generation): (&String, &i64)| {
        let mut parts = key.splitn(3, '/');
        let (kind, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
        (!exists(kind, name, uid)).then(|| Gone {
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            generation: *generation,
        })
    };
    published.audited.iter().filter_map(read).collect()
}

impl Due {
    /// These deletions are told of, too, each with whoever asked for it, if that is known.
    pub fn tell_of(&mut self, gone: &[(Gone, String)], now: Timestamp) {
        for (gone, by) in gone {
            self.then
                .audited
                .remove(&format!("{}/{}/{}", gone.kind, gone.name, gone.uid));
            self.audit.push(deleted(gone, by, now));
        }
    }
}

/// What is to go out of these objects. `key_id` names the key by which it is signed.
pub fn due(pipeline_uid: &str, objects: &[Stored], published: &Published, now: Timestamp, key_id: &str) -> Due {
    let mut due = Due {
        then: published.clone(),
        ..Due::default()
    };
    for object in objects {
        if object.is_news(published) {
            due.audit.push(changed(object, published.audited.get(&object.key())));
            due.then.audited.insert(object.key(), object.generation);
        }
        for (kind, payload) in payloads(object) {
            let key = format!("{kind:?}/{}", object.name);
            let sent = published.sent.get(&key).copied().unwrap_or_default();
            let revision = revision(object);
            let age = now.duration_since(Timestamp::from_millisecond(sent.issued_at).unwrap_or_default());
            // What is larger no worker takes: the rule set's own status says so.
            if payload.len() > MAX_PAYLOAD || (sent.revision == revision && age < AGAIN) {
                continue;
            }
            let issued_at = now.as_millisecond();
            let record = ControlRecord {
                pipeline_uid: pipeline_uid.to_owned(),
                revision,
                issued_at,
                expires_at: issued_at.saturating_add(i64::try_from(VALID.as_millis()).unwrap_or(i64::MAX)),
                kind,
                name: object.name.clone(),
                payload: ByteString(payload),
                key_id: key_id.to_owned(),
                signature: ByteString(Vec::new()),
            };
            due.then.sent.insert(key.clone(), Sent { revision, issued_at });
            due.control.push(Message { key, value: record });
        }
    }
    due
}

/// Grows with each change. An object that was made anew counts its generations anew, so the time when it was made stands in
/// front of them.
fn revision(object: &Stored) -> u64 {
    const BITS_OF_GENERATION: u32 = 24;
    let seconds = u64::try_from(object.created.as_second()).unwrap_or(0);
    let generation = u64::try_from(object.generation).unwrap_or(0);
    (seconds << BITS_OF_GENERATION) | (generation & ((1 << BITS_OF_GENERATION) - 1))
}

/// What workers need of an object.
fn payloads(object: &Stored) -> Vec<(ControlKind, Vec<u8>)> {
    let part = |name: &str| {
        let part = object
            .spec
            .get(name)
            .filter(|part| part.as_array().is_some_and(|part| !part.is_empty()))?;
        Some(json!({ name: part }).to_string().into_bytes())
    };
    match object.kind {
        "IncidentRuleSet" => {
            let rules = part("rules").map(|rules| (ControlKind::Rules, rules));
            let kpis = part("kpis").map(|kpis| (ControlKind::Kpis, kpis));
            rules.into_iter().chain(kpis).collect()
        }
        "IncidentModel" => vec![(ControlKind::Model, object.spec.to_string().into_bytes())],
        _ => Vec::new(),
    }
}

/// The record of a change that was stored.
fn changed(object: &Stored, before: Option<&i64>) -> Message<Value> {
    let place = (
        object.kind,
        object.name.as_str(),
        object.uid.as_str(),
        object.generation,
    );
    let mut message = record(place, "Stored", &object.by, &object.at, Some(&object.spec));
    if let (Some(fields), Some(before)) = (message.value.as_object_mut(), before) {
        // Changes between the two came so fast that nobody but the API server saw them.
        fields.insert("previousRevision".to_owned(), (*before).into());
    }
    message
}

/// The record of a deletion.
pub fn deleted(gone: &Gone, by: &str, at: Timestamp) -> Message<Value> {
    let place = (
        gone.kind.as_str(),
        gone.name.as_str(),
        gone.uid.as_str(),
        gone.generation,
    );
    record(place, "Deleted", by, &at.to_string(), None)
}

fn record(
    (kind, name, uid, generation): (&str, &str, &str, i64),
    action: &str,
    by: &str,
    at: &str,
    spec: Option<&Value>,
) -> Message<Value> {
    let mut value = json!({
        "action": action,
        "kind": kind,
        "name": name,
        "uid": uid,
        "revision": generation,
        "by": by,
        "at": at,
    });
    if let (Some(fields), Some(spec)) = (value.as_object_mut(), spec) {
        fields.insert("spec".to_owned(), spec.clone());
    }
    Message {
        key: format!("{kind}/{name}/{uid}/{generation}/{action}"),
        value,
    }
}

/// The part of the ConfigMap that says what went out.
const PUBLISHED: &str = "published.json";

/// The ConfigMap that says what went out.
pub fn config_map(pipeline: &Pipeline, published: &Published) -> ConfigMap {
    // It has text keys alone: it always becomes JSON.
    let text = serde_json::to_string(published).unwrap_or_default();
    ConfigMap {
        metadata: metadata(pipeline, pipeline.names().published(), Component::State),
        data: Some([(PUBLISHED.to_owned(), text)].into()),
        ..ConfigMap::default()
    }
}

/// What the ConfigMap says. One that somebody wrote into says nothing.
pub fn read(config_map: &ConfigMap) -> Published {
    let text = config_map.data.as_ref().and_then(|data| data.get(PUBLISHED));
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{HEAD, pipeline};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn rule_set(generation: i64, created: i64) -> Stored {
        Stored {
            kind: "IncidentRuleSet",
            name: "core".to_owned(),
            uid: created.to_string(),
            generation,
            created: at(created),
            by: "alice".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            spec: json!({"rules": [{"id": "hot"}], "kpis": []}),
        }
    }

    fn look(objects: &[Stored], published: &Published, second: i64) -> Due {
        due("5c0e", objects, published, at(second), "k1")
    }

    #[test]
    fn each_change_goes_out_once() {
        let first = look(&[rule_set(1, 100)], &Published::default(), 200);
        assert_eq!((first.audit.len(), first.control.len()), (1, 1));
        assert_eq!(first.audit[0].value["by"], "alice");
        assert_eq!(first.control[0].value.payload.0, br#"{"rules":[{"id":"hot"}]}"#);
        assert!(look(&[rule_set(1, 100)], &first.then, 300).is_nothing());
        let second = look(&[rule_set(2, 100)], &first.then, 300);
        assert_eq!((second.audit.len(), second.control.len()), (1, 1));
        assert!(second.control[0].value.revision > first.control[0].value.revision);
    }

    #[test]
    fn an_object_that_was_made_anew_is_newer_than_the_one_before() {
        let old = look(&[rule_set(900, 100)], &Published::default(), 200);
        let new = look(&[rule_set(1, 150)], &old.then, 200);
        assert!(new.control[0].value.revision > old.control[0].value.revision);
        assert_eq!(new.audit[0].key, "IncidentRuleSet/core/150/1/Stored");
    }

    #[test]
    fn what_workers_hold_never_runs_out() {
        let first = look(&[rule_set(1, 100)], &Published::default(), 200);
        let half = 200 + 15 * 86_400;
        let again = look(&[rule_set(1, 100)], &first.then, half);
        assert_eq!((again.audit.len(), again.control.len()), (0, 1));
        assert!(first.control[0].value.expires_at > at(half).as_millisecond());
    }

    #[test]
    fn a_deletion_is_told_of_with_whoever_asked_for_it() {
        let then = look(&[rule_set(4, 100)], &Published::default(), 200).then;
        assert_eq!(gone(&then, |_, _, _| true), []);
        let gone = gone(&then, |kind, name, uid| {
            (kind, name, uid) != ("IncidentRuleSet", "core", "100")
        });
        let mut due = look(&[], &then, 300);
        due.tell_of(&[(gone[0].clone(), "bob".to_owned())], at(300));
        assert_eq!((due.audit.len(), due.then.audited.len()), (1, 0));
        let told = &due.audit[0].value;
        assert_eq!(
            (&told["action"], &told["by"], &told["revision"]),
            (&json!("Deleted"), &json!("bob"), &json!(4))
        );
    }

    #[test]
    fn what_went_out_reads_back_as_it_was_written() {
        let pipeline = pipeline(HEAD);
        let then = look(&[rule_set(1, 100)], &Published::default(), 200).then;
        assert_eq!(read(&config_map(&pipeline, &then)), then);
        assert_eq!(read(&ConfigMap::default()), Published::default());
    }
}
