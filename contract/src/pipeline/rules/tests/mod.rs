//! Each rule with a file that keeps it and a file that breaks it, evaluated both ways: as CEL, as the API server does,
//! and by its Rust twin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kube_cel::Validator;
use serde_json::Value;

use super::*;
use crate::document;
use crate::pipeline::IncidentPipeline;
use crate::{crds, snapshot};

mod for_the_api_server;
mod operations;
mod other_kinds;
mod streams;

const PIPELINE: &str = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: noc}
spec:
  sources: [{name: alerts, kafka: {topic: alerts}, eventTime: {field: ts}}]
";

/// A pipeline with further fields of the spec, in flow style.
fn pipeline(more: &str) -> String {
    format!("{PIPELINE}  {}\n", more.replace('\n', "\n  "))
}

/// A pipeline with one more stage.
fn stage(body: &str) -> String {
    pipeline(&format!("stages: [{{name: it, {body}}}]"))
}

/// A pipeline with one more source.
fn source(body: &str) -> String {
    PIPELINE.replace(
        "[{name",
        &format!("[{{name: it, eventTime: {{field: ts}}, {body}}}, {{name"),
    )
}

/// A pipeline with machines; `pool` is laid into its only node pool.
fn machines(provider: &str, pool: &str) -> String {
    let image = if pool.contains("image:") {
        ""
    } else {
        ", image: {filter: {name: ubuntu}}"
    };
    let ports = if pool.contains("ports:") {
        ""
    } else {
        ", ports: [{network: {filter: {name: data}}}]"
    };
    pipeline(&format!(
        "infrastructure: {{provider: {provider}, identityRef: {{name: os}}, \
         nodePools: [{{name: w, flavors: [{{name: m1}}]{image}{ports}{pool}}}]}}"
    ))
}

/// Another kind.
fn other(kind: &str, spec: &str) -> String {
    format!("apiVersion: tocsin.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: it}}\nspec: {spec}\n")
}

