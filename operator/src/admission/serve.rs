//! The webhook's server: TLS, and two paths.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionResponse, AdmissionReview};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::{AUDIT, Admission, ServingCertificate, VALIDATE};
use crate::keys::Keys;

/// The API server sends the object before and as it would be, each of 1.5 MiB at most.
const LARGEST_REVIEW: usize = 8 << 20;
/// So many connections are open at a time.
const CONNECTIONS: usize = 256;
/// A request has this long to come.
const SLOWEST_CLIENT: Duration = Duration::from_secs(10);

type Review = AdmissionReview<DynamicObject>;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, certificate: ServingCertificate, keys: Arc<Keys>, admission: Arc<Admission>) {
    let secret = keys.webhook_secret();
    let router = Router::new()
        .route(&format!("{AUDIT}/{secret}"), post(audit))
        .route(&format!("{VALIDATE}/{secret}"), post(validate))
        .layer(DefaultBodyLimit::max(LARGEST_REVIEW))
        .layer(from_fn(in_time))
        .with_state(admission);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = listener.accept().await;
        let (Ok((socket, _)), Ok(permit)) = (accepted, Arc::clone(&connections).acquire_owned().await) else {
            // A lack of files, say.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let config = match certificate.config(&keys) {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(%error, "the webhook has no certificate");
                continue;
            }
        };
        let router = router.clone();
        tokio::spawn(async move {
            talk(socket, config, router).await;
            drop(permit);
        });
    }
}

async fn talk(socket: TcpStream, config: Arc<ServerConfig>, router: Router) {
    let handshake = TlsAcceptor::from(config).accept(socket);
    let Ok(Ok(stream)) = tokio::time::timeout(SLOWEST_CLIENT, handshake).await else {
        return;
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SLOWEST_CLIENT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the webhook broke");
    }
}

/// A request that does not come, or is not answered, within its time gives its place up.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(SLOWEST_CLIENT, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

async fn audit(State(admission): State<Arc<Admission>>, Json(review): Json<Review>) -> Json<Review> {
    answer(review, |request| admission.audit(request))
}

async fn validate(State(admission): State<Arc<Admission>>, Json(review): Json<Review>) -> Json<Review> {
    let asked = review.request.clone();
    // The compiler takes milliseconds.
    let answered = tokio::task::block_in_place(|| answer(review, |request| admission.validate(request)));
    let is_taken = answered.0.response.as_ref().is_some_and(|response| response.allowed);
    if let Some(asked) = asked.filter(|_| is_taken) {
        admission.note(&asked).await;
    }
    answered
}

fn answer(
    review: Review,
    answer: impl FnOnce(&kube::core::admission::AdmissionRequest<DynamicObject>) -> AdmissionResponse,
) -> Json<Review> {
    let response = match review.try_into() {
        Ok(request) => answer(&request),
        Err(error) => AdmissionResponse::invalid(format!("the review has no request: {error}")),
    };
    Json(response.into_review())
}
