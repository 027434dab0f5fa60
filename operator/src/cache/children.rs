//! The objects that the operator made, and whether somebody else changed them since.
//!
//! Of each it is known what was applied last, and a mark of what the API server had then. As long as that mark is the same
//! there is nothing to apply again.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tocsin_contract::labels::{COMPONENT, Component, PIPELINE, PIPELINE_UID};
use tocsin_operator_core::build::manifest::{Manifest, Resource};
use tocsin_operator_core::pipeline::PipelineId;

use super::store::{Key, version_of};

/// The kinds of object that a pipeline is made of.
pub const KINDS: [Resource; 8] = [
    Resource::of::<ServiceAccount>(),
    Resource::of::<ConfigMap>(),
    Resource::of::<Secret>(),
    Resource::of::<PersistentVolumeClaim>(),
    Resource::of::<NetworkPolicy>(),
    Resource::of::<PodDisruptionBudget>(),
    Resource::of::<Service>(),
    Resource::of::<StatefulSet>(),
];

/// An object that the operator made.
#[derive(Clone, Debug)]
pub struct Child {
    kind: u8,
    /// Its name.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Box<str>,
    /// Whether it belongs to the workers, and not to Kafka or to what is kept.
    is_of_workers: bool,
    version: u64,
    /// What the API server had when it was seen last.
    mark: u64,
    /// Hash of what was applied last, and gave that mark.
    applied: Option<u64>,
}

impl Child {
    /// Which resource it is.
    pub fn resource(&self) -> Resource {
        KINDS[usize::from(self.kind)]
    }
}

/// All objects that the operator made, by their pipeline's UID.
#[derive(Debug, Default)]
pub struct Children {
    of_pipeline: Mutex<HashMap<Box<str>, Family>>,
}

/// The objects of one pipeline.
#[derive(Debug)]
struct Family {
    pipeline: Key,
    children: Vec<Child>,
}

impl Children {
    /// Whether this was applied last, and nobody has changed the object since.
    pub fn is_applied(&self, pipeline: &PipelineId, manifest: &Manifest) -> bool {
        let known = self.find(pipeline, manifest);
        known.is_some_and(|child| child.applied == Some(hash(manifest)))
    }

    /// Whether an object of this name is known to be this pipeline's.
    pub fn is_ours(&self, pipeline: &PipelineId, manifest: &Manifest) -> bool {
        self.find(pipeline, manifest).is_some()
    }

    /// The version of an object that is known; nothing of one that is not.
    pub fn version(&self, pipeline: &PipelineId, manifest: &Manifest) -> Option<u64> {
        self.find(pipeline, manifest).map(|child| child.version)
    }

    /// This was applied, and left the object so.
    pub fn applied(&self, pipeline: &PipelineId, manifest: &Manifest, metadata: &ObjectMeta) {
        let Some(kind) = kind_of(manifest.resource) else { return };
        let mut child = seen(kind, metadata);
        child.applied = Some(hash(manifest));
        let mut all = self.of_pipeline.lock();
        let key = Key::new(&pipeline.namespace, &pipeline.name);
        let children = &mut family(&mut all, &pipeline.uid, key).children;
        match children.iter_mut().find(|known| known.is(&child)) {
            // Somebody changed it behind that already.
            Some(known) if known.version > child.version => known.applied = None,
            Some(known) => *known = child,
            None => children.push(child),
        }
    }

    /// An object was seen. Gives its pipeline if that is news: it is not as it was left.
    pub fn saw(&self, resource: Resource, metadata: &ObjectMeta) -> Option<Key> {
        let (kind, uid, pipeline) = (kind_of(resource)?, uid_of(metadata)?, pipeline_of(metadata)?);
        let child = seen(kind, metadata);
        let mut all = self.of_pipeline.lock();
        let family = family(&mut all, uid, pipeline);
        let is_news = match family.children.iter_mut().find(|known| known.is(&child)) {
            Some(known) if known.version >= child.version => false,
            Some(known) if known.mark == child.mark && known.uid == child.uid => {
                known.version = child.version;
                false
            }
            Some(known) => {
                *known = child;
                true
            }
            None => {
                family.children.push(child);
                true
            }
        };
        // Not the one that its label names: somebody may have changed that.
        is_news.then(|| family.pipeline.clone())
    }

