//! Every request to the API server goes through here: it is counted, and refused if it would change something while this
//! operator does not lead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::Body;
use thiserror::Error;
use tocsin_operator_core::lease::Moment;
use tower::{BoxError, Layer, Service};

use crate::clock::Clock;
use crate::metrics::Metrics;

/// What only the leader may do was tried by another.
#[derive(Debug, Error)]
#[error("this operator does not lead, so it changes nothing")]
pub struct NotLeading;

/// A mark on requests that are sent by those who do not lead, too: those by which leaders are chosen, and what the webhook
/// tells.
#[derive(Clone, Copy, Debug)]
pub struct AsAnybody;

/// Whether requests may change something, and what was asked so far.
pub struct Gate {
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Until when, in nanoseconds since the start; 0 while this operator does not lead.
    may_write_until: AtomicU64,
}

impl Gate {
    /// A gate that lets nothing through that changes anything.
    pub fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            clock,
            metrics,
            may_write_until: AtomicU64::new(0),
        }
    }

    /// From now on requests may change something until this moment.
    pub fn set(&self, until: Option<Moment>) {
        let until = until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
        self.may_write_until.store(until, Ordering::Release);
        self.metrics.leads(self.is_open());
    }

    /// Whether requests may change something now.
    pub fn is_open(&self) -> bool {
        let until = Duration::from_nanos(self.may_write_until.load(Ordering::Acquire));
        self.clock.moment() < until
    }
}

/// Puts a [`Gate`] before a client.
pub struct GateLayer {
    gate: Arc<Gate>,
}

impl GateLayer {
    /// This gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: Arc::clone(&self.gate),
            inner,
        }
    }
}

/// A client behind a [`Gate`].
pub struct Gated<S> {
    gate: Arc<Gate>,
    inner: S,
}

type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

impl<S, B> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Answer<B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Answer<B> {
        let verb = verb(&request);
        let is_anybodys = request.extensions().get::<AsAnybody>().is_some();
        if verb.changes() && !is_anybodys && !self.gate.is_open() {
            return Box::pin(async { Err(NotLeading.into()) });
        }
        let metrics = Arc::clone(&self.gate.metrics);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into);
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            metrics.asked(verb.as_str(), code);
            answer
        })
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    const fn changes(self) -> bool {
        !matches!(self, Self::Get | Self::Watch)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

fn verb<B>(request: &Request<B>) -> Verb {
    let watches = || request.uri().query().is_some_and(|query| query.contains("watch=true"));
    match *request.method() {
        Method::GET | Method::HEAD if watches() => Verb::Watch,
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Create,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => Verb::Update,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tower::ServiceExt;

    fn request(method: Method, uri: &str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        (*request.method_mut(), *request.uri_mut()) = (method, uri.parse().unwrap());
        request
    }

    /// Whether a request comes through a gate that is open until then.
    async fn passes(until: Option<Moment>, request: Request<Body>) -> bool {
        let gate = Arc::new(Gate::new(Clock::start(), Arc::default()));
        gate.set(until);
        let inner = tower::service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(())) });
        let answer = GateLayer::new(gate).layer(inner).oneshot(request).await;
        answer.is_ok_and(|_| true)
    }

    #[tokio::test]
    async fn who_does_not_lead_reads_and_changes_nothing() {
        for until in [None, Some(Moment::ZERO)] {
            assert!(passes(until, request(Method::GET, "/api/v1/pods?watch=true")).await);
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert!(!passes(until, request(method, "/api/v1/pods")).await);
            }
        }
        assert!(passes(Some(Moment::MAX), request(Method::PATCH, "/api/v1/pods/a")).await);
    }

    #[tokio::test]
    async fn who_does_not_lead_may_still_be_elected() {
        let mut request = request(Method::PUT, "/apis/coordination.k8s.io/v1/leases/a");
        request.extensions_mut().insert(AsAnybody);
        assert!(passes(None, request).await);
    }
}
