//! What is refused, and with which words.

#![allow(clippy::unwrap_used, clippy::panic)]

use expect_test::{Expect, expect};

use crate::testing::{HEAD, validated};

const KAFKA: &str = "  kafka: {bootstrapServers: \"kafka.ops:9092\"}\n";

fn check(rest: &str, expected: &Expect) {
    let told = match validated(&format!("{HEAD}{rest}{KAFKA}")) {
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
    check(
        "  - {name: again, kafka: {topic: incident_alerts}, format: {type: Json}, eventTime: {field: ts, unit: Milliseconds}}\n",
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
