//! Settings of clients, and what all clients of the rig have in common.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Statistics};

use super::Kafka;
use super::certificates::ClientCertificate;
use super::options::Listener;
use super::users::{ALICE, Login};
use crate::RigError;

impl Kafka {
    /// A client's settings that every good client has for a listener: addresses, protocol, the authority to trust, its
    /// own certificate for `MutualTls`, and the login of [`ALICE`] by SCRAM-SHA-512 where there is one. A scenario
    /// overrules what it wants to be wrong.
    ///
    /// # Errors
    /// When the listener was not asked for.
    pub fn client(&self, listener: Listener) -> Result<ClientConfig, RigError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap(listener)?)
            .set("security.protocol", listener.protocol())
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "20")
            .set_log_level(RDKafkaLogLevel::Critical);
        if listener.has_tls() {
            config.set("ssl.ca.location", self.certificates()?.authority().to_string_lossy());
        }
        if listener == Listener::MutualTls {
            self.show_certificate(&mut config, ClientCertificate::Good)?;
        }
        if listener.has_login() {
            Login::scram_512(ALICE).apply(&mut config);
        }
        Ok(config)
    }

    /// Lets a client show this certificate.
    ///
    /// # Errors
    /// When no listener with TLS was asked for.
    pub fn show_certificate(&self, config: &mut ClientConfig, certificate: ClientCertificate) -> Result<(), RigError> {
        let (certificate, key) = self.certificates()?.client(certificate);
        config
            .set("ssl.certificate.location", certificate.to_string_lossy())
            .set("ssl.key.location", key.to_string_lossy());
        Ok(())
    }
}

/// Keeps a client's errors for itself instead of printing them.
#[derive(Debug, Default, Clone)]
pub struct Quiet {
    errors: Arc<Mutex<Vec<(RDKafkaErrorCode, String)>>>,
}

impl Quiet {
    /// What librdkafka reported so far.
    pub fn errors(&self) -> Vec<(RDKafkaErrorCode, String)> {
        self.errors.lock().clone()
    }
}

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn stats(&self, _statistics: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.errors.lock().push((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Quiet {}

/// Whether a client with these settings gets an answer from a broker.
///
/// # Errors
/// [`RigError::Refused`] when the broker or the client turns the other down (login, certificate), else
/// [`RigError::Client`] after ten seconds.
pub fn connects(config: &ClientConfig) -> Result<(), RigError> {
    let what = || "connecting a client".to_owned();
    let context = Quiet::default();
    let consumer: BaseConsumer<Quiet> = config
        .create_with_context(context.clone())
        .map_err(RigError::client(what()))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let asked = consumer.fetch_metadata(None, Duration::from_millis(200));
        // Errors are told on the way of messages.
        drop(consumer.poll(Duration::ZERO));
        let refused = context.errors().into_iter().find(|(code, reason)| {
            use RDKafkaErrorCode as Code;
            // In TLS 1.3 the client has finished when the broker looks at its certificate: to librdkafka its refusal
            // is one more broken connection.
            matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
                || reason.contains("SSL alert")
        });
        match (asked, refused) {
            (Ok(_), _) => return Ok(()),
            (Err(_), Some((_, answer))) => return Err(RigError::Refused { what: what(), answer }),
            (Err(error), None) if Instant::now() >= deadline => return Err(RigError::client(what())(error)),
            (Err(_), None) => {}
        }
    }
}

/// Waits for a future of librdkafka's, which its own thread completes.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}
