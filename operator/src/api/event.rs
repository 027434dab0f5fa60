//! Events: what `kubectl describe` shows below an object.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as EventObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::core::Request;
use kube::{Api, Resource};
use tocsin_contract::labels::FIELD_MANAGER;
use tocsin_operator_core::build::manifest::Resource as Which;
use tocsin_operator_core::status::event::{DELETION_REQUESTED, Event, MAX_MESSAGE, SCALE_REQUESTED, asked_by};

use super::{ApiError, ApiServer};
use crate::api::gate;
use crate::keys::Keys;

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Regarding<'a> {
    /// Which resource it is.
    pub resource: Which,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
}

/// An event about an object, told by the operator of this name.
pub fn event_about(about: &Regarding<'_>, event: &Event, action: &str, identity: &str) -> EventObject {
    EventObject {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", about.name)),
            namespace: Some(about.namespace.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(Timestamp::now())),
        action: Some(action.to_owned()),
        reason: Some(event.reason.clone()),
        note: Some(bounded(&event.message).to_owned()),
        type_: Some(event.weight.as_str().to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(about.resource.api_version.to_owned()),
            kind: Some(about.resource.kind.to_owned()),
            namespace: Some(about.namespace.to_owned()),
            name: Some(about.name.to_owned()),
            uid: Some(about.uid.to_owned()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(format!("tocsin.dev/{FIELD_MANAGER}")),
        reporting_instance: Some(identity.to_owned()),
        ..EventObject::default()
    }
}

/// As much of a text as an event takes.
fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_MESSAGE)).unwrap_or(text)
}

impl ApiServer {
    /// The user who asked for the deletion of the object with this UID, if an event still says so.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn who_deleted(&self, keys: &Keys, namespace: &str, uid: &str) -> Result<Option<String>, ApiError> {
        let asked = self
            .who_asked(keys, namespace, (uid, DELETION_REQUESTED), |_| true)
            .await?;
        Ok(asked.map(|(user, _)| user))
    }

    /// The user who scaled the object with this UID, which made it this revision, and when, if an event still says so.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn who_scaled(
        &self,
        keys: &Keys,
        namespace: &str,
        uid: &str,
        revision: i64,
    ) -> Result<Option<(String, Timestamp)>, ApiError> {
        let is_of_revision = |made: i64| made == revision;
        self.who_asked(keys, namespace, (uid, SCALE_REQUESTED), is_of_revision)
            .await
    }

    async fn who_asked(
        &self,
        keys: &Keys,
        namespace: &str,
        (uid, reason): (&str, &str),
        is_meant: impl Fn(i64) -> bool,
    ) -> Result<Option<(String, Timestamp)>, ApiError> {
        let api: Api<EventObject> = Api::namespaced(self.client(), namespace);
        let how = ListParams::default().fields(&format!("regarding.uid={uid},reason={reason}"));
        let events = self.ask(|| format!("list Event {namespace}"), api.list(&how)).await?;
        let said = events.items.iter().filter_map(|event| {
            let annotations = event.metadata.annotations.as_ref()?;
            let annotation = |name: &str| annotations.get(name).map(String::as_str);
            let sign = |text: &str| keys.sign_change(text);
            let (user, revision) = asked_by((uid, reason), event.note.as_deref()?, annotation, sign)?;
            Some((user.to_owned(), event.event_time.as_ref()?.0)).filter(|_| is_meant(revision))
        });
        Ok(said.max_by_key(|(_, time)| *time))
    }

    /// Tells of something, also while another operator leads: the API server asks the webhook of any.
    ///
    /// # Errors
    /// If the API server does not take it.
    pub async fn tell_as_anybody(&self, event: &EventObject) -> Result<(), ApiError> {
        let namespace = event.metadata.namespace.as_deref();
        let what = || format!("create Event {}", namespace.unwrap_or_default());
        let send = async {
            let request = Request::new(EventObject::url_path(&(), namespace));
            let body = serde_json::to_vec(event).map_err(kube::Error::SerdeError)?;
            let request = request.create(&PostParams::default(), body);
            let mut request = request.map_err(kube::Error::BuildRequest)?;
            request.extensions_mut().insert(gate::AsAnybody);
            self.client().request::<EventObject>(request).await
        };
        self.ask(what, send).await.map(drop)
    }
}
