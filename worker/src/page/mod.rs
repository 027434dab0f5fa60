//! The live page: a small HTTP server on this machine's loopback address, in a thread of its own.
//!
//! It reads the [`SharedLive`] state and decides nothing. It never waits for the run loop longer than a lock of the
//! state, and the run loop never waits for a client. Nothing is loaded from, or sent to, another machine.

mod assets;
mod events;
mod guard;
mod routes;
mod watcher;

use std::future::IntoFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use axum::Router;

pub use self::watcher::{Totals, Watcher};
#[cfg(feature = "kafka")]
pub(crate) use self::{
    events::{Feed as PageFeed, channel},
    guard::{Asked, guard},
    routes::pages,
};
use crate::live::SharedLive;
use crate::server::{STOP_WITHIN, Server, Stopped};

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
    server: Server,
    taken_port: Option<u16>,
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
        let PageOptions { extra, .. } = options;
        let server = Server::start("live-page", listener, move |listener, stopped| {
            serve(listener, live, extra, stopped)
        })
        .map_err(PageError::Thread)?;
        Ok(Self { server, taken_port })
    }

    /// Where the page listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// The port that was asked for, if it was taken and the page listens on another.
    pub fn taken_port(&self) -> Option<u16> {
        self.taken_port
    }

    /// Sends the last changes to all clients and ends, within about a second.
    pub fn stop(self) {
        drop(self);
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
    Ok((listener, taken))
}

/// Serves until it is stopped.
async fn serve(listener: tokio::net::TcpListener, live: SharedLive, extra: Option<Router>, stopped: Stopped) {
    let (publisher, feed) = events::channel(live.clone());
    let app = routes::router(live, feed, extra);
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped.clone().wait());
    let all = async { tokio::join!(server.into_future(), publisher.publish(stopped.clone().wait())) };
    let late = async {
        stopped.clone().wait().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        (result, ()) = all => if let Err(error) = result {
            tracing::error!(%error, "the live page cannot be served any longer");
        },
        () = late => tracing::debug!("connections to the live page were still open and are cut"),
    }
}
