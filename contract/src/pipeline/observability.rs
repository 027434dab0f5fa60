//! How a pipeline is watched: metrics, dashboards, traces, the live page, and when it counts as unwell.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::schema::list::Map;
use crate::schema::text::{Host, HttpUrl, ObjectName, Report};

/// What is made for the tools that watch the cluster. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Whether a ServiceMonitor is made, where the Prometheus operator is there.
    pub service_monitor: bool,
    /// Whether a PrometheusRule with the pipeline's own alerts is made, where the Prometheus operator is there.
    pub alert_rules: bool,
    /// Whether Grafana's dashboards are made.
    pub dashboards: bool,
    /// Where traces go.
    pub tracing: Tracing,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            service_monitor: true,
            alert_rules: true,
            dashboards: true,
            tracing: Tracing::default(),
        }
    }
}

/// Where traces go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// Address of an OpenTelemetry collector; without it there are no traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpUrl")]
    pub otlp_endpoint: Option<String>,
}

/// When a pipeline counts as unwell. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Workers that start again and again.
    pub restarts: Restarts,
    /// Time without a new checkpoint after which state counts as unwell.
    pub checkpoint_progress_window: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            restarts: Restarts::default(),
            checkpoint_progress_window: Duration::from_mins(5),
        }
    }
}

/// So many restarts within such a time are too many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Restarts {
    /// Number of restarts of all workers together.
    #[schemars(range(min = 1, max = 10000))]
    pub threshold: u32,
    /// The time that they fall into.
    pub window: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            threshold: 10,
            window: Duration::from_mins(2),
        }
    }
}

/// A way from outside the cluster to the live page. Only the cluster reads it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Host name of the page.
    #[schemars(with = "Host")]
    pub host: String,
    /// IngressClass; by default the cluster's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub class_name: Option<String>,
    /// Secret with the certificate of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub tls_secret_name: Option<String>,
    /// Annotations of the Ingress, for its controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Report<4096>, 32>")]
    pub annotations: BTreeMap<String, String>,
}
