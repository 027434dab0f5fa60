//! The address of a receiver, checked as far as it can be before a connection.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use tocsin_worker_core::delivery::address::AddressRules;
use url::{Host, Url};

use super::WebhookError;

/// The address of a receiver.
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an address. One that is written as a number is checked here, in whatever form: the client does not look it up.
    pub fn parse(text: &SecretString, rules: &AddressRules) -> Result<Self, WebhookError> {
        let url = Url::parse(text.expose_secret().trim()).map_err(WebhookError::Url)?;
        let is_encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(WebhookError::Scheme(other.to_owned())),
        };
        let refused = |address: IpAddr| rules.check(address, is_encrypted).map_err(WebhookError::Refused);
        match url.host() {
            Some(Host::Ipv4(address)) => refused(address.into())?,
            Some(Host::Ipv6(address)) => refused(address.into())?,
            // Of a name nothing is known yet.
            _ if !is_encrypted && rules.allowed.is_empty() => return Err(WebhookError::Unencrypted),
            _ => {}
        }
        Ok(Self(url))
    }

    /// The address.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it has a name, and perhaps a password, which are sent as such.
    pub fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }
}
