//! What each kind of object is to the cache, and who is to be looked at when one changes.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use tocsin_operator_core::build::manifest::Resource as Which;

use super::children::{pipeline_of, uid_of};
use super::pods::SeenPod;
use super::stateful_sets::SeenStatefulSet;
use super::store::version_of;
use super::watch::Taker;
use super::{Cache, Kept, KeptStatefulSet, Key, Store};
use crate::api::stored::Stored;
use crate::metrics::Metrics;
use crate::work::{Item, Work};

/// What all takers share.
#[derive(Clone)]
pub struct Shared {
    /// What is known.
    pub cache: Arc<Cache>,
    /// Who is told.
    pub work: Arc<Work>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The namespace that the watch is of; none if it is of all.
    pub namespace: Option<Box<str>>,
}

impl Shared {
    fn is_of(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// This pipeline is to be looked at, if there is one.
    fn look_at(&self, pipeline: Option<Key>) {
        if let Some(pipeline) = pipeline {
            self.work.changed(Item::Pipeline(pipeline));
        }
    }
}

/// A kind that users write.
pub struct OfUsers<K> {
    shared: Shared,
    store: fn(&Cache) -> &Store<Kept>,
    item: fn(Key) -> Item,
    kind: PhantomData<fn() -> K>,
}

impl<K> OfUsers<K> {
    /// The kind whose objects are in this store, and are looked at as these items.
    pub fn new(shared: Shared, store: fn(&Cache) -> &Store<Kept>, item: fn(Key) -> Item) -> Self {
        Self {
            shared,
            store,
            item,
            kind: PhantomData,
        }
    }

    fn store(&self) -> &Store<Kept> {
        (self.store)(&self.shared.cache)
    }

    /// The object is to be looked at, and whoever refers to it, or is referred to by it.
    fn look(&self, key: Key, object: &Kept) {
        let work = &self.shared.work;
        let item = (self.item)(key.clone());
        match &item {
            Item::Pipeline(_) | Item::Canary(_) => {}
            // How far a savepoint is decides how an upgrade goes on.
            Item::Snapshot(_) => {
                if let Some(pipeline) = object.pipeline_of_snapshot() {
                    work.changed(Item::Pipeline(Key::new(&key.namespace, &pipeline)));
                }
            }
            Item::RuleSet(_) | Item::Model(_) => {
                let pipelines = self.shared.cache.pipelines.of_namespace(&key.namespace);
                let referring = pipelines
                    .into_iter()
                    .filter(|(_, pipeline)| pipeline.mentions(&key.name));
                referring.for_each(|(pipeline, _)| work.changed(Item::Pipeline(pipeline)));
            }
        }
        work.changed(item);
    }

    fn count(&self) {
        let kind = (self.item)(Key::new("", "")).kind();
        self.shared.metrics.looks_after(kind, self.store().len());
    }
}

impl<K> Taker for OfUsers<K>
where
    K: Resource<DynamicType = ()> + 'static,
{
    type Object = Stored<K>;
    type Name = Key;

    fn kind(&self) -> &'static str {
        (self.item)(Key::new("", "")).kind()
    }

    fn name(&self, object: &Stored<K>) -> Key {
        key_of(&object.metadata)
    }

    fn saw(&self, object: Stored<K>) {
        let (key, kept) = (key_of(&object.metadata), Kept::of(&object));
        let news = kept.clone();
        match self.store().put(key.clone(), kept) {
            Ok(Some(known)) if known.is_as(&news) => {}
            Ok(_) => {
                self.count();
                self.look(key, &news);
            }
            Err(_) => {}
        }
    }

    fn gone(&self, object: Stored<K>) {
        let key = key_of(&object.metadata);
        let version = version_of(object.metadata.resource_version.as_deref());
        if let Some(known) = self.store().remove(&key, version) {
            self.count();
            self.look(key, &known);
        }
    }

    fn known(&self) -> HashSet<Key> {
        let keys = self.store().keys().into_iter();
        keys.filter(|key| self.shared.is_of(&key.namespace)).collect()
    }

    fn missing(&self, key: Key) {
        if let Some(known) = self.store().remove(&key, u64::MAX) {
            self.count();
            self.look(key, &known);
        }
    }
}

/// A kind of object that the operator makes, of which the metadata says enough.
pub struct OfOperator<K> {
    shared: Shared,
    which: Which,
    kind: PhantomData<fn() -> K>,
}

impl<K: k8s_openapi::Resource> OfOperator<K> {
    /// This kind.
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            which: Which::of::<K>(),
            kind: PhantomData,
        }
    }
}

/// A pipeline's UID, and namespace and name of an object of it.
pub type ChildName = (Box<str>, Key);

