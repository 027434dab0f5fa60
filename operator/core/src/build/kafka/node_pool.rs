//! The nodes of a pool.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, ObjectFieldSelector,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Probe, SecretVolumeSource,
    TCPSocketAction, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::pipeline::kafka::KafkaRole;

use super::nodes::{Nodes, Pool};
use super::properties::{LOGGING, config_map};
use super::{Brokers, CLIENTS, CONTROLLERS, REPLICATION, metadata};
use crate::build::pod::{pull_secrets, resources};
use crate::build::secrets::READ_BY_GROUP;
use crate::build::{restricted, spread};
use crate::hash::hash_of;
use crate::pipeline::Pipeline;

/// Where a node keeps what it is given.
pub const DATA: &str = "/var/lib/kafka/data";
/// Where its certificates are.
pub const TLS: &str = "/etc/kafka/tls";
const CONFIG: &str = "/etc/kafka/config";

/// Name of a node's container.
pub const CONTAINER: &str = "kafka";
/// Label: the pool of a node.
pub const POOL: &str = "tocsin.dev/kafka-pool";
/// Annotation of pods: of what they were started with. Others are to be started anew.
const STARTED_WITH: &str = "tocsin.dev/started-with";

/// User and group of the image.
const USER: i64 = 1_000;

/// What a node has to end in order: it hands over what it leads, and writes what it has.
const GRACE_SECONDS: i64 = 120;

/// Puts what differs from node to node into the settings, writes the cluster's id on an empty disk, and starts.
const START: &str = r#"set -eu
id=$((FIRST_ID + ${POD_NAME##*-}))
sed -e "s/@NODE@/$id/g" -e "s/@HOST@/$POD_NAME.$SERVICE/g" "$CONFIG/server.properties" >/tmp/server.properties
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$CLUSTER_ID" --config /tmp/server.properties
exec /opt/kafka/bin/kafka-server-start.sh /tmp/server.properties
"#;

/// The nodes of a pool. Which is started anew when, is decided by looking at partitions and quorum, not by the set's own
/// controller.
pub fn stateful_set(pipeline: &Pipeline, brokers: &Brokers, nodes: &Nodes, pool: &Pool) -> StatefulSet {
    let names = pipeline.names();
    let name = names.kafka_pool(&pool.spec.name);
    let selector = selector(pipeline, pool);
    let storage = &pool.spec.storage;
    let keep = if storage.delete_claim { "Delete" } else { "Retain" };
    StatefulSet {
        metadata: ObjectMeta {
            labels: Some(labels_of_pool(pipeline, pool)),
            ..metadata(pipeline, name)
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::try_from(pool.spec.replicas).unwrap_or(i32::MAX)),
            service_name: Some(names.kafka_nodes()),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(selector.clone()),
                match_expressions: None,
            },
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(keep.to_owned()),
                when_scaled: Some(keep.to_owned()),
            }),
            volume_claim_templates: Some(vec![claim(pipeline, pool)]),
            template: template(pipeline, brokers, nodes, pool),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn labels_of_pool(pipeline: &Pipeline, pool: &Pool) -> BTreeMap<String, String> {
    let mut labels = pipeline.labels(Component::Kafka);
    labels.insert(POOL.to_owned(), pool.spec.name.clone());
    labels
}

fn selector(pipeline: &Pipeline, pool: &Pool) -> BTreeMap<String, String> {
    let mut selector = labels::selector(&pipeline.id.name, Component::Kafka);
    selector.insert(POOL.to_owned(), pool.spec.name.clone());
    selector
}

/// It cannot be changed later: so it says nothing of the pipeline but its name, which the next one of that name shares.
fn claim(pipeline: &Pipeline, pool: &Pool) -> PersistentVolumeClaim {
    let storage = &pool.spec.storage;
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".to_owned()),
            labels: Some(selector(pipeline, pool)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(storage.size.as_str().to_owned()))].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

fn template(pipeline: &Pipeline, brokers: &Brokers, nodes: &Nodes, pool: &Pool) -> PodTemplateSpec {
    let names = pipeline.names();
    let config = config_map(pipeline, nodes, pool);
    let started_with = hash_of(&(config.data, &brokers.certificate_hash));
    let volumes = vec![
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names.kafka_pool(&pool.spec.name),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tls".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(names.kafka_tls()),
                default_mode: Some(READ_BY_GROUP),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    ];
    // Without the pipeline's UID: the next pipeline of this name takes the nodes over as they run.
    let mut of_pod = labels_of_pool(pipeline, pool);
    of_pod.remove(labels::PIPELINE_UID);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(of_pod),
            annotations: Some([(STARTED_WITH.to_owned(), started_with)].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(&pipeline.spec.workers),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            security_context: Some(restricted::pod(USER)),
            topology_spread_constraints: Some(spread::constraints(pipeline, Component::Kafka)),
            containers: vec![container(pipeline, brokers, pool)],
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}

fn container(pipeline: &Pipeline, brokers: &Brokers, pool: &Pool) -> Container {
    let names = pipeline.names();
    let plain = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let pod_name = EnvVar {
        name: "POD_NAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let service = format!("{}.{}.svc", names.kafka_nodes(), pipeline.id.namespace);
    let mut ports = Vec::new();
    if pool.has(KafkaRole::Controller) {
        ports.push(("controllers", CONTROLLERS));
    }
    if pool.has(KafkaRole::Broker) {
        ports.extend([("replication", REPLICATION), ("clients", CLIENTS)]);
    }
    let probed = if pool.has(KafkaRole::Broker) {
        CLIENTS
    } else {
        CONTROLLERS
    };
    let mount = |name: &str, path: &str, is_read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: is_read_only.then_some(true),
        ..VolumeMount::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(brokers.image.clone()),
        // Its last words are in the pod's status then.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        command: Some(["/bin/sh", "-c", START].map(str::to_owned).to_vec()),
        env: Some(vec![
            pod_name,
            plain("SERVICE", service),
            plain("FIRST_ID", pool.first_id.to_string()),
            plain("CLUSTER_ID", brokers.cluster_id.clone()),
            plain("CONFIG", CONFIG.to_owned()),
            plain("LOG_DIR", "/tmp".to_owned()),
            plain(
                "KAFKA_LOG4J_OPTS",
                format!("-Dlog4j2.configurationFile={CONFIG}/{LOGGING}"),
            ),
        ]),
        ports: Some(
            ports
                .into_iter()
                .map(|(name, port)| ContainerPort {
                    name: Some(name.to_owned()),
                    container_port: i32::from(port),
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                })
                .collect(),
        ),
        readiness_probe: Some(probe(probed, 5, 3)),
        // A node that recovers its logs is alive, and listens only when it is done.
        startup_probe: Some(probe(probed, 10, 360)),
        liveness_probe: Some(probe(probed, 10, 6)),
        resources: pool.spec.resources.as_ref().map(resources),
        security_context: Some(restricted::container()),
        volume_mounts: Some(vec![
            mount("config", CONFIG, true),
            mount("tls", TLS, true),
            mount("tmp", "/tmp", false),
            mount("data", DATA, false),
        ]),
        ..Container::default()
    }
}

fn probe(port: u16, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::Int(i32::from(port)),
            host: None,
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::kafka::properties::{FILE, HOST, NODE};

    #[test]
    fn the_start_puts_in_what_the_settings_leave_open() {
        for open in [NODE, HOST, FILE] {
            assert!(START.contains(open), "{open}");
        }
    }
}
