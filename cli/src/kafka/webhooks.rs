//! The pipeline's webhooks: their secrets, what is delivered, and what of it is told at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::pipeline::sink::SecretKeyRef;
use tocsin_worker::delivery::{Delivery, DeliveryError, DeliveryMetrics, DeliverySettings};
use tocsin_worker::shards::Settings;
use tocsin_worker::webhook::{Webhook, WebhookSettings};
use tocsin_worker_core::delivery::address::AddressRules;
use tocsin_worker_core::delivery::shape::Shape;
use tocsin_worker_core::plan::Plan;

use super::cluster::{secret, text};
use crate::args::RunArgs;
use crate::failure::{Failure, note};
use crate::run::grouped;

/// What is to be delivered: the rows of each webhook for which no `--output` stands.
pub fn deliveries(
    args: &RunArgs,
    pipeline: &IncidentPipeline,
    plan: &Plan,
    paths: &[Option<PathBuf>],
) -> Result<Vec<Delivery>, Failure> {
    let value = |at: &SecretKeyRef| -> Result<String, Failure> {
        let text = text(secret(args.secrets.as_deref(), &at.name, &at.key)?)?;
        Ok(text.trim().to_owned())
    };
    let mut deliveries = Vec::new();
    for (number, (sink, path)) in pipeline.spec.sinks.iter().zip(paths).enumerate() {
        let (Some(webhook), None, Some(shape)) = (&sink.webhook, path, Shape::of(plan, number)) else {
            continue;
        };
        let settings = WebhookSettings {
            url: value(&webhook.url_secret_ref)?.into(),
            token: webhook
                .token_secret_ref
                .as_ref()
                .map(value)
                .transpose()?
                .map(Into::into),
            template: webhook.template,
            headers: webhook.headers.clone(),
            timeout: length(webhook.timeout),
            addresses: AddressRules {
                allowed: args.allow_address.clone(),
                refused: args.refuse_address.clone(),
            },
            authorities: None,
        };
        let opened = Webhook::new(&settings);
        let opened = opened.map_err(|error| Failure::Usage(format!("sink `{}`: {error}", sink.name)))?;
        deliveries.push(Delivery {
            name: sink.name.clone(),
            shape,
            retry_for: length(webhook.retry_for),
            sink: Arc::new(opened),
        });
    }
    Ok(deliveries)
}

/// How they are delivered beside a run with these settings.
pub fn settings(run: &Settings) -> DeliverySettings {
    DeliverySettings {
        cluster: run.cluster.clone(),
        group: run.group.clone(),
        topics: run.topics.clone(),
        instance: run.instance.clone(),
        leaving: Arc::clone(&run.leaving),
        interrupt: run.interrupt.clone(),
    }
}

/// What was delivered, on standard error.
pub fn tell(metrics: &[(String, Arc<DeliveryMetrics>)]) {
    for (name, metrics) in metrics {
        let mut parts = vec![format!("{} rows delivered", grouped(metrics.delivered()))];
        let more = [
            (metrics.retried(), "tries failed"),
            (metrics.dead(), "rows went to the dead-letter topic"),
            (
                metrics.deleted(),
                "places in the buffer were deleted before they were delivered",
            ),
            (metrics.waiting(), "rows wait in the buffer"),
        ];
        parts.extend(
            more.iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, what)| format!("{} {what}", grouped(*n))),
        );
        note(format!("{name}: {}", parts.join(", ")));
    }
}

fn length(duration: tocsin_contract::duration::Duration) -> Duration {
    Duration::from_micros(duration.as_micros().unsigned_abs())
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        Self::Io(error.to_string())
    }
}
