#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! Each rule with a file that keeps it and a file that breaks it, evaluated both ways: as CEL, as the API server does,
//! and by its Rust twin.

use kube_cel::Validator;
use serde_json::Value;

use super::*;
use crate::document;
use crate::pipeline::IncidentPipeline;
use crate::{crds, identity, model, rule, snapshot};

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

fn of_streams() -> Vec<Case> {
    let filter = || stage("from: alerts, filter: a > 1");
    let tables = |name: &str| pipeline(&format!("tables: [{{name: {name}, file: {{path: t}}, key: [k]}}]"));
    let sink = |body: &str| pipeline(&format!("sinks: [{{name: out, from: alerts, {body}}}]"));
    let aggregate = |body: &str| stage(&format!("from: alerts, aggregate: {{by: [s], {body}}}"));
    let alarm = |body: &str| stage(&format!("from: alerts, alarm: {{by: [s], {body}}}"));
    let select = "select: {c: count(*)}";
    vec![
        case(
            SPEC[0],
            filter(),
            filter().replace("name: it", "name: alerts"),
            "spec.stages[alerts].name",
        ),
        case(SPEC[1], tables("hosts"), tables("alerts"), "spec.tables[alerts].name"),
        case(
            SOURCE[0],
            source("stdin: {}"),
            source("stdin: {}, generator: {}"),
            "spec.sources[it]",
        ),
        case(SOURCE[0], source("http: {}"), source("format: {}"), "spec.sources[it]"),
        case(
            SOURCE[1],
            source("stdin: {}, format: {type: Csv}"),
            source("kafka: {topic: t}, format: {type: Csv}"),
            "spec.sources[it].format",
        ),
        case(
            SOURCE[2],
            source("kafka: {topic: t}, partitionedBy: {key: [s]}"),
            source("stdin: {}, partitionedBy: {key: [s]}"),
            "spec.sources[it].partitionedBy",
        ),
        case(
            TABLE[0],
            tables("hosts"),
            tables("hosts").replace("file: {path: t}", "file: {path: t}, kafka: {topic: t}"),
            "spec.tables[hosts]",
        ),
        case(
            FORMAT[0],
            source("stdin: {}, format: {type: Avro, registry: {url: \"http://r\"}}"),
            source("stdin: {}, format: {type: Avro}"),
            "spec.sources[it].format.registry",
        ),
        case(STAGE[0], filter(), stage("from: alerts"), "spec.stages[it]"),
        case(
            STAGE[0],
            filter(),
            stage("from: alerts, filter: a, incident: {by: [], openFor: 1m}"),
            "spec.stages[it]",
        ),
        case(
            STAGE[1],
            stage(&format!("from: alerts, ttl: 1h, aggregate: {{{select}}}")),
            stage(&format!(
                "from: alerts, ttl: 1h, aggregate: {{{select}, window: {{tumbling: 1m}}}}"
            )),
            "spec.stages[it].ttl",
        ),
        case(
            STAGE[2],
            stage(&format!("from: alerts, skew: TwoPhase, aggregate: {{{select}}}")),
            stage("from: alerts, skew: TwoPhase, filter: a"),
            "spec.stages[it].skew",
        ),
        case(
            AGGREGATE[0],
            aggregate(select),
            aggregate("kpisRef: {name: r}, select: {c: count(*)}"),
            "spec.stages[it].aggregate",
        ),
        case(
            WINDOW[0],
            aggregate(&format!("{select}, window: {{session: {{gap: 1m}}}}")),
            aggregate(&format!("{select}, window: {{session: {{gap: 1m}}, tumbling: 1m}}")),
            "spec.stages[it].aggregate.window",
        ),
        case(
            ALARM[0],
            alarm("when: a > 1"),
            alarm("when: a > 1, rulesRef: {name: r}"),
            "spec.stages[it].alarm",
        ),
        case(
            ALARM[1],
            alarm("rulesRef: {name: r}"),
            alarm("rulesRef: {name: r}, for: 5m"),
            "spec.stages[it].alarm",
        ),
        case(
            SINK[0],
            sink("stdout: {}"),
            sink("stdout: {}, file: {path: f}"),
            "spec.sinks[out]",
        ),
        case(
            rule::POSITIVE[0],
            aggregate(&format!("{select}, window: {{tumbling: 10ms}}")),
            aggregate(&format!("{select}, window: {{tumbling: 0m0s}}")),
            "spec.stages[it].aggregate.window.tumbling",
        ),
    ]
}

