//! A Kafka that Strimzi runs: its custom resources, as Strimzi 1 has them (`kafka.strimzi.io/v1`).
//!
//! Strimzi makes the nodes, their certificates, topics, users and access rules of them, and says in their statuses how far it is.

use serde_json::{Value, json};
use tocsin_contract::labels::Component;
use tocsin_contract::names::child;
use tocsin_contract::pipeline::deletion::Fate;
use tocsin_contract::pipeline::kafka::{
    KafkaListener, KafkaPool, KafkaRole, KafkaSasl, KafkaTls, ListenerAuthentication, ListenerKind, SaslMechanism,
};
use tocsin_contract::pipeline::sink::SecretKeyRef;

use super::kafka::nodes::asked_for;
use super::kafka::{CLIENTS, min_in_sync};
use super::manifest::{Manifest, Resource};
use super::{metadata, metadata_of_what_stays};
use crate::names::Names;
use crate::pipeline::Pipeline;
use crate::plan::kafka::access::{self, Operation, Rule};
use crate::plan::topics::Topic;

const API_VERSION: &str = "kafka.strimzi.io/v1";

/// A Kafka cluster.
pub const KAFKA: Resource = strimzis("Kafka", "kafkas");
/// A pool of its nodes.
pub const NODE_POOL: Resource = strimzis("KafkaNodePool", "kafkanodepools");
/// A topic.
pub const TOPIC: Resource = strimzis("KafkaTopic", "kafkatopics");
/// A user.
pub const USER: Resource = strimzis("KafkaUser", "kafkausers");

const fn strimzis(kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        api_version: API_VERSION,
        kind,
        plural,
    }
}

/// Label: the cluster that a pool, a topic or a user is of.
pub const CLUSTER: &str = "strimzi.io/cluster";

/// The pipeline's user: Strimzi names the Secret with its password after it.
pub fn user(pipeline: &str) -> String {
    child(pipeline, "user")
}

/// The user of those who write what the pipeline reads, and read what it writes.
pub fn client(pipeline: &str) -> String {
    child(pipeline, "client")
}

/// Where clients begin: Strimzi names the Service so.
pub fn bootstrap_servers(namespace: &str, names: &Names<'_>) -> String {
    format!("{}-kafka-bootstrap.{namespace}.svc:{CLIENTS}", names.kafka())
}

/// How the pipeline's workers come in.
pub fn access(names: &Names<'_>, pipeline: &str) -> (KafkaTls, KafkaSasl) {
    let key_of = |name: String, key: &str| SecretKeyRef {
        name,
        key: key.to_owned(),
    };
    let tls = KafkaTls {
        ca_secret_ref: Some(key_of(format!("{}-cluster-ca-cert", names.kafka()), "ca.crt")),
        certificate_secret_ref: None,
    };
    let sasl = KafkaSasl {
        mechanism: SaslMechanism::ScramSha512,
        username: user(pipeline),
        password_secret_ref: key_of(user(pipeline), "password"),
        token_endpoint: None,
        scope: None,
        service_name: None,
    };
    (tls, sasl)
}

/// All that Strimzi makes a Kafka of, the cluster first.
pub fn objects(pipeline: &Pipeline, topics: &[Topic]) -> Vec<Manifest> {
    let mut objects = vec![cluster(pipeline)];
    objects.extend(
        asked_for(&pipeline.spec.kafka)
            .iter()
            .map(|pool| node_pool(pipeline, pool)),
    );
    objects.extend(topics.iter().map(|each| topic(pipeline, each)));
    let name = &pipeline.id.name;
    let limits = pipeline.spec.kafka.user.clone().unwrap_or_default();
    let quotas = json!({"producerByteRate": limits.producer_byte_rate, "consumerByteRate": limits.consumer_byte_rate});
    objects.push(kafka_user(pipeline, user(name), &access::rules(pipeline), Some(quotas)));
    objects.push(kafka_user(
        pipeline,
        client(name),
        &access::rules_of_clients(pipeline),
        None,
    ));
    objects
}

/// An object of Strimzi's. It goes with the pipeline only if the Kafka does.
fn object(pipeline: &Pipeline, resource: Resource, name: String, spec: Value) -> Manifest {
    let mut metadata = match pipeline.spec.deletion_policy.kafka {
        Fate::Delete => metadata(pipeline, name.clone(), Component::Kafka),
        Fate::Retain => metadata_of_what_stays(pipeline, name.clone(), Component::Kafka),
    };
    if resource != KAFKA {
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(CLUSTER.to_owned(), pipeline.names().kafka());
    }
    let mut body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": spec,
    });
    without_nulls(&mut body);
    Manifest::of(resource, name, body)
}

