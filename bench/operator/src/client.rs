//! Asks the API server: with the library that the operator asks with, and nothing between.

use std::future::Future;
use std::path::Path;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tocsin_e2e::{Kubernetes, User};

/// A client of this API server, as its administrator.
pub async fn client(kubernetes: &Kubernetes) -> anyhow::Result<kube::Client> {
    of_file(&kubernetes.kubeconfig(User::Admin, None)?).await
}

async fn of_file(path: &Path) -> anyhow::Result<kube::Client> {
    let file = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub content_type: String,
    pub accept: String,
    pub body: String,
}

impl Request {
    /// Of JSON.
    pub fn json(method: &str, target: &str, body: &Value) -> Self {
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            content_type: content_type.to_owned(),
            accept: "application/json".to_owned(),
            body: body.to_string(),
        }
    }

    /// Sends it, and gives the answer's text.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn send(&self, client: &kube::Client) -> anyhow::Result<String> {
        let request = http::Request::builder()
            .method(self.method.as_str())
            .uri(&self.target)
            .header("content-type", &self.content_type)
            .header("accept", &self.accept)
            .body(self.body.clone().into_bytes())?;
        let answer = client.request_text(request).await;
        answer.with_context(|| format!("{} {}", self.method, self.target))
    }
}

/// What is at a path.
///
/// # Errors
/// When it cannot be read.
pub async fn get(client: &kube::Client, target: &str) -> anyhow::Result<Value> {
    let answer = Request::json("GET", target, &Value::Null);
    let answer = Request {
        body: String::new(),
        ..answer
    }
    .send(client)
    .await?;
    Ok(serde_json::from_str(&answer)?)
}

/// How many objects a collection has.
///
/// # Errors
/// When it cannot be asked.
pub async fn count(client: &kube::Client, collection: &str) -> anyhow::Result<u64> {
    let list = get(client, &format!("{collection}?limit=1")).await?;
    let first = list["items"].as_array().map_or(0, Vec::len) as u64;
    Ok(first + list["metadata"]["remainingItemCount"].as_u64().unwrap_or_default())
}

/// Does something with each, so many at the same time.
///
/// # Errors
/// The first.
pub async fn each<T, F>(all: &[T], concurrency: usize, act: impl Fn(usize, &T) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let acts = all.iter().enumerate().map(|(index, one)| act(index, one));
    stream::iter(acts).buffer_unordered(concurrency).try_collect().await
}
