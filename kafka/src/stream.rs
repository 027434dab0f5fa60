//! A connection's bytes, encrypted or not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::error::KafkaError;
use super::tls;

/// Bytes to and from a broker.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Ends a connection from another thread: what waits for it then fails.
#[derive(Debug)]
pub struct HangUp(TcpStream);

impl HangUp {
    pub fn hang_up(&self) {
        // It may have ended by itself.
        self.0.shutdown(Shutdown::Both).ok();
    }
}

impl Stream {
    /// Connects to `broker`, `host:port`.
    pub fn connect(broker: &str, tls: Option<&Arc<ClientConfig>>, timeout: Duration) -> Result<Self, KafkaError> {
        let unreachable = |source| KafkaError::Unreachable {
            broker: broker.to_owned(),
            source,
        };
        let socket = connect(broker, timeout).map_err(unreachable)?;
        // A request is written at once; waiting for more would only delay it.
        socket.set_nodelay(true).map_err(unreachable)?;
        socket.set_read_timeout(Some(timeout)).map_err(unreachable)?;
        socket.set_write_timeout(Some(timeout)).map_err(unreachable)?;
        let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
        match tls {
            None => Ok(Self::Plain(socket)),
            Some(config) => Ok(Self::Tls(Box::new(tls::wrap(config, host, socket, broker)?))),
        }
    }

    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(timeout))
    }

    pub fn hang_up(&self) -> io::Result<HangUp> {
        self.socket().try_clone().map(HangUp)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

/// The first address of the host that answers.
fn connect(broker: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for address in broker.to_socket_addrs()? {
        outcome = TcpStream::connect_timeout(&address, timeout);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

impl Stream {
    /// Reads so many bytes into empty memory, which is not cleared before but for TLS.
    pub fn read_into(&mut self, bytes: &mut Vec<u8>, n_bytes: usize) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.take(n_bytes as u64).read_to_end(bytes)?,
            Self::Tls(stream) => stream.take(n_bytes as u64).read_to_end(bytes)?,
        };
        if bytes.len() < n_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
