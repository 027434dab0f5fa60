//! Whole pipelines, small: what goes in and what comes out.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use expect_test::{Expect, expect};
use support::{Cuts, Decoding, plan, problems, run};

/// Runs stages over `alerts`, with one sink `out` that takes `from` out.
fn check(stages: &str, from: &str, records: &[&str], expected: Expect) {
    let spec = format!(
        "{{sources: [{{name: alerts, kafka: {{topic: alerts}}, eventTime: {{field: ts, unit: Seconds, \
         maxOutOfOrderness: 5s, allowedLateness: 1m}}}}], stages: [{stages}], sinks: [{{name: out, from: {from}, stdout: {{}}}}]}}"
    );
    let plan = plan(&spec);
    let records: Vec<String> = records
        .iter()
        .map(|record| format!("{{{record}}}").replace('\'', "\""))
        .collect();
    let results = run(&plan, &[("alerts", &records)], &Cuts::default());
    assert_eq!(results.dead, vec![]);
    let decoding = Decoding::Reference;
    let by_reference = run(
        &plan,
        &[("alerts", &records)],
        &Cuts {
            decoding,
            ..Cuts::default()
        },
    );
    assert_eq!(by_reference, results);
    expected.assert_eq(
        &results
            .sinks
            .get("out")
            .map(|lines| lines.join("\n"))
            .unwrap_or_default(),
    );
}

