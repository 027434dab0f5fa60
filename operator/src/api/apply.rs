//! Everything that the operator writes: server-side apply, and removal.
//!
//! Applying says what the operator wants of an object, and nothing else; other fields stay whose they are. The spec of a
//! user's object is never written. The UID goes along wherever an object must be the one that was looked at: one of the same
//! name that was made since is another.

use std::fmt::Debug;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tocsin_contract::labels::{FIELD_MANAGER, STATUS_FIELD_MANAGER};
use tocsin_operator_core::build::manifest::{Manifest, Resource};

use super::{ApiError, ApiServer};

/// Field manager of finalizers: by itself, so that nothing else of a user's object is the operator's.
const FINALIZER_FIELD_MANAGER: &str = "tocsin-operator-finalizer";

/// An object of a namespace that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Which resource it is.
    pub resource: Resource,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
}

/// Whether fields that others have set are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They are the operator's: the object is.
    TakeOver,
    /// They stay, and the object with them: it may be somebody else's.
    Respect,
}

impl ApiServer {
    /// Makes an object, or makes it so; only if it still has this version, if there is one. Gives the object as it is then.
    ///
    /// # Errors
    /// `Conflict` if fields of it are somebody else's that are to be respected, or it has changed.
    pub async fn apply<K>(
        &self,
        namespace: &str,
        manifest: &Manifest,
        others: Others,
        version: Option<&str>,
    ) -> Result<K, ApiError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let mut body = manifest.body.clone();
        if let (Some(version), Some(metadata)) = (version, body.get_mut("metadata").and_then(Value::as_object_mut)) {
            metadata.insert("resourceVersion".to_owned(), version.into());
        }
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let (how, patch) = (applying(others), Patch::Apply(&body));
        let answer = api.patch(&manifest.name, &how, &patch);
        self.ask(|| said("apply", manifest.resource, namespace, &manifest.name), answer)
            .await
    }

    /// The same, where nothing but the metadata is wanted back.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn apply_unread(
        &self,
        namespace: &str,
        manifest: &Manifest,
        others: Others,
    ) -> Result<ObjectMeta, ApiError> {
        let api = self.resource(manifest.resource, namespace);
        let (how, patch) = (applying(others), Patch::Apply(&manifest.body));
        let answer = api.patch_metadata(&manifest.name, &how, &patch);
        let what = || said("apply", manifest.resource, namespace, &manifest.name);
        Ok(self.ask(what, answer).await?.metadata)
    }

    /// Changes a part of an object, and leaves the rest as it is. Gives the object as it is then.
    ///
    /// # Errors
    /// `Conflict` if the change names a version, and the object has another.
    pub async fn change<K>(&self, namespace: &str, name: &str, change: &Value) -> Result<K, ApiError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let how = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let patch = Patch::Merge(change);
        let answer = api.patch(name, &how, &patch);
        self.ask(|| format!("patch {} {namespace}/{name}", K::kind(&())), answer)
            .await
    }

    /// Says what is the matter with an object.
    ///
    /// # Errors
    /// `Conflict` if the object is another one by now.
    pub async fn apply_status(&self, target: Target<'_>, status: &impl Serialize) -> Result<ObjectMeta, ApiError> {
        let body = body(target, json!({ "status": status }));
        let how = PatchParams::apply(STATUS_FIELD_MANAGER).force();
        let api = self.resource(target.resource, target.namespace);
        let patch = Patch::Apply(&body);
        let answer = api.patch_status(target.name, &how, &patch);
        let what = || said("apply status of", target.resource, target.namespace, target.name);
        Ok(self.ask(what, answer).await?.metadata)
    }

    /// Sets the operator's finalizer on a user's object, or takes it away. Those of others stay.
    ///
    /// # Errors
    /// `Conflict` if the object is another one by now.
    pub async fn set_finalizer(&self, target: Target<'_>, finalizer: &str) -> Result<ObjectMeta, ApiError> {
        let mut body = body(target, json!({}));
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("finalizers".to_owned(), json!([finalizer]));
        }
        let how = PatchParams::apply(FINALIZER_FIELD_MANAGER).force();
        let api = self.resource(target.resource, target.namespace);
        let patch = Patch::Apply(&body);
        let answer = api.patch_metadata(target.name, &how, &patch);
        let what = || said("apply finalizers of", target.resource, target.namespace, target.name);
        Ok(self.ask(what, answer).await?.metadata)
    }

    /// Takes a finalizer off an object that is still as it was looked at, whoever put it there: these are left. The object may
    /// be gone then.
    ///
    /// # Errors
    /// `Conflict` if the object has changed since.
    pub async fn remove_finalizer(
        &self,
        target: Target<'_>,
        left: &[&str],
        version: &str,
    ) -> Result<ObjectMeta, ApiError> {
        let change = json!({"metadata": {"uid": target.uid, "resourceVersion": version, "finalizers": left}});
        let api = self.resource(target.resource, target.namespace);
        let (how, patch) = (PatchParams::default(), Patch::Merge(&change));
        let answer = api.patch_metadata(target.name, &how, &patch);
        let what = || said("remove a finalizer of", target.resource, target.namespace, target.name);
        Ok(self.ask(what, answer).await?.metadata)
    }

    /// Removes an object, if it is still the one that was looked at. That it is gone already is as good.
    ///
    /// # Errors
    /// `Conflict` if the object is another one by now.
    pub async fn delete(&self, target: Target<'_>) -> Result<(), ApiError> {
        let how = DeleteParams::background().preconditions(Preconditions {
            uid: Some(target.uid.to_owned()),
            resource_version: None,
        });
        let api = self.resource(target.resource, target.namespace);
        let answer = api.delete(target.name, &how);
        let what = || said("delete", target.resource, target.namespace, target.name);
        match self.ask(what, answer).await {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Tells of something that happened.
    ///
    /// # Errors
    /// If the API server does not take it.
    pub async fn tell(&self, event: &Event) -> Result<(), ApiError> {
        let namespace = event.namespace().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client(), &namespace);
        let how = PostParams::default();
        let answer = api.create(&how, event);
        let what = || said("create", Resource::of::<Event>(), &namespace, &event.name_any());
        self.ask(what, answer).await.map(drop)
    }

    /// One resource of a namespace.
    pub fn resource(&self, resource: Resource, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), namespace, &api_resource(resource))
    }
}

