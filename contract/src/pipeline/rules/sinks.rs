//! Rules of sinks.

use super::{exactly_one, positive};
use crate::pipeline::IncidentPipelineSpec;
use crate::pipeline::sink::{Sink, WebhookSink, WebhookTemplate};
use crate::problem::Problem;
use crate::rule::Rule;

/// Rules of a sink.
pub const SINK: [Rule; 1] = [Rule::new(
    "[has(self.kafka), has(self.file), has(self.stdout), has(self.webhook)].filter(x, x).size() == 1",
    "must have exactly one of kafka, file, stdout and webhook",
)];

/// Rules of a webhook.
pub const WEBHOOK: [Rule; 2] = [
    Rule::new(
        "!has(self.template) || self.template != 'PagerDuty' || has(self.tokenSecretRef)",
        "must have tokenSecretRef: PagerDuty's routing key",
    ),
    Rule::new(
        "!has(self.template) || self.template != 'Slack' || !has(self.tokenSecretRef)",
        "must not have tokenSecretRef: Slack's token is a part of its address",
    ),
];

/// Headers that are not the user's to set: they say who is asked and where the request ends, or are the worker's own.
const OWN_HEADERS: [&str; 13] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn check(spec: &IncidentPipelineSpec, problems: &mut Vec<Problem>) {
    for sink in &spec.sinks {
        self::sink(sink, &format!("spec.sinks[{}]", sink.name), problems);
    }
}

fn sink(sink: &Sink, path: &str, problems: &mut Vec<Problem>) {
    let given = [
        ("kafka", sink.kafka.is_some()),
        ("file", sink.file.is_some()),
        ("stdout", sink.stdout.is_some()),
        ("webhook", sink.webhook.is_some()),
    ];
    exactly_one(&SINK[0], &given, path, problems);
    if let Some(webhook) = &sink.webhook {
        self::webhook(webhook, &format!("{path}.webhook"), problems);
    }
}

fn webhook(webhook: &WebhookSink, path: &str, problems: &mut Vec<Problem>) {
    let has_token = webhook.token_secret_ref.is_some();
    let is = |template| webhook.template == template;
    WEBHOOK[0].unless(!is(WebhookTemplate::PagerDuty) || has_token, path, problems);
    WEBHOOK[1].unless(!is(WebhookTemplate::Slack) || !has_token, path, problems);
    for name in webhook.headers.keys() {
        let path = format!("{path}.headers[{name}]");
        if let Some(message) = header_fault(name) {
            problems.push(Problem::new(path, message));
        }
    }
    positive(webhook.timeout, &format!("{path}.timeout"), problems);
    positive(webhook.retry_for, &format!("{path}.retryFor"), problems);
}

/// What is wrong with the name of a header. A schema sees no keys of a map, and CEL could look at short ones alone.
fn header_fault(name: &str) -> Option<&'static str> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !letters || !(1..=64).contains(&name.len()) {
        return Some("must be a header's name: letters, digits and `-`, at most 64");
    }
    let name = name.to_ascii_lowercase();
    let is_own = OWN_HEADERS.contains(&name.as_str()) || name.starts_with("proxy-");
    is_own.then_some("must not be given here: the worker sets this header itself, or it says where the request goes")
}
