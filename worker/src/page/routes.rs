//! The paths that the page answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::assets::{self, Asset};
use super::events::{Feed, json};
use super::guard::{Asked, guard};
use crate::live::SharedLive;

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    live: SharedLive,
    feed: Feed,
}

/// All routes, `extra` among them, behind the guard.
pub fn router(live: SharedLive, feed: Feed, extra: Option<Router>) -> Router {
    pages(live, feed)
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(extra.unwrap_or_default())
        .layer(from_fn_with_state(Asked::LOCALLY, guard))
}

/// The page and what it asks for.
pub fn pages(live: SharedLive, feed: Feed) -> Router {
    Router::new()
        .route("/", get(|| async { serve(&assets::INDEX) }))
        .route("/assets/{*path}", get(asset))
        .route("/api/live", get(snapshot))
        .route("/api/events", get(events))
        .with_state(Arc::new(Shared { live, feed }))
}

async fn asset(Path(path): Path<String>) -> Response {
    assets::find(&path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), serve)
}

fn serve(asset: &'static Asset) -> Response {
    ([(header::CONTENT_TYPE, asset.content_type)], asset.text).into_response()
}

async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    let snapshot = shared.live.with(|state| state.snapshot());
    ([(header::CONTENT_TYPE, "application/json")], json(&snapshot)).into_response()
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    match shared.feed.listen() {
        Some(stream) => Sse::new(stream).keep_alive(KeepAlive::default()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "Too many clients are listening.\n").into_response(),
    }
}