/// What is not asked for is not said.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn cluster(pipeline: &Pipeline) -> Manifest {
    let kafka = &pipeline.spec.kafka;
    let mut config = json!({
        "auto.create.topics.enable": "false",
        "default.replication.factor": kafka.replication_factor,
        "min.insync.replicas": min_in_sync(kafka),
        "num.partitions": kafka.partitions,
        "offsets.topic.replication.factor": kafka.replication_factor,
        "transaction.state.log.replication.factor": kafka.replication_factor,
        "transaction.state.log.min.isr": min_in_sync(kafka),
        "log.retention.ms": kafka.retention.as_micros() / 1_000,
    });
    for (name, value) in &kafka.config {
        config[name.as_str()] = value.as_str().into();
    }
    let own = json!({
        "name": "clients", "port": CLIENTS, "type": "internal", "tls": true,
        "authentication": {"type": "scram-sha-512"},
    });
    let listeners: Vec<Value> = std::iter::once(own)
        .chain(kafka.listeners.iter().map(listener))
        .collect();
    let spec = json!({
        "kafka": {
            "version": kafka.version,
            "listeners": listeners,
            "authorization": {"type": "simple"},
            "config": config,
        },
        "entityOperator": {"topicOperator": {}, "userOperator": {}},
        // As Strimzi has it: Cruise Control moves partitions when nodes come or go.
        "cruiseControl": kafka.auto_rebalance.then(|| json!({})),
    });
    object(pipeline, KAFKA, pipeline.names().kafka(), spec)
}

fn listener(listener: &KafkaListener) -> Value {
    json!({
        "name": listener.name,
        "port": listener.port,
        "type": match listener.kind {
            ListenerKind::Internal => "internal",
            ListenerKind::NodePort => "nodeport",
            ListenerKind::LoadBalancer => "loadbalancer",
        },
        "tls": listener.tls,
        "authentication": listener.authentication.map(|authentication| json!({
            "type": match authentication {
                ListenerAuthentication::ScramSha512 => "scram-sha-512",
                ListenerAuthentication::Tls => "tls",
            },
        })),
    })
}

fn node_pool(pipeline: &Pipeline, pool: &KafkaPool) -> Manifest {
    let role = |role: &KafkaRole| match role {
        KafkaRole::Controller => "controller",
        KafkaRole::Broker => "broker",
    };
    let spec = json!({
        "replicas": pool.replicas,
        "roles": pool.roles.iter().map(role).collect::<Vec<_>>(),
        "storage": {
            "type": "jbod",
            "volumes": [{
                "id": 0,
                "type": "persistent-claim",
                "size": pool.storage.size.as_str(),
                "class": pool.storage.class,
                "deleteClaim": pool.storage.delete_claim,
                "kraftMetadata": "shared",
            }],
        },
        "resources": pool.resources,
    });
    object(pipeline, NODE_POOL, pipeline.names().kafka_pool(&pool.name), spec)
}

fn topic(pipeline: &Pipeline, topic: &Topic) -> Manifest {
    // Names of topics may be no names of objects.
    let name = child(&pipeline.id.name, &format!("topic-{}", topic.name));
    let spec = json!({
        "topicName": topic.name,
        "partitions": topic.partitions,
        "replicas": topic.replication,
        "config": topic.config,
    });
    object(pipeline, TOPIC, name, spec)
}

fn kafka_user(pipeline: &Pipeline, name: String, rules: &[Rule], quotas: Option<Value>) -> Manifest {
    let acls: Vec<Value> = rules.iter().map(acl).collect();
    let spec = json!({
        "authentication": {"type": "scram-sha-512"},
        "authorization": {"type": "simple", "acls": acls},
        "quotas": quotas.filter(|quotas| quotas.as_object().is_some_and(|limits| limits.values().any(|limit| !limit.is_null()))),
    });
    object(pipeline, USER, name, spec)
}

fn acl(rule: &Rule) -> Value {
    json!({
        "resource": {
            "type": match rule.resource {
                access::Resource::Topic => "topic",
                access::Resource::Group => "group",
                access::Resource::TransactionalId => "transactionalId",
            },
            "name": rule.name,
            "patternType": if rule.is_prefix { "prefix" } else { "literal" },
        },
        "operations": [match rule.operation {
            Operation::All => "All",
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::DescribeConfigs => "DescribeConfigs",
        }],
        "host": "*",
    })
}

