//! Objects as the API server has them: the metadata, and of the rest what is wanted.
//!
//! Of the kinds that users write the rest is left unread: one object that is older than its schema must not keep all others
//! from being seen, as it would if a list of them were read into their types.

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde_json::Value;

/// An object of the kind `K`, of which `B` is wanted besides the metadata.
#[derive(Deserialize)]
#[serde(bound = "B: Deserialize<'de>")]
pub struct Object<K, B> {
    /// Name, namespace and the like.
    pub metadata: ObjectMeta,
    /// What is wanted besides.
    #[serde(flatten)]
    pub body: B,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

/// An object of a kind that users write.
pub type Stored<K> = Object<K, Unread>;

/// Spec and status as they are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Unread {
    /// What is asked for.
    pub spec: Value,
    /// What was said of it.
    pub status: Value,
}

impl<K, B: Clone> Clone for Object<K, B> {
    fn clone(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            body: self.body.clone(),
            kind: PhantomData,
        }
    }
}

impl<K, B> std::fmt::Debug for Object<K, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = (&self.metadata.namespace, &self.metadata.name);
        f.debug_tuple("Object").field(&name).finish()
    }
}

impl<K: Resource, B> Resource for Object<K, B> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &K::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &K::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &K::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &K::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
