//! The operator put together: watches, election, those who work, probes.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use thiserror::Error;
use tocsin_operator_core::back_off::BackOff;
use tocsin_operator_core::lease::Terms;
use tocsin_operator_core::pipeline::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::admission::{self, Admission, ServingCertificate};
use crate::api::error::Kind;
use crate::api::gate::Gate;
use crate::api::{ApiError, ApiServer};
use crate::args::Args;
use crate::cache::Cache;
use crate::cache::watch::{Relist, Unlisted};
use crate::canary::Canary;
use crate::clock::Clock;
use crate::controllers::context::{CompiledSpecs, Resync};
use crate::controllers::{Context, look_at};
use crate::health::Running;
use crate::keys::{KeyError, Keys};
use crate::lead::Candidate;
use crate::metrics::Metrics;
use crate::server::{self, Health};
use crate::watches::Watches;
use crate::work::{Next, Work};
use crate::workers::Workers;

/// Who does not lead looks this often whether it does by now.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The longest that a worker may take to answer.
const WORKER_TIME_OUT: Duration = Duration::from_secs(2);

/// Secrets that somebody changed by hand are put right within this.
const SECRETS_AGAIN: Duration = Duration::from_secs(20);

/// Why the operator ends.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot be started as it was asked to.
    #[error("{0}")]
    Usage(String),
    /// The API server is not to be had.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A port or a signal cannot be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Runs the operator until it is asked to end.
///
/// # Errors
/// If it cannot work.
pub fn run(args: Args) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(io("starting threads"))?;
    runtime.block_on(operate(args))
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.to_owned();
    move |source| StartError::Io { what, source }
}

async fn operate(args: Args) -> Result<(), StartError> {
    let clock = Clock::start();
    let terms = Terms {
        duration: args.lease_duration,
        renew_every: args.lease_renewal,
        request_time_out: args.request_timeout,
    };
    if let Some(problem) = terms.problem() {
        return Err(StartError::Usage(format!("--lease-duration: {problem}")));
    }
    // The provider of rustls that the whole product has; another one was there before if this fails.
    rustls::crypto::ring::default_provider().install_default().ok();
    let metrics = Arc::new(Metrics::default());
    let gate = Arc::new(Gate::new(clock, Arc::clone(&metrics)));
    let api = ApiServer::connect(Arc::clone(&gate), args.request_timeout).await?;
    // Of this start: an operator that starts anew is another one.
    let name = args
        .identity
        .clone()
        .unwrap_or_else(|| format!("tocsin-operator-{}", std::process::id()));
    let identity = format!("{name}_{:016x}", fastrand::u64(..));

    let canary = Arc::new(Canary::new(clock, Arc::clone(&gate), args.lease_renewal));
    let candidate = Candidate::new(
        api.clone(),
        clock,
        (Arc::clone(&gate), Arc::clone(&canary)),
        (args.namespace.clone(), identity.clone()),
        terms,
    );
    let led = tokio::spawn(lead_until_asked(candidate));
    let operating = operate_beside(args, api, (gate, canary), (clock, metrics), identity);
    tokio::select! {
        ended = led => ended.unwrap_or_else(|_| Err(StartError::Usage("the election broke off".to_owned()))),
        Err(error) = operating => Err(error),
    }
}

