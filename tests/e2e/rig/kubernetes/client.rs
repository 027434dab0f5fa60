//! Asks the API server, for the rig and for tests.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::User;
use crate::RigError;

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the API server as one user.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    address: SocketAddr,
    user: User,
}

impl Client {
    pub(super) fn new(address: SocketAddr, authority: &Path, user: User) -> Result<Self, RigError> {
        let pem = std::fs::read(authority).map_err(RigError::io(format!("reading {}", authority.display())))?;
        let authority = Certificate::from_pem(&pem).map_err(|error| RigError::Misused(error.to_string()))?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![authority])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Self {
            agent: config.into(),
            address,
            user,
        })
    }

    /// What is at a path.
    ///
    /// # Errors
    /// When there is nothing, or it may not be seen.
    pub fn get(&self, path: &str) -> Result<Value, RigError> {
        self.ask("GET", path, None)
    }

    /// What is at a path, if anything is.
    ///
    /// # Errors
    /// When it cannot be asked, or may not be seen.
    pub fn find(&self, path: &str) -> Result<Option<Value>, RigError> {
        match self.send("GET", path, None)? {
            (404, _) => Ok(None),
            (status, value) if status < 300 => Ok(Some(value)),
            (status, value) => Err(refused("GET", path, status, &value)),
        }
    }

    /// Makes an object in a collection.
    ///
    /// # Errors
    /// When the API server does not take it: with its words.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value, RigError> {
        self.ask("POST", path, Some(("application/json", object)))
    }

    /// Changes parts of an object.
    ///
    /// # Errors
    /// When the API server does not take it: with its words.
    pub fn merge(&self, path: &str, change: &Value) -> Result<Value, RigError> {
        self.ask("PATCH", path, Some(("application/merge-patch+json", change)))
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When the API server does not let it.
    pub fn delete(&self, path: &str) -> Result<Value, RigError> {
        self.ask("DELETE", path, None)
    }

    fn ask(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> Result<Value, RigError> {
        match self.send(method, path, body)? {
            (status, value) if status < 300 => Ok(value),
            (status, value) => Err(refused(method, path, status, &value)),
        }
    }

    /// The status of the answer, and the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn send(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> Result<(u16, Value), RigError> {
        let failed = |error: &dyn std::fmt::Display| RigError::Refused {
            what: format!("{method} {path}"),
            answer: error.to_string(),
        };
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address))
            .header("Authorization", format!("Bearer {}", self.user.token()));
        let mut bytes = Vec::new();
        if let Some((kind, value)) = body {
            request = request.header("Content-Type", kind);
            bytes = value.to_string().into_bytes();
        }
        let request = request.body(bytes).map_err(|error| failed(&error))?;
        let mut answer = self.agent.run(request).map_err(|error| failed(&error))?;
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()
            .map_err(|error| failed(&error))?;
        // Probes answer in words.
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}

fn refused(method: &str, path: &str, status: u16, answer: &Value) -> RigError {
    let words = answer.get("message").and_then(Value::as_str);
    RigError::Refused {
        what: format!("{method} {path}"),
        answer: format!("{status}: {}", words.map_or_else(|| answer.to_string(), str::to_owned)),
    }
}
