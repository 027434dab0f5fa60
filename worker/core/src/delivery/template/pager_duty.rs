//! An event for PagerDuty's Events API, version 2: <https://developer.pagerduty.com/docs/events-api-v2-overview>.
//!
//! All rows about one incident, or one alarm, have the same `dedup_key`: the first opens an alert, later ones add to it, and the
//! one that resolves it ends the alert. Nothing here acknowledges: that is what people do.

use serde_json::{Value, json};

use super::Letter;
use super::subject::{about, shortened, text, title};
use crate::delivery::shape::RowKind;
use crate::stage::incident::severity::{DEFAULT, rank};

const MOST_OF_SUMMARY: usize = 1024;
const MOST_OF_KEY: usize = 255;

/// PagerDuty takes 512 KB; a row beyond this is not put in whole.
const MOST_OF_DETAILS: usize = 400_000;

pub(super) fn event(letter: &Letter<'_>, routing_key: &str) -> Value {
    let status = text(letter.row, "status");
    let resolves = letter.shape.kind != RowKind::Other && status.as_deref() == Some("resolved");
    let summary = match text(letter.row, "summary").filter(|summary| !summary.is_empty()) {
        Some(summary) => format!("{}: {summary}", title(letter)),
        None => title(letter),
    };
    let source = Some(about(letter)).filter(|about| !about.is_empty());
    let mut payload = json!({
        "summary": shortened(&summary, MOST_OF_SUMMARY),
        "source": shortened(&source.unwrap_or_else(|| letter.shape.pipeline.clone()), MOST_OF_SUMMARY),
        "severity": severity(&text(letter.row, "severity").unwrap_or_else(|| DEFAULT.to_owned())),
        "component": letter.shape.stream,
        "group": letter.shape.pipeline,
        "custom_details": if letter.text.len() > MOST_OF_DETAILS {
            json!({"row": "too large for PagerDuty"})
        } else {
            Value::Object(letter.row.clone())
        },
    });
    let time = match letter.shape.kind {
        RowKind::Incident => text(letter.row, "updated_at"),
        RowKind::Alarm => text(letter.row, "event_time"),
        RowKind::Other => None,
    };
    if let Some(time) = time {
        payload["timestamp"] = time.into();
    }
    json!({
        "routing_key": routing_key,
        "event_action": if resolves { "resolve" } else { "trigger" },
        "dedup_key": shortened(&letter.identity.subject, MOST_OF_KEY),
        "client": "Tocsin",
        "payload": payload,
    })
}

/// PagerDuty's word for a severity.
fn severity(word: &str) -> &'static str {
    match rank(word) {
        0..=2 => "info",
        3..=4 => "warning",
        5 => "error",
        _ => "critical",
    }
}
