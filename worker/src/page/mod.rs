//! The live page: a small HTTP server on this machine's loopback address, in a thread of its own.
//!
//! It reads the [`SharedLive`] state and decides nothing. It never waits for the run loop longer than a lock of the
//! state, and the run loop never waits for a client. Nothing is loaded from, or sent to, another machine.

mod assets;
mod events;
mod guard;
mod routes;

use std::future::IntoFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;

use crate::live::SharedLive;

/// How long open connections may take to end when the page stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Settings of the page.
#[derive(Debug, Default)]
pub struct PageOptions {
    /// Port on 127.0.0.1. 0 takes a free one; so does a port that is taken.
    pub port: u16,
    /// Further routes to serve beside the page, under the same checks. They must stay clear of `/`, `/assets`, `/api`
    /// and `/healthz`.
    pub extra: Option<Router>,
}

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// There is no port to listen on.
    #[error("the live page cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// There is no thread to serve it.
    #[error("the live page cannot start its thread: {0}")]
    Thread(io::Error),
}

/// The page while it is served. Stops when dropped.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    taken_port: Option<u16>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Serves `live` from now on.
    ///
    /// # Errors
    /// When there is no port to listen on, or no thread.
    pub fn start(options: PageOptions, live: SharedLive) -> Result<Self, PageError> {
        let (listener, taken_port) = listen(options.port).map_err(|source| PageError::Listen {
            port: options.port,
            source,
        })?;
        let address = listener.local_addr().map_err(|source| PageError::Listen {
            port: options.port,
            source,
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(PageError::Thread)?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(PageError::Thread)?
        };
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("live-page".to_owned())
            .spawn(move || runtime.block_on(serve(listener, live, options.extra, stopped)))
            .map_err(PageError::Thread)?;
        Ok(Self {
            address,
            taken_port,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where the page listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The port that was asked for, if it was taken and the page listens on another.
    pub fn taken_port(&self) -> Option<u16> {
        self.taken_port
    }

    /// Sends the last changes to all clients and ends, within about a second.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the live page's thread ended by a panic");
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.end();
    }
}

/// A listener on the port, or on a free one if it is taken; then also the taken port.
fn listen(port: u16) -> io::Result<(TcpListener, Option<u16>)> {
    let (listener, taken) = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => {
            (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, Some(port))
        }
        other => (other?, None),
    };
    listener.set_nonblocking(true)?;
    Ok((listener, taken))
}

/// Serves until the sender of `stopped` is gone.
async fn serve(
    listener: tokio::net::TcpListener,
    live: SharedLive,
    extra: Option<Router>,
    stopped: watch::Receiver<()>,
) {
    let (publisher, feed) = events::channel(live.clone());
    let app = routes::router(live, feed, extra);
    let server = axum::serve(listener, app).with_graceful_shutdown(ended(stopped.clone()));
    let all = async { tokio::join!(server.into_future(), publisher.publish(ended(stopped.clone()))) };
    let late = async {
        ended(stopped.clone()).await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        (result, ()) = all => if let Err(error) = result {
            tracing::error!(%error, "the live page cannot be served any longer");
        },
        () = late => tracing::debug!("connections to the live page were still open and are cut"),
    }
}

/// Resolves when the sender is gone.
async fn ended(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}
