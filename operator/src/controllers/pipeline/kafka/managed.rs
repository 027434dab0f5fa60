//! A Kafka that the operator runs: its nodes are made, rolled, and let go.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use secrecy::SecretString;
use serde_json::json;
use tocsin_contract::labels::Component;
use tocsin_kafka::{Brokers as Addresses, Cluster, ClusterSettings, KafkaError};
use tocsin_operator_core::build::kafka::nodes::KnownPool;
use tocsin_operator_core::build::kafka::{Brokers, REPLICATION, objects, secrets};
use tocsin_operator_core::build::manifest::Resource;
use tocsin_operator_core::hash::hash_of;
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::kafka::access;
use tocsin_operator_core::plan::kafka::pools::{
    Facts, Plan, SeenPod, SeenPool, SeenSet, decide, seen_pools, wanted_nodes,
};
use tocsin_operator_core::plan::kafka::roll::{Health, Step};
use tocsin_operator_core::status::kafka::{KafkaWord, NodesWord, TopicsWord};
use tocsin_operator_core::status::pods::{PodState, trouble};

use super::{KafkaKeys, Look, topics, unreachable};
use crate::api::ApiError;
use crate::api::apply::Target;
use crate::cache::Key;
use crate::cache::pods::KeptPod;
use crate::cache::stateful_sets::SeenStatefulSet;
use crate::kafka::{AccessError, allow, health, with_cluster};

/// Where the spec has what pods of nodes are pulled with.
const IMAGE: &str = "spec.kafka.version, spec.workers.imagePullSecrets, and the operator's --kafka-image";

/// What came of asking the Kafka.
struct Asked {
    health: Health,
    topics: Option<TopicsWord>,
}

