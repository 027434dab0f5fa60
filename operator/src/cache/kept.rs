//! An object of a kind that users write, kept as text: it is read when it is looked at.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tocsin_contract::labels::{FORCE_DELETE, SNAPSHOT_TRIGGER};
use tocsin_contract::pipeline::stage::ObjectRef;
use tocsin_contract::snapshot::SnapshotTrigger;
use tocsin_operator_core::build::snapshot::trigger_of;

use super::store::{Versioned, version_of};
use crate::api::stored::Stored;

/// An object of a kind that users write.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its UID.
    pub uid: Box<str>,
    /// Generation of its spec.
    pub generation: i64,
    /// When its deletion was asked for.
    pub deleted: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Labels that its users gave it: what the operator asks for in its name has them, too, as it may be told to see no others.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Its finalizers.
    pub finalizers: Box<[Box<str>]>,
    /// Those of its annotations that mean something to the operator, and why it is, if it is a snapshot.
    pub annotations: Box<[(Box<str>, Box<str>)]>,
    version: u64,
    spec: Box<str>,
    status: Box<str>,
}

/// Beginning of the annotations that are kept.
const OURS: &str = "tocsin.dev/";

/// Beginning of labels that say what an object is of.
const RECOMMENDED: &str = "app.kubernetes.io/";

impl Kept {
    /// What is kept of an object.
    pub fn of<K>(object: &Stored<K>) -> Self {
        Self {
            spec: text(&object.body.spec),
            status: text(&object.body.status),
            ..Self::of_metadata(&object.metadata)
        }
    }

    fn of_metadata(metadata: &ObjectMeta) -> Self {
        let time =
            |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.as_ref().map(|time| time.0);
        let annotations = metadata.annotations.iter().flatten();
        let trigger = metadata
            .labels
            .iter()
            .flatten()
            .filter(|(name, _)| *name == SNAPSHOT_TRIGGER);
        let labels = metadata.labels.iter().flatten();
        let of_users = labels.filter(|(name, _)| !name.starts_with(OURS) && !name.starts_with(RECOMMENDED));
        let finalizers = metadata.finalizers.iter().flatten();
        Self {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            generation: metadata.generation.unwrap_or(0),
            deleted: time(&metadata.deletion_timestamp),
            created: time(&metadata.creation_timestamp),
            labels: of_users
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            finalizers: finalizers.map(|name| name.as_str().into()).collect(),
            annotations: annotations
                .filter(|(name, _)| name.starts_with(OURS) && *name != SNAPSHOT_TRIGGER)
                .chain(trigger)
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            version: version_of(metadata.resource_version.as_deref()),
            spec: Box::default(),
            status: Box::default(),
        }
    }

    /// The same once the operator has written to it, a status or nothing but its metadata. None if somebody has changed what is
    /// asked for meanwhile: that must come in first, or it would be passed over as older than what was written.
    #[must_use]
    pub fn written(&self, metadata: &ObjectMeta, status: Option<&Value>) -> Option<Self> {
        if metadata.generation.unwrap_or(0) != self.generation {
            return None;
        }
        Some(Self {
            spec: self.spec.clone(),
            status: status.map_or_else(|| self.status.clone(), text),
            ..Self::of_metadata(metadata)
        })
    }

    /// What is asked for.
    ///
    /// # Errors
    /// If it is not of this shape: it is older than its schema.
    pub fn spec<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.spec)
    }

    /// What was said of it last. What cannot be read was said by somebody else, and counts as nothing.
    pub fn status<T: DeserializeOwned + Default>(&self) -> T {
        serde_json::from_str(&self.status).unwrap_or_default()
    }

    /// Whether it has this finalizer.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|known| &**known == name)
    }

    /// Its finalizers without this one.
    pub fn finalizers_but(&self, name: &str) -> Vec<&str> {
        let others = self.finalizers.iter().filter(|known| &***known != name);
        others.map(|known| &**known).collect()
    }

    /// Its version, as the API server writes it.
    pub fn version_text(&self) -> String {
        self.version.to_string()
    }

    /// An annotation of the operator's.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        let found = self.annotations.iter().find(|(known, _)| &**known == name);
        found.map(|(_, value)| &**value)
    }

    /// Why it is, if it is a snapshot.
    pub fn trigger(&self) -> SnapshotTrigger {
        let word = self
            .annotation(SNAPSHOT_TRIGGER)
            .map(|word| (SNAPSHOT_TRIGGER.to_owned(), word.to_owned()));
        trigger_of(Some(&word.into_iter().collect()))
    }

    /// Whether somebody asked to give up what cannot be taken down.
    pub fn is_forced(&self) -> bool {
        self.annotation(FORCE_DELETE) == Some("true")
    }

    /// The pipeline that a snapshot is of.
    pub fn pipeline_of_snapshot(&self) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Part {
            pipeline_ref: ObjectRef,
        }
        let part: Part = self.spec().ok()?;
        Some(part.pipeline_ref.name)
    }

    /// Whether this name stands somewhere in what is asked for. If it refers to an object of the name, it does.
    pub fn mentions(&self, name: &str) -> bool {
        self.spec.contains(&*format!("\"{name}\""))
    }

    /// Whether all but the version is the same.
    pub fn is_as(&self, other: &Self) -> bool {
        (&self.uid, self.generation, self.deleted) == (&other.uid, other.generation, other.deleted)
            && self.finalizers == other.finalizers
            && self.annotations == other.annotations
            && self.spec == other.spec
            && self.status == other.status
    }
}

impl Versioned for Kept {
    fn version(&self) -> u64 {
        self.version
    }
}

fn text(value: &Value) -> Box<str> {
    value.to_string().into_boxed_str()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::cache::{Key, Store};

    fn metadata(version: &str, generation: i64) -> ObjectMeta {
        ObjectMeta {
            resource_version: Some(version.to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        }
    }

    fn seen(version: &str, generation: i64) -> Kept {
        Kept {
            spec: generation.to_string().into_boxed_str(),
            ..Kept::of_metadata(&metadata(version, generation))
        }
    }

    #[test]
    fn a_change_that_came_before_a_write_of_the_operator_is_not_passed_over() {
        let (store, key) = (Store::default(), Key::new("ops", "noc"));
        assert!(store.put(key.clone(), seen("5", 1)).is_ok());
        // A user changes it (6), the operator writes a status (7) and hears of that first.
        let written = store.get(&key).unwrap().written(&metadata("7", 2), Some(&json!({})));
        assert_eq!(written, None);
        assert!(store.put(key.clone(), seen("6", 2)).is_ok());
        assert_eq!(store.get(&key).unwrap().generation, 2);
    }

    #[test]
    fn what_else_changed_with_a_write_of_the_operator_is_known_at_once() {
        let mut metadata = metadata("7", 1);
        metadata.finalizers = Some(vec!["tocsin.dev/cleanup".to_owned()]);
        metadata.annotations = Some([("tocsin.dev/pause".to_owned(), "true".to_owned())].into());
        let written = seen("5", 1).written(&metadata, Some(&json!({"a": 1}))).unwrap();
        assert!(written.has_finalizer("tocsin.dev/cleanup"));
        assert_eq!(
            (written.annotation("tocsin.dev/pause"), &*written.spec),
            (Some("true"), "1")
        );
        assert_eq!(written.status::<Value>(), json!({"a": 1}));
    }
}
