//! Addresses of their own that sources listen on.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use super::intake::HttpIntake;
use crate::server::Server;
use crate::source::SourceError;

/// An address that takes events of one source. Stops when dropped.
#[derive(Debug)]
pub struct HttpListener {
    name: String,
    server: Server,
}

impl HttpListener {
    /// Serves the intake of source `name` at `address`: `127.0.0.1:8080`, or `:8080` for all addresses of the machine.
    pub(super) fn start(name: &str, address: &str, intake: HttpIntake) -> Result<Self, SourceError> {
        let wrong = |error| SourceError::Listen {
            input: name.to_owned(),
            address: address.to_owned(),
            error,
        };
        let listener = bind(address).map_err(wrong)?;
        let server = Server::of_router("http-source", listener, intake.into_router()).map_err(wrong)?;
        Ok(Self {
            name: name.to_owned(),
            server,
        })
    }

    /// Where events of the source are sent to.
    pub fn url(&self) -> String {
        format!("http://{}/v1/sources/{}", self.server.address(), self.name)
    }
}

fn bind(address: &str) -> std::io::Result<TcpListener> {
    match address.strip_prefix(':').map(str::parse::<u16>) {
        Some(Ok(port)) => TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
            .or_else(|_| TcpListener::bind(("0.0.0.0", port))),
        _ => {
            let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
            TcpListener::bind(addresses.as_slice())
        }
    }
}
