//! Why a webhook cannot be used as it is declared.

use tocsin_worker_core::delivery::address::RefusedAddress;

/// Why a webhook cannot be used as it is declared. Tells neither address nor token.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The address is invalid.
    #[error("the address is not a URL: {0}")]
    Url(url::ParseError),
    /// It is of another scheme.
    #[error("the address begins with `{0}:`; it must begin with https")]
    Scheme(String),
    /// It is not encrypted.
    #[error("the address must begin with https; http is for addresses that --allow-address names")]
    Unencrypted,
    /// It may not be connected to.
    #[error("the address is refused: {0}; --allow-address allows it")]
    Refused(RefusedAddress),
    /// It has a name and a password, and there is a token.
    #[error("the address has a name and a password, and there is a token: only one of them can be sent")]
    TwoTokens,
    /// A header is invalid.
    #[error("the header `{0}` cannot be sent")]
    Header(String),
    /// The token is invalid.
    #[error("the token cannot be sent: it is not of printable ASCII")]
    Token,
    /// Nobody is believed.
    #[error("this system has no certificate authorities: no receiver could be believed")]
    Authorities,
    /// The client cannot be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}