#[test]
fn a_filter_passes_records_on_as_they_were() {
    check(
        "{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}",
        "critical",
        &[
            "'ts':1,'severity':'CRITICAL','n':12345678901234567890123",
            "'ts':2,'severity':'MINOR'",
            "'ts':3",
        ],
        expect![[r#"{"ts":1,"severity":"CRITICAL","n":12345678901234567890123}"#]],
    );
}

#[test]
fn a_tumbling_window_gives_out_at_its_close_and_again_when_late_events_change_it() {
    check(
        "{name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 1m}, select: {'n': count(*), \
         mean: avg(ms)}}}",
        "kpis",
        &[
            "'ts':0,'service':'a','ms':10",
            "'ts':30,'service':'b','ms':1",
            "'ts':59,'service':'a','ms':20",
            "'ts':66,'service':'a','ms':5",
            "'ts':50,'service':'a','ms':60",
            "'ts':70,'service':'c','ms':null",
            "'ts':200,'service':'a'",
            "'ts':3,'service':'a'",
        ],
        expect![[r#"
            {"service":"a","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:01:00Z","mean":15.0,"n":2,"_rev":0,"_final":false}
            {"service":"b","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:01:00Z","mean":1.0,"n":1,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:01:00Z","mean":30.0,"n":3,"_rev":1,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:01:00Z","window_end":"1970-01-01T00:02:00Z","mean":5.0,"n":1,"_rev":0,"_final":false}
            {"service":"c","window_start":"1970-01-01T00:01:00Z","window_end":"1970-01-01T00:02:00Z","mean":null,"n":1,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:03:00Z","window_end":"1970-01-01T00:04:00Z","mean":null,"n":1,"_rev":0,"_final":false}"#]],
    );
}

#[test]
fn a_row_that_is_too_late_goes_to_the_late_stream() {
    check(
        "{name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 1m}, select: {'n': count(*)}}}",
        "kpis.late",
        &[
            "'ts':0,'service':'a'",
            "'ts':200,'service':'a'",
            "'ts':201,'service':'a'",
            "'ts':7,'service':'b','x':[1]",
        ],
        expect![[r#"{"ts":7,"service":"b","x":[1]}"#]],
    );
}

#[test]
fn the_third_alert_escalates_and_the_count_begins_anew() {
    check(
        "{name: escalated, from: alerts, escalate: {by: [service], count: 3, within: 1h}}",
        "escalated",
        &[
            "'ts':0,'service':'a','severity':'CRITICAL'",
            "'ts':10,'service':'b','severity':'CRITICAL'",
            "'ts':20,'service':'a','severity':'CRITICAL'",
            "'ts':30,'service':'a','severity':'CRITICAL','id':7",
            "'ts':40,'service':'a','severity':'CRITICAL'",
            "'ts':50,'service':'a','severity':'CRITICAL'",
        ],
        expect![[
            r#"{"ts":30,"service":"a","severity":"ESCALATED","id":7,"escalation_count":3,"escalation_since":"1970-01-01T00:00:00Z"}"#
        ]],
    );
}

#[test]
fn an_alarm_fires_after_its_time_and_clears_with_hysteresis() {
    check(
        "{name: hot, from: alerts, alarm: {by: [host], when: 'cpu > 80', for: 2m, clear: 'cpu < 70', severity: MAJOR, summary: '{host} at {cpu}%'}}",
        "hot",
        &[
            "'ts':0,'host':'h1','cpu':90",
            "'ts':60,'host':'h1','cpu':91",
            "'ts':120,'host':'h1','cpu':92.5",
            "'ts':180,'host':'h1','cpu':75",
            "'ts':240,'host':'h1','cpu':69",
            "'ts':300,'host':'h1','cpu':69",
        ],
        expect![[r#"
            {"host":"h1","alarm":"alm-e1e441d9cfc22e5d","rule":"hot","status":"firing","severity":"MAJOR","since":"1970-01-01T00:00:00Z","event_time":"1970-01-01T00:02:00Z","summary":"h1 at 91%","values":{"cpu":91.0}}
            {"host":"h1","alarm":"alm-e1e441d9cfc22e5d","rule":"hot","status":"resolved","severity":"MAJOR","since":"1970-01-01T00:00:00Z","event_time":"1970-01-01T00:04:00Z","summary":"h1 at 69%","values":{"cpu":69.0}}"#]],
    );
}

#[test]
fn an_alarm_fires_far_above_what_is_usual_for_its_key() {
    // Panes of a second; 2 on average with a sigma of 1.15 for `a`, and far more for `b`, for which 50 is nothing.
    check(
        "{name: odd, from: alerts, alarm: {by: [service], baseline: {value: ms, over: 96s, sigmas: 3, minSamples: 4}}}",
        "odd",
        &[
            "'ts':0,'service':'a','ms':1",
            "'ts':1,'service':'a','ms':3",
            "'ts':2,'service':'a','ms':1",
            "'ts':2,'service':'b','ms':30",
            "'ts':3,'service':'a','ms':3",
            "'ts':3,'service':'b','ms':40",
            "'ts':4,'service':'b','ms':50",
            "'ts':5,'service':'b','ms':60",
            "'ts':6,'service':'a','ms':90",
            "'ts':7,'service':'a','ms':3",
            "'ts':20,'service':'b','ms':50",
            "'ts':20,'service':'a','ms':50",
            "'ts':21,'service':'a','ms':50",
            "'ts':22,'service':'a','ms':2",
            "'ts':40,'service':'a','ms':2",
        ],
        expect![[r#"
            {"service":"a","alarm":"alm-5ce431dee9f0164f","rule":"odd","status":"firing","severity":"WARNING","since":"1970-01-01T00:00:06Z","event_time":"1970-01-01T00:00:06Z","summary":"ms more than 3 sigma above its average of 1m36s","values":{"ms":90.0,"baseline_average":2.0,"baseline_sigma":1.1547005383792515}}
            {"service":"a","alarm":"alm-5ce431dee9f0164f","rule":"odd","status":"resolved","severity":"WARNING","since":"1970-01-01T00:00:06Z","event_time":"1970-01-01T00:00:07Z","summary":"ms more than 3 sigma above its average of 1m36s","values":{"ms":3.0,"baseline_average":2.0,"baseline_sigma":1.1547005383792515}}
            {"service":"a","alarm":"alm-1255ad31c46c79c9","rule":"odd","status":"firing","severity":"WARNING","since":"1970-01-01T00:00:20Z","event_time":"1970-01-01T00:00:20Z","summary":"ms more than 3 sigma above its average of 1m36s","values":{"ms":50.0,"baseline_average":2.2,"baseline_sigma":1.0954451150103321}}
            {"service":"a","alarm":"alm-1255ad31c46c79c9","rule":"odd","status":"resolved","severity":"WARNING","since":"1970-01-01T00:00:20Z","event_time":"1970-01-01T00:00:22Z","summary":"ms more than 3 sigma above its average of 1m36s","values":{"ms":2.0,"baseline_average":2.2,"baseline_sigma":1.0954451150103321}}"#]],
    );
}

#[test]
fn an_incident_opens_groups_rises_and_resolves_under_one_id() {
    check(
        "{name: slow, from: alerts, alarm: {by: [service], when: 'ms > 100', severity: MINOR}}, \
         {name: escalated, from: alerts, escalate: {by: [service], count: 2, within: 1h}}, \
         {name: incidents, from: [slow, escalated], incident: {by: [service], openFor: 5m}}",
        "incidents",
        &[
            "'ts':0,'service':'a','ms':500,'message':'slow'",
            "'ts':20,'service':'a','ms':600,'message':'slower'",
            "'ts':40,'service':'a','ms':10,'message':'fine'",
            "'ts':400,'service':'z','ms':1,'message':'fine'",
            "'ts':500,'service':'z','ms':999,'message':'bad'",
        ],
        expect![[r#"
            {"incident":"inc-e3ae3c4408267eba","service":"a","status":"opened","severity":"MINOR","opened_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:00Z","resolved_at":null,"summary":"ms > 100","causes":[{"stage":"slow","severity":"MINOR","summary":"ms > 100","first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z","count":1}],"events":1,"transition":0}
            {"incident":"inc-e3ae3c4408267eba","service":"a","status":"updated","severity":"ESCALATED","opened_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:20Z","resolved_at":null,"summary":"ms > 100; slower","causes":[{"stage":"escalated","severity":"ESCALATED","summary":"slower","first_seen":"1970-01-01T00:00:20Z","last_seen":"1970-01-01T00:00:20Z","count":1},{"stage":"slow","severity":"MINOR","summary":"ms > 100","first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z","count":1}],"events":2,"transition":1}
            {"incident":"inc-e3ae3c4408267eba","service":"a","status":"updated","severity":"ESCALATED","opened_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:40Z","resolved_at":null,"summary":"ms > 100; slower","causes":[{"stage":"escalated","severity":"ESCALATED","summary":"slower","first_seen":"1970-01-01T00:00:20Z","last_seen":"1970-01-01T00:00:20Z","count":1},{"stage":"slow","severity":"MINOR","summary":"ms > 100","first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z","count":1}],"events":2,"transition":2}
            {"incident":"inc-e3ae3c4408267eba","service":"a","status":"resolved","severity":"ESCALATED","opened_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:05:40Z","resolved_at":"1970-01-01T00:05:40Z","summary":"ms > 100; slower","causes":[{"stage":"escalated","severity":"ESCALATED","summary":"slower","first_seen":"1970-01-01T00:00:20Z","last_seen":"1970-01-01T00:00:20Z","count":1},{"stage":"slow","severity":"MINOR","summary":"ms > 100","first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z","count":1}],"events":2,"transition":3}
            {"incident":"inc-5936f00aa1fb3784","service":"z","status":"opened","severity":"MINOR","opened_at":"1970-01-01T00:08:20Z","updated_at":"1970-01-01T00:08:20Z","resolved_at":null,"summary":"ms > 100","causes":[{"stage":"slow","severity":"MINOR","summary":"ms > 100","first_seen":"1970-01-01T00:08:20Z","last_seen":"1970-01-01T00:08:20Z","count":1}],"events":1,"transition":0}
            {"incident":"inc-5936f00aa1fb3784","service":"z","status":"updated","severity":"ESCALATED","opened_at":"1970-01-01T00:08:20Z","updated_at":"1970-01-01T00:08:20Z","resolved_at":null,"summary":"bad; ms > 100","causes":[{"stage":"escalated","severity":"ESCALATED","summary":"bad","first_seen":"1970-01-01T00:08:20Z","last_seen":"1970-01-01T00:08:20Z","count":1},{"stage":"slow","severity":"MINOR","summary":"ms > 100","first_seen":"1970-01-01T00:08:20Z","last_seen":"1970-01-01T00:08:20Z","count":1}],"events":2,"transition":1}"#]],
    );
}

#[test]
fn the_source_documents_query_runs() {
    check(
        "{name: colours, sql: \"SELECT color, COUNT(*) AS n FROM alerts WHERE color <> 'orange' GROUP BY color\"}",
        "colours",
        &[
            "'ts':0,'color':'red'",
            "'ts':0.5,'color':'orange'",
            "'ts':0.7,'color':'red'",
            "'ts':20,'color':'blue'",
        ],
        expect![[r#"
            {"color":"red","n":2,"_rev":0,"_deleted":false}
            {"color":"blue","n":1,"_rev":0,"_deleted":false}"#]],
    );
}

#[test]
fn sql_has_windows_expressions_and_having() {
    check(
        "{name: q, sql: \"SELECT upper(service) AS name, window_start, sum(ms) / count(*) AS mean FROM alerts \
         GROUP BY service, TUMBLE(event_time, INTERVAL '1' MINUTE) HAVING count(*) > 1\"}",
        "q",
        &[
            "'ts':0,'service':'a','ms':1",
            "'ts':1,'service':'a','ms':2",
            "'ts':2,'service':'b','ms':3",
        ],
        expect![[
            r#"{"name":"A","window_start":"1970-01-01T00:00:00Z","mean":1.5,"service":"a","_rev":0,"_final":false}"#
        ]],
    );
}

#[test]
fn sliding_windows_give_out_each_slide_or_only_changes() {
    let records = [
        "'ts':0,'service':'a','ms':1",
        "'ts':1,'service':'b','ms':5",
        "'ts':12,'service':'a','ms':7",
        "'ts':40,'service':'a','ms':3",
    ];
    check(
        "{name: q, from: alerts, aggregate: {by: [service], window: {sliding: {size: 20s, every: 10s}}, select: {'n': count(*), top: max(ms + 0)}}}",
        "q",
        &records,
        expect![[r#"
            {"service":"a","window_start":"1969-12-31T23:59:50Z","window_end":"1970-01-01T00:00:10Z","n":1,"top":1.0,"_rev":0,"_final":false}
            {"service":"b","window_start":"1969-12-31T23:59:50Z","window_end":"1970-01-01T00:00:10Z","n":1,"top":5.0,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:00:20Z","n":2,"top":7.0,"_rev":0,"_final":false}
            {"service":"b","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:00:20Z","n":1,"top":5.0,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:10Z","window_end":"1970-01-01T00:00:30Z","n":1,"top":7.0,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:30Z","window_end":"1970-01-01T00:00:50Z","n":1,"top":3.0,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:40Z","window_end":"1970-01-01T00:01:00Z","n":1,"top":3.0,"_rev":0,"_final":false}"#]],
    );
    check(
        "{name: q, from: alerts, emit: OnChange, aggregate: {by: [service], window: {sliding: {size: 20s, every: 10s}}, select: {'n': count(*)}}}",
        "q",
        &records,
        expect![[r#"
            {"service":"a","window_start":"1969-12-31T23:59:50Z","window_end":"1970-01-01T00:00:10Z","n":1,"_rev":0,"_final":false}
            {"service":"b","window_start":"1969-12-31T23:59:50Z","window_end":"1970-01-01T00:00:10Z","n":1,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:00:20Z","n":2,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:10Z","window_end":"1970-01-01T00:00:30Z","n":1,"_rev":0,"_final":false}
            {"service":"b","window_start":"1970-01-01T00:00:10Z","window_end":"1970-01-01T00:00:30Z","n":0,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:20Z","window_end":"1970-01-01T00:00:40Z","n":0,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:30Z","window_end":"1970-01-01T00:00:50Z","n":1,"_rev":0,"_final":false}
            {"service":"a","window_start":"1970-01-01T00:00:50Z","window_end":"1970-01-01T00:01:10Z","n":0,"_rev":0,"_final":false}"#]],
    );
}

#[test]
fn sessions_end_with_a_gap() {
    check(
        "{name: q, from: alerts, aggregate: {by: [service], window: {session: {gap: 10s}}, select: {'n': count(*), total: sum(ms)}}}",
        "q",
        &[
            "'ts':0,'service':'a','ms':1",
            "'ts':8,'service':'a','ms':2",
            "'ts':4,'service':'b','ms':2",
            "'ts':30,'service':'a','ms':4",
        ],
        expect![[r#"
            {"service":"b","window_start":"1970-01-01T00:00:04Z","window_end":"1970-01-01T00:00:14Z","n":1,"total":2.0,"_rev":0,"_final":true}
            {"service":"a","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:00:18Z","n":2,"total":3.0,"_rev":0,"_final":true}
            {"service":"a","window_start":"1970-01-01T00:00:30Z","window_end":"1970-01-01T00:00:40Z","n":1,"total":4.0,"_rev":0,"_final":true}"#]],
    );
}

#[test]
fn updates_of_running_totals_are_samples_of_an_alarm() {
    check(
        "{name: totals, from: alerts, ttl: 1h, aggregate: {by: [service], select: {total: sum(ms)}}}, \
         {name: much, from: totals, alarm: {by: [service], when: total > 5}}",
        "much",
        &[
            "'ts':0,'service':'a','ms':2",
            "'ts':10,'service':'a','ms':2",
            "'ts':20,'service':'a','ms':2",
        ],
        expect![[
            r#"{"service":"a","alarm":"alm-59c8a77c23d0e1f9","rule":"much","status":"firing","severity":"WARNING","since":"1970-01-01T00:00:05.999999Z","event_time":"1970-01-01T00:00:05.999999Z","summary":"total > 5","values":{"total":6.0}}"#
        ]],
    );
}

#[test]
fn an_object_is_no_key() {
    check(
        "{name: q, from: alerts, aggregate: {by: [host], window: {tumbling: 1m}, select: {total: count(*)}}}",
        "q",
        &[
            "'ts':0,'host':{'name':'h1'}",
            "'ts':1,'host':7",
            "'ts':2,'host':true",
            "'ts':3,'host':['h1']",
        ],
        expect![[r#"
            {"host":null,"window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:01:00Z","total":2,"_rev":0,"_final":false}
            {"host":"7","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:01:00Z","total":1,"_rev":0,"_final":false}
            {"host":"true","window_start":"1970-01-01T00:00:00Z","window_end":"1970-01-01T00:01:00Z","total":1,"_rev":0,"_final":false}"#]],
    );
}

#[test]
fn quantiles_can_be_written_as_the_standard_has_them() {
    check(
        "{name: q, sql: \"SELECT service, approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS mid \
         FROM alerts GROUP BY service, TUMBLE(INTERVAL '1' MINUTE)\"}",
        "q",
        &[
            "'ts':0,'service':'a','ms':10",
            "'ts':1,'service':'a','ms':20",
            "'ts':2,'service':'a','ms':90",
        ],
        expect![[r#"{"service":"a","mid":20.0,"window_start":"1970-01-01T00:00:00Z","_rev":0,"_final":false}"#]],
    );
}

/// Stages that do not compile, and what is said.
fn check_refused(stages: &str, expected: &[&str]) {
    let spec = format!(
        "{{sources: [{{name: alerts, kafka: {{topic: alerts}}, eventTime: {{field: ts, unit: Seconds}}}}], \
         stages: [{stages}], sinks: []}}"
    );
    let said = problems(&spec);
    for part in expected {
        assert!(said.contains(part), "expected `{part}` in:\n{said}");
    }
}

#[test]
fn a_column_is_there_once() {
    let windowed = |select: &str| {
        format!(
            "{{name: q, from: alerts, aggregate: {{by: [service], window: {{tumbling: 1m}}, select: {{{select}}}}}}}"
        )
    };
    check_refused(&windowed("service: count(*)"), &["stages[q]", "two columns `service`"]);
    check_refused(&windowed("window_start: count(*)"), &["two columns `window_start`"]);
    check_refused(&windowed("_rev: count(*)"), &["two columns `_rev`"]);
    check_refused(
        "{name: q, sql: \"SELECT service, cpu + 1 AS service FROM alerts\"}",
        &["stages[q].sql", "two columns `service`"],
    );
}

#[test]
fn what_does_not_fit_is_said_in_words_of_the_file() {
    let filter = |condition: &str| format!("{{name: q, from: alerts, filter: \"{condition}\"}}");
    check_refused(&filter("host.name = 'h1'"), &["path: host.name", "^"]);
    check_refused(&filter("ts > 500"), &["Timestamp > Int64", "to_timestamp"]);
    check_refused(&filter("(severity = 'MAJOR') + 1 > 0"), &["Boolean + Int64"]);
}