/// What becomes of a pool that the spec no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It is to have no nodes.
    Shrink,
    /// Strimzi takes its nodes away, once they hold nothing.
    Wait,
    /// It has none any more: it goes.
    Remove,
}

/// What becomes of a KafkaNodePool that the spec no longer has, as it is.
pub fn leaving(pool: &Value) -> Leaving {
    if pool.pointer("/spec/replicas") != Some(&json!(0)) {
        return Leaving::Shrink;
    }
    let nodes = pool.pointer("/status/nodeIds").and_then(Value::as_array);
    let is_seen = pool.pointer("/status/observedGeneration") == pool.pointer("/metadata/generation");
    if is_seen && nodes.is_none_or(Vec::is_empty) {
        Leaving::Remove
    } else {
        Leaving::Wait
    }
}

/// What Strimzi says of an object of its own: whether it is as it is asked for, or why it is not. Nothing while it has not looked
/// at this generation.
pub fn word(object: &Value) -> Option<Result<(), String>> {
    let status = object.get("status")?;
    if status.get("observedGeneration") != object.pointer("/metadata/generation") {
        return None;
    }
    let conditions = status.get("conditions").and_then(Value::as_array)?;
    let text = |condition: &Value, field: &str| {
        condition
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let is = |kind: &'static str| move |condition: &&Value| condition["type"] == kind && condition["status"] == "True";
    if conditions.iter().any(|condition| is("Ready")(&condition)) {
        return Some(Ok(()));
    }
    let not_ready = conditions.iter().find(is("NotReady"))?;
    Some(Err(format!(
        "{}: {}",
        text(not_ready, "reason"),
        text(not_ready, "message")
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use expect_test::expect_file;

    use super::*;
    use crate::plan::topics::{behind_sources, of_sources};
    use crate::testing::{HEAD, pipeline};

    #[test]
    fn a_kafka_of_strimzi_s_as_documents() {
        let pipeline = pipeline(&format!(
            "{HEAD}  sinks: [{{name: out, from: alerts, kafka: {{topic: results}}}}]
  kafka: {{mode: Strimzi, pools: [{{name: quorum, roles: [Controller], storage: {{size: 10Gi}}}},
    {{name: brokers, roles: [Broker], storage: {{size: 1Ti, class: fast}}}}],
    listeners: [{{name: outside, port: 9094, type: NodePort, authentication: Tls}}], user: {{producerByteRate: 1000000}}}}\n"
        ));
        let sources = of_sources(&pipeline);
        let partitions = sources
            .iter()
            .map(|topic| (topic.name.clone(), topic.partitions))
            .collect();
        let topics: Vec<Topic> = sources
            .into_iter()
            .chain(behind_sources(&pipeline, &partitions))
            .collect();
        let objects = objects(&pipeline, &topics);
        let documents = objects
            .iter()
            .map(|object| serde_yaml_ng::to_string(&object.body).unwrap());
        let documents = documents.collect::<Vec<_>>().join("---\n");
        expect_file!["../../tests/expected/strimzi.yaml"].assert_eq(&documents);
    }

    #[test]
    fn what_strimzi_says_of_an_older_generation_counts_for_nothing() {
        let object = |observed: i64, conditions: Value| json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}});
        let ready = json!([{"type": "Ready", "status": "True"}]);
        assert_eq!(word(&object(2, ready.clone())), Some(Ok(())));
        assert_eq!(word(&object(1, ready)), None);
        let not = json!([{"type": "NotReady", "status": "True", "reason": "InvalidResourceException", "message": "no brokers"}]);
        assert_eq!(
            word(&object(2, not)),
            Some(Err("InvalidResourceException: no brokers".to_owned()))
        );
        assert_eq!(word(&json!({"metadata": {"generation": 1}})), None);
    }

    #[test]
    fn a_pool_goes_when_it_has_no_nodes() {
        let pool = |replicas: u32, observed: i64, nodes: &[u32]| {
            json!({
                "metadata": {"generation": 2},
                "spec": {"replicas": replicas},
                "status": {"observedGeneration": observed, "nodeIds": nodes},
            })
        };
        assert_eq!(leaving(&pool(3, 2, &[3, 4, 5])), Leaving::Shrink);
        assert_eq!(leaving(&pool(0, 1, &[])), Leaving::Wait, "Strimzi has not looked");
        assert_eq!(leaving(&pool(0, 2, &[5])), Leaving::Wait, "a broker holds something");
        assert_eq!(leaving(&pool(0, 2, &[])), Leaving::Remove);
    }
}
