//! What a report looks like, word for word.

use expect_test::expect;

use super::*;

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
                the `[` of line 12, column 20 is still open there
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
fn rules_are_checked_beside_faults_of_single_fields() {
    check(
        &spoilt("by: [service], count: 3,", "count: three,").replace("stdout: {}", "stdout: {}, file: {path: out}"),
        expect![[r#"
            line 12, column 15: spec.stages[escalated].escalate.by: is missing
                it is: Fields that make the key.
            line 12, column 23: spec.stages[escalated].escalate.count: expected a whole number, found the text `three`
            line 14, column 5: spec.sinks[out]: must have exactly one of kafka, file, stdout and webhook
                it has file and stdout
        "#]],
    );
    check(
        &spoilt("  - name: escalated\n    from", "  - filter: a > 1\n    from"),
        expect![[r#"
            line 10, column 5: spec.stages[0].name: is missing
                it is: Name of the stream that this stage makes.
            line 10, column 5: spec.stages[0]: must have exactly one of filter, enrich, aggregate, escalate, alarm, detect, match, incident and sql
                it has filter and escalate
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
fn a_doubled_name_hides_nothing_else() {
    let text = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: noc}
spec:
  sources:
  - {name: alerts, kafka: {topic: alerts}, eventTime: {field: ts}}
  stages:
  - {name: counts, from: alerts, aggregate: {by: [service, service], window: {tumbling: 1m}, select: {total: count(*)}}}
  - {name: counts, from: alerts, filter: a > 1}
";
    let found = super::read_and::<IncidentPipeline, ()>(text, |_, _| {
        Err(vec![Problem::new("spec.stages[counts].from", "somebody else's")])
    });
    let found = found
        .map(drop)
        .unwrap_err()
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect::<String>();
    expect![[r#"
        line 8, column 26: spec.stages[counts].from: somebody else's
        line 8, column 60: spec.stages[counts].aggregate.by[1]: `service` is given twice; it stands in line 8 already
        line 9, column 5: spec.stages[counts]: the name `counts` is given twice; it stands in line 8 already
    "#]]
    .assert_eq(&found);
}
