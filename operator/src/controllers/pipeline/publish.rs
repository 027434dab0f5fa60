//! What goes out on the pipeline's own topics: each change that was stored, and rules, KPIs and models, signed.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_kafka::{ClusterSettings, PlainProducer, ProduceError};
use tocsin_operator_core::admission::audit::who_changed;
use tocsin_operator_core::build::manifest::{MODEL, Manifest, PIPELINE, RULE_SET};
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::publish::{
    Due, Gone, Message, Published, Stored, config_map, deleted, due, gone, read,
};
use tocsin_operator_core::plan::topics::internal_topics;
use tocsin_operator_core::status::kafka::KafkaWord;
use tocsin_operator_core::validate::references;

use super::Look;
use crate::api::ApiError;
use crate::api::apply::Others;
use crate::cache::{Kept, Key};
use crate::kafka::AccessError;

/// Records are written within this.
const TIME_OUT: Duration = Duration::from_secs(10);

/// What could not be sent goes out again after this: a part of it may have gone out.
const AGAIN: Duration = Duration::from_secs(30);

/// Topics, and the records that go to them.
type Records = Vec<(String, Vec<(String, Vec<u8>)>)>;

impl Look<'_> {
    /// Sends what is to go out, once the topics are there. What cannot be sent now goes out at a later look.
    pub(super) async fn publish(&self, pipeline: &Pipeline, kafka: &KafkaWord) -> Result<(), ApiError> {
        let topics = kafka
            .topics
            .as_ref()
            .filter(|topics| topics.refused.is_none() && topics.coming.is_none());
        if topics.is_none() || kafka.brokers != Some(Ok(())) {
            return Ok(());
        }
        let published = self.published(pipeline).await?;
        let (keys, now) = (&self.context.keys, self.context.clock.now());
        let stored = self.stored(&pipeline.spec, &published).await?;
        let mut due = due(&self.kept.uid, &stored, &published, now, keys.key_id());
        due.tell_of(&self.gone(&published).await?, now);
        if due.is_nothing() {
            return Ok(());
        }
        let (namespace, name) = (&*self.key.namespace, &*self.key.name);
        let moment = self.context.clock.moment();
        let unsent = self.context.unsent.lock().get(&self.kept.uid).copied();
        if unsent.is_some_and(|again| moment < again) {
            return Ok(());
        }
        let records = self.records(pipeline, &due);
        let sent = match self.kafka_settings(pipeline).await? {
            Ok(settings) => send(settings, records).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::warn!(namespace, pipeline = name, %error, "what changed could not be told on the pipeline's topics yet");
            let mut all = self.context.unsent.lock();
            all.insert(self.kept.uid.clone(), moment + AGAIN);
            return Ok(());
        }
        let manifest = Manifest::new(&config_map(pipeline, &due.then));
        let api = &self.context.api;
        api.apply_unread(namespace, &manifest, Others::TakeOver).await?;
        let (changes, revisions) = (due.audit.len(), due.control.len());
        tracing::info!(
            namespace,
            pipeline = name,
            changes,
            revisions,
            "told on the pipeline's topics"
        );
        let mut all = self.context.published.lock();
        all.insert(self.kept.uid.clone(), due.then);
        Ok(())
    }

    /// What was told of and is no more, each with whoever asked for that.
    async fn gone(&self, published: &Published) -> Result<Vec<(Gone, String)>, ApiError> {
        let cache = &self.context.cache;
        let exists = |kind: &str, name: &str, uid: &str| {
            let key = Key::new(&self.key.namespace, name);
            let found = match kind {
                kind if kind == RULE_SET.kind => cache.rule_sets.get(&key),
                kind if kind == MODEL.kind => cache.models.get(&key),
                _ => return uid == &*self.kept.uid,
            };
            found.is_some_and(|found| *found.uid == *uid)
        };
        let mut all = Vec::new();
        for gone in gone(published, exists) {
            let by = self.who_deleted(&gone.uid).await?;
            all.push((gone, by.unwrap_or_default()));
        }
        Ok(all)
    }

    async fn who_deleted(&self, uid: &str) -> Result<Option<String>, ApiError> {
        let (keys, namespace) = (&self.context.keys, &*self.key.namespace);
        self.context.api.who_deleted(keys, namespace, uid).await
    }

    /// The last record of a pipeline whose topics stay: who asked for its deletion. It goes out if that can be done at once.
    pub(super) async fn publish_deletion(&self, pipeline: &Pipeline) {
        if let Err(error) = self.tell_deletion(pipeline).await {
            let (namespace, pipeline) = (&*self.key.namespace, &*self.key.name);
            tracing::warn!(namespace, pipeline, %error, "its deletion could not be told on the pipeline's topics");
        }
    }

    async fn tell_deletion(&self, pipeline: &Pipeline) -> Result<(), ApiError> {
        let gone = Gone {
            kind: PIPELINE.kind.to_owned(),
            name: self.key.name.to_string(),
            uid: self.kept.uid.to_string(),
            generation: self.kept.generation,
        };
        let by = self.who_deleted(&gone.uid).await?;
        let message = deleted(&gone, &by.unwrap_or_default(), self.context.clock.now());
        let topic = internal_topics(pipeline).audit().as_str().to_owned();
        let sent = match self.kafka_settings(pipeline).await? {
            Ok(settings) => send(settings, vec![(topic, vec![bytes(&message, &message.value)])]).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| ApiError::unmade("the record of a deletion", &error))
    }

    /// What went out before.
    async fn published(&self, pipeline: &Pipeline) -> Result<Published, ApiError> {
        if let Some(known) = self.context.published.lock().get(&self.kept.uid) {
            return Ok(known.clone());
        }
        let (namespace, name) = (&*self.key.namespace, pipeline.names().published());
        let api: Api<ConfigMap> = Api::namespaced(self.context.api.client(), namespace);
        let what = || format!("get ConfigMap {namespace}/{name}");
        let found = self.context.api.ask(what, api.get_opt(&name)).await?;
        let published = found.as_ref().map(read).unwrap_or_default();
        let mut all = self.context.published.lock();
        all.insert(self.kept.uid.clone(), published.clone());
        Ok(published)
    }

    /// The pipeline, and what it refers to, as they are stored.
    async fn stored(&self, spec: &IncidentPipelineSpec, published: &Published) -> Result<Vec<Stored>, ApiError> {
        let mut pipeline = self.stored_of(PIPELINE.kind, &self.key.name, self.kept);
        if pipeline.by.is_empty() && pipeline.is_news(published) {
            // `kubectl scale` leaves annotations as they are.
            let (keys, namespace) = (&self.context.keys, &*self.key.namespace);
            let scaled = self
                .context
                .api
                .who_scaled(keys, namespace, &pipeline.uid, pipeline.generation)
                .await?;
            if let Some((user, at)) = scaled {
                (pipeline.by, pipeline.at) = (user, at.to_string());
            }
        }
        let mut stored = vec![pipeline];
        let key = |name: &str| Key::new(&self.key.namespace, name);
        for name in references::rule_sets(spec) {
            let found = self.context.cache.rule_sets.get(&key(&name));
            stored.extend(found.map(|kept| self.stored_of(RULE_SET.kind, &name, &kept)));
        }
        for name in references::models(spec) {
            let found = self.context.cache.models.get(&key(&name));
            stored.extend(found.map(|kept| self.stored_of(MODEL.kind, &name, &kept)));
        }
        Ok(stored)
    }

    fn stored_of(&self, kind: &'static str, name: &str, kept: &Kept) -> Stored {
        let place = (kind, &*self.key.namespace, name);
        let sign = |text: &str| self.context.keys.sign_change(text);
        let (by, at) = who_changed(place, kept.generation, |name| kept.annotation(name), sign);
        Stored {
            kind,
            name: name.to_owned(),
            uid: kept.uid.to_string(),
            generation: kept.generation,
            created: kept.created.unwrap_or_default(),
            by: by.to_owned(),
            at: at.to_owned(),
            spec: kept.spec().unwrap_or(Value::Null),
        }
    }

    fn records(&self, pipeline: &Pipeline, due: &Due) -> Records {
        let topics = internal_topics(pipeline);
        let audit = due.audit.iter().map(|message| bytes(message, &message.value));
        let control = due.control.iter().map(|message| {
            let signed = self.context.keys.sign(message.value.clone());
            bytes(message, &signed)
        });
        vec![
            (topics.audit().as_str().to_owned(), audit.collect()),
            (topics.control().as_str().to_owned(), control.collect()),
        ]
    }
}

fn bytes<T>(message: &Message<T>, value: &impl serde::Serialize) -> (String, Vec<u8>) {
    // Records have text keys alone: they always become JSON.
    (message.key.clone(), serde_json::to_vec(value).unwrap_or_default())
}

/// Writes records, in a thread that may wait.
async fn send(settings: ClusterSettings, records: Records) -> Result<(), AccessError> {
    let write = move || -> Result<(), ProduceError> {
        let producer = PlainProducer::new(&settings, "none")?;
        for (topic, records) in &records {
            for (key, value) in records {
                producer.send(topic, Some(key.as_bytes()), value)?;
            }
            producer.finish(topic, TIME_OUT)?;
        }
        Ok(())
    };
    let written = tokio::task::spawn_blocking(write).await;
    let words = |error: &dyn std::fmt::Display| AccessError::Unusable(error.to_string());
    written.map_err(|error| words(&error))?.map_err(|error| words(&error))
}
