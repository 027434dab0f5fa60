//! The API server: how it is asked, and what becomes of its answers.

pub mod apply;
pub mod error;
pub mod event;
pub mod gate;
pub mod stored;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::{Client, Config};

pub use error::ApiError;
use gate::{Gate, GateLayer};

/// The API server. Clones share connections.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    time_out: Duration,
}

impl ApiServer {
    /// The API server of the cluster that the process is in, or of the user's kubeconfig. Every request goes through `gate`.
    ///
    /// # Errors
    /// If there is none, or its certificate or credentials cannot be read.
    pub async fn connect(gate: Arc<Gate>, time_out: Duration) -> Result<Self, ApiError> {
        let asked = |source| ApiError::new("reading how the API server is reached", source);
        let mut config = Config::infer()
            .await
            .map_err(|error| asked(kube::Error::InferConfig(error)))?;
        // What fails is looked at anew by the queue, which knows how urgent it is; and behind the gate nothing may be sent
        // again by itself.
        config.default_retry = false;
        config.connect_timeout = Some(time_out);
        // Watches are silent for minutes.
        config.read_timeout = None;
        config.write_timeout = Some(time_out);
        let builder = ClientBuilder::try_from(config).map_err(asked)?;
        let client = builder.with_layer(&GateLayer::new(gate)).build();
        Ok(Self { client, time_out })
    }

    /// The client, for watches: their answers come for as long as they want.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits for an answer, for no longer than a request may take. `what` says what was asked, for people.
    ///
    /// # Errors
    /// If none came, or one that says no.
    pub async fn ask<T>(
        &self,
        what: impl FnOnce() -> String,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApiError> {
        match tokio::time::timeout(self.time_out, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ApiError::new(what(), error)),
            Err(_) => Err(ApiError::timed_out(what(), self.time_out)),
        }
    }
}
