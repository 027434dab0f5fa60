//! Probes and metrics of the operator itself.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// As Prometheus wants it named.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operator says of its health.
pub trait Health: Send + Sync + 'static {
    /// Why it is no longer of use and must be started anew, if it is not.
    fn stuck(&self) -> Option<String>;
    /// Why it cannot work yet, if it cannot.
    fn not_ready(&self) -> Option<String>;
}

/// Serves until the process ends.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, health: Arc<dyn Health>) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(text)).with_state(metrics).merge(
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(health),
    );
    axum::serve(listener, router).await
}

async fn text(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text())
}

async fn healthz(State(health): State<Arc<dyn Health>>) -> impl IntoResponse {
    probe(health.stuck())
}

async fn readyz(State(health): State<Arc<dyn Health>>) -> impl IntoResponse {
    probe(health.not_ready())
}

fn probe(trouble: Option<String>) -> (StatusCode, String) {
    match trouble {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
