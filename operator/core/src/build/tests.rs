//! The objects of a pipeline, as documents.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use expect_test::expect_file;
use tocsin_contract::document;

use super::*;
use crate::testing::{HEAD, settings};

const PIPELINE: &str = "
  stages:
  - {name: escalated, from: alerts, escalate: {by: [service], count: 3, within: 1h}}
  sinks:
  - {name: escalations, from: escalated, kafka: {topic: incident_escalations}}
  kafka: {bootstrapServers: \"kafka.ops:9092\"}
";

const WITH_EVERYTHING: &str = "
  restartNonce: 3
  stages:
  - {name: escalated, from: alerts, escalate: {by: [service], count: 3, within: 1h}}
  sinks:
  - {name: pager, from: escalated, webhook: {urlSecretRef: {name: pager, key: url}, tokenSecretRef: {name: pager, key: token}}}
  kafka:
    bootstrapServers: \"kafka.ops:9093\"
    tls: {caSecretRef: {name: kafka-ca, key: ca.crt}}
    sasl: {username: noc, passwordSecretRef: {name: kafka-user, key: password}}
  state: {storage: {s3: {bucket: state, endpoint: \"http://store:9000\", pathStyle: true, secretRef: {name: store}}}}
  workers:
    image: registry.example.com/tocsin:1
    imagePullSecrets: [{name: pull}]
    replicas: 3
    threads: 2
    resources: {requests: {cpu: 2, memory: 4Gi}, limits: {memory: 4Gi}}
    logging: {level: Debug, format: Text}
    podTemplate:
      metadata: {labels: {team: noc}}
      spec:
        nodeSelector: {disk: ssd}
        containers: [{name: worker, env: [{name: MALLOC_ARENA_MAX, value: \"2\"}]}]
";

fn pipeline(rest: &str) -> Pipeline {
    crate::testing::pipeline(&format!("{HEAD}{rest}"))
}

fn run(pipeline: &Pipeline) -> Run {
    let revision = Revision::wanted(pipeline, &settings());
    Run {
        replicas: pipeline.spec.workers.replicas,
        rules: Rules::of(BTreeMap::new()),
        record: Record {
            revision: revision.name.clone(),
            ..Record::default()
        },
        revision,
    }
}

fn documents(yaml: &str) -> String {
    let pipeline = pipeline(yaml);
    let objects = objects(&pipeline, &settings(), &run(&pipeline));
    let texts = objects
        .iter()
        .map(|object| serde_yaml_ng::to_string(&object.body).unwrap());
    texts.collect::<Vec<_>>().join("---\n")
}

#[test]
fn the_smallest_pipeline_becomes_these_objects() {
    expect_file!["../../tests/expected/smallest.yaml"].assert_eq(&documents(PIPELINE));
}

#[test]
fn a_pipeline_with_everything_becomes_these_objects() {
    expect_file!["../../tests/expected/everything.yaml"].assert_eq(&documents(WITH_EVERYTHING));
}

#[test]
fn what_only_the_cluster_reads_changes_no_revision() {
    let of = |yaml: &str| Revision::wanted(&pipeline(yaml), &settings()).name;
    let before = of(PIPELINE);
    let more = format!("{PIPELINE}  workers: {{replicas: 9, logging: {{level: Trace}}}}\n  restartNonce: 1\n");
    assert_eq!(of(&more), before);
    assert_ne!(of(&PIPELINE.replace("count: 3", "count: 4")), before);
    assert_ne!(of(&format!("{PIPELINE}  workers: {{image: other}}\n")), before);
}

#[test]
fn what_workers_read_is_a_pipeline_that_they_take() {
    for yaml in [PIPELINE, WITH_EVERYTHING] {
        let pipeline = pipeline(yaml);
        let file = worker_file::worker_file(&pipeline).to_string();
        let read = document::parse_pipeline(&file).unwrap();
        assert_eq!(read.spec.stages, pipeline.spec.stages);
        assert_eq!(
            read.spec.kafka.bootstrap_servers,
            Some(pipeline.kafka.bootstrap_servers.clone())
        );
        assert_eq!(read.spec.kafka.sasl, pipeline.kafka.sasl);
    }
}

#[test]
fn every_object_belongs_to_its_pipeline_and_has_a_hash_of_its_own() {
    let pipeline = pipeline(WITH_EVERYTHING);
    let objects = objects(&pipeline, &settings(), &run(&pipeline));
    for object in &objects {
        let labels = object.body.pointer("/metadata/labels").unwrap();
        assert_eq!(
            labels["tocsin.dev/pipeline-uid"],
            pipeline.id.uid.as_str(),
            "{}",
            object.name
        );
        assert_eq!(object.body["apiVersion"], object.resource.api_version);
        assert_eq!(object.body["kind"], object.resource.kind);
        let same = objects.iter().filter(|other| other.hash == object.hash).count();
        assert_eq!(same, 1, "{}", object.name);
    }
}
