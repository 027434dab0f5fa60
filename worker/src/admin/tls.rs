//! TLS of the admin server, from a folder as a Kubernetes secret is mounted; read again when it changes.
//!
//! A client's certificate is asked for and not demanded, as the probes of a kubelet have none; one that is not of the
//! authority ends the connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::AdminError;

/// How old what was read of the folder may be.
const FRESH: Duration = Duration::from_secs(10);

/// TLS of the admin server.
pub struct Tls {
    folder: PathBuf,
    needs_authority: bool,
    known: Mutex<Known>,
}

struct Known {
    files: Files,
    config: Arc<ServerConfig>,
    looked: Instant,
}

#[derive(PartialEq, Eq)]
struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
    authority: Option<Vec<u8>>,
}

impl Tls {
    /// `needs_authority` if nothing but certificates tells callers apart.
    ///
    /// # Errors
    /// When a file is missing, or holds something else.
    pub fn open(folder: &Path, needs_authority: bool) -> Result<Self, AdminError> {
        let files = Files::read(folder, needs_authority)?;
        let config = files.config(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            needs_authority,
            known: Mutex::new(Known {
                files,
                config,
                looked: Instant::now(),
            }),
        })
    }

    /// What a new connection is made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut known = self.known.lock();
        if known.looked.elapsed() > FRESH {
            known.looked = Instant::now();
            if let Err(error) = self.look_again(&mut known) {
                tracing::warn!(%error, "the certificates that were read before stay");
            }
        }
        Arc::clone(&known.config)
    }

    fn look_again(&self, known: &mut Known) -> Result<(), AdminError> {
        let files = Files::read(&self.folder, self.needs_authority)?;
        if files != known.files {
            known.config = files.config(&self.folder)?;
            known.files = files;
            tracing::info!(folder = %self.folder.display(), "the certificates of the admin server have changed");
        }
        Ok(())
    }
}

impl Files {
    fn read(folder: &Path, needs_authority: bool) -> Result<Self, AdminError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| AdminError::File {
                path,
                reason: error.to_string(),
            })
        };
        let authority = match read("ca.crt") {
            Ok(authority) => Some(authority),
            Err(error) if needs_authority => return Err(error),
            Err(_) => None,
        };
        Ok(Self {
            chain: read("tls.crt")?,
            key: read("tls.key")?,
            authority,
        })
    }

    fn config(&self, folder: &Path) -> Result<Arc<ServerConfig>, AdminError> {
        let wrong = |name: &str, reason: String| AdminError::File {
            path: folder.join(name),
            reason,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("tls.crt", error.to_string()))?;
        let builder = match &self.authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(authority).map_err(|reason| wrong("ca.crt", reason))? {
                    let added = roots.add(certificate);
                    added.map_err(|error| wrong("ca.crt", error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = verifier.allow_unauthenticated().build();
                builder.with_client_cert_verifier(verifier.map_err(|error| wrong("ca.crt", error.to_string()))?)
            }
        };
        let chain = certificates(&self.chain).map_err(|reason| wrong("tls.crt", reason))?;
        // What it is must not show.
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|_| wrong("tls.key", "there is no private key in PEM".to_owned()))?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| wrong("tls.crt", format!("it cannot be used with tls.key: {error}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("there is no certificate in PEM".to_owned()),
    }
}
