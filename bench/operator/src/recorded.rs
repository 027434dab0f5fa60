//! What the operator writes for one pipeline, word for word: read off a real run, to be written again for others by a client
//! that decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tocsin_e2e::wait::until;
use tocsin_e2e::{FaultyApi, Operator, OperatorOptions, User};

use crate::client::{self, Request};
use crate::pipelines::{Pipeline, prepare};

const PATIENCE: Duration = Duration::from_secs(60);

/// The first pipelines of an operator find other things to do; the last is the one that is read off.
const PIPELINES: usize = 4;

/// Requests that changed something.
#[derive(Debug)]
pub struct Recorded {
    of: Pipeline,
    requests: Vec<Request>,
    /// How often something was read or told, beside.
    pub reads: usize,
    pub events: usize,
}

impl Recorded {
    /// Runs the operator over a few pipelines, with an ear on the line.
    ///
    /// # Errors
    /// When it does not do its work.
    pub async fn make() -> anyhow::Result<Self> {
        let prepared = prepare(PIPELINES, 1).await?;
        let line = FaultyApi::before(&prepared.kubernetes, User::Admin)?;
        let options = OperatorOptions {
            kubeconfig: Some(line.kubeconfig().to_owned()),
            ..OperatorOptions::default()
        };
        let operator = Operator::start(&prepared.kubernetes, &options)?;
        let client = client::client(&prepared.kubernetes).await?;
        let of = prepared.pipelines.last().context("a pipeline")?.clone();
        until("all pipelines to be looked at", PATIENCE, || {
            operator.process().check()?;
            let (waiting, in_hand) = (operator.metric(QUEUE_DEPTH)?, operator.metric(IN_HAND)?);
            Ok((waiting == Some(0.0) && in_hand == Some(0.0)).then_some(()))
        })?;
        let path = of.path();
        // It has a word on the pipeline, and nothing more to say.
        loop {
            let pipeline = client::get(&client, &path).await?;
            if pipeline["status"]["observedGeneration"] == pipeline["metadata"]["generation"] {
                break;
            }
            operator.process().check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let seen = line.proxy().seen();
        let own = |text: &str| text.contains(&format!("/{}", of.name)) || text.contains(&of.uid);
        let (mut requests, mut reads, mut events) = (Vec::new(), 0, 0);
        for seen in &seen {
            let request = &seen.request;
            let (target, body) = (request.target(), request.text());
            if !target.contains(&of.namespace) || !(own(target) || own(&body)) {
                continue;
            }
            match request.method() {
                "GET" => reads += 1,
                "POST" if target.contains("/events") => events += 1,
                method => requests.push(Request {
                    method: method.to_owned(),
                    target: target.to_owned(),
                    content_type: request.header("content-type").unwrap_or_default().to_owned(),
                    accept: request.header("accept").unwrap_or_default().to_owned(),
                    body,
                }),
            }
        }
        ensure!(requests.len() > 3, "the operator wrote {} objects", requests.len());
        Ok(Self {
            of,
            requests,
            reads,
            events,
        })
    }

    /// What is written for another pipeline.
    pub fn for_pipeline(&self, pipeline: &Pipeline) -> Vec<Request> {
        let say = |text: &str| {
            text.replace(&self.of.uid, &pipeline.uid)
                .replace(&self.of.namespace, &pipeline.namespace)
                .replace(&self.of.name, &pipeline.name)
        };
        let again = |request: &Request| Request {
            target: say(&request.target),
            body: say(&request.body),
            ..request.clone()
        };
        self.requests.iter().map(again).collect()
    }

    /// The collections that objects are made in, of all namespaces, and how many objects a pipeline has there.
    pub fn collections(&self) -> BTreeMap<String, u64> {
        let mut objects: Vec<&str> = Vec::new();
        for request in &self.requests {
            objects.push(request.target.split('?').next().unwrap_or_default());
        }
        objects.sort_unstable();
        objects.dedup();
        let mut collections = BTreeMap::new();
        let within = format!("/namespaces/{}", self.of.namespace);
        for object in objects {
            let path = object.replace(&within, "");
            if let Some((collection, _)) = path.rsplit_once('/')
                && !path.contains("/incidentpipelines/")
            {
                *collections.entry(collection.to_owned()).or_default() += 1;
            }
        }
        collections
    }

    /// How many requests write what a pipeline needs.
    pub fn writes(&self) -> usize {
        self.requests.len()
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.requests.iter().map(|request| request.body.len()).sum()
    }

    /// What was heard.
    pub fn told(&self) -> String {
        let lines = self.requests.iter().map(|request| {
            let target = request.target.split('?').next().unwrap_or_default();
            format!("  {} {target}, {} bytes", request.method, request.body.len())
        });
        let lines: Vec<String> = lines.collect();
        format!(
            "For a pipeline the operator writes, beside {} events and {} reads:\n{}",
            self.events,
            self.reads,
            lines.join("\n")
        )
    }
}

/// Objects that wait for the operator, and that it has in hand.
pub const QUEUE_DEPTH: &str = "tocsin_operator_queue_depth";
pub const IN_HAND: &str = "tocsin_operator_queue_in_hand";