    /// An object is gone. Gives its pipeline, if that is news.
    pub fn gone(&self, resource: Resource, metadata: &ObjectMeta) -> Option<Key> {
        let (kind, uid) = (kind_of(resource)?, uid_of(metadata)?);
        let child = seen(kind, metadata);
        let mut all = self.of_pipeline.lock();
        let family = all.get_mut(uid)?;
        let before = family.children.len();
        family
            .children
            .retain(|known| !known.is(&child) || known.version > child.version);
        let is_news = family.children.len() < before;
        let pipeline = family.pipeline.clone();
        if family.children.is_empty() {
            all.remove(uid);
        }
        is_news.then_some(pipeline)
    }

    /// The objects of a pipeline's workers that are none of `wanted`.
    pub fn orphans(&self, pipeline: &PipelineId, wanted: &[Manifest]) -> Vec<Child> {
        let all = self.of_pipeline.lock();
        let children = all.get(&*pipeline.uid).into_iter().flat_map(|family| &family.children);
        let is_wanted = |child: &Child| {
            let is_it = |manifest: &Manifest| manifest.resource == child.resource() && *manifest.name == *child.name;
            wanted.iter().any(is_it)
        };
        children
            .filter(|child| child.is_of_workers && !is_wanted(child))
            .cloned()
            .collect()
    }

    /// An object of this kind and name.
    pub fn get(&self, pipeline: &PipelineId, resource: Resource, name: &str) -> Option<Child> {
        let all = self.of_pipeline.lock();
        let mut children = all.get(&*pipeline.uid)?.children.iter();
        children
            .find(|child| child.resource() == resource && *child.name == *name)
            .cloned()
    }

    /// Whether the pipeline has an object of this kind and name.
    pub fn has(&self, pipeline: &PipelineId, resource: Resource, name: &str) -> bool {
        self.get(pipeline, resource, name).is_some()
    }

    /// The objects of a kind that are known, each with its pipeline's UID: those that a full list does not have are gone.
    pub fn known(&self, resource: Resource) -> Vec<(Box<str>, Key)> {
        let all = self.of_pipeline.lock();
        let mut known = Vec::new();
        for (uid, family) in all.iter() {
            let of_kind = family.children.iter().filter(|child| child.resource() == resource);
            known.extend(of_kind.map(|child| (uid.clone(), Key::new(&family.pipeline.namespace, &child.name))));
        }
        known
    }

    /// Forgets an object that a full list did not have. Gives its pipeline, if it was known.
    pub fn forget(&self, resource: Resource, pipeline_uid: &str, key: &Key) -> Option<Key> {
        let mut all = self.of_pipeline.lock();
        let family = all.get_mut(pipeline_uid)?;
        family
            .children
            .retain(|child| child.resource() != resource || child.name != key.name);
        let pipeline = family.pipeline.clone();
        if family.children.is_empty() {
            all.remove(pipeline_uid);
        }
        Some(pipeline)
    }

    fn find(&self, pipeline: &PipelineId, manifest: &Manifest) -> Option<Child> {
        self.get(pipeline, manifest.resource, &manifest.name)
    }
}

fn family<'a>(all: &'a mut HashMap<Box<str>, Family>, uid: &str, pipeline: Key) -> &'a mut Family {
    all.entry(uid.into()).or_insert_with(|| Family {
        pipeline,
        children: Vec::new(),
    })
}

impl Child {
    fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }
}

/// The UID of the pipeline that an object belongs to.
pub fn uid_of(metadata: &ObjectMeta) -> Option<&str> {
    Some(metadata.labels.as_ref()?.get(PIPELINE_UID)?.as_str())
}

/// The pipeline that an object belongs to.
pub fn pipeline_of(metadata: &ObjectMeta) -> Option<Key> {
    let name = metadata.labels.as_ref()?.get(PIPELINE)?;
    Some(Key::new(metadata.namespace.as_deref()?, name))
}

fn kind_of(resource: Resource) -> Option<u8> {
    let at = KINDS.iter().position(|kind| *kind == resource)?;
    u8::try_from(at).ok()
}

fn seen(kind: u8, metadata: &ObjectMeta) -> Child {
    Child {
        kind,
        name: metadata.name.as_deref().unwrap_or_default().into(),
        is_of_workers: metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(COMPONENT))
            .is_some_and(|component| component == Component::Workers.as_str()),
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        version: version_of(metadata.resource_version.as_deref()),
        mark: mark(metadata),
        applied: None,
    }
}