impl Look<'_> {
    /// Sees to the nodes and all else of the pipeline's Kafka, and says what is known of it.
    pub(super) async fn see_to_managed_kafka(&self, pipeline: &Pipeline) -> Result<KafkaWord, ApiError> {
        let keys = self.kafka_keys(pipeline).await?;
        let (pools, pods) = (self.pools(&keys), self.nodes());
        let known = self.known_kafka(pipeline);
        let (mut word, mut health) = known.map_or_else(Default::default, |known| (known.word, known.health));
        let mut plan = self.plan(pipeline, &pools, &pods, health.as_ref());
        // Nothing is taken away on the word of a while ago.
        if word.brokers.is_none() || !plan.is_settled() {
            (word, health) = self.ask_kafka(pipeline, &keys, &pools, &pods).await;
            plan = self.plan(pipeline, &pools, &pods, health.as_ref());
        }
        let brokers = Brokers {
            image: pipeline.kafka_image(&self.context.settings),
            cluster_id: keys.cluster_id.clone(),
            known: pools
                .iter()
                .map(|(name, pool)| (name.clone(), pool.known.clone()))
                .collect(),
            sizes: plan.sizes.clone(),
            certificate_hash: keys.certificate_hash.clone(),
        };
        let recorded = brokers.nodes(pipeline).record(&keys.pools);
        if recorded != keys.pools {
            self.record_pools(pipeline, &recorded).await?;
        }
        for object in &objects(pipeline, &brokers) {
            self.apply(pipeline, object).await?;
        }
        for (pool, replicas) in &plan.leaving {
            self.let_go_of(pipeline, pool, *replicas).await?;
        }
        if let Step::Restart { pod } = &plan.step {
            self.restart(pod).await?;
        }
        word.nodes = Some(self.nodes_word(pipeline, &pods, &plan, &keys));
        Ok(word)
    }

    fn plan(
        &self,
        pipeline: &Pipeline,
        pools: &BTreeMap<String, SeenPool>,
        pods: &BTreeMap<String, KeptPod>,
        health: Option<&Health>,
    ) -> Plan {
        let seen = |pod: &KeptPod| SeenPod {
            revision: pod.revision.to_string(),
            is_ready: pod.state.is_ready,
            ends: pod.ends,
        };
        decide(&Facts {
            kafka: &pipeline.spec.kafka,
            names: pipeline.names(),
            pools,
            pods: &pods.iter().map(|(name, pod)| (name.clone(), seen(pod))).collect(),
            health,
        })
    }

    /// The pools that were made before, also by a pipeline of this name that is gone.
    fn pools(&self, keys: &KafkaKeys) -> BTreeMap<String, SeenPool> {
        let sets = self.context.cache.stateful_sets.of_namespace(&self.key.namespace);
        let sets = sets.into_iter().filter_map(|(_, set)| {
            let pool = set.pool.as_ref().filter(|pool| pool.pipeline == self.key.name)?;
            let seen = SeenSet {
                replicas: set.replicas,
                revision: set.revision.as_deref().map(str::to_owned),
            };
            Some((pool.name.to_string(), seen))
        });
        seen_pools(&keys.pools, &sets.collect())
    }

    fn nodes(&self) -> BTreeMap<String, KeptPod> {
        let pods = self.context.cache.pods.of(self.key, Component::Kafka);
        pods.into_iter().map(|(key, pod)| (key.name.to_string(), pod)).collect()
    }

    /// Asks the Kafka how it is, and sees to the pipeline's user and topics in it.
    async fn ask_kafka(
        &self,
        pipeline: &Pipeline,
        keys: &KafkaKeys,
        pools: &BTreeMap<String, SeenPool>,
        pods: &BTreeMap<String, KeptPod>,
    ) -> (KafkaWord, Option<Health>) {
        if addresses(pipeline, pools, pods).is_none() {
            return (KafkaWord::default(), None);
        }
        let passwords = [&keys.password, &keys.client_password];
        let told = hash_of(&(passwords.map(secret_hash), &pipeline.spec.kafka.user));
        let last = self.last_kafka().and_then(|last| last.told);
        let is_told = last.as_ref() == Some(&told);
        let asked = match self.managed_settings(pipeline, keys) {
            Ok(settings) => {
                let (of, passwords) = (pipeline.clone(), passwords.map(Clone::clone));
                let ask = move |cluster: &mut Cluster| bring_about(cluster, &of, (!is_told).then_some(&passwords));
                with_cluster(settings, ask).await
            }
            Err(error) => Err(error),
        };
        match asked {
            Ok(asked) => {
                let word = KafkaWord {
                    brokers: Some(Ok(())),
                    topics: asked.topics,
                    ..KafkaWord::default()
                };
                self.remember_kafka(pipeline, word.clone(), Some(asked.health.clone()), Some(told));
                (word, Some(asked.health))
            }
            Err(error) => {
                let word = unreachable(&error);
                self.remember_kafka(pipeline, word.clone(), None, last);
                (word, None)
            }
        }
    }

    /// How the operator reaches the brokers that are ready.
    pub(super) fn managed_settings(
        &self,
        pipeline: &Pipeline,
        keys: &KafkaKeys,
    ) -> Result<ClusterSettings, AccessError> {
        let unusable = |why: String| AccessError::Unusable(why);
        let addresses = addresses(pipeline, &self.pools(keys), &self.nodes());
        let addresses = addresses.ok_or_else(|| unusable("no broker is ready".to_owned()))?;
        let brokers = Addresses::parse(&addresses).map_err(|error| unusable(error.to_string()))?;
        let mut settings = ClusterSettings::plain(brokers);
        settings.client_id = self.client_id();
        settings.tls = Some(keys.tls());
        Ok(settings)
    }

    /// A pool that the spec no longer has gets smaller, and goes when it is empty.
    async fn let_go_of(&self, pipeline: &Pipeline, pool: &str, replicas: u32) -> Result<(), ApiError> {
        let name = pipeline.names().kafka_pool(pool);
        let (cache, api) = (&self.context.cache, &self.context.api);
        let Some(set) = cache.stateful_sets.get(&Key::new(&self.key.namespace, &name)) else {
            return Ok(());
        };
        if set.replicas != replicas {
            let change = json!({"metadata": {"resourceVersion": set.version_text()}, "spec": {"replicas": replicas}});
            let seen: SeenStatefulSet = api.change(&self.key.namespace, &name, &change).await?;
            cache.saw_stateful_set(&seen);
            tracing::info!(
                namespace = &*self.key.namespace,
                object = name,
                replicas,
                "a pool gets smaller"
            );
            return Ok(());
        }
        let is_of_set = |pod: &String| pod.rsplit_once('-').is_some_and(|(set, _)| set == name);
        let has_pods = self.nodes().keys().any(is_of_set);
        if replicas > 0 || has_pods {
            return Ok(());
        }
        for resource in [Resource::of::<StatefulSet>(), Resource::of::<ConfigMap>()] {
            let Some(child) = cache.children.get(&self.id, resource, &name) else {
                continue;
            };
            let target = Target {
                resource,
                namespace: &self.key.namespace,
                name: &name,
                uid: &child.uid,
            };
            api.delete(target).await?;
            tracing::info!(
                namespace = &*self.key.namespace,
                kind = resource.kind,
                object = name,
                "removed: the Kafka no longer has the pool"
            );
        }
        Ok(())
    }

    /// Removes a node's pod: its set makes it anew, with what is new.
    async fn restart(&self, name: &str) -> Result<(), ApiError> {
        let nodes = self.nodes();
        let Some(pod) = nodes.get(name).filter(|pod| !pod.ends) else {
            return Ok(());
        };
        let target = Target {
            resource: Resource::of::<Pod>(),
            namespace: &self.key.namespace,
            name,
            uid: &pod.uid,
        };
        self.context.api.delete(target).await?;
        tracing::info!(
            namespace = &*self.key.namespace,
            pod = name,
            "a node of Kafka is started anew"
        );
        Ok(())
    }

    fn nodes_word(
        &self,
        pipeline: &Pipeline,
        pods: &BTreeMap<String, KeptPod>,
        plan: &Plan,
        keys: &KafkaKeys,
    ) -> NodesWord {
        let bootstrap = &pipeline.kafka.bootstrap_servers;
        let states: Vec<PodState> = pods.values().map(|pod| pod.state.clone()).collect();
        let ready = pods.values().filter(|pod| pod.state.is_ready && !pod.ends).count();
        let trouble = trouble(&self.key.namespace, &states, IMAGE).map(|(_, words)| words);
        NodesWord {
            wanted: wanted_nodes(&pipeline.spec.kafka, &self.pools(keys), plan),
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            cluster_id: keys.cluster_id.clone(),
            rolls: plan.under_way(),
            trouble,
            kept: plan.stands_still(bootstrap),
        }
    }
}

