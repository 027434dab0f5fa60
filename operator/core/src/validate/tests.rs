//! What is refused, and with which words.

#![allow(clippy::unwrap_used, clippy::panic)]

use expect_test::{Expect, expect};
use tocsin_contract::document;

use super::*;

const HEAD: &str = "
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: noc}
spec:
  sources:
  - {name: alerts, kafka: {topic: incident_alerts}, format: {type: Json}, eventTime: {field: ts, unit: Milliseconds}}
  kafka: {bootstrapServers: \"kafka.ops:9092\"}
";

fn check(rest: &str, expected: &Expect) {
    check_whole(&format!("{HEAD}{rest}"), expected);
}

fn check_whole(yaml: &str, expected: &Expect) {
    let parsed = document::parse_pipeline(yaml).unwrap();
    let subject = Subject {
        id: PipelineId {
            namespace: "ops".to_owned(),
            name: "noc".to_owned(),
            uid: "5c0e".to_owned(),
        },
        generation: 1,
        spec: parsed.spec,
    };
    let told = match validate(subject, &BTreeMap::new(), None) {
        Ok(_) => "ok".to_owned(),
        Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
    };
    expected.assert_eq(told.trim_end());
}

#[test]
fn a_pipeline_that_can_be_built_is_taken() {
    check(
        "  sinks: [{name: out, from: alerts, kafka: {topic: out}}]\n",
        &expect!["ok"],
    );
}

#[test]
fn what_is_not_built_for_a_cluster_is_refused_with_its_path() {
    check(
        "  sinks: [{name: out, from: alerts, stdout: {}}]\n  autoscaling: {mode: Active}\n  upgrade: {mode: Stateless}\n",
        &expect![[r#"
            spec.sinks[out].stdout: works only outside a cluster
                write to a Kafka topic: `tocsin consume` reads one
            spec.autoscaling.mode: `Active` is not built yet; only `Off` is
                remove `autoscaling`, and set `workers.replicas` or use `kubectl scale`
            spec.upgrade.mode: `Stateless` is not built yet; only `Savepoint` is
                remove `upgrade.mode`: each upgrade begins with a savepoint"#]],
    );
}

#[test]
fn expressions_are_compiled() {
    check(
        "  stages: [{name: hot, from: alerts, filter: \"cpu >\"}]\n",
        &expect![[r#"
            spec.stages[hot].filter: expected: an expression, found the end
                cpu >
                     ^"#]],
    );
}

#[test]
fn two_sources_of_one_topic_are_refused() {
    let second = "  - {name: again, kafka: {topic: incident_alerts}, format: {type: Json}, eventTime: {field: ts, unit: Milliseconds}}\n  kafka:";
    check_whole(
        &HEAD.replace("  kafka:", second),
        &expect![[r#"
        spec.sources[again].kafka.topic: another source reads topic incident_alerts too
            make them one source: stages can share it"#]],
    );
}

#[test]
fn a_pod_template_is_checked_with_the_rest() {
    check(
        "  workers: {podTemplate: {spec: {hostNetwork: true}}}\n",
        &expect![
            "spec.workers.podTemplate.spec.hostNetwork: must not be given: a pipeline must not reach into the machine"
        ],
    );
}
