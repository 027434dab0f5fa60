//! Rules and KPIs of an IncidentRuleSet, given with `--rules`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Folder, text};

const PIPELINE: &str = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: hosts}
spec:
  sources:
  - {name: metrics, kafka: {topic: metrics}, eventTime: {field: ts, unit: Seconds}}
  stages:
  - {name: rules, from: metrics, alarm: {by: [service], rulesRef: {name: core}}}
  - {name: kpis, from: metrics, aggregate: {by: [service], window: {tumbling: 1m}, kpisRef: {name: core}}}
  sinks:
  - {name: alarms, from: rules, kafka: {topic: alarms}}
  - {name: kpis, from: kpis, kafka: {topic: kpis}}
";

const RULES: &str = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentRuleSet
metadata: {name: core}
spec:
  rules:
  - {id: hot, when: cpu > 80, severity: MAJOR, summary: '{service} at {cpu}%'}
  - {id: full, by: [service, disk], when: used > 0.9, severity: MINOR}
  - {id: resting, when: cpu > 0, disabled: true}
  kpis:
  - {name: mean-cpu, select: avg(cpu)}
  - {name: samples, select: count(*)}
";

fn folder(rules: &str) -> Folder {
    let folder = Folder::new();
    folder.write("p.yaml", PIPELINE);
    folder.write("core.yaml", rules);
    let metrics = [
        r#"{"ts":0,"service":"api","cpu":70,"disk":"sda","used":0.95}"#,
        r#"{"ts":10,"service":"api","cpu":90,"disk":"sdb","used":0.2}"#,
    ];
    folder.write("m.jsonl", metrics.join("\n"));
    folder
}

const RUN: [&str; 5] = ["run", "p.yaml", "--no-page", "--input", "metrics=m.jsonl"];

#[test]
fn rules_fire_under_their_own_id_and_key_and_kpis_are_columns() {
    let folder = folder(RULES);
    let output = folder.output(&[&RUN[..], &["--rules", "core=core.yaml"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    let rows: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let alarms: Vec<[&str; 4]> = rows
        .iter()
        .filter(|row| row["_sink"] == "alarms")
        .map(|row| ["rule", "severity", "summary", "status"].map(|name| row[name].as_str().unwrap()))
        .collect();
    assert_eq!(
        alarms,
        [
            ["full", "MINOR", "used > 0.9", "firing"],
            ["hot", "MAJOR", "api at 90%", "firing"]
        ]
    );
    let kpis: Vec<&serde_json::Value> = rows.iter().filter(|row| row["_sink"] == "kpis").collect();
    assert_eq!(
        (kpis.len(), &kpis[0]["mean-cpu"], &kpis[0]["samples"]),
        (1, &80.0.into(), &2.into())
    );
}

fn check_refused(rules: &str, args: &[&str], expected: &[&str]) {
    let output = folder(rules).output(&[&RUN[..], args].concat());
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for part in expected {
        assert!(said.contains(part), "expected `{part}` in:\n{said}");
    }
}

#[test]
fn what_stands_for_a_rule_set_is_asked_for() {
    let expected = [
        "spec.stages[rules].alarm.rulesRef",
        "spec.stages[kpis].aggregate.kpisRef",
        "--rules core=FILE",
    ];
    check_refused(RULES, &[], &expected);
    check_refused(RULES, &["--rules", "cor=core.yaml"], &["--rules cor", "core"]);
}

#[test]
fn mistakes_in_a_rule_set_are_shown_where_they_are() {
    let args = ["--rules", "core=core.yaml"];
    check_refused(
        &RULES.replace("cpu > 80", "cpu > > 80"),
        &args,
        &["IncidentRuleSet core: spec.rules[hot].when", "^"],
    );
    check_refused(
        &RULES.replace("avg(cpu)", "avrg(cpu)"),
        &args,
        &["IncidentRuleSet core: spec.kpis[mean-cpu].select", "avg"],
    );
    check_refused(
        &RULES.replace("by: [service, disk]", "by: [disk]"),
        &args,
        &["spec.rules[full].by", "service"],
    );
    check_refused(
        &RULES.replace("spec:", "spec:\n  rollout: Shadow"),
        &args,
        &["core.yaml", "spec.rollout", "line 5"],
    );
    check_refused(
        &RULES.replace("severity", "severty"),
        &args,
        &["core.yaml", "severty", "severity"],
    );
}