fn applying(others: Others) -> PatchParams {
    // A field that the API server does not know would get lost without a word: its kinds are older than this operator.
    let mut how = PatchParams::apply(FIELD_MANAGER).validation_strict();
    how.force = others == Others::TakeOver;
    how
}

/// An object of which nothing but this is said.
fn body(target: Target<'_>, mut rest: Value) -> Value {
    if let Some(fields) = rest.as_object_mut() {
        fields.insert("apiVersion".to_owned(), target.resource.api_version.into());
        fields.insert("kind".to_owned(), target.resource.kind.into());
        // With the UID, an object that is gone is not made anew, and another one of its name is left alone.
        let metadata = json!({"name": target.name, "namespace": target.namespace, "uid": target.uid});
        fields.insert("metadata".to_owned(), metadata);
    }
    rest
}

fn api_resource(resource: Resource) -> ApiResource {
    let (group, version) = resource
        .api_version
        .split_once('/')
        .unwrap_or(("", resource.api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: resource.api_version.to_owned(),
        kind: resource.kind.to_owned(),
        plural: resource.plural.to_owned(),
    }
}

fn said(verb: &str, resource: Resource, namespace: &str, name: &str) -> String {
    format!("{verb} {} {namespace}/{name}", resource.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Resource = Resource {
        api_version: "v1",
        kind: "Service",
        plural: "services",
    };

    #[test]
    fn an_object_is_named_with_its_uid() {
        let target = Target {
            resource: SERVICE,
            namespace: "ops",
            name: "noc",
            uid: "5c0e",
        };
        let expected = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "noc", "namespace": "ops", "uid": "5c0e"},
            "status": {"a": 1},
        });
        assert_eq!(body(target, json!({"status": {"a": 1}})), expected);
    }

    #[test]
    fn groups_are_read_off_the_version() {
        assert_eq!(api_resource(SERVICE).group, "");
        let apps = Resource {
            api_version: "apps/v1",
            ..SERVICE
        };
        assert_eq!(
            (api_resource(apps).group, api_resource(apps).version),
            ("apps".to_owned(), "v1".to_owned())
        );
    }
}
