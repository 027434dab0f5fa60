//! With all pipelines there: how much memory they take, how fast a change is followed, and how fast another operator goes on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tocsin_e2e::Operator;
use tokio::sync::mpsc::{Receiver, channel};

use crate::args::Args;
use crate::client::{Request, client};
use crate::cold::{Operated, options};
use crate::pipelines::Pipeline;

const PATIENCE: Duration = Duration::from_secs(120);

/// Between two changes; the one before is done by then, as a rule.
const BETWEEN_CHANGES: Duration = Duration::from_millis(20);

/// How it is with all pipelines there.
#[derive(Debug)]
pub struct Loaded {
    /// Bytes of memory that the operator holds.
    pub memory: u64,
    /// The most that it ever held.
    pub most_memory: u64,
    /// Milliseconds from a spec's change, when it is sent, until the workers that it asks for are seen in a watch.
    pub changes: Vec<f64>,
    /// From the death of the leader until another has followed a change.
    pub failover: Duration,
}

/// So many may wait to be read.
const CHANGES_UNREAD: usize = 1_024;

/// How many workers a StatefulSet has, whenever it changes.
type Seen = Receiver<(String, i32, Instant)>;

pub async fn measure(args: Args, operated: Operated) -> anyhow::Result<Loaded> {
    let Operated {
        kubernetes,
        pipelines,
        operator,
    } = operated;
    let client = client(&kubernetes).await?;
    let memory = operator.process().resident_memory()?;
    let most_memory = operator.process().most_resident_memory()?;
    let mut seen = follow(&client).await?;
    let mut replicas: HashMap<String, i32> = HashMap::new();
    let mut changes = Vec::new();
    // Spread over all namespaces.
    let step = (pipelines.len() / args.changes.max(1)).max(1) | 1;
    for number in 0..args.changes {
        let pipeline = &pipelines[number * step % pipelines.len()];
        let took = change(&client, pipeline, &mut replicas, &mut seen).await?;
        changes.push(took.as_secs_f64() * 1_000.0);
        tokio::time::sleep(BETWEEN_CHANGES).await;
    }

    let other = Operator::start(&kubernetes, &options("operator-1", args))?;
    let died = Instant::now();
    operator.process().kill()?;
    let first = pipelines.first().context("a pipeline")?;
    change(&client, first, &mut replicas, &mut seen).await?;
    let failover = died.elapsed();
    other.stop()?;
    Ok(Loaded {
        memory,
        most_memory,
        changes,
        failover,
    })
}

/// Asks for another number of workers, and waits until they are asked for of the StatefulSet.
async fn change(
    client: &kube::Client,
    pipeline: &Pipeline,
    replicas: &mut HashMap<String, i32>,
    seen: &mut Seen,
) -> anyhow::Result<Duration> {
    let name = format!("{}-workers", pipeline.name);
    let wanted = replicas.entry(name.clone()).or_insert(2);
    *wanted = if *wanted == 2 { 3 } else { 2 };
    let began = Instant::now();
    let body = json!({"spec": {"workers": {"replicas": wanted}}});
    Request::json("PATCH", &pipeline.path(), &body).send(client).await?;
    loop {
        let next = tokio::time::timeout(PATIENCE, seen.recv()).await;
        let next = next.with_context(|| format!("{name} did not get {wanted} workers"))?;
        let (changed, replicas, at) = next.context("the watch ended")?;
        if changed == name && replicas == *wanted {
            return Ok(at.duration_since(began));
        }
    }
}

/// Follows all StatefulSets from now on.
async fn follow(client: &kube::Client) -> anyhow::Result<Seen> {
    let (tell, seen) = channel(CHANGES_UNREAD);
    let (begin, begun) = tokio::sync::oneshot::channel();
    let all: Api<StatefulSet> = Api::all(client.clone());
    tokio::spawn(async move {
        let mut begin = Some(begin);
        let mut events = std::pin::pin!(watcher(all, watcher::Config::default()));
        while let Some(event) = events.next().await {
            let at = Instant::now();
            match event {
                Ok(Event::InitDone) => {
                    if let Some(begin) = begin.take() {
                        begin.send(()).ok();
                    }
                }
                Ok(Event::Apply(object)) => {
                    let replicas = object.spec.and_then(|spec| spec.replicas).unwrap_or_default();
                    let name = object.metadata.name.unwrap_or_default();
                    if tell.send((name, replicas, at)).await.is_err() {
                        return;
                    }
                }
                _ => {}
            }
        }
    });
    begun.await.context("the watch did not begin")?;
    Ok(seen)
}
