//! Posts rows to an HTTP address: a webhook, Slack, PagerDuty.
//!
//! The address is a tenant's. Each address that its name resolves to is checked when a connection is made, so that a name that
//! resolves differently the next time gains nothing; redirects are not followed; no proxy of the environment is used. Which
//! addresses are allowed, and what an answer means, the core decides.

mod answer;
mod endpoint;
mod error;
mod resolver;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tocsin_contract::pipeline::sink::WebhookTemplate;
use tocsin_worker_core::delivery::address::AddressRules;
use tocsin_worker_core::delivery::template::{Letter, body, has_token_within};

use self::answer::Secrets;
use self::endpoint::Endpoint;
pub use self::error::WebhookError;
use self::resolver::{CheckedResolver, Lookup, SystemLookup};
use crate::delivery::{ExternalSink, Parcel, Sending};

/// How long a connection may take, at most.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept: then the name is looked up again.
const IDLE: Duration = Duration::from_secs(30);

/// What receivers see in their logs.
const USER_AGENT: &str = concat!("tocsin/", env!("CARGO_PKG_VERSION"));

/// The header that tells a repeat (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A webhook, as it is declared, with its secrets.
#[derive(Clone)]
pub struct WebhookSettings {
    /// The address.
    pub url: SecretString,
    /// By what the receiver knows us.
    pub token: Option<SecretString>,
    /// Shape of the body.
    pub template: WebhookTemplate,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// How long a request may take.
    pub timeout: Duration,
    /// Which addresses may be connected to.
    pub addresses: AddressRules,
    /// Certificates of the authorities that are believed, in PEM; without them the system's.
    pub authorities: Option<Vec<u8>>,
}

/// A webhook that rows can be sent to.
pub struct Webhook {
    client: reqwest::Client,
    endpoint: Endpoint,
    template: WebhookTemplate,
    /// Where the template puts it into the body.
    token: SecretString,
    timeout: Duration,
    secrets: Secrets,
}

impl Webhook {
    /// Checks the settings. Nothing is connected to yet.
    ///
    /// # Errors
    /// If the address is invalid, or may not be reached. The error does not tell the address.
    pub fn new(settings: &WebhookSettings) -> Result<Self, WebhookError> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    fn with_lookup(settings: &WebhookSettings, lookup: Arc<dyn Lookup>) -> Result<Self, WebhookError> {
        let endpoint = Endpoint::parse(&settings.url, &settings.addresses)?;
        let token = settings.token.clone().unwrap_or_default();
        let secrets = Secrets::of(&endpoint, &token);
        if endpoint.has_credentials() && settings.token.is_some() {
            return Err(WebhookError::TwoTokens);
        }
        let resolver = CheckedResolver {
            lookup,
            rules: settings.addresses.clone(),
            is_encrypted: endpoint.is_encrypted(),
        };
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers(settings, &token)?)
            .tls_backend_preconfigured(tls(settings.authorities.as_deref())?)
            .dns_resolver(resolver)
            .redirect(Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT.min(settings.timeout))
            .timeout(settings.timeout)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|error| WebhookError::Client(error.without_url().to_string()))?;
        Ok(Self {
            client,
            endpoint,
            template: settings.template,
            token,
            timeout: settings.timeout,
            secrets,
        })
    }
}

impl ExternalSink for Webhook {
    fn send<'a>(&'a self, parcel: &'a Parcel) -> Sending<'a> {
        Box::pin(async move {
            let letter = Letter {
                shape: &parcel.shape,
                row: &parcel.fields,
                text: &parcel.row.value,
                identity: &parcel.identity,
            };
            let request = self
                .client
                .post(self.endpoint.url().clone())
                .header(IDEMPOTENCY_KEY, &parcel.identity.row)
                .body(body(self.template, &letter, self.token.expose_secret()));
            match request.send().await {
                Ok(response) => answer::read(response, &self.secrets).await,
                Err(error) => answer::failed(&error.without_url(), &self.secrets),
            }
        })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

fn headers(settings: &WebhookSettings, token: &SecretString) -> Result<HeaderMap, WebhookError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let invalid = || WebhookError::Header(name.clone());
        let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?, value);
    }
    if settings.token.is_some() && !has_token_within(settings.template) {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
        let mut bearer = bearer.map_err(|_| WebhookError::Token)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

fn tls(authorities: Option<&[u8]>) -> Result<ClientConfig, WebhookError> {
    let mut roots = RootCertStore::empty();
    let certificates = match authorities {
        None => rustls_native_certs::load_native_certs().certs,
        Some(pem) => CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect(),
    };
    // What cannot be used of them is left out; that none can is told.
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(WebhookError::Authorities);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WebhookError::Client(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
