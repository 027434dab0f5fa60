//! Tokens for OAUTHBEARER: asked for at a token endpoint by client credentials, and kept until shortly before their end.

use std::error::Error;
use std::io::Read as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rdkafka::client::OAuthToken;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use ureq::Agent;
use url::{Host, Url};

use super::error::KafkaError;
use crate::https::by_system_authorities;

/// A token is asked for anew after this, whatever it says of itself.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// An answer comes within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest answer that is read.
const LARGEST: u64 = 1 << 20;

/// Of a token of which nobody says how long it lives.
const LIFETIME: Duration = Duration::from_secs(300);

/// Gets tokens for one client. Neither its secret nor a token shows in `Debug`.
pub struct Tokens {
    endpoint: Url,
    client: String,
    secret: SecretString,
    scope: Option<String>,
    agent: Agent,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: Token,
    /// From then on a new one is asked for.
    until: Instant,
}

/// A token.
#[derive(Clone, Debug)]
pub struct Token {
    /// What is sent.
    pub text: SecretString,
    /// When it ends.
    pub ends: SystemTime,
}

/// What a token endpoint answers.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Tokens {
    /// For a client of the token endpoint at an address.
    ///
    /// # Errors
    /// If the address is invalid, or the secret would be sent as it is over a network.
    pub fn new(endpoint: &str, client: &str, secret: SecretString, scope: Option<&str>) -> Result<Self, KafkaError> {
        let refused = |reason: &str| KafkaError::Token {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
            is_final: true,
        };
        let url = Url::parse(endpoint).map_err(|error| refused(&error.to_string()))?;
        let is_here = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            _ => false,
        };
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("tocsin");
        let config = match url.scheme() {
            "https" => {
                let none = || refused("this system has no certificate authorities to believe it by");
                config.tls_config(by_system_authorities().ok_or_else(none)?)
            }
            "http" if is_here => config,
            _ => return Err(refused("it must begin with https: the client's secret is sent there")),
        };
        Ok(Self {
            endpoint: url,
            client: client.to_owned(),
            secret,
            scope: scope.map(str::to_owned),
            agent: config.build().into(),
            kept: Mutex::new(None),
        })
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// If the endpoint gives none.
    pub fn token(&self) -> Result<Token, KafkaError> {
        // Others wait for the answer to one question.
        let mut kept = self.kept.lock();
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return Ok(kept.token.clone());
        }
        let (text, lifetime) = match self.ask() {
            Ok(answer) => answer,
            Err(error) => {
                // One that is still good is better than none while the endpoint is away.
                let good = kept.as_ref().filter(|kept| SystemTime::now() < kept.token.ends);
                let token = good.map(|kept| kept.token.clone()).ok_or(error)?;
                return Ok(token);
            }
        };
        let lifetime = lifetime.min(LONGEST);
        let token = Token {
            text,
            ends: SystemTime::now() + lifetime,
        };
        *kept = Some(Kept {
            token: token.clone(),
            until: Instant::now() + lifetime.mul_f64(0.7),
        });
        Ok(token)
    }

    fn ask(&self) -> Result<(SecretString, Duration), KafkaError> {
        let failed = |reason: String, is_final| KafkaError::Token {
            endpoint: self.endpoint.to_string(),
            reason,
            is_final,
        };
        let escaped = |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        // As RFC 6749, 2.3.1, has it: both are escaped before they are joined.
        let name = format!("{}:{}", escaped(&self.client), escaped(self.secret.expose_secret()));
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            form.push_str("&scope=");
            form.push_str(&escaped(scope));
        }
        let asked = self
            .agent
            .post(self.endpoint.as_str())
            .header("Authorization", format!("Basic {}", STANDARD.encode(name)))
            .header("Accept", "application/json")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send(form.as_str());
        let mut answer = asked.map_err(|error| failed(error.to_string(), false))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let read = answer.body_mut().as_reader().take(LARGEST).read_to_end(&mut body);
        read.map_err(|error| failed(error.to_string(), false))?;
        let said: Option<Answer> = serde_json::from_slice(&body).ok();
        match said {
            Some(Answer {
                access_token: Some(token),
                expires_in,
                ..
            }) if status == 200 => Ok((token.into(), expires_in.map_or(LIFETIME, Duration::from_secs))),
            said => {
                let why = said
                    .and_then(|said| said.error_description.or(said.error))
                    .unwrap_or_default();
                let is_final = (400..500).contains(&status) && status != 408 && status != 429;
                Err(failed(
                    format!("it answers {status} {why}").trim_end().to_owned(),
                    is_final,
                ))
            }
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("endpoint", &self.endpoint.as_str())
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Gives librdkafka's clients the tokens that they ask for.
#[derive(Clone, Debug, Default)]
pub struct TokenLogin(pub(super) Option<Arc<Tokens>>);

impl TokenLogin {
    /// A token, for librdkafka's callback.
    ///
    /// # Errors
    /// As [`Tokens::token`].
    pub fn answer(&self) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self.0.as_ref().ok_or("no token endpoint is set")?;
        let token = tokens.token()?;
        Ok(OAuthToken {
            token: token.text.expose_secret().to_owned(),
            principal_name: tokens.client.clone(),
            lifetime_ms: token.ends.duration_since(UNIX_EPOCH)?.as_millis() as i64,
        })
    }
}
