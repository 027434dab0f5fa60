//! Encryption by rustls.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use secrecy::ExposeSecret;

use super::error::KafkaError;
use super::settings::{Identity, Tls};

/// What connections are made with.
pub fn config(tls: &Tls) -> Result<Arc<ClientConfig>, KafkaError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| KafkaError::TlsSettings(error.to_string()))?
        .with_root_certificates(authorities(tls)?);
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { chain, key }) => {
            let chain = certificates(chain, "the client's certificate")?;
            let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
                .map_err(|_| KafkaError::TlsSettings("the client's key is not valid PEM".to_owned()))?;
            let with_identity = builder.with_client_auth_cert(chain, key);
            with_identity.map_err(|error| {
                KafkaError::TlsSettings(format!("the client's certificate and key cannot be used: {error}"))
            })?
        }
    };
    Ok(Arc::new(config))
}

fn authorities(tls: &Tls) -> Result<RootCertStore, KafkaError> {
    let mut store = RootCertStore::empty();
    let Some(pem) = &tls.authorities else {
        let system = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(system.certs);
        if store.is_empty() {
            let reason = "this system has no certificate authorities; set kafka.tls.caSecretRef";
            return Err(KafkaError::TlsSettings(reason.to_owned()));
        }
        return Ok(store);
    };
    for certificate in certificates(pem, "the certificate authority")? {
        store
            .add(certificate)
            .map_err(|error| KafkaError::TlsSettings(format!("the certificate authority cannot be used: {error}")))?;
    }
    Ok(store)
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, KafkaError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(KafkaError::TlsSettings(format!("{what} is not valid PEM"))),
    }
}

/// Sets up encryption on a connection to `host`.
pub fn wrap(
    config: &Arc<ClientConfig>,
    host: &str,
    mut socket: TcpStream,
    broker: &str,
) -> Result<StreamOwned<ClientConnection, TcpStream>, KafkaError> {
    let failed = |reason: String| KafkaError::Tls {
        broker: broker.to_owned(),
        reason,
    };
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| failed(format!("{host} is no host name")))?;
    let mut session = ClientConnection::new(Arc::clone(config), name).map_err(|error| failed(error.to_string()))?;
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut socket) {
            return Err(match said(&error) {
                Some(reason) => failed(reason),
                None => on_the_way(broker, error),
            });
        }
    }
    Ok(StreamOwned::new(session, socket))
}

/// What rustls says, if it is its error. That the broker refuses our certificate may come with its first answer only.
pub fn said(error: &std::io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match inner {
        rustls::Error::InvalidCertificate(what) => format!("the broker's certificate is refused: {what}"),
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate),
        ) => format!("the broker refuses our certificate ({alert:?}): see kafka.tls.certificateSecretRef"),
        rustls::Error::AlertReceived(alert) => format!("the broker refuses us: {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the broker does not speak TLS on this port".to_owned(),
        other => other.to_string(),
    })
}

/// A connection that broke: a broker that starts again does that, and one that does not speak TLS.
fn on_the_way(broker: &str, source: std::io::Error) -> KafkaError {
    let broker = broker.to_owned();
    match source.kind() {
        std::io::ErrorKind::UnexpectedEof => KafkaError::Tls {
            broker,
            reason: "it closed the connection; it may not speak TLS on this port".to_owned(),
        },
        _ => KafkaError::Unreachable { broker, source },
    }
}