/// Everything but the election.
async fn operate_beside(
    args: Args,
    api: ApiServer,
    (gate, canary): (Arc<Gate>, Arc<Canary>),
    (clock, metrics): (Clock, Arc<Metrics>),
    identity: String,
) -> Result<(), StartError> {
    let work = Arc::new(Work::new(clock, Arc::clone(&metrics), args.concurrency.get()));
    let cache = Arc::new(Cache::default());
    let unlisted = Arc::new(Unlisted::default());
    let is_known = Arc::new(AtomicBool::new(false));
    let webhook_is_known = args.webhook_name.as_ref().map(|_| Arc::clone(&is_known));
    let health = Arc::new(Running::new(Arc::clone(&canary), Arc::clone(&gate), webhook_is_known));
    let listener = bind(args.listen).await?;
    let webhook = match &args.webhook_name {
        Some(name) => Some((name.clone(), bind(args.listen_webhook).await?)),
        None => None,
    };
    tracing::info!(listen = %args.listen, identity, "the operator starts");
    tokio::spawn(server::serve(
        listener,
        Arc::clone(&metrics),
        Arc::clone(&health) as Arc<dyn Health>,
    ));
    let keys = Arc::new(open_keys(&api, &args.namespace, clock).await?);
    let admission = Admission::new(
        Arc::clone(&cache),
        clock,
        api.clone(),
        Arc::clone(&keys),
        identity.clone(),
    );
    let admission = Arc::new(admission);
    let context = Arc::new(Context {
        workers: Workers::new(&keys, WORKER_TIME_OUT).map_err(|error| StartError::Usage(error.to_string()))?,
        keys: Arc::clone(&keys),
        certificates: Mutex::default(),
        complete: Mutex::default(),
        unsent: Mutex::default(),
        kafka: Mutex::default(),
        kafka_keys: Mutex::default(),
        published: Mutex::default(),
        canary: Arc::clone(&canary),
        api: api.clone(),
        cache: Arc::clone(&cache),
        clock,
        metrics: Arc::clone(&metrics),
        work: Arc::clone(&work),
        settings: Settings {
            worker_image: args.worker_image.clone(),
            kafka_image: args.kafka_image.clone(),
            namespace: args.namespace.clone(),
        },
        identity,
        resync: Resync::new(args.resync),
        resync_secrets: Resync::new(args.resync.min(SECRETS_AGAIN)),
        compiled: CompiledSpecs::default(),
    });
    let watches = Watches {
        api: api.clone(),
        cache,
        work: Arc::clone(&work),
        metrics: Arc::clone(&metrics),
        unlisted: Arc::clone(&unlisted),
        selector: args.selector.clone(),
        relist: Relist { every: args.resync },
    };
    if args.watch_namespaces.is_empty() {
        watches.follow_all(None);
    }
    for namespace in &args.watch_namespaces {
        watches.follow_all(Some(namespace));
    }
    watches.follow_lease(&args.namespace, canary);
    health.lists(&unlisted);
    for _ in 0..args.concurrency.get() {
        tokio::spawn(look_for_ever(
            Arc::clone(&context),
            Arc::clone(&gate),
            Arc::clone(&unlisted),
        ));
    }
    let Some((name, listener)) = webhook else {
        return std::future::pending().await;
    };
    let certificate = ServingCertificate::new(clock, &name, &args.namespace);
    tokio::spawn(admission::keep_injected(api, Arc::clone(&keys), gate, name, is_known));
    admission::serve(listener, certificate, keys, admission).await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(io(&format!("listening at {address}")))
}

/// The operator's keys: whoever leads makes them, and others wait for them.
async fn open_keys(api: &ApiServer, namespace: &str, clock: Clock) -> Result<Keys, StartError> {
    let mut failures = 0;
    loop {
        match Keys::open(api, namespace, clock.now()).await {
            Ok(keys) => return Ok(keys),
            Err(KeyError::Api(error)) => {
                if error.kind != Kind::NotLeading {
                    tracing::warn!(%error, "the operator's keys cannot be had yet");
                    failures += 1;
                }
                tokio::time::sleep(BackOff::RECONCILE.wait(failures, fastrand::f64(), None)).await;
            }
            Err(error) => return Err(StartError::Usage(error.to_string())),
        }
    }
}

/// Takes part in the election until the process is asked to end.
async fn lead_until_asked(mut candidate: Candidate) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(io("waiting for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("waiting for SIGINT"))?;
    loop {
        let wait = candidate.step().await;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("the operator was asked to end");
    candidate.give_up().await;
    Ok(())
}

/// Looks at one object after the other, while this operator leads.
async fn look_for_ever(context: Arc<Context>, gate: Arc<Gate>, unlisted: Arc<Unlisted>) {
    unlisted.wait().await;
    loop {
        while !gate.is_open() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let item = context.work.take().await;
        // One that panics is a mistake of ours, and no reason to look after nothing else.
        let looked = AssertUnwindSafe(look_at(&context, &item)).catch_unwind().await;
        let next = looked.unwrap_or_else(|_| {
            tracing::error!(kind = item.kind(), object = %item.key(), "a look panicked; please report this");
            Next::Again(None)
        });
        context.work.done(&item, next);
    }
}