/// The brokers that are ready, as the operator reaches them.
fn addresses(
    pipeline: &Pipeline,
    pools: &BTreeMap<String, SeenPool>,
    pods: &BTreeMap<String, KeptPod>,
) -> Option<String> {
    use tocsin_contract::pipeline::kafka::KafkaRole;
    let (names, namespace) = (pipeline.names(), &pipeline.id.namespace);
    let is_broker = |known: &KnownPool| known.roles.contains(&KafkaRole::Broker);
    let brokers = pools.iter().filter(|(_, pool)| is_broker(&pool.known));
    let pods_of = |(pool, seen): (&String, &SeenPool)| {
        let set = names.kafka_pool(pool);
        (0..seen.known.replicas)
            .map(move |ordinal| format!("{set}-{ordinal}"))
            .collect::<Vec<_>>()
    };
    let ready = brokers.flat_map(pods_of).filter(|name| {
        let pod = pods.get(name);
        pod.is_some_and(|pod| pod.state.is_ready && !pod.ends)
    });
    let nodes = names.kafka_nodes();
    let addresses: Vec<String> = ready
        .map(|pod| format!("{pod}.{nodes}.{namespace}.svc:{REPLICATION}"))
        .collect();
    Some(addresses.join(",")).filter(|addresses| !addresses.is_empty())
}

/// Of a password: it tells whether another was given, and not which.
fn secret_hash(password: &SecretString) -> String {
    use secrecy::ExposeSecret as _;
    hash_of(&password.expose_secret())
}

/// Asks how the Kafka is; makes its users and the pipeline's topics so. The passwords of the pipeline and of its clients are set
/// if they are given.
fn bring_about(
    cluster: &mut Cluster,
    pipeline: &Pipeline,
    passwords: Option<&[SecretString; 2]>,
) -> Result<Asked, KafkaError> {
    let (user, client) = (secrets::user_name(pipeline), secrets::client_name(pipeline));
    if let Some([password, of_clients]) = passwords {
        cluster.set_password(user, password)?;
        cluster.set_password(&client, of_clients)?;
        let limits = pipeline.spec.kafka.user.clone().unwrap_or_default();
        cluster.set_quotas(user, limits.producer_byte_rate, limits.consumer_byte_rate)?;
    }
    let of_clients = access::rules_of_clients(pipeline);
    allow(cluster, user, &access::rules(pipeline))?;
    allow(cluster, &client, &of_clients)?;
    let of_anybody = if access::lets_in_anybody(pipeline) {
        of_clients
    } else {
        Vec::new()
    };
    allow(cluster, access::ANONYMOUS, &of_anybody)?;
    let topics = if pipeline.spec.kafka.manage_topics {
        Some(topics::bring_about(cluster, pipeline)?)
    } else {
        None
    };
    // Last: a broker on which a topic has just been made must not go.
    let health = health(cluster)?;
    Ok(Asked { health, topics })
}
