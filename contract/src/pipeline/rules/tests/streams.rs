//! Rules of sources, tables, stages and sinks.

use super::*;
use crate::rule;

pub(super) fn cases() -> Vec<Case> {
    let filter = || stage("from: alerts, filter: a > 1");
    let tables = |name: &str| pipeline(&format!("tables: [{{name: {name}, file: {{path: t}}, key: [k]}}]"));
    let sink = |body: &str| pipeline(&format!("sinks: [{{name: out, from: alerts, {body}}}]"));
    let webhook = |more: &str| sink(&format!("webhook: {{urlSecretRef: {{name: pager, key: url}}, {more}}}"));
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
            SOURCE[3],
            source("kafka: {topic: t}, format: {type: Avro, registry: {url: \"http://r\"}}"),
            source("stdin: {}, format: {type: Avro, registry: {url: \"http://r\"}}"),
            "spec.sources[it].format",
        ),
        case(
            SOURCE[4],
            source("stdin: {}, format: {type: Syslog}"),
            source("http: {}, format: {type: Syslog}"),
            "spec.sources[it].format",
        ),
        case(
            SOURCE[4],
            source("file: {path: f}, format: {type: InfluxLine}"),
            source("generator: {}, format: {type: InfluxLine}"),
            "spec.sources[it].format",
        ),
        case(
            TABLE[0],
            tables("hosts"),
            tables("hosts").replace("file: {path: t}", "file: {path: t}, kafka: {topic: t}"),
            "spec.tables[hosts]",
        ),
        case(
            FORMAT[0],
            source("kafka: {topic: t}, format: {type: Avro, registry: {url: \"http://r\"}}"),
            source("kafka: {topic: t}, format: {type: Avro}"),
            "spec.sources[it].format.registry",
        ),
        case(
            FORMAT[1],
            source("stdin: {}, format: {type: Syslog, year: 2026}"),
            source("stdin: {}, format: {type: Json, year: 2026}"),
            "spec.sources[it].format.year",
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
            WEBHOOK[0],
            webhook("template: PagerDuty, tokenSecretRef: {name: pager, key: routing-key}"),
            webhook("template: PagerDuty"),
            "spec.sinks[out].webhook",
        ),
        case(
            WEBHOOK[1],
            webhook("template: Slack"),
            webhook("template: Slack, tokenSecretRef: {name: pager, key: token}"),
            "spec.sinks[out].webhook",
        ),
        case(
            rule::POSITIVE[0],
            webhook("timeout: 500ms, retryFor: 1h"),
            webhook("retryFor: 0s"),
            "spec.sinks[out].webhook.retryFor",
        ),
        case(
            rule::POSITIVE[0],
            aggregate(&format!("{select}, window: {{tumbling: 10ms}}")),
            aggregate(&format!("{select}, window: {{tumbling: 0m0s}}")),
            "spec.stages[it].aggregate.window.tumbling",
        ),
    ]
}

#[test]
fn rules_of_streams_are_the_same_in_cel_and_in_rust() {
    check(cases());
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

#[test]
fn headers_are_checked_without_cel() {
    let with = |headers: &str| {
        pipeline(&format!(
            "sinks: [{{name: out, from: alerts, webhook: {{urlSecretRef: {{name: a, key: b}}, headers: {headers}}}}}]"
        ))
    };
    for (headers, path, message) in [
        ("{'a b': c}", "[a b]", "must be a header's name"),
        ("{hOst: kubernetes.default.svc}", "[hOst]", "must not be given here"),
        (
            "{Proxy-Authorization: a}",
            "[Proxy-Authorization]",
            "must not be given here",
        ),
        ("{authorization: a}", "[authorization]", "must not be given here"),
    ] {
        let problems = by_rust(&with(headers));
        assert_eq!(problems.len(), 1, "{headers}: {problems:?}");
        let (at, said) = &problems[0];
        assert!(
            *at == format!("spec.sinks[out].webhook.headers{path}") && said.contains(message),
            "{headers}: {at}: {said}"
        );
    }
    assert_eq!(by_rust(&with("{X-Host: a, X-Proxy: '', X-Team: noc (night)}")), []);
    assert_eq!(by_rust(&with("{X-Team: \"a\\r\\nHost: b\"}")).len(), 1);
}
