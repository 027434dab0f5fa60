#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use expect_test::{Expect, expect};

mod agreement;
mod limits;
mod reports;

use super::*;

/// A valid file to spoil.
const GOOD: &str = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: noc}
spec:
  sources:
  - name: alerts
    stdin: {}
    eventTime: {field: ts}
  stages:
  - name: escalated
    from: alerts
    escalate: {by: [service], count: 3, within: 1h}
  sinks:
  - {name: out, from: escalated, stdout: {}}
";

fn report(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn check(text: &str, expected: Expect) {
    let report = parse_pipeline(text).map_or_else(|problems| report(&problems), |_| "fine\n".to_owned());
    expected.assert_eq(&report);
}

/// `GOOD` with one text in place of another.
fn spoilt(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

#[test]
fn a_good_file_is_read() {
    let pipeline = parse_pipeline(GOOD).unwrap();
    assert_eq!(pipeline.metadata.name.as_deref(), Some("noc"));
    assert_eq!(pipeline.spec.stages[0].escalate.as_ref().unwrap().count, 3);
    assert_eq!(pipeline.spec.stages[0].from.0, ["alerts"]);
}

#[test]
fn the_sample_is_read() {
    let pipeline = parse_pipeline(include_str!("../../../../samples/noc.yaml"))
        .map_err(|problems| report(&problems))
        .unwrap();
    assert_eq!(pipeline.spec.stages.len(), 12);
    assert_eq!(pipeline.spec.stages[0].enrich.as_ref().unwrap().on, ["service"]);
    assert_eq!(pipeline.spec.kafka, Default::default());
}

#[test]
fn every_kind_is_read() {
    let rules = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentRuleSet
metadata: {name: core-rules}
spec:
  rules:
  - {id: hot, when: cpu > 80, for: 5m, severity: MAJOR}
  - {id: slow, baseline: {value: latency_ms, over: 24h, sigmas: 3}}
  kpis:
  - {name: alerts, select: count(*)}
";
    let set = parse_rule_set(rules).map_err(|problems| report(&problems)).unwrap();
    assert_eq!(set.spec.rules[0].rule.when.as_deref(), Some("cpu > 80"));
    let broken = parse_rule_set(
        &rules
            .replace("when: cpu > 80", "wen: cpu > 80")
            .replace("sigmas: 3", "sigmas: -3"),
    );
    expect![[r#"
        line 6, column 15: spec.rules[hot].wen: there is no field `wen` here
            did you mean `when`?
        line 7, column 65: spec.rules[slow].baseline.sigmas: -3 is not between 0.1 and 100
    "#]]
    .assert_eq(&report(&broken.unwrap_err()));

    let head = |kind: &str, spec: &str| {
        format!("apiVersion: tocsin.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: it}}\nspec: {spec}\n")
    };
    let model = head(
        "IncidentModel",
        "{isolationForest: {}, features: [cpu], threshold: 0.6}",
    );
    assert!(matches!(parse(&model), Ok(Document::Model(_))));
    let snapshot = head("PipelineSnapshot", "{pipelineRef: {name: noc}}");
    assert!(matches!(parse(&snapshot), Ok(Document::Snapshot(_))));
    let identity = head(
        "OpenStackIdentity",
        "{secretRef: {namespace: ops, name: cloud}, namespaceSelector: {}}",
    );
    assert!(matches!(parse(&identity), Ok(Document::Identity(_))));
    assert!(matches!(parse(rules), Ok(Document::RuleSet(_))));
    assert!(matches!(parse(GOOD), Ok(Document::Pipeline(_))));
    expect![[r#"
        line 1, column 1: apiVersion: is missing
            write `apiVersion: tocsin.dev/v1alpha1`
        line 1, column 1: metadata: is missing
            it is: Name of the object and the like.
        line 1, column 1: spec: is missing
            it is: A model; exactly one kind.
    "#]]
    .assert_eq(&report(&parse("kind: IncidentModel").unwrap_err()));
}

#[test]
fn problems_that_others_find_get_their_place_in_the_file() {
    let parsed = read::<IncidentPipeline>(GOOD).unwrap();
    for (path, expected) in [
        ("spec.stages[escalated].escalate.count", Some((12, 38))),
        ("spec.stages[escalated].alarm.when", Some((10, 5))),
        ("spec.sources[alerts].eventTime.unit", Some((8, 5))),
        ("nowhere", None),
    ] {
        let place = parsed.places.find(path).map(|place| (place.line, place.column));
        assert_eq!(place, expected, "{path}");
    }
}
