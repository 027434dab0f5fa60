//! Takes connections, with and without TLS, and serves HTTP/1.1 on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::access::{Caller, Gate};
use super::routes::{self, Shared};
use crate::live::SharedLive;
use crate::page::{Asked, channel};
use crate::server::{STOP_WITHIN, Stopped};

/// Connections that are open at a time. More are refused: they would cost the worker its files.
const CONNECTIONS: usize = 128;

/// How long a client may take for its handshake, and for the head of a request.
const SLOWEST_CLIENT: Duration = Duration::from_secs(10);

/// After an error of the system, such as a lack of files.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Serves until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    gate: Gate,
    asked: Asked,
    shared: Shared,
    live: Option<SharedLive>,
    stopped: Stopped,
) {
    let gate = Arc::new(gate);
    let (page, publisher) = match live {
        None => (None, None),
        Some(live) => {
            let (publisher, feed) = channel(live.clone());
            (Some((live, feed)), Some(publisher))
        }
    };
    let app = routes::router(shared, page, Arc::clone(&gate), asked);
    let graceful = GracefulShutdown::new();
    let published = async {
        match publisher {
            None => stopped.clone().wait().await,
            Some(publisher) => publisher.publish(stopped.clone().wait()).await,
        }
    };
    let accepted = async {
        tokio::select! {
            () = accept(listener, &gate, &app, &graceful) => {}
            () = stopped.clone().wait() => {}
        }
    };
    tokio::join!(published, accepted);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(STOP_WITHIN) => tracing::debug!("connections were still open and are cut"),
    }
}

async fn accept(listener: TcpListener, gate: &Gate, app: &Router, graceful: &GracefulShutdown) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection to the admin server could not be taken");
                tokio::time::sleep(BETWEEN_TRIES).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            continue;
        };
        let (app, watcher) = (app.clone(), graceful.watcher());
        let config = gate.tls.as_ref().map(super::tls::Tls::config);
        tokio::spawn(async move {
            let _permit = permit;
            match config {
                None => {
                    let caller = Caller {
                        address,
                        is_certified: false,
                    };
                    talk(socket, caller, app, watcher).await;
                }
                Some(config) => talk_in_secret(socket, address, config, app, watcher).await,
            }
        });
    }
}

async fn talk_in_secret(
    socket: TcpStream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    app: Router,
    watcher: Watcher,
) {
    let handshake = TlsAcceptor::from(config).accept(socket);
    match tokio::time::timeout(SLOWEST_CLIENT, handshake).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let caller = Caller {
                address,
                // One that is not of the authority does not come through the handshake.
                is_certified: shown.is_some_and(|chain| !chain.is_empty()),
            };
            talk(stream, caller, app, watcher).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, %address, "a client of the admin server does not speak its TLS"),
        Err(_) => tracing::debug!(%address, "a client of the admin server takes too long"),
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: Caller,
    app: Router,
    watcher: Watcher,
) {
    let service = TowerToHyperService::new(app.layer(Extension(caller)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SLOWEST_CLIENT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        let address = caller.address;
        tracing::debug!(%error, %address, "a connection to the admin server broke");
    }
}