fn of_operations() -> Vec<Case> {
    let kafka = |body: &str| pipeline(&format!("kafka: {{{body}}}"));
    let external = |body: &str| kafka(&format!("bootstrapServers: \"k:9092\"{body}"));
    let sasl = "sasl: {mechanism: Plain, username: u, passwordSecretRef: {name: s, key: k}}";
    let state = |body: &str| pipeline(&format!("state: {{{body}}}"));
    let scaling = |body: &str| pipeline(&format!("autoscaling: {{{body}}}"));
    let schedule = |body: &str| {
        scaling(&format!(
            "schedules: [{{name: day, start: \"@daily\", end: \"@daily\"{body}}}]"
        ))
    };
    let rule = |body: &str| machines("Nova", &format!(", securityGroups: [{{name: g, rules: [{{{body}}}]}}]"));
    vec![
        case(
            KAFKA[0],
            external(", mode: External"),
            external(", mode: Strimzi"),
            "spec.kafka.bootstrapServers",
        ),
        case(
            KAFKA[0],
            kafka("mode: Managed"),
            kafka("mode: External"),
            "spec.kafka.bootstrapServers",
        ),
        case(
            KAFKA[1],
            external(", pools: []"),
            external(", version: \"4.1.0\""),
            "spec.kafka",
        ),
        case(KAFKA[2], external(", tls: {}"), kafka("tls: {}"), "spec.kafka"),
        case(
            KAFKA[3],
            external(&format!(", tls: {{}}, {sasl}")),
            external(&format!(", {sasl}")),
            "spec.kafka.sasl",
        ),
        case(
            KAFKA[4],
            kafka("pools: [{name: all}]"),
            kafka("pools: [{name: all, roles: [Broker]}]"),
            "spec.kafka.pools",
        ),
        case(
            STORAGE[0],
            state("storage: {s3: {bucket: b}}"),
            state("storage: {s3: {bucket: b}, volume: {}}"),
            "spec.state.storage",
        ),
        case(
            RESTORE_FROM[0],
            state("restoreFrom: {path: p}"),
            state("restoreFrom: {mode: Rewind}"),
            "spec.state.restoreFrom",
        ),
        case(
            rule::POSITIVE[0],
            state("checkpoint: {interval: 1s}"),
            state("checkpoint: {interval: 0s}"),
            "spec.state.checkpoint.interval",
        ),
        case(
            UPGRADE[0],
            pipeline("upgrade: {fallback: LastCheckpoint}"),
            pipeline("upgrade: {mode: Stateless, fallback: LastCheckpoint}"),
            "spec.upgrade.fallback",
        ),
        case(
            AUTOSCALING[0],
            scaling("minReplicas: 3, maxReplicas: 3"),
            scaling("minReplicas: 4, maxReplicas: 3"),
            "spec.autoscaling.minReplicas",
        ),
        case(
            UTILIZATION[0],
            scaling("utilization: {target: 50}"),
            scaling("utilization: {target: 40}"),
            "spec.autoscaling.utilization.target",
        ),
        case(
            SCHEDULE[0],
            schedule(", minReplicas: 1"),
            schedule(""),
            "spec.autoscaling.schedules[day]",
        ),
        case(
            SCHEDULE[1],
            schedule(", minReplicas: 1, maxReplicas: 2"),
            schedule(", minReplicas: 3, maxReplicas: 2"),
            "spec.autoscaling.schedules[day].minReplicas",
        ),
        case(
            INFRASTRUCTURE[0],
            machines("Heat", ""),
            pipeline("infrastructure: {provider: Heat, identityRef: {name: os}}"),
            "spec.infrastructure.nodePools",
        ),
        case(
            INFRASTRUCTURE[1],
            machines("Nova", ""),
            machines("Nova", "").replace("identityRef: {name: os}, ", ""),
            "spec.infrastructure.identityRef",
        ),
        case(
            INFRASTRUCTURE[2],
            machines("Heat", "").replace("nodePools", "heat: {}, nodePools"),
            machines("Nova", "").replace("nodePools", "heat: {}, nodePools"),
            "spec.infrastructure.heat",
        ),
        case(
            INFRASTRUCTURE[3],
            machines("Heat", ", readySignal: {type: HeatWaitCondition}"),
            machines("Nova", ", readySignal: {type: HeatWaitCondition}"),
            "spec.infrastructure.nodePools",
        ),
        case(
            NODE_POOL[0],
            machines("Nova", ", replicas: 2, minReplicas: 2"),
            machines("Nova", ", replicas: 2, minReplicas: 3"),
            "spec.infrastructure.nodePools[w].minReplicas",
        ),
        case(
            NODE_POOL[1],
            machines("Nova", ", replicas: 2, maxReplicas: 2"),
            machines("Nova", ", replicas: 2, maxReplicas: 1"),
            "spec.infrastructure.nodePools[w].maxReplicas",
        ),
        case(
            SERVER_GROUP[0],
            machines("Nova", ", serverGroup: {policy: AntiAffinity, maxServerPerHost: 2}"),
            machines("Nova", ", serverGroup: {maxServerPerHost: 2}"),
            "spec.infrastructure.nodePools[w].serverGroup.maxServerPerHost",
        ),
        case(
            CLOUD_REF[0],
            machines("Nova", ", image: {id: 5c0e1b1e-0000-4000-8000-000000000001}"),
            machines("Nova", ", image: {}"),
            "spec.infrastructure.nodePools[w].image",
        ),
        case(
            CLOUD_REF[1],
            machines("Nova", ", ports: [{network: {filter: {tags: [data]}}}]"),
            machines("Nova", ", ports: [{network: {filter: {}}}]"),
            "spec.infrastructure.nodePools[w].ports[0].network.filter",
        ),
        case(
            SECURITY_RULE[0],
            rule("portRangeMin: 22, portRangeMax: 22"),
            rule("portRangeMin: 22"),
            "spec.infrastructure.nodePools[w].securityGroups[g].rules[0].portRangeMin",
        ),
    ]
}

