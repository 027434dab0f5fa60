//! What a request says: a row as the receiver wants it.

mod pager_duty;
mod slack;
mod subject;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use tocsin_contract::pipeline::sink::WebhookTemplate;

use super::identity::Identity;
use super::shape::Shape;

/// A row that is to be put into a request.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// What rows of the sink are.
    pub shape: &'a Shape,
    /// The row.
    pub row: &'a Map<String, Value>,
    /// The row as it was written.
    pub text: &'a [u8],
    /// By what the receiver knows it.
    pub identity: &'a Identity,
}

/// The body of a request, as JSON. A token goes into it where the receiver looks for it there.
pub fn body(template: WebhookTemplate, letter: &Letter<'_>, token: &str) -> Vec<u8> {
    match template {
        WebhookTemplate::Json => letter.text.to_vec(),
        WebhookTemplate::Slack => slack::message(letter).to_string().into_bytes(),
        WebhookTemplate::PagerDuty => pager_duty::event(letter, token).to_string().into_bytes(),
    }
}

/// Whether a template's token stands in the body, and not in a header.
pub fn has_token_within(template: WebhookTemplate) -> bool {
    template == WebhookTemplate::PagerDuty
}
