//! Encryption of the HTTP clients that speak to servers of a user's own choice.

use std::sync::Arc;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Encryption by rustls, with the system's authorities; nothing where it has none, as then no server is believed.
pub fn by_system_authorities() -> Option<TlsConfig> {
    let system = rustls_native_certs::load_native_certs();
    let certificates = system.certs.iter();
    let certificates: Vec<Certificate<'static>> = certificates
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if certificates.is_empty() {
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::from(certificates))
        .build();
    Some(tls)
}