/// Changes whenever somebody changes what the operator applies. Where the API server counts generations, a change of the
/// status leaves it as it is.
fn mark(metadata: &ObjectMeta) -> u64 {
    let what = match metadata.generation {
        Some(generation) => generation.to_string(),
        None => metadata.resource_version.clone().unwrap_or_default(),
    };
    let owners = metadata
        .owner_references
        .iter()
        .flatten()
        .map(|owner| owner.uid.as_str());
    let parts = (
        &what,
        &metadata.labels,
        &metadata.annotations,
        owners.collect::<Vec<_>>(),
    );
    hasher().hash_one((parts, metadata.deletion_timestamp.is_some()))
}

fn hash(manifest: &Manifest) -> u64 {
    hasher().hash_one(&manifest.hash)
}

fn hasher() -> FixedState {
    FixedState::with_seed(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> PipelineId {
        PipelineId {
            namespace: "ops".to_owned(),
            name: "noc".to_owned(),
            uid: "5c0e".to_owned(),
        }
    }

    fn metadata(version: u64, generation: Option<i64>) -> ObjectMeta {
        ObjectMeta {
            name: Some("noc-workers".to_owned()),
            uid: Some("77aa".to_owned()),
            resource_version: Some(version.to_string()),
            generation,
            namespace: Some("ops".to_owned()),
            labels: Some(
                [(PIPELINE, "noc"), (PIPELINE_UID, "5c0e"), (COMPONENT, "workers")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        }
    }

    fn manifest(kind: usize, hash: &str) -> Manifest {
        Manifest {
            resource: KINDS[kind],
            name: "noc-workers".to_owned(),
            body: serde_json::Value::Null,
            hash: hash.to_owned(),
        }
    }

    const SERVICE_ACCOUNT: usize = 0;
    const STATEFUL_SET: usize = 7;

    #[test]
    fn what_was_applied_and_left_alone_is_not_applied_again() {
        let children = Children::default();
        let one = manifest(SERVICE_ACCOUNT, "a");
        assert!(!children.is_applied(&id(), &one));
        children.applied(&id(), &one, &metadata(5, None));
        assert!(children.is_applied(&id(), &one) && !children.is_applied(&id(), &manifest(SERVICE_ACCOUNT, "b")));
        assert_eq!(
            children.saw(one.resource, &metadata(5, None)),
            None,
            "its own write comes back"
        );
        assert!(children.is_applied(&id(), &one));
        assert_eq!(
            children.saw(one.resource, &metadata(6, None)),
            Some(Key::new("ops", "noc")),
            "somebody changed it"
        );
        assert!(!children.is_applied(&id(), &one));
    }

    #[test]
    fn a_change_of_the_status_is_no_news_where_generations_are_counted() {
        let children = Children::default();
        let set = manifest(STATEFUL_SET, "a");
        children.applied(&id(), &set, &metadata(5, Some(1)));
        assert_eq!(children.saw(set.resource, &metadata(6, Some(1))), None);
        assert!(children.is_applied(&id(), &set));
        let mut labelled = metadata(7, Some(1));
        labelled
            .labels
            .get_or_insert_default()
            .insert("a".to_owned(), "b".to_owned());
        assert_eq!(children.saw(set.resource, &labelled), Some(Key::new("ops", "noc")));
        assert!(!children.is_applied(&id(), &set));
    }

    #[test]
    fn a_change_that_was_seen_before_the_answer_counts() {
        let children = Children::default();
        let one = manifest(SERVICE_ACCOUNT, "a");
        assert_eq!(
            children.saw(one.resource, &metadata(6, None)),
            Some(Key::new("ops", "noc"))
        );
        children.applied(&id(), &one, &metadata(5, None));
        assert!(!children.is_applied(&id(), &one));
    }

    #[test]
    fn what_is_gone_is_applied_again_and_what_is_no_longer_wanted_is_an_orphan() {
        let children = Children::default();
        let (one, set) = (manifest(SERVICE_ACCOUNT, "a"), manifest(STATEFUL_SET, "a"));
        children.applied(&id(), &one, &metadata(5, None));
        children.applied(&id(), &set, &metadata(5, Some(1)));
        let orphans = children.orphans(&id(), std::slice::from_ref(&set));
        assert_eq!(orphans.iter().map(Child::resource).collect::<Vec<_>>(), [one.resource]);
        assert_eq!(
            children.gone(one.resource, &metadata(6, None)),
            Some(Key::new("ops", "noc"))
        );
        assert_eq!(children.gone(one.resource, &metadata(6, None)), None);
        assert!(!children.is_applied(&id(), &one) && children.is_applied(&id(), &set));
    }
}
