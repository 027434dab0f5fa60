#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use expect_test::{Expect, expect};
use proptest::prelude::*;

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
    let pipeline = parse_pipeline(include_str!("../../../samples/noc.yaml"))
        .map_err(|problems| report(&problems))
        .unwrap();
    assert_eq!(pipeline.spec.stages.len(), 12);
    assert_eq!(pipeline.spec.stages[0].enrich.as_ref().unwrap().on, ["service"]);
    assert_eq!(pipeline.spec.kafka, Default::default());
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    check(
        "\
apiVersion: tocsin.dev/v1
kind: IncidentPipelin
metadata: {}
spec:
  sources:
  - name: alerts
    kafka: {topic: incident alerts}
    format: {type: json, strict: yes}
    eventTime: {feild: ts, unit: Millis, maxOutOfOrderness: 5}
  - name: alerts
    stdin: {}
    eventTime: {field: ts}
  stages:
  - name: escalated
    from: {stream: alerts}
    escalate: {by: service, cuont: 3, within: 1 hour}
    emit: Onclose
    onError: ignore
  - from: alerts
    window: {tumbling: 1m}
    filter: 5
  sinks:
  - {name: out, from: escalated, stdout: {}, stdout: {}}
  autoscaling: {mode: Off, utilization: {target: 200}}
  workers: {resources: {requests: {cpu: 0.5}}}
",
        expect![[r#"
            line 1, column 13: apiVersion: expected tocsin.dev/v1alpha1, found the text `tocsin.dev/v1`
                write `apiVersion: tocsin.dev/v1alpha1`
            line 2, column 7: kind: expected IncidentPipeline, found the text `IncidentPipelin`
                did you mean `IncidentPipeline`?
            line 3, column 11: metadata.name: is missing
                it is: Name of the object.
            line 7, column 20: spec.sources[alerts].kafka.topic: expected the name of a topic: letters, digits, `.`, `_` and `-`, found the text `incident alerts`
            line 8, column 20: spec.sources[alerts].format.type: `json` is none of Json, Csv, Avro, InfluxLine, Syslog
                did you mean `Json`?
            line 8, column 34: spec.sources[alerts].format.strict: expected true or false, found `yes`
            line 9, column 17: spec.sources[alerts].eventTime.feild: there is no field `feild` here
                did you mean `field`?
            line 9, column 34: spec.sources[alerts].eventTime.unit: `Millis` is none of Seconds, Milliseconds, Microseconds, Nanoseconds
            line 9, column 61: spec.sources[alerts].eventTime.maxOutOfOrderness: expected a length of time like 90s, 5m or 1h30m, found the number `5`
            line 10, column 5: spec.sources[alerts]: the name `alerts` is given twice; it stands in line 6 already
            line 15, column 11: spec.stages[escalated].from: expected the name of a stream, or a list of names, found a map
            line 16, column 20: spec.stages[escalated].escalate.by: expected a list, found the text `service`
            line 16, column 29: spec.stages[escalated].escalate.cuont: there is no field `cuont` here
                did you mean `count`?
            line 16, column 47: spec.stages[escalated].escalate.within: expected a length of time like 90s, 5m or 1h30m, found the text `1 hour`
            line 17, column 11: spec.stages[escalated].emit: `Onclose` is none of OnClose, OnChange, Final
                did you mean `OnClose`?
            line 18, column 14: spec.stages[escalated].onError: `ignore` is none of Null, DeadLetter
            line 19, column 5: spec.stages[1].name: is missing
                it is: Name of the stream that this stage makes.
            line 20, column 5: spec.stages[1].window: there is no field `window` here
                it belongs into `aggregate`
            line 21, column 13: spec.stages[1].filter: expected text, found the number `5`
                put it in quotes: "5"
            line 23, column 46: spec.sinks[out].stdout: stands here twice; it stands in line 23 already
            line 24, column 23: spec.autoscaling.mode: `Off` without quotes is false to kubectl
                put it in quotes: "Off"
            line 24, column 50: spec.autoscaling.utilization.target: `200` is not between 1 and 100
            line 25, column 41: spec.workers.resources.requests.cpu: an amount with a point is text
                put it in quotes: "0.5"
        "#]],
    );
}

#[test]
fn a_field_in_the_wrong_place_is_told_where_it_belongs() {
    check(
        &spoilt("    from: alerts\n", "    from: alerts\n    severity: MAJOR\n"),
        expect![[r#"
        line 12, column 5: spec.stages[escalated].severity: there is no field `severity` here
            it belongs into `alarm`
    "#]],
    );
    check(
        &spoilt("    from: alerts\n", "    from: alerts\n    kafka: {}\n"),
        expect![[r#"
        line 12, column 5: spec.stages[escalated].kafka: there is no field `kafka` here
            it belongs further out, into `spec`; look at the indentation
    "#]],
    );
}

#[test]
fn yaml_that_is_none_is_shown_with_a_caret() {
    check(
        &spoilt("count: 3,", "count 3,, :"),
        expect![[r#"
        line 12, column 39: this is no YAML: while parsing a node, did not find expected node content
            12 |     escalate: {by: [service], count 3,, : within: 1h}
               |                                       ^
    "#]],
    );
    check(
        &spoilt("[service]", "[service"),
        expect![[r#"
        line 13, column 3: this is no YAML: invalid indentation
            13 |   sinks:
               |   ^
    "#]],
    );
    check(
        &spoilt("stdin: {}", "\tstdin: {}"),
        expect![[r#"
        line 6, column 11: this is no YAML: while scanning a plain scalar, found a tab
            6 |   - name: alerts
              |           ^
    "#]],
    );
    check(
        &spoilt("ts}", "ts\"}"),
        expect![[r#"
        fine
    "#]],
    );
    check(
        &spoilt("name: alerts", "name: !secret alerts"),
        expect![[r#"
        line 6, column 11: tags mean nothing here
            6 |   - name: !secret alerts
              |           ^
    "#]],
    );
    check(
        &spoilt("name: alerts", "? [a, b]\n    : 5\n    name: alerts"),
        expect![[r#"
        line 6, column 7: a key is a word, not a list or a map
            6 |   - ? [a, b]
              |       ^
    "#]],
    );
}

#[test]
fn a_file_that_is_no_document_is_told_so() {
    check(
        "",
        expect![[r#"
        the file is empty
            a document begins with `apiVersion: tocsin.dev/v1alpha1`
    "#]],
    );
    check(
        "# nothing here\n---\n",
        expect![[r#"
        the file is empty
            a document begins with `apiVersion: tocsin.dev/v1alpha1`
    "#]],
    );
    check(
        "just words",
        expect![[r#"
        line 1, column 1: expected a document of kind IncidentPipeline
            it begins with `apiVersion: tocsin.dev/v1alpha1`
    "#]],
    );
    check(
        "- a list",
        expect![[r#"
        line 1, column 1: expected a document of kind IncidentPipeline
            it begins with `apiVersion: tocsin.dev/v1alpha1`
    "#]],
    );
    check(
        "{}",
        expect![[r#"
        line 1, column 1: apiVersion: is missing
            write `apiVersion: tocsin.dev/v1alpha1`
        line 1, column 1: kind: is missing
            write `kind: IncidentPipeline`
        line 1, column 1: metadata: is missing
            it is: Name of the object and the like.
        line 1, column 1: spec: is missing
            it is: What a user wants to have run.
    "#]],
    );
    check(
        &format!("{GOOD}---\n{GOOD}"),
        expect![[r#"
        line 16, column 1: the file has 2 documents; expected one
            put each document into a file of its own, without `---` between
    "#]],
    );
    check(
        &spoilt("IncidentPipeline", "IncidentRuleSet"),
        expect![[r#"
        line 2, column 7: kind: expected IncidentPipeline, found `IncidentRuleSet`
    "#]],
    );
    check(
        &spoilt("IncidentPipeline", "Deployment"),
        expect![[r#"
        line 2, column 7: kind: expected IncidentPipeline, found the text `Deployment`
            the kinds are OpenStackIdentity, IncidentModel, IncidentRuleSet, IncidentPipeline, PipelineSnapshot
    "#]],
    );
}

#[test]
fn words_that_kubectl_reads_otherwise_must_stand_in_quotes() {
    check(
        &spoilt(
            "  sinks:",
            "  - {name: on, from: alerts, aggregate: {by: [n], select: {n: count(*), \"y\": sum(x)}}}\n  sinks:",
        ),
        expect![[r#"
            line 13, column 12: spec.stages[1].name: `on` without quotes is true to kubectl
                put it in quotes: "on"
            line 13, column 47: spec.stages[1].aggregate.by[0]: `n` without quotes is false to kubectl
                put it in quotes: "n"
            line 13, column 60: spec.stages[1].aggregate.select.n: the key `n` without quotes is false to kubectl
                put it in quotes: "n"
        "#]],
    );
    check(
        &spoilt("count: 3", "count: 010"),
        expect![[r#"
        line 12, column 38: spec.stages[escalated].escalate.count: expected a whole number, found `010`
    "#]],
    );
    check(
        &spoilt("count: 3", "count: 1_000"),
        expect![[r#"
        line 12, column 38: spec.stages[escalated].escalate.count: expected a whole number, found `1_000`
    "#]],
    );
    check(
        &spoilt("name: noc", "name: 5"),
        expect![[r#"
        line 3, column 18: metadata.name: expected text, found the number `5`
            put it in quotes: "5"
    "#]],
    );
}

#[test]
fn rules_between_fields_come_with_line_and_column() {
    check(
        &spoilt(
            "    escalate:",
            "    filter: a > 1\n    emit: OnClose\n    ttl: 0s\n    escalate:",
        )
        .replace("name: escalated", "name: alerts"),
        expect![[r#"
            line 10, column 5: spec.stages[alerts]: must have exactly one of filter, enrich, aggregate, escalate, alarm, detect, match, incident and sql
                it has filter and escalate
            line 10, column 11: spec.stages[alerts].name: a stage must not have the name of a source: each stream needs a name of its own
            line 13, column 11: spec.stages[alerts].emit: must not be given here: it is for aggregate and sql stages, others give out results at once
            line 14, column 10: spec.stages[alerts].ttl: must not be given here: it is for aggregates without a window, other state ends by itself
            line 14, column 10: spec.stages[alerts].ttl: must be longer than zero
        "#]],
    );
}

#[test]
fn a_misspelt_kind_of_stage_is_one_problem_and_not_two() {
    check(
        &spoilt("escalate:", "escalat:"),
        expect![[r#"
        line 12, column 5: spec.stages[escalated].escalat: there is no field `escalat` here
            did you mean `escalate`?
    "#]],
    );
    check(
        &spoilt("stdin: {}", "stdinn: {}"),
        expect![[r#"
        line 7, column 5: spec.sources[alerts].stdinn: there is no field `stdinn` here
            did you mean `stdin`?
    "#]],
    );
}

#[test]
fn an_empty_field_is_no_field() {
    check(
        &format!("{GOOD}  workers:\n  tables:\n"),
        expect![[r#"
        fine
    "#]],
    );
    check(
        &spoilt("by: [service]", "by:"),
        expect![[r#"
        line 12, column 15: spec.stages[escalated].escalate.by: is missing
            it is: Fields that make the key.
    "#]],
    );
    check(
        &spoilt("[service]", "[~]"),
        expect![[r#"
            line 12, column 21: spec.stages[escalated].escalate.by[0]: expected text, found nothing
        "#]],
    );
}

#[test]
fn aliases_and_merges_are_written_out() {
    let text = spoilt(
        "eventTime: {field: ts}",
        "eventTime: &time {field: ts, unit: Seconds}\n  - {name: more, stdin: {}, eventTime: {<<: *time, field: at}}",
    );
    let pipeline = parse_pipeline(&text).unwrap();
    let time = &pipeline.spec.sources[1].event_time;
    assert_eq!(
        (time.field.as_str(), time.unit),
        ("at", crate::pipeline::source::TimeUnit::Seconds)
    );
    check(
        &spoilt("field: ts", "field: *nobody"),
        expect![[r#"
        line 8, column 24: this is no YAML: while parsing node, found unknown anchor
            8 |     eventTime: {field: *nobody}
              |                        ^
    "#]],
    );
    check(
        &spoilt("[service]", "&a [*a]"),
        expect![[r#"
        line 12, column 24: the alias stands inside of what it names
            12 |     escalate: {by: &a [*a], count: 3, within: 1h}
               |                        ^
    "#]],
    );
}

#[test]
fn an_alias_bomb_is_refused_before_it_goes_off() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let problems = parse_pipeline(&text).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("200000 values"), "{}", problems[0]);
}

fn nested(levels: usize) -> String {
    (0..levels).map(|level| format!("{}a:\n", " ".repeat(level))).collect()
}

#[test]
fn deep_nesting_and_huge_files_are_refused() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(50_000),
        nested(500),
    ] {
        let problems = parse_pipeline(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{}", report(&problems));
    }
    check(&format!("{GOOD}#{}", " ".repeat(MAX_TEXT)), expect![[r#"
        the file has 1048882 bytes; at most 1048576 are read
    "#]]);
}

#[test]
fn a_file_with_thousands_of_problems_names_the_first_hundred() {
    let many: String = (0..5_000).map(|at| format!("  x{at}: 1\n")).collect();
    let problems = parse_pipeline(&format!("{GOOD}{many}")).unwrap_err();
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].to_string(), "and 4900 more problems");
}

#[test]
fn bytes_that_are_no_text_are_found() {
    let problem = text_of(b"a: b\nc: \xff").unwrap_err();
    expect!["line 2, column 4: the file is no text in UTF-8\n    save it as UTF-8"].assert_eq(&problem.to_string());
    assert_eq!(text_of("a: ü".as_bytes()).unwrap(), "a: ü");
    assert!(parse_pipeline(&format!("\u{feff}{GOOD}")).is_ok());
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

#[test]
fn every_pattern_of_the_schemas_compiles_and_has_words() {
    fn walk(schema: &serde_json::Value, count: &mut std::collections::HashSet<String>) {
        match schema {
            serde_json::Value::Object(fields) => {
                if let Some(pattern) = fields.get("pattern").and_then(serde_json::Value::as_str) {
                    count.insert(pattern.to_owned());
                }
                fields.values().for_each(|value| walk(value, count));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| walk(value, count)),
            _ => {}
        }
    }
    let mut patterns = std::collections::HashSet::new();
    crds::kinds()
        .filter_map(crds::schema_of)
        .for_each(|schema| walk(schema, &mut patterns));
    assert_eq!(check::pattern_count(), patterns.len());
    for pattern in &patterns {
        // The status is not checked here, and the place of a model's file speaks for itself.
        let known = ["^[A-Za-z]+$", "^(s3|https)://[^\\s]+$"].contains(&pattern.as_str());
        assert!(
            known || crate::schema::text::meaning(pattern).is_some(),
            "{pattern} has no words"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\n\u{0}\u{85}é]{0,200}") {
        _ = parse(&text);
    }

    #[test]
    fn no_spoilt_file_makes_the_reader_panic(at in 0..GOOD.len(), junk in "[\\[\\]{}:,&*!|>'\"%@`#\\-\n\t ?<~0-9a-z]{0,6}", cut in 0..6_usize) {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{junk}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn words_mean_what_another_reader_of_yaml_takes_them_for(word in "[-+.0-9a-zA-Z_~]{1,6}") {
        let other: serde_yaml_ng::Value = serde_yaml_ng::from_str(&word).unwrap_or_default();
        let node = tree::read(&word).unwrap_or_default();
        let Some(tree::NodeKind::Scalar { reading, .. }) = node.first().map(|node| &node.kind) else { return Ok(()) };
        match reading {
            scalar::Reading::Null => prop_assert!(other.is_null()),
            scalar::Reading::Bool(truth) => prop_assert_eq!(other.as_bool(), Some(*truth)),
            scalar::Reading::Integer(number) => prop_assert_eq!(other.as_i64().map(i128::from), Some(*number)),
            scalar::Reading::Float(number) => prop_assert_eq!(other.as_f64(), Some(*number)),
            scalar::Reading::Text => prop_assert_eq!(other.as_str(), Some(word.as_str())),
            scalar::Reading::Odd(_) => {}
        }
    }
}
