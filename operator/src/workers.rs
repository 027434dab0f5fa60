//! The workers' admin servers: what they say of themselves, and what they are asked for.
//!
//! A worker is asked at its pod's address, and must show a certificate of the operator's own authority for its pipeline: the
//! token goes to nobody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::json;
use thiserror::Error;
use tocsin_contract::ports;
use tocsin_contract::worker::{Refused, SAVEPOINTS, STATUS, Savepoint, WorkerStatus};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::keys::Keys;

/// The longest answer that is read.
const LONGEST: usize = 8 << 20;

/// Asks workers.
pub struct Workers {
    tls: TlsConnector,
    time_out: Duration,
}

/// One worker.
#[derive(Clone)]
pub struct Worker {
    /// Address of its pod.
    pub address: IpAddr,
    /// The name that its certificate must have.
    pub name: String,
    /// The token of its pipeline.
    pub token: SecretString,
}

/// Why a worker did not answer as it should.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// It could not be asked.
    #[error("{0}")]
    Unreachable(String),
    /// It knows of no such thing.
    #[error("there is no such thing")]
    Unknown,
    /// It says no, and why.
    #[error("{0}")]
    Refused(String),
}

impl Workers {
    /// Asks workers that show a certificate of this authority.
    ///
    /// # Errors
    /// If the authority's certificate is none.
    pub fn new(keys: &Keys, time_out: Duration) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(keys.authority().as_bytes());
        let authority = authority.map_err(|error| rustls::Error::General(error.to_string()))?;
        roots.add(authority)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            time_out,
        })
    }

    /// What the worker is doing.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn status(&self, worker: &Worker) -> Result<WorkerStatus, WorkerError> {
        self.ask(worker, Method::GET, STATUS.to_owned(), Vec::new()).await
    }

    /// How far a savepoint is.
    ///
    /// # Errors
    /// `Unknown` if it knows of none of that id.
    pub async fn savepoint(&self, worker: &Worker, id: &str) -> Result<Savepoint, WorkerError> {
        self.ask(worker, Method::GET, format!("{SAVEPOINTS}/{id}"), Vec::new())
            .await
    }

    /// Asks for a savepoint; behind one that `ends` the run nothing more is given out in it.
    ///
    /// # Errors
    /// If there can be none.
    pub async fn ask_for_savepoint(&self, worker: &Worker, id: &str, ends: bool) -> Result<Savepoint, WorkerError> {
        let body = json!({"id": id, "ends": ends}).to_string().into_bytes();
        self.ask(worker, Method::POST, SAVEPOINTS.to_owned(), body).await
    }

    /// Gives a savepoint up: the worker goes on.
    ///
    /// # Errors
    /// `Refused` if it is complete.
    pub async fn give_up_savepoint(&self, worker: &Worker, id: &str) -> Result<Savepoint, WorkerError> {
        self.ask(worker, Method::DELETE, format!("{SAVEPOINTS}/{id}"), Vec::new())
            .await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        worker: &Worker,
        method: Method,
        path: String,
        body: Vec<u8>,
    ) -> Result<T, WorkerError> {
        let answer = tokio::time::timeout(self.time_out, self.exchange(worker, method, path, body)).await;
        let (status, body) = answer.map_err(|_| unreachable(format!("no answer within {:?}", self.time_out)))??;
        let refused = || {
            let said = serde_json::from_slice::<Refused>(&body);
            said.map_or_else(|_| format!("it answered {status}"), |said| said.error)
        };
        match status {
            status if status.is_success() => serde_json::from_slice(&body)
                .map_err(|error| unreachable(format!("its answer cannot be read: {error}"))),
            StatusCode::NOT_FOUND => Err(WorkerError::Unknown),
            StatusCode::CONFLICT | StatusCode::BAD_REQUEST => Err(WorkerError::Refused(refused())),
            _ => Err(unreachable(refused())),
        }
    }

    async fn exchange(
        &self,
        worker: &Worker,
        method: Method,
        path: String,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), WorkerError> {
        let address = SocketAddr::new(worker.address, ports::ADMIN);
        let name = ServerName::try_from(worker.name.clone()).map_err(unreachable)?;
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        // It ends with the sender.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &worker.name)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", worker.token.expose_secret()),
            )
            .body(Full::new(Bytes::from(body)))
            .map_err(unreachable)?;
        let answer = sender.send_request(request).await.map_err(unreachable)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        Ok((status, body.map_err(unreachable)?.to_bytes()))
    }
}

fn unreachable(why: impl ToString) -> WorkerError {
    WorkerError::Unreachable(why.to_string())
}
