//! Bodies of requests, whole.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};

use super::*;
use crate::delivery::identity::{Place, identity};
use crate::delivery::shape::RowKind;

const OPENED: &str = r#"{"incident":"inc-5374e3b1b1a2b17b","service":"checkout & cart","status":"opened","severity":"CRITICAL","opened_at":"2026-03-01T12:00:00Z","updated_at":"2026-03-01T12:00:00Z","resolved_at":null,"summary":"cpu > 80 <!channel>","causes":[{"stage":"hot_cpu","count":1}],"events":1,"transition":0}"#;

const RESOLVED: &str = r#"{"incident":"inc-5374e3b1b1a2b17b","service":"checkout","status":"resolved","severity":"MINOR","opened_at":"2026-03-01T12:00:00Z","updated_at":"2026-03-01T12:30:00Z","resolved_at":"2026-03-01T12:30:00Z","summary":"cpu","causes":[],"events":7,"transition":3}"#;

const KPI: &str =
    r#"{"window_start":"2026-03-01T12:00:00Z","service":"api","alerts":12,"p95_ms":null,"_rev":0,"_final":true}"#;

fn check(template: WebhookTemplate, kind: RowKind, text: &str, expected: Expect) {
    let stream = match kind {
        RowKind::Incident => "incidents",
        RowKind::Alarm => "hot_cpu",
        RowKind::Other => "kpis",
    };
    let shape = Shape {
        pipeline: "noc".to_owned(),
        stream: stream.to_owned(),
        kind,
        key: vec!["service".to_owned()],
    };
    let row: Map<String, Value> = serde_json::from_str(text).unwrap();
    let place = Place {
        topic: "noc.pager.buffer".to_owned(),
        partition: 0,
        offset: 7,
        written_at: 1_700_000_000_000,
    };
    let identity = identity(kind, &row, Some(b"api"), &place);
    let letter = Letter {
        shape: &shape,
        row: &row,
        text: text.as_bytes(),
        identity: &identity,
    };
    let body: Value = serde_json::from_slice(&super::body(template, &letter, "the-routing-key")).unwrap();
    expected.assert_eq(&serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn json_is_the_row_as_it_was_written() {
    let shape = Shape {
        pipeline: "noc".to_owned(),
        stream: "s".to_owned(),
        kind: RowKind::Other,
        key: Vec::new(),
    };
    let text = br#"{ "a": 1.50 }"#;
    let letter = Letter {
        shape: &shape,
        row: &serde_json::from_slice(text).unwrap(),
        text,
        identity: &Identity {
            row: String::new(),
            subject: String::new(),
        },
    };
    assert_eq!(body(WebhookTemplate::Json, &letter, ""), text);
}

#[test]
fn slack_shows_an_incident() {
    check(
        WebhookTemplate::Slack,
        RowKind::Incident,
        OPENED,
        expect![[r#"
        {
          "text": "CRITICAL · Incident opened: checkout &amp; cart · cpu &gt; 80 &lt;!channel&gt;",
          "blocks": [
            {
              "type": "header",
              "text": {
                "type": "plain_text",
                "text": "Incident opened: checkout &amp; cart",
                "emoji": false
              }
            },
            {
              "type": "section",
              "text": {
                "type": "mrkdwn",
                "text": "cpu &gt; 80 &lt;!channel&gt;",
                "verbatim": true
              }
            },
            {
              "type": "section",
              "fields": [
                {
                  "type": "mrkdwn",
                  "text": "*Severity*\nCRITICAL",
                  "verbatim": true
                },
                {
                  "type": "mrkdwn",
                  "text": "*Events*\n1",
                  "verbatim": true
                },
                {
                  "type": "mrkdwn",
                  "text": "*Opened*\n<!date^1772366400^{date_short_pretty} {time_secs}|2026-03-01T12:00:00Z>",
                  "verbatim": true
                },
                {
                  "type": "mrkdwn",
                  "text": "*Last event*\n<!date^1772366400^{date_short_pretty} {time_secs}|2026-03-01T12:00:00Z>",
                  "verbatim": true
                },
                {
                  "type": "mrkdwn",
                  "text": "*service*\ncheckout &amp; cart",
                  "verbatim": true
                }
              ]
            },
            {
              "type": "context",
              "elements": [
                {
                  "type": "mrkdwn",
                  "text": "noc · incidents · inc-5374e3b1b1a2b17b-0",
                  "verbatim": true
                }
              ]
            }
          ]
        }"#]],
    );
}

#[test]
fn slack_shows_the_columns_of_another_row() {
    check(
        WebhookTemplate::Slack,
        RowKind::Other,
        KPI,
        expect![[r#"
        {
          "text": "kpis: api",
          "blocks": [
            {
              "type": "header",
              "text": {
                "type": "plain_text",
                "text": "kpis: api",
                "emoji": false
              }
            },
            {
              "type": "section",
              "fields": [
                {
                  "type": "mrkdwn",
                  "text": "*window_start*\n<!date^1772366400^{date_short_pretty} {time_secs}|2026-03-01T12:00:00Z>",
                  "verbatim": true
                },
                {
                  "type": "mrkdwn",
                  "text": "*service*\napi",
                  "verbatim": true
                },
                {
                  "type": "mrkdwn",
                  "text": "*alerts*\n12",
                  "verbatim": true
                }
              ]
            },
            {
              "type": "context",
              "elements": [
                {
                  "type": "mrkdwn",
                  "text": "noc · kpis · row-75dbf70c8e662a30",
                  "verbatim": true
                }
              ]
            }
          ]
        }"#]],
    );
}

#[test]
fn pager_duty_opens_an_alert() {
    check(
        WebhookTemplate::PagerDuty,
        RowKind::Incident,
        OPENED,
        expect![[r#"
        {
          "routing_key": "the-routing-key",
          "event_action": "trigger",
          "dedup_key": "inc-5374e3b1b1a2b17b",
          "client": "Tocsin",
          "payload": {
            "summary": "Incident opened: checkout & cart: cpu > 80 <!channel>",
            "source": "checkout & cart",
            "severity": "critical",
            "component": "incidents",
            "group": "noc",
            "custom_details": {
              "incident": "inc-5374e3b1b1a2b17b",
              "service": "checkout & cart",
              "status": "opened",
              "severity": "CRITICAL",
              "opened_at": "2026-03-01T12:00:00Z",
              "updated_at": "2026-03-01T12:00:00Z",
              "resolved_at": null,
              "summary": "cpu > 80 <!channel>",
              "causes": [
                {
                  "stage": "hot_cpu",
                  "count": 1
                }
              ],
              "events": 1,
              "transition": 0
            },
            "timestamp": "2026-03-01T12:00:00Z"
          }
        }"#]],
    );
}

#[test]
fn pager_duty_ends_the_alert_of_a_resolved_incident() {
    check(
        WebhookTemplate::PagerDuty,
        RowKind::Incident,
        RESOLVED,
        expect![[r#"
            {
              "routing_key": "the-routing-key",
              "event_action": "resolve",
              "dedup_key": "inc-5374e3b1b1a2b17b",
              "client": "Tocsin",
              "payload": {
                "summary": "Incident resolved: checkout: cpu",
                "source": "checkout",
                "severity": "warning",
                "component": "incidents",
                "group": "noc",
                "custom_details": {
                  "incident": "inc-5374e3b1b1a2b17b",
                  "service": "checkout",
                  "status": "resolved",
                  "severity": "MINOR",
                  "opened_at": "2026-03-01T12:00:00Z",
                  "updated_at": "2026-03-01T12:30:00Z",
                  "resolved_at": "2026-03-01T12:30:00Z",
                  "summary": "cpu",
                  "causes": [],
                  "events": 7,
                  "transition": 3
                },
                "timestamp": "2026-03-01T12:30:00Z"
              }
            }"#]],
    );
}

#[test]
fn pager_duty_takes_another_row_as_an_alert_of_its_key() {
    check(
        WebhookTemplate::PagerDuty,
        RowKind::Other,
        KPI,
        expect![[r#"
        {
          "routing_key": "the-routing-key",
          "event_action": "trigger",
          "dedup_key": "key-e7e0de4c8edb145b",
          "client": "Tocsin",
          "payload": {
            "summary": "kpis: api",
            "source": "api",
            "severity": "warning",
            "component": "kpis",
            "group": "noc",
            "custom_details": {
              "window_start": "2026-03-01T12:00:00Z",
              "service": "api",
              "alerts": 12,
              "p95_ms": null,
              "_rev": 0,
              "_final": true
            }
          }
        }"#]],
    );
}
