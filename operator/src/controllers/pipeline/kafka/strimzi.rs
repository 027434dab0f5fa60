//! A Kafka that Strimzi runs: its resources are made, and what Strimzi says of them is passed on.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tocsin_contract::labels::{self, Component};
use tocsin_operator_core::build::manifest::{Manifest, Resource};
use tocsin_operator_core::build::strimzi::{KAFKA, Leaving, NODE_POOL, TOPIC, USER, leaving, objects, word};
use tocsin_operator_core::hash::hash_of;
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::topics::{Topic, Trouble, beside};
use tocsin_operator_core::status::kafka::{KafkaWord, NoBrokers, StrimziWord, TopicsWord};

use super::super::AWAITED;
use super::Look;
use crate::api::ApiError;
use crate::api::apply::{Others, Target};
use crate::api::error::Kind;

impl Look<'_> {
    /// Sees to what Strimzi makes the pipeline's Kafka of, and says what Strimzi says of that.
    pub(super) async fn see_to_strimzi(&self, pipeline: &Pipeline) -> Result<KafkaWord, ApiError> {
        if let Some(known) = self.known_kafka(pipeline) {
            return Ok(known.word);
        }
        let (topics, troubles) = match self.topics(pipeline).await {
            Err(error) if error.is_not_found() => return Ok(self.without_strimzi(pipeline, StrimziWord::Missing)),
            Err(error) if error.kind == Kind::Forbidden => {
                return Ok(self.without_strimzi(pipeline, StrimziWord::Forbidden));
            }
            topics => topics?,
        };
        let objects = objects(pipeline, &topics);
        let told = hash_of(&objects.iter().map(|object| &object.hash).collect::<Vec<_>>());
        // While Strimzi is at work there is nothing to say anew.
        let last = self.last_kafka();
        let is_at_work =
            last.is_some_and(|last| last.told.as_ref() == Some(&told) && last.word.brokers != Some(Ok(())));
        if !is_at_work {
            match self.tell_strimzi(&objects).await {
                Err(error) if error.is_not_found() => {
                    return Ok(self.without_strimzi(pipeline, StrimziWord::Missing));
                }
                told => told?,
            }
        }
        let is_leaving = self.let_pools_go(pipeline, &objects).await?;
        let (word, are_there) = self.strimzis_word(&objects, &topics, troubles).await?;
        // What somebody removed is told again.
        let told = are_there.then_some(told);
        if is_leaving {
            self.remember_kafka_for(pipeline, word.clone(), told, AWAITED);
        } else {
            self.remember_kafka(pipeline, word.clone(), None, told);
        }
        Ok(word)
    }

    /// Strimzi's kinds are not to be had.
    fn without_strimzi(&self, pipeline: &Pipeline, why: StrimziWord) -> KafkaWord {
        let word = KafkaWord {
            strimzi: Some(why),
            ..KafkaWord::default()
        };
        self.remember_kafka(pipeline, word.clone(), None, None);
        word
    }

    /// The topics that there must be, with the partitions that they have already, as Kafka takes none away; and what is wrong
    /// with that.
    async fn topics(&self, pipeline: &Pipeline) -> Result<(Vec<Topic>, Vec<Trouble>), ApiError> {
        if !pipeline.spec.kafka.manage_topics {
            return Ok(Default::default());
        }
        let selector = labels::selector_text(&labels::selector(&pipeline.id.name, Component::Kafka));
        let how = ListParams::default().labels(&selector);
        let (api, namespace) = (&self.context.api, &*self.key.namespace);
        let (topics, what) = (api.resource(TOPIC, namespace), || {
            format!("list KafkaTopic {namespace}")
        });
        let there = api.ask(what, topics.list(&how)).await?;
        Ok(beside(pipeline, &there.items.iter().filter_map(topic).collect()))
    }

    async fn tell_strimzi(&self, objects: &[Manifest]) -> Result<(), ApiError> {
        for object in objects {
            let (api, namespace) = (&self.context.api, &*self.key.namespace);
            match api.apply_unread(namespace, object, Others::Respect).await {
                Err(error) if error.kind == Kind::Taken && self.is_ours(object).await? => {
                    api.apply_unread(namespace, object, Others::TakeOver).await?;
                }
                told => drop(told?),
            }
            tracing::info!(namespace, kind = object.resource.kind, object = object.name, "applied");
        }
        Ok(())
    }

    /// Whether an object that is there was made for this pipeline, or one of its name that is gone.
    async fn is_ours(&self, object: &Manifest) -> Result<bool, ApiError> {
        let (api, namespace) = (&self.context.api, &*self.key.namespace);
        let what = || format!("get {} {namespace}/{}", object.resource.kind, object.name);
        let resource = api.resource(object.resource, namespace);
        let found = api.ask(what, resource.get_metadata_opt(&object.name)).await?;
        let labels = found.and_then(|found| found.metadata.labels).unwrap_or_default();
        let has = |label: &str, value: &str| labels.get(label).is_some_and(|has| has == value);
        Ok(has(labels::PIPELINE, &self.key.name) && has(labels::MANAGED_BY, labels::FIELD_MANAGER))
    }

    /// Lets the pools go that the spec no longer has, and says whether one is still there. Strimzi takes the nodes of a pool that is
    /// removed away, whatever they hold; it takes none away that a smaller pool would lose while it holds partitions.
    async fn let_pools_go(&self, pipeline: &Pipeline, objects: &[Manifest]) -> Result<bool, ApiError> {
        let selector = labels::selector_text(&labels::selector(&pipeline.id.name, Component::Kafka));
        let how = ListParams::default().labels(&selector);
        let (api, namespace) = (&self.context.api, &*self.key.namespace);
        let pools = api.resource(NODE_POOL, namespace);
        let there = api
            .ask(|| format!("list KafkaNodePool {namespace}"), pools.list(&how))
            .await?;
        let mut is_left = false;
        for pool in there.items {
            let name = pool.metadata.name.clone().unwrap_or_default();
            let is_wanted = |object: &Manifest| object.resource == NODE_POOL && object.name == name;
            if objects.iter().any(is_wanted) {
                continue;
            }
            is_left = true;
            let pool = serde_json::to_value(&pool).unwrap_or_default();
            match leaving(&pool) {
                Leaving::Shrink => {
                    let change = json!({"spec": {"replicas": 0}});
                    let (how, patch) = (PatchParams::default(), Patch::Merge(&change));
                    let what = || format!("patch KafkaNodePool {namespace}/{name}");
                    api.ask(what, pools.patch_metadata(&name, &how, &patch)).await?;
                    tracing::info!(
                        namespace,
                        object = name,
                        "a pool that the spec no longer has is to have no nodes"
                    );
                }
                Leaving::Wait => {}
                Leaving::Remove => {
                    let target = Target {
                        resource: NODE_POOL,
                        namespace,
                        name: &name,
                        uid: pool
                            .pointer("/metadata/uid")
                            .and_then(Value::as_str)
                            .unwrap_or_default(),
                    };
                    api.delete(target).await?;
                    tracing::info!(namespace, object = name, "removed: the Kafka no longer has the pool");
                }
            }
        }
        Ok(is_left)
    }

    /// What Strimzi says of it, and whether all of it is there.
    async fn strimzis_word(
        &self,
        objects: &[Manifest],
        topics: &[Topic],
        troubles: Vec<Trouble>,
    ) -> Result<(KafkaWord, bool), ApiError> {
        let mut all_there = true;
        let mut said: BTreeMap<Resource, Vec<Option<Result<(), String>>>> = BTreeMap::new();
        for object in objects.iter().filter(|object| object.resource != NODE_POOL) {
            let seen = self.strimzis(object).await?;
            all_there &= seen.is_some();
            let word = seen.as_ref().and_then(word);
            said.entry(object.resource).or_default().push(word);
        }
        let all = |resource: Resource| said.get(&resource).into_iter().flatten();
        let first_wrong = |resource: Resource| all(resource).find_map(|word| word.clone()?.err());
        let are_there = |resource: Resource| all(resource).all(|word| *word == Some(Ok(())));
        let brokers = match first_wrong(KAFKA).or_else(|| first_wrong(USER)) {
            Some(why) => Some(Err(NoBrokers::Unreachable(why))),
            None => (are_there(KAFKA) && are_there(USER)).then_some(Ok(())),
        };
        let coming = first_wrong(TOPIC).map(|why| format!("Strimzi says {why}"));
        let coming = coming.or_else(|| (!are_there(TOPIC)).then(|| "Strimzi makes the topics".to_owned()));
        let word = KafkaWord {
            brokers,
            topics: Some(TopicsWord {
                wanted: topics
                    .iter()
                    .map(|topic| (topic.name.clone(), topic.partitions))
                    .collect(),
                troubles,
                refused: None,
                coming: coming.map(|words| format!("{words}; see kubectl describe kafkatopic")),
            }),
            nodes: None,
            strimzi: Some(StrimziWord::There),
        };
        Ok((word, all_there))
    }

    async fn strimzis(&self, object: &Manifest) -> Result<Option<Value>, ApiError> {
        let (api, namespace) = (&self.context.api, &*self.key.namespace);
        let what = || format!("get {} {namespace}/{}", object.resource.kind, object.name);
        let found: Option<DynamicObject> = api
            .ask(what, api.resource(object.resource, namespace).get_opt(&object.name))
            .await?;
        Ok(found.and_then(|found| serde_json::to_value(found).ok()))
    }
}

/// A KafkaTopic that is there: its topic, and the partitions of that.
fn topic(object: &DynamicObject) -> Option<(String, u32)> {
    let spec = object.data.get("spec")?;
    let name = spec
        .get("topicName")
        .and_then(Value::as_str)
        .or(object.metadata.name.as_deref());
    let partitions = spec.get("partitions").and_then(Value::as_u64)?;
    Some((name?.to_owned(), u32::try_from(partitions).ok()?))
}
