//! An object as it is applied.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;
use tocsin_contract::crds::API_VERSION;

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

/// The kinds that users write.
pub const PIPELINE: Resource = ours("IncidentPipeline", "incidentpipelines");
/// A snapshot of a pipeline.
pub const SNAPSHOT: Resource = ours("PipelineSnapshot", "pipelinesnapshots");
/// Rules and KPIs.
pub const RULE_SET: Resource = ours("IncidentRuleSet", "incidentrulesets");
/// A model.
pub const MODEL: Resource = ours("IncidentModel", "incidentmodels");

const fn ours(kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        api_version: API_VERSION,
        kind,
        plural,
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
        let name = object.metadata().name.clone().unwrap_or_default();
        Self::of(Resource::of::<K>(), name, body)
    }

    /// The object with this body.
    pub fn of(resource: Resource, name: String, body: Value) -> Self {
        Self {
            resource,
            name,
            hash: hash_of(&body),
            body,
        }
    }
}
