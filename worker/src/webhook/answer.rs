//! What came back, in bounded words and without secrets.

use std::error::Error;

use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use secrecy::{ExposeSecret, SecretString};
use tocsin_worker_core::delivery::address::RefusedAddress;
use tocsin_worker_core::delivery::answer::{Outcome, judge, rest};

use super::endpoint::Endpoint;

/// How much of an answer is read. What is longer costs its connection.
const MOST_READ: usize = 16 << 10;

/// How much of what was said is kept.
const MOST_SAID: usize = 300;

/// Shorter parts of an address are words, and no secrets.
const LEAST_SECRET: usize = 8;

/// What must not be told.
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// The token, and the parts of the address that may be one, as Slack's are.
    pub fn of(endpoint: &Endpoint, token: &SecretString) -> Self {
        let url = endpoint.url();
        let parts = url.path().split('/').chain([url.username()]).chain(url.password());
        let raw = url.query().into_iter().flat_map(|query| query.split(['&', '=']));
        let decoded: Vec<String> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let parts = parts
            .chain(url.query())
            .chain(raw)
            .chain(decoded.iter().map(String::as_str));
        let parts = parts.filter(|part| part.len() >= LEAST_SECRET);
        let mut secrets: Vec<SecretString> = parts.map(|part| part.to_owned().into()).collect();
        if !token.expose_secret().is_empty() {
            secrets.push(token.clone());
        }
        Self(secrets)
    }

    /// A text without them, on one line, and not long.
    fn cleared(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.expose_secret(), "***");
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        words
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .take(MOST_SAID)
            .collect()
    }
}

/// Reads an answer.
pub async fn read(mut response: Response, secrets: &Secrets) -> Outcome {
    let status = response.status().as_u16();
    let asked = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|header| header.to_str().ok());
    let asked = asked.and_then(|header| rest(header, Timestamp::now()));
    let mut body = Vec::new();
    // To its end if it is short: the connection can be used again then. That it breaks off changes nothing.
    while body.len() < MOST_READ {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            _ => break,
        }
    }
    body.truncate(MOST_READ);
    Outcome {
        verdict: judge(Some(status), asked),
        status: Some(status),
        said: secrets.cleared(&String::from_utf8_lossy(&body)),
    }
}

/// Says why no answer came.
pub fn failed(error: &reqwest::Error, secrets: &Secrets) -> Outcome {
    let mut why: &(dyn Error + 'static) = error;
    let mut refused = None;
    while let Some(source) = why.source() {
        refused = refused.or(source.downcast_ref::<RefusedAddress>());
        why = source;
    }
    let said = match refused {
        Some(refused) => format!("the address is refused: {refused}; --allow-address allows it"),
        None if error.is_timeout() => "no answer in time".to_owned(),
        None if error.is_connect() => format!("no connection: {why}"),
        None => why.to_string(),
    };
    Outcome {
        verdict: judge(None, None),
        status: None,
        said: secrets.cleared(&said),
    }
}