fn of_other_kinds() -> Vec<Case> {
    let identity = |body: &str| {
        let expression = format!("namespaceSelector: {{matchExpressions: [{{key: team, {body}}}]}}");
        other(
            "OpenStackIdentity",
            &format!("{{secretRef: {{namespace: ops, name: c}}, {expression}}}"),
        )
    };
    let model = |body: &str| other("IncidentModel", &format!("{{{body}features: [cpu], threshold: 0.6}}"));
    let snapshot = |body: &str| other("PipelineSnapshot", &format!("{{pipelineRef: {{name: noc}}{body}}}"));
    let rules = |body: &str| other("IncidentRuleSet", &format!("{{rules: [{{id: hot{body}}}]}}"));
    vec![
        case(
            RULE_SET[0],
            rules(", when: a"),
            other("IncidentRuleSet", "{rules: []}"),
            "spec",
        ),
        case(
            RULE_CONDITION[0],
            rules(", when: a"),
            rules(", for: 5m"),
            "spec.rules[hot]",
        ),
        case(model::RULES[0], model("isolationForest: {}, "), model(""), "spec"),
        case(
            snapshot::RULES[2],
            snapshot(", alreadyExists: true, path: p"),
            snapshot(", alreadyExists: true"),
            "spec.path",
        ),
        case(
            identity::EXPRESSION_RULES[0],
            identity("operator: In, values: [a]"),
            identity("operator: Exists, values: [a]"),
            "spec.namespaceSelector.matchExpressions[0].values",
        ),
    ]
}

#[test]
fn rules_of_streams_are_the_same_in_cel_and_in_rust() {
    check(of_streams());
}

#[test]
fn rules_of_operations_are_the_same_in_cel_and_in_rust() {
    check(of_operations());
}

#[test]
fn rules_of_the_other_kinds_are_the_same_in_cel_and_in_rust() {
    check(of_other_kinds());
}

/// Rules about a change: a rule, the file before, a change that keeps it and one that breaks it, and where.
fn of_changes() -> Vec<(Rule, String, String, String, &'static str)> {
    let topics = |count: u32| pipeline(&format!("kafka: {{topics: [{{name: t, partitions: {count}}}]}}"));
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
            KAFKA_MODE[0],
            mode("Managed"),
            mode("Managed"),
            mode("Strimzi"),
            "spec.kafka.mode",
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
    let mut tried: Vec<&str> = [of_streams(), of_operations(), of_other_kinds()]
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

/// What no schema can see, Rust alone checks.
#[test]
fn inputs_emission_and_multiples_are_checked_without_cel() {
    let select = "select: {c: count(*)}";
    for (body, path, message) in [
        ("filter: a".to_owned(), "spec.stages[it].from", "is missing"),
        (
            "from: alerts, sql: SELECT 1 FROM alerts".to_owned(),
            "spec.stages[it].from",
            "must not be given here",
        ),
        (
            "from: [alerts, alerts], filter: a".to_owned(),
            "spec.stages[it].from[1]",
            "stands here twice",
        ),
        (
            "from: alerts, filter: a, emit: Final".to_owned(),
            "spec.stages[it].emit",
            "must not be given here",
        ),
        (
            format!("from: alerts, emit: OnClose, aggregate: {{{select}}}"),
            "spec.stages[it].emit",
            "must be `{every: ...}`",
        ),
        (
            format!("from: alerts, emit: {{every: 1s}}, aggregate: {{{select}, window: {{tumbling: 1m}}}}"),
            "spec.stages[it].emit",
            "must not be `every`",
        ),
        (
            format!("from: alerts, emit: {{every: 0s}}, aggregate: {{{select}}}"),
            "spec.stages[it].emit.every",
            "must be longer than zero",
        ),
        (
            format!("from: alerts, aggregate: {{{select}, window: {{sliding: {{size: 1m, every: 7s}}}}}}"),
            "spec.stages[it].aggregate.window.sliding.size",
            "must be a multiple of `every`: 1m is none of 7s",
        ),
    ] {
        let problems = by_rust(&stage(&body));
        assert_eq!(problems.len(), 1, "{body}: {problems:?}");
        assert!(
            problems[0].0 == path && problems[0].1.contains(message),
            "{body}: {problems:?}"
        );
        assert_eq!(by_cel(&stage(&body), None), [""; 0], "{body}");
    }
    for body in [
        format!("from: alerts, emit: {{every: 1s}}, aggregate: {{{select}}}"),
        format!("from: alerts, emit: OnChange, aggregate: {{{select}, window: {{sliding: {{size: 1m, every: 10s}}}}}}"),
        "sql: SELECT 1 FROM alerts, emit: Final".to_owned(),
    ] {
        assert_eq!(by_rust(&stage(&body)), [], "{body}");
    }
}
