//! The admin server of a worker on Kafka: probes, metrics, status, the live page, savepoints and drain.
//!
//! It looks at what the worker's threads have published ([`Measures`]) and asks for what changes something by way of
//! [`Control`]. No thread of the data path ever waits for it.

mod access;
mod control;
mod monitor;
mod routes;
mod serve;
mod tls;
mod token;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

pub use self::access::Access;
pub use self::control::{Control, Manner, Refusal};

use self::access::Gate;
use self::monitor::Monitor;
use self::routes::Shared;
use crate::metrics::Measures;
use crate::page::{Asked, Watcher};
use crate::server::Server;

/// How the admin server is reached.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who is let in.
    pub access: Access,
}

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Others could reach it, and nothing says who may.
    #[error(
        "{0} is reached from other machines: give --admin-token-file or --admin-tls, so that not everybody may act; 127.0.0.1 needs neither"
    )]
    Open(SocketAddr),
    /// It cannot listen there.
    #[error("the admin server cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file with a secret or certificate cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not. It holds nothing of the file.
        reason: String,
    },
    /// There is no thread to serve it.
    #[error("the admin server cannot start its thread: {0}")]
    Thread(io::Error),
}

impl AdminError {
    /// Whether the command line is at fault, and not the machine.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// The admin server while it runs. Stops when dropped, within about a second.
pub struct Admin {
    // First the watcher says that the run is over, then the server tells its clients.
    _monitor: Monitor,
    server: Server,
    scheme: &'static str,
}

impl Admin {
    /// Serves from now on; with a watcher, the live page too.
    ///
    /// # Errors
    /// When it cannot listen, or not everybody may act and nothing says who does.
    pub fn start(
        options: &AdminOptions,
        measures: &Arc<Measures>,
        control: Arc<dyn Control>,
        page: Option<Watcher>,
    ) -> Result<Self, AdminError> {
        let address = options.address;
        if !address.ip().is_loopback() && !options.access.tells_callers_apart() {
            return Err(AdminError::Open(address));
        }
        let gate = Gate::open(&options.access)?;
        let listener = TcpListener::bind(address).map_err(|source| AdminError::Listen { address, source })?;
        let scheme = if gate.tls.is_some() { "https" } else { "http" };
        let asked = Asked {
            as_local: address.ip().is_loopback(),
            scheme,
        };
        let live = page.as_ref().map(Watcher::live);
        let shared = Shared {
            measures: Arc::clone(measures),
            control,
        };
        let server = Server::start("admin", listener, move |listener, stopped| {
            serve::serve(listener, gate, asked, shared, live, stopped)
        })
        .map_err(AdminError::Thread)?;
        let monitor = Monitor::start(measures, page).map_err(AdminError::Thread)?;
        Ok(Self {
            _monitor: monitor,
            server,
            scheme,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address())
    }
}

#[cfg(test)]
mod tests;
