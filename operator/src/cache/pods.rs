//! The workers' pods.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde::Deserialize;
use tocsin_contract::labels::{COMPONENT, Component};
use tocsin_operator_core::build::kafka::node_pool::CONTAINER as KAFKA_CONTAINER;
use tocsin_operator_core::names::WORKER_CONTAINER;
use tocsin_operator_core::status::pods::{PodState, Waiting, last_words};

use super::children::pipeline_of;
use super::store::{Key, version_of};
use crate::api::stored::Object;

/// A pod as far as the operator looks at it.
pub type SeenPod = Object<Pod, Body>;

/// Of its status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Body {
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    #[serde(rename = "podIP")]
    pod_ip: String,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    restart_count: u32,
    state: ContainerState,
    last_state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Why>,
    terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Why {
    reason: String,
    message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    exit_code: i32,
    reason: String,
    message: String,
}

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptPod {
    /// Its UID.
    pub uid: Box<str>,
    /// Its address, once it has one.
    pub address: Option<Box<str>>,
    /// The revision of the pod template that it is of.
    pub revision: Box<str>,
    /// Whether it is on its way out.
    pub ends: bool,
    /// How it is.
    pub state: PodState,
    /// The part of the pipeline that it is of: the value of its label.
    pub component: Box<str>,
    pipeline: Key,
    version: u64,
}

/// The label by which pods of a StatefulSet say of which pod template they are.
const REVISION: &str = "controller-revision-hash";

/// The pods of pipelines, by namespace and name of the pipeline. Those of one that is gone are among those of the next of its
/// name: a Kafka that stays is taken over, and workers that have not ended yet must not be overlooked.
#[derive(Debug, Default)]
pub struct Pods {
    of_pipeline: Mutex<HashMap<Key, BTreeMap<Key, KeptPod>>>,
}

impl Pods {
    /// The pods of a part of a pipeline, by name.
    pub fn of(&self, pipeline: &Key, component: Component) -> Vec<(Key, KeptPod)> {
        let all = self.of_pipeline.lock();
        let pods = all.get(pipeline).into_iter().flatten();
        pods.filter(|(_, pod)| *pod.component == *component.as_str())
            .map(|(key, pod)| (key.clone(), pod.clone()))
            .collect()
    }

    /// A pod was seen. Whether it is news.
    pub fn saw(&self, key: Key, seen: &SeenPod) -> bool {
        let Some(pod) = keep(seen) else { return false };
        let mut all = self.of_pipeline.lock();
        let pods = all.entry(pod.pipeline.clone()).or_default();
        match pods.get_mut(&key) {
            Some(known) if known.version >= pod.version => false,
            Some(known) => {
                let is_news = !known.is_as(&pod);
                *known = pod;
                is_news
            }
            None => {
                pods.insert(key, pod);
                true
            }
        }
    }

    /// A pod of a pipeline is gone. Whether that is news.
    pub fn gone(&self, pipeline: &Key, key: &Key) -> bool {
        let mut all = self.of_pipeline.lock();
        let Some(pods) = all.get_mut(pipeline) else {
            return false;
        };
        let was_known = pods.remove(key).is_some();
        if pods.is_empty() {
            all.remove(pipeline);
        }
        was_known
    }

    /// All pods that are known, each behind its pipeline.
    pub fn known(&self) -> Vec<(Key, Key)> {
        let all = self.of_pipeline.lock();
        let mut known = Vec::new();
        for (pipeline, pods) in all.iter() {
            known.extend(pods.keys().map(|key| (pipeline.clone(), key.clone())));
        }
        known
    }
}

impl KeptPod {
    /// Whether all that matters is the same.
    fn is_as(&self, other: &Self) -> bool {
        let version = other.version;
        Self {
            version,
            ..self.clone()
        } == *other
    }
}

fn keep(seen: &SeenPod) -> Option<KeptPod> {
    let (metadata, status) = (&seen.metadata, &seen.body.status);
    let condition = |kind: &str| status.conditions.iter().find(|condition| condition.kind == kind);
    let worker = status
        .container_statuses
        .iter()
        .find(|container| container.name == WORKER_CONTAINER || container.name == KAFKA_CONTAINER);
    let waiting = worker.and_then(|worker| worker.state.waiting.as_ref());
    let ended = worker.and_then(|worker| {
        let last = worker.last_state.terminated.as_ref();
        worker.state.terminated.as_ref().or(last)
    });
    let label = |name: &str| {
        let labels = metadata.labels.as_ref();
        let value = labels.and_then(|labels| labels.get(name)).map(String::as_str);
        value.unwrap_or_default().into()
    };
    let unscheduled = condition("PodScheduled").filter(|condition| condition.status == "False");
    let state = PodState {
        name: metadata.name.clone().unwrap_or_default(),
        is_ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
        restarts: worker.map_or(0, |worker| worker.restart_count),
        waiting: waiting.map(|waiting| Waiting {
            reason: waiting.reason.clone(),
            message: waiting.message.clone(),
        }),
        last_end: ended.map(|ended| (ended.exit_code, first_of(&last_words(&ended.message), &ended.reason))),
        unschedulable: unscheduled.map(|condition| first_of(&condition.message, &condition.reason)),
    };
    Some(KeptPod {
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        address: (!status.pod_ip.is_empty()).then(|| status.pod_ip.as_str().into()),
        revision: label(REVISION),
        component: label(COMPONENT),
        ends: metadata.deletion_timestamp.is_some(),
        state,
        pipeline: pipeline_of(metadata)?,
        version: version_of(metadata.resource_version.as_deref()),
    })
}

fn first_of(one: &str, other: &str) -> String {
    if one.is_empty() {
        other.to_owned()
    } else {
        one.to_owned()
    }
}
