//! An object as it is applied.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use crate::hash::hash_of;

/// Which resource of the API an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Its `apiVersion`.
    pub api_version: &'static str,
    /// Its `kind`.
    pub kind: &'static str,
    /// Its name in addresses: `statefulsets`.
    pub plural: &'static str,
}

impl Resource {
    /// The resource of a type.
    pub const fn of<K: k8s_openapi::Resource>() -> Self {
        Self {
            api_version: K::API_VERSION,
            kind: K::KIND,
            plural: K::URL_PATH_SEGMENT,
        }
    }
}

/// An object of a namespace, as server-side apply takes it: what the operator says of it, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which resource it is.
    pub resource: Resource,
    /// Its name.
    pub name: String,
    /// The whole object.
    pub body: Value,
    /// Of `body`: two that are the same need no second apply.
    pub hash: String,
}

impl Manifest {
    /// The object as it is applied.
    pub fn new<K>(object: &K) -> Self
    where
        K: Metadata<Ty = ObjectMeta> + Serialize,
    {
        // Types of the API have text keys alone: they always become JSON.
        let body = serde_json::to_value(object).unwrap_or_default();
        Self {
            resource: Resource::of::<K>(),
            name: object.metadata().name.clone().unwrap_or_default(),
            hash: hash_of(&body),
            body,
        }
    }
}
