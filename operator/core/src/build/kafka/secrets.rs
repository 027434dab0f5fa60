//! Who is who: the authority of a Kafka, the nodes' certificate, and the pipeline's login.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use tocsin_contract::pipeline::kafka::{KafkaSasl, KafkaTls, SaslMechanism};
use tocsin_contract::pipeline::sink::SecretKeyRef;

use super::{metadata, metadata_with_disks};
use crate::build::admin::ENDS;
use crate::names::Names;
use crate::pipeline::Pipeline;

/// Name in the nodes' certificate.
pub const NODES: &str = "tocsin-kafka-node";
/// Name in the operator's certificate.
pub const OPERATOR: &str = "tocsin-operator";

/// In the nodes' Secret: key and certificates, one behind the other.
pub const KEYSTORE: &str = "node.pem";
/// In the nodes' Secret, and the authority's: the authority's certificate.
pub const AUTHORITY: &str = "ca.crt";
/// In the authority's Secret: its key.
pub const AUTHORITY_KEY: &str = "ca.key";
/// In the authority's Secret: the id of the cluster.
pub const CLUSTER_ID: &str = "cluster-id";
/// In the authority's Secret: what is written down of the pools of nodes, by name, as JSON.
pub const POOLS: &str = "pools";
/// In the Secret of a login.
pub const USERNAME: &str = "username";
/// In the Secret of a login.
pub const PASSWORD: &str = "password";

/// The names of the nodes' certificate.
pub fn server_names(namespace: &str, names: &Names<'_>) -> Vec<String> {
    let (nodes, bootstrap) = (names.kafka_nodes(), names.kafka());
    vec![
        format!("{bootstrap}.{namespace}.svc"),
        format!("{bootstrap}.{namespace}.svc.cluster.local"),
        format!("{bootstrap}.{namespace}"),
        bootstrap,
        format!("*.{nodes}.{namespace}.svc"),
        format!("*.{nodes}.{namespace}.svc.cluster.local"),
    ]
}

/// The authority, the id of the cluster, and what is written down of its pools. It stays as long as the disks do: without it
/// nobody reads them.
pub fn authority(pipeline: &Pipeline, certificate: &str, key: &str, cluster_id: &str, pools: &str) -> Secret {
    let data = [
        (AUTHORITY, certificate),
        (AUTHORITY_KEY, key),
        (CLUSTER_ID, cluster_id),
        (POOLS, pools),
    ];
    Secret {
        metadata: metadata_with_disks(pipeline, pipeline.names().kafka_authority()),
        data: Some(bytes(data)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// What clients trust: the authority's certificate, without its key.
pub fn trusted(pipeline: &Pipeline, certificate: &str) -> Secret {
    Secret {
        metadata: metadata(pipeline, pipeline.names().kafka_trusted()),
        data: Some(bytes([(AUTHORITY, certificate)])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The nodes' certificate.
pub fn tls(pipeline: &Pipeline, keystore: &str, authority: &str, ends: Timestamp) -> Secret {
    let mut metadata = metadata(pipeline, pipeline.names().kafka_tls());
    metadata.annotations = Some([(ENDS.to_owned(), ends.to_string())].into());
    Secret {
        metadata,
        data: Some(bytes([(KEYSTORE, keystore), (AUTHORITY, authority)])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The pipeline's login.
pub fn user(pipeline: &Pipeline, password: &str) -> Secret {
    let data = [(USERNAME, user_name(pipeline)), (PASSWORD, password)];
    login(pipeline, pipeline.names().kafka_user(), bytes(data))
}

/// The login of those who write what the pipeline reads, and read what it writes: all that they need of it.
pub fn client(pipeline: &Pipeline, password: &str, authority: &str) -> Secret {
    let name = client_name(pipeline);
    let data = [(USERNAME, name.as_str()), (PASSWORD, password), (AUTHORITY, authority)];
    login(pipeline, pipeline.names().kafka_client(), bytes(data))
}

fn login(pipeline: &Pipeline, name: String, data: BTreeMap<String, ByteString>) -> Secret {
    Secret {
        metadata: metadata_with_disks(pipeline, name),
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The pipeline's user.
pub fn user_name(pipeline: &Pipeline) -> &str {
    &pipeline.id.name
}

/// The user of those who write what the pipeline reads, and read what it writes. No pipeline's name has a dot.
pub fn client_name(pipeline: &Pipeline) -> String {
    format!("{}.client", pipeline.id.name)
}

/// How the pipeline's workers come in.
pub fn access(names: &Names<'_>, pipeline: &str) -> (KafkaTls, KafkaSasl) {
    let key_of = |name: String, key: &str| SecretKeyRef {
        name,
        key: key.to_owned(),
    };
    let tls = KafkaTls {
        ca_secret_ref: Some(key_of(names.kafka_trusted(), AUTHORITY)),
        certificate_secret_ref: None,
    };
    let sasl = KafkaSasl {
        mechanism: SaslMechanism::ScramSha512,
        username: pipeline.to_owned(),
        password_secret_ref: key_of(names.kafka_user(), PASSWORD),
        token_endpoint: None,
        scope: None,
        service_name: None,
    };
    (tls, sasl)
}

fn bytes<const N: usize>(data: [(&str, &str); N]) -> BTreeMap<String, ByteString> {
    data.map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec())))
        .into()
}
