//! The paths that the admin server answers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use tocsin_contract::worker::{DRAIN, LIVEZ, METRICS, READYZ, Refused, SAVEPOINTS, STATUS};
use tocsin_worker_core::snapshot::SavepointNames;

use super::access::{Caller, Gate, admit};
use super::control::{Control, Manner, Refusal};
use crate::live::SharedLive;
use crate::metrics::{CONTENT_TYPE, Measures, expose, not_ready, status, stuck};
use crate::page::{self, Asked, PageFeed, guard};

/// A request says little.
const LARGEST_BODY: usize = 16 << 10;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub measures: Arc<Measures>,
    pub control: Arc<dyn Control>,
}

/// All routes, each behind the guard and the gate.
pub(super) fn router(shared: Shared, page: Option<(SharedLive, PageFeed)>, gate: Arc<Gate>, asked: Asked) -> Router {
    let own = Router::new()
        .route(LIVEZ, get(livez))
        .route(READYZ, get(readyz))
        .route(METRICS, get(metrics))
        .route(STATUS, get(show_status))
        .route(SAVEPOINTS, post(begin_savepoint))
        .route(
            &format!("{SAVEPOINTS}/{{id}}"),
            get(savepoint).delete(give_up_savepoint),
        )
        .route(DRAIN, post(drain))
        .with_state(shared)
        .layer(DefaultBodyLimit::max(LARGEST_BODY));
    let page = page.map(|(live, feed)| page::pages(live, feed)).unwrap_or_default();
    own.merge(page)
        .layer(from_fn_with_state(gate, admit))
        .layer(from_fn_with_state(asked, guard))
}

async fn livez(State(shared): State<Shared>) -> Response {
    probe("alive", stuck(&shared.measures.view()))
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let mut reasons = not_ready(&shared.measures.view());
    if shared.control.is_draining() {
        reasons.insert(0, "it was asked to end".to_owned());
    }
    probe("ready", reasons)
}

/// 200 and a word, or 503 and the reasons, a line each.
fn probe(good: &str, reasons: Vec<String>) -> Response {
    if reasons.is_empty() {
        return (StatusCode::OK, format!("{good}\n")).into_response();
    }
    let lines = reasons.join("\n");
    (StatusCode::SERVICE_UNAVAILABLE, format!("{lines}\n")).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let text = expose(shared.measures.view());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

async fn show_status(State(shared): State<Shared>) -> Response {
    let view = shared.measures.view();
    Json(status(&view, shared.control.is_draining())).into_response()
}

async fn drain(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Response {
    tracing::info!(by = %caller.address, "the worker was asked to end");
    shared.control.drain();
    let view = shared.measures.view();
    (StatusCode::ACCEPTED, Json(status(&view, true))).into_response()
}

/// What a savepoint is asked for with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asking {
    id: Option<String>,
    #[serde(default)]
    drain: bool,
    #[serde(default)]
    ends: bool,
}

impl Asking {
    const fn manner(&self) -> Manner {
        match (self.ends, self.drain) {
            (true, _) => Manner::Ending,
            (false, true) => Manner::Drained,
            (false, false) => Manner::Plain,
        }
    }
}

async fn begin_savepoint(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refuse(rejection.status(), rejection.body_text()),
    };
    let asking = match serde_json::from_slice::<Asking>(&body) {
        Ok(asking) => asking,
        Err(_) if body.is_empty() => Asking::default(),
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                format!("expected {{\"id\": \"...\", \"drain\": false, \"ends\": false}}: {error}"),
            );
        }
    };
    let id = asking.id.as_deref();
    if id.is_some_and(|id| !SavepointNames::is_id(id)) {
        let what = format!(
            "a savepoint's id has up to {} of a-z, 0-9, '-' and '.'",
            SavepointNames::LONGEST_ID
        );
        return refuse(StatusCode::BAD_REQUEST, what);
    }
    let (manner, id) = (asking.manner(), asking.id);
    match with_control(shared, move |control| control.begin_savepoint(id.as_deref(), manner)).await {
        Ok(savepoint) => {
            tracing::info!(by = %caller.address, id = savepoint.id, "a savepoint was asked for");
            let place = format!("{SAVEPOINTS}/{}", savepoint.id);
            (StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(savepoint)).into_response()
        }
        Err(refusal) => refuse_with(&refusal),
    }
}

async fn savepoint(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    if !SavepointNames::is_id(&id) {
        return refuse(StatusCode::NOT_FOUND, "there is no such savepoint".to_owned());
    }
    match with_control(shared, move |control| control.savepoint(&id)).await {
        Ok(savepoint) => Json(savepoint).into_response(),
        Err(refusal) => refuse_with(&refusal),
    }
}

async fn give_up_savepoint(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    if !SavepointNames::is_id(&id) {
        return refuse(StatusCode::NOT_FOUND, "there is no such savepoint".to_owned());
    }
    match with_control(shared, move |control| control.give_up_savepoint(&id)).await {
        Ok(savepoint) => {
            tracing::info!(by = %caller.address, id = savepoint.id, "a savepoint was given up");
            Json(savepoint).into_response()
        }
        Err(refusal) => refuse_with(&refusal),
    }
}

/// Asks in a thread that may wait: for a store, say.
async fn with_control<T: Send + 'static>(
    shared: Shared,
    ask: impl FnOnce(&dyn Control) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let asked = tokio::task::spawn_blocking(move || ask(shared.control.as_ref())).await;
    asked.unwrap_or_else(|_| Err(Refusal::NotNow("the question was broken off".to_owned())))
}

fn refuse_with(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Unknown(_) => StatusCode::NOT_FOUND,
        Refusal::NotAvailable(_) => StatusCode::CONFLICT,
        Refusal::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, refusal.to_string())
}

fn refuse(status: StatusCode, error: String) -> Response {
    (status, Json(Refused { error })).into_response()
}