impl<K> Taker for OfOperator<K>
where
    K: Resource<DynamicType = ()> + k8s_openapi::Resource + Send + 'static,
{
    type Object = PartialObjectMeta<K>;
    type Name = ChildName;

    fn kind(&self) -> &'static str {
        self.which.kind
    }

    fn name(&self, object: &PartialObjectMeta<K>) -> ChildName {
        child_of(&object.metadata)
    }

    fn saw(&self, object: PartialObjectMeta<K>) {
        let pipeline = self.shared.cache.children.saw(self.which, &object.metadata);
        self.shared.look_at(pipeline);
    }

    fn gone(&self, object: PartialObjectMeta<K>) {
        let pipeline = self.shared.cache.children.gone(self.which, &object.metadata);
        self.shared.look_at(pipeline);
    }

    fn known(&self) -> HashSet<ChildName> {
        known_children(&self.shared, self.which)
    }

    fn missing(&self, name: ChildName) {
        miss_child(&self.shared, self.which, &name);
    }
}

/// StatefulSets: workers, and pools of Kafka nodes.
pub struct OfStatefulSets {
    /// What is shared.
    pub shared: Shared,
}

impl Taker for OfStatefulSets {
    type Object = SeenStatefulSet;
    type Name = ChildName;

    fn kind(&self) -> &'static str {
        "StatefulSet"
    }

    fn name(&self, object: &SeenStatefulSet) -> ChildName {
        child_of(&object.metadata)
    }

    fn saw(&self, object: SeenStatefulSet) {
        let is_news = self.shared.cache.saw_stateful_set(&object);
        let children = &self.shared.cache.children;
        let pipeline = children.saw(Which::of::<StatefulSet>(), &object.metadata);
        let of_news = || is_news.then(|| pipeline_of(&object.metadata)).flatten();
        self.shared.look_at(pipeline.or_else(of_news));
    }

    fn gone(&self, object: SeenStatefulSet) {
        let version = version_of(object.metadata.resource_version.as_deref());
        self.shared
            .cache
            .stateful_sets
            .remove(&key_of(&object.metadata), version);
        let children = &self.shared.cache.children;
        let pipeline = children.gone(Which::of::<StatefulSet>(), &object.metadata);
        self.shared.look_at(pipeline);
    }

    fn known(&self) -> HashSet<ChildName> {
        known_children(&self.shared, Which::of::<StatefulSet>())
    }

    fn missing(&self, name: ChildName) {
        self.shared.cache.stateful_sets.remove(&name.1, u64::MAX);
        miss_child(&self.shared, Which::of::<StatefulSet>(), &name);
    }
}

impl Cache {
    /// A StatefulSet was seen. Whether it is news.
    pub fn saw_stateful_set(&self, seen: &SeenStatefulSet) -> bool {
        let key = key_of(&seen.metadata);
        let kept = KeptStatefulSet::of(seen).or_record_of(self.stateful_sets.get(&key).as_deref());
        let news = kept.clone();
        let known = self.stateful_sets.put(key, kept);
        known.is_ok_and(|known| known.is_none_or(|known| !known.is_as(&news)))
    }
}

/// The workers' pods.
pub struct OfPods {
    /// What is shared.
    pub shared: Shared,
}

impl Taker for OfPods {
    type Object = SeenPod;
    /// The pipeline, and the pod.
    type Name = (Key, Key);

    fn kind(&self) -> &'static str {
        "Pod"
    }

    fn name(&self, object: &SeenPod) -> (Key, Key) {
        let pipeline = pipeline_of(&object.metadata);
        (pipeline.unwrap_or_else(|| Key::new("", "")), key_of(&object.metadata))
    }

    fn saw(&self, object: SeenPod) {
        if self.shared.cache.pods.saw(key_of(&object.metadata), &object) {
            self.shared.look_at(pipeline_of(&object.metadata));
        }
    }

    fn gone(&self, object: SeenPod) {
        self.missing(self.name(&object));
    }

    fn known(&self) -> HashSet<(Key, Key)> {
        let known = self.shared.cache.pods.known().into_iter();
        known.filter(|(_, key)| self.shared.is_of(&key.namespace)).collect()
    }

    fn missing(&self, (pipeline, key): (Key, Key)) {
        if self.shared.cache.pods.gone(&pipeline, &key) {
            self.shared.look_at(Some(pipeline));
        }
    }
}

fn known_children(shared: &Shared, which: Which) -> HashSet<ChildName> {
    let known = shared.cache.children.known(which).into_iter();
    known.filter(|(_, key)| shared.is_of(&key.namespace)).collect()
}

fn miss_child(shared: &Shared, which: Which, (uid, key): &ChildName) {
    shared.look_at(shared.cache.children.forget(which, uid, key));
}

fn key_of(metadata: &ObjectMeta) -> Key {
    Key::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn child_of(metadata: &ObjectMeta) -> ChildName {
    (uid_of(metadata).unwrap_or_default().into(), key_of(metadata))
}
