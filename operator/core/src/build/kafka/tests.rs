//! A managed Kafka as documents.
#![allow(clippy::unwrap_used)]

use expect_test::expect_file;

use super::*;
use crate::testing::{HEAD, pipeline};

fn documents(further: &str) -> String {
    let pipeline = pipeline(&format!("{HEAD}  kafka: {{{further}}}\n"));
    let brokers = Brokers {
        image: "apache/kafka:4.1.1".to_owned(),
        cluster_id: "XA56ioAAQACAAAAAAAAAAQ".to_owned(),
        known: BTreeMap::new(),
        sizes: BTreeMap::new(),
        certificate_hash: "0123456789ab".to_owned(),
    };
    let objects = objects(&pipeline, &brokers);
    let documents = objects
        .iter()
        .map(|object| serde_yaml_ng::to_string(&object.body).unwrap());
    documents.collect::<Vec<_>>().join("---\n")
}

#[test]
fn the_smallest_kafka_is_three_nodes_that_do_both() {
    expect_file!["../../../tests/expected/kafka.yaml"].assert_eq(&documents(""));
}

#[test]
fn pools_listeners_and_settings_are_as_the_spec_has_them() {
    let further = "
      pools: [
        {name: quorum, roles: [Controller], storage: {size: 10Gi}},
        {name: brokers, roles: [Broker], replicas: 5, storage: {size: 1Ti, class: fast, deleteClaim: true},
         resources: {requests: {cpu: '2', memory: 4Gi}}}],
      listeners: [{name: analytics, port: 9094, authentication: ScramSha512}],
      config: {compression.type: zstd, super.users: 'User:eve'},
      retention: 1d, replicationFactor: 2";
    let documents = documents(further);
    assert!(
        !documents.contains("User:eve"),
        "who may do anything is not the user's to set"
    );
    expect_file!["../../../tests/expected/kafka-pools.yaml"].assert_eq(&documents);
}
