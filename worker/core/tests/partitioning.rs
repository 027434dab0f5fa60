//! Which stages read a stream whose partitions part their key, and what records of a sink are keyed by.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use tocsin_contract::document;
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_worker_core::plan::repartition::repartition;
use tocsin_worker_core::plan::{Plan, References, compile_beside};

/// A pipeline over topics of which `alerts` and `metrics` are partitioned by service, and `logs` by nobody knows what.
fn compile(stages: &str, last: &str) -> (IncidentPipeline, Plan) {
    let source = |name: &str, claim: &str| {
        format!("{{name: {name}, kafka: {{topic: {name}}}{claim}, eventTime: {{field: ts, unit: Seconds}}}}")
    };
    let claim = ", partitionedBy: {key: [service]}";
    let sources = [source("alerts", claim), source("metrics", claim), source("logs", "")].join(", ");
    let text = format!(
        "apiVersion: tocsin.dev/v1alpha1\nkind: IncidentPipeline\nmetadata: {{name: test}}\nspec: {{sources: [{sources}], \
         stages: [{stages}], sinks: [{{name: out, from: {last}, kafka: {{topic: out}}}}]}}\n"
    );
    let compiled = document::read_and(&text, |pipeline: &IncidentPipeline, faults| {
        compile_beside(faults, "test", &pipeline.spec, &References::default())
    });
    compiled
        .map(|(parsed, plan)| (parsed.value, plan))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The stages whose rows are dealt out by key, when the topics have these partitions.
fn check(stages: &str, last: &str, n_partitions: [u32; 3], expected: &[&str]) {
    let (pipeline, mut plan) = compile(stages, last);
    repartition(&mut plan, &pipeline.spec.sources, &n_partitions);
    let dealt = plan
        .stages
        .iter()
        .filter(|stage| stage.repartition.as_ref().is_some_and(|dealt| !dealt.claimed));
    let found: Vec<&str> = dealt.map(|stage| stage.name.as_str()).collect();
    assert_eq!(found, expected, "{stages}");
}

const ALIKE: [u32; 3] = [4, 4, 4];
const COUNT: &str = "select: {total: count(*)}, window: {tumbling: 1m}";

#[test]
fn a_key_that_has_the_columns_of_the_claim_stays_in_its_partition() {
    check(
        &format!("{{name: a, from: alerts, aggregate: {{by: [service], {COUNT}}}}}"),
        "a",
        ALIKE,
        &[],
    );
    check(
        &format!("{{name: a, from: alerts, aggregate: {{by: [service, host], {COUNT}}}}}"),
        "a",
        ALIKE,
        &[],
    );
    let filtered = "{name: f, from: alerts, filter: \"severity = 'CRITICAL'\"}, \
                    {name: e, from: f, escalate: {by: [service], count: 3, within: 1m}}, \
                    {name: i, from: e, incident: {by: [service], openFor: 5m}}";
    check(filtered, "i", ALIKE, &[]);
}

#[test]
fn a_key_without_the_columns_of_the_claim_is_spread() {
    check(
        &format!("{{name: a, from: alerts, aggregate: {{by: [host], {COUNT}}}}}"),
        "a",
        ALIKE,
        &["a"],
    );
    check(
        &format!("{{name: a, from: alerts, aggregate: {{{COUNT}}}}}"),
        "a",
        ALIKE,
        &["a"],
    );
    check(
        &format!("{{name: a, from: logs, aggregate: {{by: [service], {COUNT}}}}}"),
        "a",
        ALIKE,
        &["a"],
    );
}

#[test]
fn one_partition_spreads_nothing() {
    check(
        &format!("{{name: a, from: logs, aggregate: {{by: [host], {COUNT}}}}}"),
        "a",
        [1, 1, 1],
        &[],
    );
}

#[test]
fn inputs_go_together_only_if_they_are_partitioned_alike() {
    let both = "{name: i, from: [alerts, metrics], escalate: {by: [service], count: 2, within: 1m}}";
    check(both, "i", ALIKE, &[]);
    check(both, "i", [4, 2, 4], &["i"]);
    let odd = "{name: i, from: [alerts, logs], escalate: {by: [service], count: 2, within: 1m}}";
    check(odd, "i", ALIKE, &["i"]);
}

#[test]
fn another_column_under_the_name_of_the_claims_is_not_taken_for_it() {
    let lower =
        "{name: s, sql: \"SELECT lower(service) AS service, count(*) AS total FROM alerts GROUP BY lower(service)\"}";
    check(lower, "s", ALIKE, &["s"]);
    let host = "{name: s, sql: \"SELECT host AS service, service AS name, count(*) AS total FROM alerts GROUP BY host, service\"}, \
                {name: e, from: s, escalate: {by: [service], count: 3, within: 1m}}";
    check(host, "e", ALIKE, &["e"]);
}

#[test]
fn a_stage_that_keeps_nothing_by_key_reads_any_partitions() {
    check(
        "{name: s, sql: \"SELECT host, n + 1 AS next FROM logs\"}",
        "s",
        ALIKE,
        &[],
    );
    let then = "{name: e, from: s, escalate: {by: [service], count: 3, within: 1m}}";
    let passed = format!("{{name: s, sql: \"SELECT service, host FROM alerts\"}}, {then}");
    check(&passed, "e", ALIKE, &[]);
    let other = format!("{{name: s, sql: \"SELECT lower(service) AS service FROM alerts\"}}, {then}");
    check(&other, "e", ALIKE, &["e"]);
}

/// The columns that records of the sink are keyed by.
fn check_key(stages: &str, last: &str, expected: &[&str]) {
    let (_, plan) = compile(stages, last);
    let columns = plan.stages.last().unwrap().output.fields().clone();
    let found: Vec<&str> = plan.sinks[0].key.iter().map(|&i| columns[i].name().as_str()).collect();
    assert_eq!(found, expected, "{stages}");
}

#[test]
fn records_of_a_sink_are_keyed_by_what_replaces_them_or_what_they_are_about() {
    let window = format!("{{name: a, from: alerts, aggregate: {{by: [service], {COUNT}}}}}");
    check_key(&window, "a", &["service", "window_start"]);
    check_key(
        "{name: e, from: logs, escalate: {by: [host], count: 3, within: 1m}}",
        "e",
        &["host"],
    );
    check_key("{name: f, from: logs, filter: 'n > 1'}", "f", &[]);
}
