//! The webhook's certificate: made by the operator's own authority, made anew before it ends, and told to the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use serde_json::json;
use tocsin_contract::labels::FIELD_MANAGER;

use super::{AUDIT, VALIDATE};
use crate::api::gate::Gate;
use crate::api::{ApiError, ApiServer};
use crate::authority;
use crate::clock::Clock;
use crate::keys::{KeyError, Keys};

/// The webhooks, as their configurations name them, and where they are asked.
const MUTATING: (&str, &str) = ("audit.tocsin.dev", AUDIT);
const VALIDATING: (&str, &str) = ("validate.tocsin.dev", VALIDATE);

/// How often it is seen to that the API server knows whom to trust.
const BETWEEN_INJECTIONS: Duration = Duration::from_secs(10);
/// How often that is tried until it is so.
const FIRST_INJECTION: Duration = Duration::from_millis(200);

/// The certificate that the webhook shows at the moment.
pub struct ServingCertificate {
    clock: Clock,
    names: Vec<String>,
    current: Mutex<Option<(Arc<ServerConfig>, Timestamp)>>,
}

impl ServingCertificate {
    /// For a service of this name in this namespace.
    pub fn new(clock: Clock, service: &str, namespace: &str) -> Self {
        Self {
            clock,
            names: vec![
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
            ],
            current: Mutex::default(),
        }
    }

    /// What a connection that begins now is served with.
    ///
    /// # Errors
    /// If no certificate can be made.
    pub fn config(&self, keys: &Keys) -> Result<Arc<ServerConfig>, KeyError> {
        self.config_at(keys, self.clock.now())
    }

    fn config_at(&self, keys: &Keys, now: Timestamp) -> Result<Arc<ServerConfig>, KeyError> {
        let mut current = self.current.lock();
        if let Some((config, ends)) = &*current
            && authority::is_good(*ends, now)
        {
            return Ok(Arc::clone(config));
        }
        let certificate = keys.certificate(self.names.clone(), now)?;
        let config = Arc::new(config(&certificate.chain, certificate.key.expose_secret())?);
        tracing::info!(ends = %certificate.ends, "made a certificate for the webhook");
        *current = Some((Arc::clone(&config), certificate.ends));
        Ok(config)
    }
}

fn config(chain: &str, key: &str) -> Result<ServerConfig, KeyError> {
    let unfit = |error: &dyn std::fmt::Display| KeyError::Unfit(error.to_string());
    let chain = CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|error| unfit(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unfit(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(&error))?
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .map_err(|error| unfit(&error))
}

/// Tells the API server whom to trust when it asks the webhook, for as long as the process lives: whoever installs the chart
/// anew takes that away.
pub async fn keep_injected(api: ApiServer, keys: Arc<Keys>, gate: Arc<Gate>, name: String, is_known: Arc<AtomicBool>) {
    loop {
        if gate.is_open() {
            let mutating = inject::<MutatingWebhookConfiguration>(&api, &keys, &name, MUTATING).await;
            let validating = inject::<ValidatingWebhookConfiguration>(&api, &keys, &name, VALIDATING).await;
            match mutating.and(validating) {
                Ok(()) => is_known.store(true, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the API server was not told whom to trust as webhook"),
            }
        }
        let is_known = is_known.load(Ordering::Relaxed);
        tokio::time::sleep(if is_known { BETWEEN_INJECTIONS } else { FIRST_INJECTION }).await;
    }
}

/// Tells the API server whom to trust when it asks the webhook, and how it is known there: in the configuration of this name, if
/// it is there. `webhook` is its webhook's name and path.
///
/// # Errors
/// If the API server does not take it.
async fn inject<K>(api: &ApiServer, keys: &Keys, name: &str, (webhook, path): (&str, &str)) -> Result<(), ApiError>
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let configurations: Api<K> = Api::all(api.client());
    let what = |verb: &'static str| move || format!("{verb} {} {name}", K::kind(&()));
    let found = api.ask(what("get"), configurations.get_metadata_opt(name)).await?;
    let Some(found) = found else { return Ok(()) };
    let authority = ByteString(keys.authority().as_bytes().to_vec());
    let path = format!("{path}/{}", keys.webhook_secret());
    let webhook = json!({"name": webhook, "clientConfig": {"caBundle": authority, "service": {"path": path}}});
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": found.metadata.uid},
        "webhooks": [webhook],
    });
    let how = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&body);
    let answer = configurations.patch_metadata(name, &how, &patch);
    api.ask(what("apply"), answer).await.map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn a_certificate_is_shown_until_a_month_before_it_ends() {
        let (keys, start) = (crate::keys::tests::keys(), Timestamp::UNIX_EPOCH);
        let serving = ServingCertificate::new(Clock::start(), "tocsin-webhook", "tocsin-system");
        let on_day = |day: i64| serving.config_at(&keys, start + (day * 24).hours()).unwrap();
        let first = on_day(0);
        assert!(Arc::ptr_eq(&first, &on_day(59)));
        let second = on_day(61);
        assert!(!Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&second, &on_day(100)));
    }
}
