//! A pipeline's Kafka: looked at when the spec has changed, and once in a while; the nodes of one that the operator runs at
//! every look.

mod keys;
mod managed;
mod strimzi;
mod teardown;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::SecretString;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::kafka::KafkaMode;
use tocsin_kafka::{ClusterSettings, KafkaError};
use tocsin_operator_core::build::secrets::read_by_workers;
use tocsin_operator_core::lease::Moment;
use tocsin_operator_core::pipeline::{KafkaAccess, Pipeline};
use tocsin_operator_core::plan::kafka::roll::Health;
use tocsin_operator_core::status::kafka::{KafkaWord, NoBrokers};

pub use keys::KafkaKeys;

use super::Look;
use crate::api::ApiError;
use crate::kafka::{AccessError, SecretValues, settings, with_cluster};

/// What was found of a pipeline's Kafka when it was asked last.
#[derive(Clone, Debug)]
pub struct SeenKafka {
    /// The generation of the pipeline that it was asked for.
    generation: i64,
    /// Until when that counts.
    until: Moment,
    word: KafkaWord,
    /// Of a Kafka that the operator runs.
    health: Option<Health>,
    /// Of a Kafka that the operator runs: hash of the password and the limits that it was told of the pipeline's user.
    told: Option<String>,
}

impl Look<'_> {
    /// Sees to the Kafka, as far as it is the operator's to see to, and says what is known of it.
    pub(super) async fn see_to_kafka(&self, pipeline: &Pipeline) -> Result<KafkaWord, ApiError> {
        match pipeline.spec.kafka.effective_mode() {
            KafkaMode::Managed => return self.see_to_managed_kafka(pipeline).await,
            KafkaMode::Strimzi => return self.see_to_strimzi(pipeline).await,
            KafkaMode::External => {}
        }
        if !pipeline.spec.kafka.manage_topics {
            return Ok(KafkaWord::default());
        }
        if let Some(known) = self.known_kafka(pipeline) {
            return Ok(known.word);
        }
        let asked = match self.kafka_settings(pipeline).await? {
            Ok(settings) => {
                let of = pipeline.clone();
                with_cluster(settings, move |cluster| topics::bring_about(cluster, &of)).await
            }
            Err(error) => Err(error),
        };
        let word = match asked {
            Ok(topics) => KafkaWord {
                brokers: Some(Ok(())),
                topics: Some(topics),
                ..KafkaWord::default()
            },
            Err(error) => unreachable(&error),
        };
        self.remember_kafka(pipeline, word.clone(), None, None);
        Ok(word)
    }

    /// How the operator reaches the pipeline's Kafka.
    pub(super) async fn kafka_settings(
        &self,
        pipeline: &Pipeline,
    ) -> Result<Result<ClusterSettings, AccessError>, ApiError> {
        if pipeline.spec.kafka.effective_mode() == KafkaMode::Managed {
            let keys = self.kafka_keys(pipeline).await?;
            return Ok(self.managed_settings(pipeline, &keys));
        }
        let values = self.values_of_secrets(&pipeline.spec, &pipeline.kafka).await?;
        Ok(settings(&pipeline.kafka, &self.client_id(), &values))
    }

    /// What was found when the Kafka was asked last, if that still counts.
    fn known_kafka(&self, pipeline: &Pipeline) -> Option<SeenKafka> {
        let now = self.context.clock.moment();
        self.last_kafka()
            .filter(|known| known.generation == pipeline.generation && now < known.until)
    }

    fn last_kafka(&self) -> Option<SeenKafka> {
        self.context.kafka.lock().get(&self.kept.uid).cloned()
    }

    fn remember_kafka(&self, pipeline: &Pipeline, word: KafkaWord, health: Option<Health>, told: Option<String>) {
        // What fails is tried again soon, and what is well looked at once in a while.
        let again = match &word.brokers {
            Some(Ok(())) => self.context.resync.every(),
            _ => super::AWAITED,
        };
        self.keep_kafka(pipeline, word, health, told, again);
    }

    /// The same, where somebody else is at work and is looked at again soon.
    fn remember_kafka_for(&self, pipeline: &Pipeline, word: KafkaWord, told: Option<String>, again: Duration) {
        self.keep_kafka(pipeline, word, None, told, again);
    }

    fn keep_kafka(
        &self,
        pipeline: &Pipeline,
        word: KafkaWord,
        health: Option<Health>,
        told: Option<String>,
        again: Duration,
    ) {
        let seen = SeenKafka {
            generation: pipeline.generation,
            until: self.context.clock.moment() + again,
            word,
            health,
            told,
        };
        self.context.kafka.lock().insert(self.kept.uid.clone(), seen);
    }

    /// By what the operator is known to brokers.
    fn client_id(&self) -> String {
        format!("tocsin-operator-{}", self.key.name)
    }

    /// The values of the Secrets by which the Kafka is reached. They are dropped when it was asked.
    async fn values_of_secrets(
        &self,
        spec: &IncidentPipelineSpec,
        access: &KafkaAccess,
    ) -> Result<SecretValues, ApiError> {
        let namespace = &*self.key.namespace;
        let mut without_sinks = spec.clone();
        without_sinks.sinks.clear();
        let wanted = read_by_workers(&without_sinks, access.tls.as_ref(), access.sasl.as_ref());
        let mut values = SecretValues::new();
        for (name, keys) in wanted {
            let Some(secret) = self.secret(namespace, &name).await? else {
                continue;
            };
            let data = secret.data.unwrap_or_default();
            let of_keys = keys.into_iter().filter_map(|key| {
                let text = String::from_utf8(data.get(&key)?.0.clone()).ok()?;
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                Some(((name.clone(), key), SecretString::from(text)))
            });
            values.extend(of_keys.collect::<Vec<_>>());
        }
        Ok(values)
    }

    /// A Secret, by its name.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, ApiError> {
        let api: Api<Secret> = Api::namespaced(self.context.api.client(), namespace);
        let what = || format!("get Secret {namespace}/{name}");
        self.context.api.ask(what, api.get_opt(name)).await
    }

    /// Nothing is remembered of a pipeline's Kafka any more.
    pub(super) fn forget_kafka(&self) {
        self.context.kafka.lock().remove(&self.kept.uid);
        self.context.kafka_keys.lock().remove(&self.kept.uid);
        self.context.published.lock().remove(&self.kept.uid);
        self.context.certificates.lock().remove(&self.kept.uid);
        self.context.complete.lock().remove(&self.kept.uid);
        self.context.unsent.lock().remove(&self.kept.uid);
    }

    fn known_keys(&self) -> Option<Arc<KafkaKeys>> {
        self.context.kafka_keys.lock().get(&self.kept.uid).cloned()
    }
}

fn unreachable(error: &AccessError) -> KafkaWord {
    let why = error.to_string();
    let is_refused = matches!(
        error,
        AccessError::Kafka(KafkaError::Authentication { .. } | KafkaError::Mechanism { .. } | KafkaError::Token { .. })
    );
    let trouble = if is_refused {
        NoBrokers::Refused(why)
    } else {
        NoBrokers::Unreachable(why)
    };
    KafkaWord {
        brokers: Some(Err(trouble)),
        ..KafkaWord::default()
    }
}
