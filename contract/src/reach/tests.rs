//! Every field of the schema is on one of the lists, and every line of the lists fits a field.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use super::*;
use crate::{crds, document};

/// Every leaf of a schema: fields that hold no further fields of ours.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    let inner = match schema["type"].as_str() {
        Some("array") => (&schema["items"], format!("{path}[]")),
        _ => (schema, path.to_owned()),
    };
    match inner
        .0
        .get("properties")
        .and_then(Value::as_object)
        .filter(|fields| !fields.is_empty())
    {
        Some(fields) => fields
            .iter()
            .for_each(|(name, field)| leaves(field, &format!("{}.{name}", inner.1), found)),
        None => found.push(path.to_owned()),
    }
}

fn spec_leaves(kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    leaves(
        &crds::schema_of(kind).unwrap()["properties"]["spec"],
        "spec",
        &mut found,
    );
    found
}

#[test]
fn every_field_is_on_exactly_one_list() {
    for leaf in spec_leaves("IncidentPipeline") {
        let within = |outer: &str| {
            leaf == outer || leaf.starts_with(&format!("{outer}.")) || leaf.starts_with(&format!("{outer}[]"))
        };
        let lists = [
            EFFECT.contains(&leaf.as_str()),
            KAFKA.iter().any(|outer| within(outer)),
            CLUSTER_ONLY.iter().any(|outer| within(outer)),
            REFUSED
                .iter()
                .any(|line| !matches!(line.when, When::Word(_)) && within(line.path)),
        ];
        let count = lists.iter().filter(|on| **on).count();
        assert_eq!(count, 1, "{leaf} is on {count} of the lists in reach/table.rs");
        assert!(reach(&leaf).is_some());
    }
}

fn check_lines_fit<'a>(lines: impl Iterator<Item = &'a str>, leaves: &[String], whole: bool) {
    let mut seen = BTreeSet::new();
    for line in lines {
        let fits = leaves.iter().any(|leaf| {
            leaf == line || (!whole && leaf.strip_prefix(line).is_some_and(|rest| rest.starts_with(['.', '['])))
        });
        assert!(fits, "{line} in reach/table.rs fits no field");
        assert!(seen.insert(line), "{line} stands twice in reach/table.rs");
    }
}

#[test]
fn every_line_of_the_lists_fits_a_field() {
    let pipeline = spec_leaves("IncidentPipeline");
    let words = |lines: &'static [Refused], wanted: bool| {
        lines
            .iter()
            .filter(move |line| matches!(line.when, When::Word(_)) == wanted)
            .map(|line| line.path)
    };
    check_lines_fit(EFFECT.iter().copied(), &pipeline, true);
    check_lines_fit(KAFKA.iter().copied(), &pipeline, false);
    check_lines_fit(CLUSTER_ONLY.iter().copied(), &pipeline, false);
    check_lines_fit(WITHOUT_EFFECT_YET.iter().copied(), &pipeline, false);
    check_lines_fit(words(REFUSED, false), &pipeline, false);
    check_lines_fit(words(REFUSED_RULES, false), &spec_leaves("IncidentRuleSet"), false);
    for path in words(REFUSED, true) {
        assert!(EFFECT.contains(&path), "{path}");
    }
}

#[test]
fn every_refused_word_is_a_word_of_its_field() {
    let schema = crds::schema_of("IncidentPipeline").unwrap();
    for line in REFUSED {
        let (When::Word(word) | When::OtherThan(word)) = line.when else {
            continue;
        };
        let pointer = line.path.replace("[]", "/items").replace('.', "/properties/");
        let field = schema
            .pointer(&format!("/properties/{pointer}"))
            .unwrap_or_else(|| panic!("{}", line.path));
        if let Some(words) = field["enum"].as_array() {
            assert!(words.contains(&word.into()), "{}: {word}", line.path);
        }
    }
}

fn sample() -> IncidentPipelineSpec {
    document::parse_pipeline(include_str!("../../../samples/noc.yaml"))
        .unwrap()
        .spec
}

