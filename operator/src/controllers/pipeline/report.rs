//! What came of a look is said: in the status, and in an event for each transition.

use std::convert::Infallible;
use std::time::Duration;

use serde_json::Value;
use tocsin_contract::pipeline::status::IncidentPipelineStatus;
use tocsin_operator_core::build::manifest::PIPELINE;
use tocsin_operator_core::status::event::{Event, Weight, events};
use tocsin_operator_core::status::pipeline::{self, Outcome};

use super::Look;
use crate::api::ApiError;
use crate::api::event::{Regarding, event_about};

/// A look that takes longer says what it is at: users expect a first status within a second.
const SLOW: Duration = Duration::from_millis(700);

impl Look<'_> {
    /// What was said of the pipeline last.
    pub(super) fn said(&self) -> IncidentPipelineStatus {
        self.newest().status()
    }

    /// Says that a new spec is being brought about, if the look takes so long that somebody may wait for a word.
    pub(super) async fn report_if_slow(&self) -> Infallible {
        tokio::time::sleep(SLOW).await;
        let is_new = self.said().observed_generation != Some(self.kept.generation);
        if is_new && let Err(error) = self.report(&Outcome::Begun).await {
            tracing::debug!(%error, "the first word on a new spec was not said");
        }
        std::future::pending().await
    }

    /// Says what came of the look, if that is news.
    pub(super) async fn report(&self, outcome: &Outcome<'_>) -> Result<(), ApiError> {
        let _one_at_a_time = self.reporting.lock().await;
        let newest = self.newest();
        let said: IncidentPipelineStatus = newest.status();
        let look = pipeline::Look {
            namespace: &self.key.namespace,
            name: &self.key.name,
            generation: self.kept.generation,
            said: &said,
            now: self.context.clock.now(),
        };
        let status = pipeline::status(&look, outcome);
        if status == said {
            return Ok(());
        }
        let metadata = self.context.api.apply_status(self.target(), &status).await?;
        // A status has text keys alone: it always becomes JSON.
        let text = serde_json::to_value(&status).unwrap_or(Value::Null);
        if let Some(written) = newest.written(&metadata, Some(&text)) {
            self.context.cache.pipelines.put(self.key.clone(), written).ok();
        }
        for event in events(&said.conditions, &status.conditions) {
            self.tell(&event).await;
        }
        Ok(())
    }

    /// Tells of something that happened. An event that is lost is no reason to do anything again.
    pub(super) async fn tell(&self, event: &Event) {
        let (namespace, name) = (&*self.key.namespace, &*self.key.name);
        match event.weight {
            Weight::Normal => tracing::info!(namespace, pipeline = name, reason = event.reason, "{}", event.message),
            Weight::Warning => tracing::warn!(namespace, pipeline = name, reason = event.reason, "{}", event.message),
        }
        let regarding = Regarding {
            resource: PIPELINE,
            namespace,
            name,
            uid: &self.kept.uid,
        };
        let object = event_about(&regarding, event, "Reconcile", &self.context.identity);
        if let Err(error) = self.context.api.tell(&object).await {
            tracing::debug!(%error, "an event was lost");
        }
    }
}