/// What CEL says of a file, as messages. `old` is the file before.
fn by_cel(text: &str, old: Option<&str>) -> Vec<String> {
    let read = |text: &str| -> Value { serde_yaml_ng::from_str(text).unwrap() };
    let object = read(text);
    let schema = crds::schema_of(object["kind"].as_str().unwrap()).unwrap();
    let old = old.map(read);
    match Validator::new().validate(schema, &object, old.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

/// What the Rust side says of a file, as paths and messages.
fn by_rust(text: &str) -> Vec<(String, String)> {
    let problems = document::parse(text).err().unwrap_or_default();
    problems
        .into_iter()
        .map(|problem| (problem.path, problem.message))
        .collect()
}

/// A rule, a file that keeps it, and a file that breaks it at a path.
struct Case {
    rule: Rule,
    kept: String,
    broken: String,
    path: &'static str,
}

fn case(rule: Rule, kept: String, broken: String, path: &'static str) -> Case {
    Case {
        rule,
        kept,
        broken,
        path,
    }
}

fn check(cases: Vec<Case>) {
    for Case {
        rule,
        kept,
        broken,
        path,
    } in cases
    {
        assert_eq!(by_rust(&kept), [], "kept, by Rust: {}", rule.message);
        assert_eq!(by_cel(&kept, None), [""; 0], "kept, by CEL: {}", rule.message);
        assert_eq!(
            by_rust(&broken),
            [(path.to_owned(), rule.message.to_owned())],
            "broken, by Rust:\n{broken}"
        );
        assert_eq!(by_cel(&broken, None), [rule.message], "broken, by CEL:\n{broken}");
    }
}

/// Rules about a change: a rule, the file before, a change that keeps it and one that breaks it, and where.
fn of_changes() -> Vec<(Rule, String, String, String, &'static str)> {
    let topics = |count: u32| pipeline(&format!("kafka: {{topics: [{{name: t, partitions: {count}}}]}}"));
    let disks = |disk: &str| pipeline(&format!("kafka: {{pools: [{{name: nodes, storage: {{{disk}}}}}]}}"));
    let mode = |mode: &str| pipeline(&format!("kafka: {{mode: {mode}}}"));
    let region = |name: &str| machines("Nova", "").replace("{name: os}", &format!("{{name: os, region: {name}}}"));
    vec![
        (
            TOPIC_PARTITIONS[0],
            topics(6),
            topics(12),
            topics(5),
            "spec.kafka.topics[t].partitions",
        ),
        (
            KAFKA_CHANGE[0],
            mode("Managed"),
            mode("Managed"),
            mode("Strimzi"),
            "spec.kafka.mode",
        ),
        (
            KAFKA_CHANGE[0],
            pipeline("kafka: {}"),
            mode("Managed"),
            pipeline("kafka: {bootstrapServers: \"k:9092\"}"),
            "spec.kafka.mode",
        ),
        (
            KAFKA_CHANGE[1],
            disks("size: 1Gi, class: fast"),
            disks("size: 1Gi, class: fast, deleteClaim: true"),
            disks("size: 2Gi, class: fast"),
            "spec.kafka.pools",
        ),
        (
            KAFKA_CHANGE[1],
            disks("size: 1Gi, class: fast"),
            pipeline("kafka: {}"),
            disks("size: 1Gi"),
            "spec.kafka.pools",
        ),
        (
            PROVIDER[0],
            machines("Nova", ""),
            machines("Nova", ""),
            machines("Heat", ""),
            "spec.infrastructure.provider",
        ),
        (
            PROVIDER[0],
            machines("Nova", ""),
            machines("Nova", ""),
            pipeline("infrastructure: {}"),
            "spec.infrastructure.provider",
        ),
        (
            REGION[0],
            region("one"),
            region("one"),
            region("two"),
            "spec.infrastructure.identityRef.region",
        ),
    ]
}

#[test]
fn rules_about_changes_are_the_same_in_cel_and_in_rust() {
    let spec = |text: &str| -> IncidentPipeline { document::parse_pipeline(text).unwrap() };
    for (rule, before, kept, broken, path) in of_changes() {
        assert_eq!(
            change_problems(&spec(&before).spec, &spec(&kept).spec),
            [],
            "{}",
            rule.message
        );
        assert_eq!(by_cel(&kept, Some(&before)), [""; 0], "{}", rule.message);
        let problems = change_problems(&spec(&before).spec, &spec(&broken).spec);
        assert_eq!(problems, [Problem::new(path, rule.message)], "{broken}");
        assert_eq!(by_cel(&broken, Some(&before)), [rule.message], "{broken}");
    }
    let none = pipeline("infrastructure: {}");
    assert_eq!(by_cel(&machines("Heat", ""), Some(&none)), [""; 0]);
    assert_eq!(
        change_problems(&spec(&none).spec, &spec(&machines("Heat", "")).spec),
        []
    );
    let snapshot = |body: &str| other("PipelineSnapshot", &format!("{{pipelineRef: {{name: noc}}{body}}}"));
    for (at, body) in [(1, ", type: Checkpoint"), (3, ", alreadyExists: true, path: p")] {
        assert_eq!(
            by_cel(&snapshot(body), Some(&snapshot(""))),
            [snapshot::RULES[at].message]
        );
    }
    let elsewhere = snapshot("").replace("noc", "soc");
    assert_eq!(by_cel(&elsewhere, Some(&snapshot(""))), [snapshot::RULES[0].message]);
}

/// Every rule that a schema carries, by its CEL text.
fn carried(schema: &Value, rules: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("x-kubernetes-validations", Value::Array(list)) => {
                        rules.extend(list.iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()));
                    }
                    _ => carried(value, rules),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| carried(item, rules)),
        _ => {}
    }
}

#[test]
fn every_rule_of_every_schema_is_tried() {
    let mut tried: Vec<&str> = [streams::cases(), operations::cases(), other_kinds::cases()]
        .into_iter()
        .flatten()
        .map(|case| case.rule.cel)
        .chain(of_changes().into_iter().map(|(rule, ..)| rule.cel))
        .chain(snapshot::RULES.iter().map(|rule| rule.cel))
        .collect();
    tried.push("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')");
    let mut rules = Vec::new();
    crds::kinds()
        .filter_map(crds::schema_of)
        .for_each(|schema| carried(schema, &mut rules));
    assert!(rules.len() > 40, "{}", rules.len());
    for rule in rules {
        assert!(tried.contains(&rule.as_str()), "no case for {rule}");
    }
}

#[test]
fn a_pipeline_has_a_name_without_dots_of_at_most_40_characters() {
    for (name, good) in [
        ("noc", true),
        ("a", true),
        (&"x".repeat(40), true),
        ("a.b", false),
        ("-a", false),
        (&"x".repeat(41), false),
    ] {
        let text = PIPELINE.replace("name: noc", &format!("name: {name}"));
        assert_eq!(by_cel(&text, None).is_empty(), good, "{name}");
        assert_eq!(by_rust(&text).is_empty(), good, "{name}");
    }
}
