//! The pipelines: each asks for what the apiserver stores and nobody acts on.

use anyhow::Context as _;
use serde_json::{Value, json};
use tocsin_e2e::{Controllers, Kubernetes};

use crate::client::{self, Request, count, each};

/// All pipelines of the cluster.
pub const PIPELINES: &str = "/apis/tocsin.dev/v1alpha1/incidentpipelines";

/// So many requests at the same time prepare a round.
const AT_A_TIME: usize = 16;

/// A pipeline that is there.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl Pipeline {
    /// The same length for each, so that what is written for one is as long as for another.
    pub fn names(number: usize, namespaces: usize) -> (String, String) {
        (
            format!("tenant-{:03}", number % namespaces.max(1)),
            format!("p{number:05}"),
        )
    }

    /// Its path.
    pub fn path(&self) -> String {
        format!(
            "/apis/tocsin.dev/v1alpha1/namespaces/{}/incidentpipelines/{}",
            self.namespace, self.name
        )
    }
}

/// An API server with pipelines, and no operator.
#[derive(Debug)]
pub struct Prepared {
    pub kubernetes: Kubernetes,
    pub pipelines: Vec<Pipeline>,
}

/// Kafka is somebody's own and nothing of it is asked for; so the API server's work is all that there is.
fn spec() -> Value {
    json!({
        "sources": [{
            "name": "alerts", "kafka": {"topic": "incident_alerts"}, "format": {"type": "Json"},
            "eventTime": {"field": "ts", "unit": "Milliseconds"},
        }],
        "stages": [
            {"name": "critical", "from": "alerts", "filter": "severity = 'CRITICAL'"},
            {"name": "escalated", "from": "critical", "escalate": {"by": ["service"], "count": 3, "within": "1h"}},
        ],
        "sinks": [{"name": "escalations", "from": "escalated", "kafka": {"topic": "incident_escalations"}}],
        "kafka": {"bootstrapServers": "kafka:9092", "manageTopics": false},
        "workers": {"replicas": 2},
    })
}

/// Starts an API server and puts pipelines into it.
///
/// # Errors
/// When it does not start, or does not take them.
pub async fn prepare(pipelines: usize, namespaces: usize) -> anyhow::Result<Prepared> {
    let kubernetes = Kubernetes::start(Controllers::None)?;
    kubernetes.apply_crds()?;
    let client = client::client(&kubernetes).await?;
    let names: Vec<(String, String)> = (0..pipelines)
        .map(|number| Pipeline::names(number, namespaces))
        .collect();
    let mut namespaces: Vec<String> = names.iter().map(|(namespace, _)| namespace.clone()).collect();
    namespaces.push("tocsin-system".to_owned());
    namespaces.sort();
    namespaces.dedup();
    each(&namespaces, AT_A_TIME, |_, namespace| {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let client = client.clone();
        async move {
            Request::json("POST", "/api/v1/namespaces", &object)
                .send(&client)
                .await
                .map(drop)
        }
    })
    .await?;
    let spec = spec();
    each(&names, AT_A_TIME, |_, (namespace, name)| {
        let object = json!({
            "apiVersion": "tocsin.dev/v1alpha1", "kind": "IncidentPipeline", "metadata": {"name": name}, "spec": spec,
        });
        let target = format!("/apis/tocsin.dev/v1alpha1/namespaces/{namespace}/incidentpipelines");
        let client = client.clone();
        async move { Request::json("POST", &target, &object).send(&client).await.map(drop) }
    })
    .await?;
    let list = client::get(&client, PIPELINES).await?;
    let items = list["items"].as_array().context("a list of pipelines")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pipelines = items
        .iter()
        .map(|item| Pipeline {
            namespace: text(&item["metadata"]["namespace"]),
            name: text(&item["metadata"]["name"]),
            uid: text(&item["metadata"]["uid"]),
        })
        .collect();
    Ok(Prepared { kubernetes, pipelines })
}

/// Whether all pipelines have a status that is of their newest spec.
///
/// # Errors
/// When they cannot be listed.
pub async fn all_are_observed(client: &kube::Client, namespaces: &[String]) -> anyhow::Result<bool> {
    for namespace in namespaces {
        // From the API server's memory.
        let target = format!("/apis/tocsin.dev/v1alpha1/namespaces/{namespace}/incidentpipelines?resourceVersion=0");
        let list = client::get(client, &target).await?;
        let items = list["items"].as_array().context("a list of pipelines")?;
        let is_observed = |item: &Value| item["status"]["observedGeneration"] == item["metadata"]["generation"];
        if !items.iter().all(is_observed) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many objects each of these collections has.
///
/// # Errors
/// When they cannot be asked.
pub async fn counts(client: &kube::Client, collections: &[String]) -> anyhow::Result<Vec<u64>> {
    let mut counts = Vec::new();
    for collection in collections {
        counts.push(count(client, collection).await?);
    }
    Ok(counts)
}
