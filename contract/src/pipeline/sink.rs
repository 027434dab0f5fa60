//! Where streams go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::duration::Duration;
use crate::rule::validations;
use crate::schema::list::Map;
use crate::schema::text::{HeaderValue, Name, ObjectKey, ObjectName, Path, PositiveDuration, StreamName, TopicName};

/// Takes a stream out; exactly one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::SINK)))]
pub struct Sink {
    /// Name of the sink.
    #[schemars(with = "Name")]
    pub name: String,
    /// Stream to take out. A sink that a `sql` stage writes to by INSERT INTO has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "StreamName")]
    pub from: Option<String>,
    /// Writes to a Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSink>,
    /// Writes JSON lines to a file. Only outside a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSink>,
    /// Prints to standard output. Only outside a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StdoutSink>,
    /// Posts to an HTTP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSink>,
}

/// A Kafka topic to write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSink {
    /// Topic to write.
    #[schemars(with = "TopicName")]
    pub topic: String,
}

/// A file to write, as JSON lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSink {
    /// Path of the file, relative to the working folder.
    #[schemars(with = "Path")]
    pub path: String,
}

/// Standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StdoutSink {}

/// An HTTP address that takes each row, such as each transition of an incident, in a request of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::WEBHOOK)))]
pub struct WebhookSink {
    /// Where the address stands, which begins with https: a key of a Secret.
    pub url_secret_ref: SecretKeyRef,
    /// Where the token stands by which the receiver knows us: PagerDuty's routing key, else sent as `Authorization:
    /// Bearer`. Slack's is a part of its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
    /// Shape of the body.
    #[serde(default)]
    pub template: WebhookTemplate,
    /// Further headers. They stand here for all to read; what is secret stands behind `tokenSecretRef`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<HeaderValue, 32>")]
    pub headers: BTreeMap<String, String>,
    /// How long a request may take, from the connection to the end of the answer.
    #[serde(default = "Duration::default_webhook_timeout")]
    #[schemars(with = "PositiveDuration")]
    pub timeout: Duration,
    /// How long a row is sent again, counted from when it was given out. Then it becomes a dead letter.
    #[serde(default = "Duration::default_retry_for")]
    #[schemars(with = "PositiveDuration")]
    pub retry_for: Duration,
}

/// Shapes of a webhook's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebhookTemplate {
    /// The row as a JSON object.
    #[default]
    Json,
    /// Slack's incoming webhook.
    Slack,
    /// PagerDuty's Events API, version 2.
    PagerDuty,
}

/// A key of a Secret of the pipeline's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(with = "ObjectName")]
    pub name: String,
    /// Key in the Secret.
    #[schemars(with = "ObjectKey")]
    pub key: String,
}
