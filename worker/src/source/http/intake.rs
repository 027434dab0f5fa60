//! The clients' side: the routes, the limits, and the words of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde_json::json;

use super::body::{self, BadBody, Batch};
use super::listener::HttpListener;
use super::source::{HttpSource, Queue, Refused};
use crate::source::{Interrupt, RECORD_LIMIT, SourceError};

/// How much is taken of clients.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// How large a body may be, packed and unpacked; larger ones are answered with 413.
    pub body_bytes: usize,
    /// How large a record may be.
    pub record_bytes: usize,
    /// How many bytes may wait for the engine, per source; beyond that the answer is 429.
    pub queued_bytes: usize,
    /// How many requests may wait for the engine, per source.
    pub queued_requests: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            record_bytes: RECORD_LIMIT,
            queued_bytes: 64 << 20,
            queued_requests: 4096,
        }
    }
}

/// Takes events of clients for one or more sources.
pub struct HttpIntake {
    limits: HttpLimits,
    queues: BTreeMap<String, Queue>,
    listeners: Vec<HttpListener>,
}

impl HttpIntake {
    /// An intake without sources.
    pub fn new(limits: HttpLimits) -> Self {
        Self {
            limits,
            queues: BTreeMap::new(),
            listeners: Vec::new(),
        }
    }

    /// Adds a source. A second one of the same name takes the place of the first.
    pub fn source(&mut self, name: &str, interrupt: Interrupt) -> HttpSource {
        let (source, queue) = HttpSource::new(&self.limits, interrupt);
        self.queues.insert(name.to_owned(), queue);
        source
    }

    /// Adds a source that takes events at an address of its own: `127.0.0.1:8080`, or `:8080` for all addresses.
    ///
    /// # Errors
    /// If nothing can listen there.
    pub fn source_at(&mut self, name: &str, address: &str, interrupt: Interrupt) -> Result<HttpSource, SourceError> {
        let mut own = Self::new(self.limits.clone());
        let source = own.source(name, interrupt);
        self.listeners.push(HttpListener::start(name, address, own)?);
        Ok(source)
    }

    /// The sources that are served by [`HttpIntake::into_router`].
    pub fn names(&self) -> Vec<String> {
        self.queues.keys().cloned().collect()
    }

    /// The addresses that sources listen on by themselves. They take events until they are dropped.
    pub fn take_listeners(&mut self) -> Vec<HttpListener> {
        std::mem::take(&mut self.listeners)
    }

    /// The routes of all sources without an address of their own.
    pub fn into_router(self) -> Router {
        let limit = DefaultBodyLimit::max(self.limits.body_bytes);
        Router::new()
            .route("/v1/sources/{name}", post(take))
            .layer(limit)
            .with_state(Arc::new(self))
    }
}

async fn take(
    State(intake): State<Arc<HttpIntake>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    if is_from_another_site(&headers) {
        let message = "requests of other sites' pages are not taken";
        return refuse(StatusCode::FORBIDDEN, json!({ "error": message }));
    }
    let Some(queue) = intake.queues.get(&name).cloned() else {
        let names: Vec<&String> = intake.queues.keys().collect();
        return refuse(
            StatusCode::NOT_FOUND,
            json!({ "error": "there is no such source", "sources": names }),
        );
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return too_large(&intake.limits),
        Err(rejection) => return refuse(rejection.status(), json!({ "error": rejection.body_text() })),
    };
    // Unpacking and checking take milliseconds; other connections must not wait for them.
    let limits = intake.limits.clone();
    let split = tokio::task::spawn_blocking(move || records(body.into(), &headers, &limits)).await;
    match split {
        Ok(Ok(batch)) => accept(&queue, batch),
        Ok(Err(BadBody::TooLarge)) => too_large(&intake.limits),
        Ok(Err(BadBody::Invalid { position, what })) => refuse(
            StatusCode::BAD_REQUEST,
            json!({ "error": what, "position": position, "accepted": 0 }),
        ),
        Ok(Err(BadBody::Encoding(encoding))) => {
            let message = format!("Content-Encoding {encoding} is not read; gzip, zstd and none are");
            refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, json!({ "error": message }))
        }
        Err(_) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({ "error": "the request could not be read" }),
        ),
    }
}

fn records(body: Vec<u8>, headers: &HeaderMap, limits: &HttpLimits) -> Result<Batch, BadBody> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let plain = body::unpack(body, text(header::CONTENT_ENCODING), limits.body_bytes)?;
    let kind = text(header::CONTENT_TYPE)
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    let line_kinds = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ];
    body::split(
        plain,
        line_kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)),
        limits.record_bytes,
    )
}

fn accept(queue: &Queue, batch: Batch) -> Response {
    let accepted = batch.len();
    match queue.push(batch) {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({ "accepted": accepted }))).into_response(),
        Err(Refused::Full) => {
            let body = json!({ "error": "the engine does not keep up; send the same again later", "accepted": 0 });
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
        }
        Err(Refused::Closed) => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "error": "the pipeline has ended", "accepted": 0 }),
        ),
    }
}

fn too_large(limits: &HttpLimits) -> Response {
    let message = format!("the body is larger than {} bytes; send it in parts", limits.body_bytes);
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        json!({ "error": message, "accepted": 0 }),
    )
}

fn refuse(status: StatusCode, body: serde_json::Value) -> Response {
    (status, Json(body)).into_response()
}

/// Browsers name the page that a request comes from; pages of other sites must not write into a pipeline on localhost.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match headers.get(header::ORIGIN) {
        None => false,
        Some(_) => {
            let origin = text(header::ORIGIN)
                .and_then(|origin| origin.split_once("://"))
                .map(|(_, host)| host);
            origin.is_none() || origin != text(header::HOST)
        }
    }
}
