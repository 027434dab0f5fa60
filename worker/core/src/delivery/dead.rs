//! A row that could not be delivered, as it stands among the pipeline's dead letters.

use super::answer::{Outcome, Verdict};
use super::queue::Row;

/// The headers of a dead letter, as those of a record that did not decode, and what delivery adds.
pub fn headers(
    sink: &str,
    topic: &str,
    row: &Row,
    key: &str,
    attempts: u32,
    outcome: &Outcome,
) -> Vec<(&'static str, String)> {
    let (cause, message) = match outcome.verdict {
        Verdict::Never => ("DeliveryRefused", "the receiver will not take the row"),
        _ => ("DeliveryGivenUp", "the receiver did not take the row in time"),
    };
    let said = if outcome.said.is_empty() {
        String::new()
    } else {
        format!(": {}", outcome.said)
    };
    let mut headers = vec![
        ("tocsin.topic", topic.to_owned()),
        ("tocsin.partition", row.partition.to_string()),
        ("tocsin.offset", row.offset.to_string()),
        ("tocsin.cause", cause.to_owned()),
        ("tocsin.message", format!("{message}{said}")),
        ("tocsin.bytes", row.value.len().to_string()),
        ("tocsin.sink", sink.to_owned()),
        ("tocsin.attempts", attempts.to_string()),
        ("tocsin.idempotency-key", key.to_owned()),
    ];
    if let Some(status) = outcome.status {
        headers.push(("tocsin.status", status.to_string()));
    }
    headers
}