#[test]
fn the_sample_says_what_of_it_is_not_built_yet() {
    let problems = refused_problems(&sample());
    let report: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    expect_test::expect![[r#"
        spec.tables: is not built yet
            remove the tables, and have the columns in the events themselves
        spec.stages[known].enrich: is not built yet
            remove the stage, and have the columns in the events themselves
        spec.stages[placed].enrich: is not built yet
            remove the stage, and have the columns in the events themselves
        spec.stages[odd].detect: is not built yet
            remove the stage, or watch the columns with an `alarm`
        spec.stages[breach].match: is not built yet
            remove the stage, or count events with `escalate`
    "#]]
    .assert_eq(&report);
}

#[test]
fn the_sample_says_what_has_an_effect_on_kafka_alone() {
    expect_test::expect![[r#"
        spec.sources[alerts].kafka.topic
        spec.sources[metrics].kafka.topic
        spec.sources[logins].kafka.topic
        spec.sources[events].kafka.topic
        spec.sources[alerts].partitionedBy
        spec.sinks[escalations].kafka.topic
        spec.sinks[results].kafka.topic
        spec.sinks[pager].webhook"#]]
    .assert_eq(&kafka_fields(&sample()).join("\n"));
    assert_eq!(cluster_only_fields(&sample()), [""; 0]);
}

fn with(more: &str) -> IncidentPipelineSpec {
    let text = format!(
        "apiVersion: tocsin.dev/v1alpha1\nkind: IncidentPipeline\nmetadata: {{name: noc}}\nspec:\n  \
         sources: [{{name: a, stdin: {{}}, eventTime: {{field: ts}}}}]\n  {more}\n"
    );
    document::parse_pipeline(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .spec
}

#[test]
fn defaults_written_out_are_neither_refused_nor_named() {
    for more in [
        "kafka: {retention: 7d}",
        "workers: {replicas: 1, logging: {level: Info}}",
        "timeZone: UTC",
        "delivery: ExactlyOnce",
        "stages: [{name: s, from: a, skew: OnePhase, aggregate: {select: {c: count(*)}}}]",
        "stages: [{name: s, from: a, incident: {by: [], openFor: 1m, order: EventTime}}]",
        "stages: [{name: s, from: a, incident: {by: [], openFor: 1m, order: Arrival}}]",
        "stages: [{name: s, from: a, alarm: {by: [], when: a, onNoData: Ok}}]",
        "tables: []",
    ] {
        assert_eq!(refused_problems(&with(more)), [], "{more}");
        assert_eq!(kafka_fields(&with(more)), [""; 0], "{more}");
        assert_eq!(cluster_only_fields(&with(more)), [""; 0], "{more}");
    }
}

#[test]
fn other_values_are_refused_or_named() {
    for (more, path) in [
        ("timeZone: Europe/Vienna", "spec.timeZone"),
        (
            "stages: [{name: s, from: a, alarm: {by: [], when: a, onNoData: Alert}}]",
            "spec.stages[s].alarm.onNoData",
        ),
        (
            "stages: [{name: s, from: a, onError: DeadLetter, filter: a}]",
            "spec.stages[s].onError",
        ),
        ("tables: [{name: t, file: {path: t}, key: [k]}]", "spec.tables"),
    ] {
        let paths: Vec<String> = refused_problems(&with(more))
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(paths, [path], "{more}");
        assert_eq!(
            reach(path) == Some(Reach::Refused),
            !path.ends_with("onNoData") && !path.ends_with("onError"),
            "{path}"
        );
    }
}

#[test]
fn fields_are_named_where_they_have_no_effect() {
    for (more, kafka, cluster) in [
        ("workers: {replicas: 2}", "", "spec.workers"),
        ("suspend: true", "", "spec.suspend"),
        ("delivery: AtLeastOnce", "spec.delivery", ""),
        (
            "partitions: {onGrowth: Stop, max: 24}",
            "spec.partitions.onGrowth",
            "spec.partitions.max",
        ),
        (
            "kafka: {bootstrapServers: 'k:9093', tls: {}, manageTopics: false}",
            "spec.kafka.manageTopics spec.kafka.tls",
            "spec.kafka.bootstrapServers",
        ),
        (
            "state: {checkpoint: {interval: 10s}, savepointNonce: 1}",
            "spec.state.checkpoint",
            "spec.state.savepointNonce",
        ),
    ] {
        assert_eq!(kafka_fields(&with(more)).join(" "), kafka, "{more}");
        assert_eq!(cluster_only_fields(&with(more)).join(" "), cluster, "{more}");
    }
}

#[test]
fn a_path_with_names_reaches_as_far_as_one_without() {
    assert_eq!(
        reach("spec.stages[kpis].aggregate.window.tumbling"),
        Some(Reach::Effect)
    );
    assert_eq!(reach("spec.stages[known].enrich.by"), Some(Reach::Refused));
    assert_eq!(reach("spec.workers.resources.requests"), Some(Reach::ClusterOnly));
    assert_eq!(reach("spec.sources[a].kafka.topic"), Some(Reach::Kafka));
    assert_eq!(reach("spec.kafka.sasl.mechanism"), Some(Reach::Kafka));
    assert_eq!(reach("spec.kafka.pools"), Some(Reach::ClusterOnly));
    assert_eq!(reach("spec.workers2"), None);
    assert_eq!(reach("spec.stages[kpis].windows"), None);
}

#[test]
fn rule_sets_are_refused_likewise() {
    let text = "apiVersion: tocsin.dev/v1alpha1\nkind: IncidentRuleSet\nmetadata: {name: r}\nspec:\n  rollout: Shadow\n  \
                rules: [{id: a, baseline: {value: x, over: 1h, sigmas: 3}}, {id: b, when: x, onNoData: Alert}]\n";
    let spec = document::parse_rule_set(text).unwrap().spec;
    let paths: Vec<String> = refused_rule_problems(&spec)
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    assert_eq!(paths, ["spec.rules[b].onNoData", "spec.rollout"]);
}

#[test]
fn workers_read_all_but_what_only_a_cluster_reads() {
    let mut spec = IncidentPipelineSpec::default();
    spec.workers.replicas = 7;
    spec.suspend = true;
    spec.kafka.partitions = 3;
    spec.state.allow_non_restored_state = true;
    let part = worker_part(&spec);
    let one_more = |spec: &mut IncidentPipelineSpec| spec.workers.replicas += 1;
    one_more(&mut spec);
    assert_eq!(part, worker_part(&spec), "a field of the cluster changed");
    for only_of_the_cluster in ["/workers", "/suspend", "/kafka/partitions"] {
        assert_eq!(part.pointer(only_of_the_cluster), None, "{only_of_the_cluster}");
    }
    assert_eq!(part.pointer("/state/allowNonRestoredState"), Some(&true.into()));
    assert_eq!(
        cluster_only_fields(&serde_json::from_value(part).unwrap()),
        Vec::<String>::new()
    );
}
