//! The topics of a pipeline that goes.

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::kafka::KafkaMode;
use tocsin_kafka::{Cluster, ClusterSettings, KafkaError};
use tocsin_operator_core::plan::topics::own_prefix;
use tocsin_operator_core::validate::kafka_access;

use super::Look;
use crate::api::ApiError;
use crate::kafka::{AccessError, settings, with_cluster};

impl Look<'_> {
    /// The pipeline's own topics that are still there, if they were the operator's to make. None if Kafka does not say. Those of a
    /// Kafka that the operator runs go and stay with it.
    pub(in crate::controllers::pipeline) async fn topics_left(
        &self,
        spec: &IncidentPipelineSpec,
    ) -> Result<Option<Vec<String>>, ApiError> {
        if spec.kafka.effective_mode() != KafkaMode::External || !spec.kafka.manage_topics {
            return Ok(Some(Vec::new()));
        }
        let prefix = own_prefix(&self.id, true);
        let asked = self.ask_external(spec, move |cluster| cluster.topics_beginning_with(&prefix));
        Ok(asked
            .await?
            .inspect_err(|error| tracing::debug!(%error, "Kafka does not say which topics there are"))
            .ok())
    }

    /// Removes topics, and says what came of it.
    pub(in crate::controllers::pipeline) async fn remove_topics(
        &self,
        spec: &IncidentPipelineSpec,
        topics: Vec<String>,
    ) -> Result<String, ApiError> {
        let named = topics.join(", ");
        let remove = move |cluster: &mut Cluster| {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            cluster.remove_topics(&names)
        };
        Ok(match self.ask_external(spec, remove).await? {
            Ok(()) => {
                let (namespace, pipeline) = (&*self.key.namespace, &*self.key.name);
                tracing::info!(namespace, pipeline, topics = named, "removed topics");
                format!("topics are removed: {named}")
            }
            Err(error) => format!("topics cannot be removed: {error}"),
        })
    }

    async fn ask_external<T: Send + 'static>(
        &self,
        spec: &IncidentPipelineSpec,
        ask: impl FnOnce(&mut Cluster) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<Result<T, AccessError>, ApiError> {
        let Some(access) = kafka_access(&self.id, spec) else {
            let why = "spec.kafka says not how it is reached".to_owned();
            return Ok(Err(AccessError::Unusable(why)));
        };
        let values = self.values_of_secrets(spec, &access).await?;
        let settings: Result<ClusterSettings, AccessError> = settings(&access, &self.client_id(), &values);
        Ok(match settings {
            Ok(settings) => with_cluster(settings, ask).await,
            Err(error) => Err(error),
        })
    }
}
