//! What is answered to the API server.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use serde_json::Value;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::rule_set::IncidentRuleSetSpec;
use tocsin_operator_core::admission::audit::{self, audit_patch};
use tocsin_operator_core::admission::verdict::{RuleSets, Verdict, of_pipeline, of_rule_set};
use tocsin_operator_core::build::manifest::{MODEL, PIPELINE, RULE_SET};
use tocsin_operator_core::pipeline::PipelineId;
use tocsin_operator_core::status::event::{ASKED_REVISION, ASKED_SIGNATURE, asked_text, deletion, scaling};

use crate::api::ApiServer;
use crate::api::event::{Regarding, event_about};
use crate::cache::{Cache, Key};
use crate::clock::Clock;
use crate::keys::Keys;

/// Answers the API server by what is known.
pub struct Admission {
    cache: Arc<Cache>,
    clock: Clock,
    api: ApiServer,
    keys: Arc<Keys>,
    identity: String,
}

/// An event that says who asked for something is there within this, or not at all.
const LONGEST_NOTE: Duration = Duration::from_secs(1);

type Request = AdmissionRequest<DynamicObject>;

impl Admission {
    /// By what this cache knows.
    pub fn new(cache: Arc<Cache>, clock: Clock, api: ApiServer, keys: Arc<Keys>, identity: String) -> Self {
        Self {
            cache,
            clock,
            api,
            keys,
            identity,
        }
    }

    /// Notes who asks for what the object itself cannot say, as an event: its deletion, and `kubectl scale`.
    pub async fn note(&self, request: &Request) {
        let Some(event) = self.event(request) else { return };
        // Whoever looks at what was stored finds the event there already; but nobody is kept from a change for it.
        match tokio::time::timeout(LONGEST_NOTE, self.api.tell_as_anybody(&event)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "who asked for a change could not be noted"),
            Err(_) => tracing::warn!("who asked for a change could not be noted in time"),
        }
    }

    fn event(&self, request: &Request) -> Option<Event> {
        let old = request.old_object.as_ref()?;
        let user = request.user_info.username.as_deref().unwrap_or_default();
        let (what, action) = match request.operation {
            Operation::Delete => (deletion(user), "Delete"),
            Operation::Update if request.sub_resource.as_deref() == Some("scale") => (scaling(user), "Scale"),
            _ => return None,
        };
        let is_same = request
            .object
            .as_ref()
            .is_some_and(|new| new.data.get("spec") == old.data.get("spec"));
        if request.dry_run || is_same || old.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let ours = [PIPELINE, RULE_SET, MODEL].into_iter();
        let resource = ours.into_iter().find(|ours| ours.plural == request.resource.resource)?;
        let regarding = Regarding {
            resource,
            namespace: request.namespace.as_deref().unwrap_or_default(),
            name: &request.name,
            uid: old.metadata.uid.as_deref().unwrap_or_default(),
        };
        // The request makes the next revision, unless it asks for an end.
        let key = Key::new(regarding.namespace, regarding.name);
        // What `kubectl scale` writes has no generation of its own.
        let known = || self.cache.pipelines.get(&key).map(|known| known.generation);
        let generation = old.metadata.generation.or_else(known).unwrap_or(0);
        let revision = generation + i64::from(request.operation != Operation::Delete);
        let revision = revision.to_string();
        let signature = self
            .keys
            .sign_change(&asked_text(regarding.uid, &what.reason, user, &revision));
        let mut event = event_about(&regarding, &what, action, &self.identity);
        let annotations = [(ASKED_REVISION, revision), (ASKED_SIGNATURE, signature)];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value));
        event.metadata.annotations = Some(annotations.into());
        Some(event)
    }

    /// Writes on the object who changed it.
    pub fn audit(&self, request: &Request) -> AdmissionResponse {
        let response = AdmissionResponse::from(request);
        let Some(new) = &request.object else { return response };
        let (old, new) = (request.old_object.as_ref().map(whole), whole(new));
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let patch = audit_patch(&audit::Request {
            place: (&request.kind.kind, namespace, &request.name),
            sign: &|text| self.keys.sign_change(text),
            user: request.user_info.username.as_deref().unwrap_or_default(),
            now: self.clock.now(),
            old: old.as_ref(),
            new: &new,
        });
        if patch.is_empty() {
            return response;
        }
        let patch = serde_json::from_value(Value::from(patch)).map_err(|error| error.to_string());
        match patch.and_then(|patch| response.clone().with_patch(patch).map_err(|error| error.to_string())) {
            Ok(response) => response,
            Err(error) => response.deny(format!("who changed it cannot be written on it: {error}")),
        }
    }

    /// Says whether a change is taken.
    pub fn validate(&self, request: &Request) -> AdmissionResponse {
        let mut response = AdmissionResponse::from(request);
        let verdict = self.verdict(request);
        if !verdict.warnings.is_empty() {
            response.warnings = Some(verdict.warnings);
        }
        if verdict.problems.is_empty() {
            response
        } else {
            response.deny(verdict.problems.join("\n"))
        }
    }

    fn verdict(&self, request: &Request) -> Verdict {
        let Some(new) = &request.object else {
            return Verdict::default();
        };
        let is_same = request
            .old_object
            .as_ref()
            .is_some_and(|old| old.data.get("spec") == new.data.get("spec"));
        if is_same || request.operation == Operation::Delete || new.metadata.deletion_timestamp.is_some() {
            return Verdict::default();
        }
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let spec = new.data.get("spec").cloned().unwrap_or_default();
        let unread = |error: serde_json::Error| Verdict {
            problems: vec![format!("spec: {error}")],
            warnings: Vec::new(),
        };
        if request.kind.kind == PIPELINE.kind {
            let id = PipelineId {
                namespace: namespace.to_owned(),
                name: request.name.clone(),
                uid: new.metadata.uid.clone().unwrap_or_default(),
            };
            return match serde_json::from_value::<IncidentPipelineSpec>(spec) {
                Ok(spec) => of_pipeline(id, spec, &self.rule_sets(namespace)),
                Err(error) => unread(error),
            };
        }
        if request.kind.kind == RULE_SET.kind {
            return match serde_json::from_value::<IncidentRuleSetSpec>(spec) {
                Ok(spec) => {
                    let (pipelines, known) = (self.pipelines(namespace, &request.name), self.rule_sets(namespace));
                    of_rule_set(&request.name, &spec, pipelines, &known)
                }
                Err(error) => unread(error),
            };
        }
        Verdict::default()
    }

    fn rule_sets(&self, namespace: &str) -> RuleSets {
        self.cache.rule_sets_of(namespace)
    }

    fn pipelines(&self, namespace: &str, rule_set: &str) -> Vec<(PipelineId, IncidentPipelineSpec)> {
        let known = self.cache.pipelines.of_namespace(namespace);
        let referring = known.into_iter().filter(|(_, kept)| kept.mentions(rule_set));
        let read = referring.filter_map(|(Key { namespace, name }, kept)| {
            let id = PipelineId {
                namespace: namespace.to_string(),
                name: name.to_string(),
                uid: kept.uid.to_string(),
            };
            Some((id, kept.spec().ok()?))
        });
        read.collect()
    }
}

/// The object as JSON, as far as the audit looks at it.
fn whole(object: &DynamicObject) -> Value {
    let mut whole = object.data.clone();
    if let Some(fields) = whole.as_object_mut() {
        let metadata = serde_json::to_value(&object.metadata).unwrap_or_default();
        fields.insert("metadata".to_owned(), metadata);
    }
    whole
}
