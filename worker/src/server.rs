//! A thread that serves HTTP, until it is dropped.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;

/// How long open connections may take to end when the server stops.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A server while it runs. Stops when dropped, within about a second.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Resolves when the server is to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stopped(watch::Receiver<()>);

impl Stopped {
    pub async fn wait(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl Server {
    /// Runs `serve` with the listener, in a thread of this name with a runtime of its own.
    pub fn start<F, S>(name: &str, listener: TcpListener, serve: S) -> io::Result<Self>
    where
        F: Future<Output = ()>,
        S: FnOnce(tokio::net::TcpListener, Stopped) -> F + Send + 'static,
    {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(serve(listener, Stopped(stopped))))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Serves a router.
    pub fn of_router(name: &str, listener: TcpListener, router: Router) -> io::Result<Self> {
        Self::start(name, listener, move |listener, stopped| async move {
            let server = axum::serve(listener, router).with_graceful_shutdown(stopped.clone().wait());
            let late = async {
                stopped.wait().await;
                tokio::time::sleep(STOP_WITHIN).await;
            };
            tokio::select! {
                result = std::future::IntoFuture::into_future(server) => if let Err(error) = result {
                    tracing::error!(%error, "the server cannot go on");
                },
                () = late => tracing::debug!("connections were still open and are cut"),
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a server's thread ended by a panic");
        }
    }
}
