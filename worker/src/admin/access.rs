//! Who is let in where.
//!
//! Probes are open: a kubelet has neither token nor certificate, and they tell nothing that a restart would not. All
//! else needs a proof where one is asked for: a bearer token, or a certificate of the client's own. A browser that is
//! asked for a password sends the token as one. Metrics can be opened, as Vault and etcd do it, for a Prometheus that is
//! given no secrets; by default they are not, since they have the names of topics, stages and sinks in them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tocsin_contract::worker::{LIVEZ, METRICS, READYZ};

use super::AdminError;
use super::tls::Tls;
use super::token::Token;

/// Who is let in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// File with the token that callers must show.
    pub token_file: Option<PathBuf>,
    /// Folder with `tls.crt`, `tls.key`, and `ca.crt` whose certificates are let in.
    pub tls: Option<PathBuf>,
    /// Whether everybody may read metrics.
    pub open_metrics: bool,
}

impl Access {
    /// Whether there is anything by which callers are told apart.
    pub(super) fn tells_callers_apart(&self) -> bool {
        self.token_file.is_some() || self.tls.is_some()
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub address: SocketAddr,
    /// Whether it has shown a certificate that is let in.
    pub is_certified: bool,
}

/// Lets in who may.
pub(super) struct Gate {
    token: Option<Token>,
    pub tls: Option<Tls>,
    open_metrics: bool,
}

impl Gate {
    pub fn open(access: &Access) -> Result<Self, AdminError> {
        let token = access.token_file.as_deref().map(Token::open).transpose()?;
        let needs_authority = token.is_none();
        let tls = access.tls.as_deref();
        Ok(Self {
            tls: tls.map(|folder| Tls::open(folder, needs_authority)).transpose()?,
            token,
            open_metrics: access.open_metrics,
        })
    }

    fn admits(&self, uri: &Uri, headers: &HeaderMap, caller: Option<&Caller>) -> bool {
        let is_open = match uri.path() {
            LIVEZ | READYZ => true,
            METRICS => self.open_metrics,
            _ => false,
        };
        let needs_no_proof = self.token.is_none() && self.tls.is_none();
        is_open || needs_no_proof || caller.is_some_and(|caller| caller.is_certified) || self.knows(headers)
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(shown);
        let token = self.token.as_ref().zip(shown);
        token.is_some_and(|(token, shown)| token.is(&shown))
    }
}

/// The secret that a header shows.
fn shown(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = STANDARD.decode(rest).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        return Some(pair[colon + 1..].to_vec());
    }
    None
}

/// Answers 401 to whoever is not let in.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    if gate.admits(request.uri(), request.headers(), caller) {
        return next.run(request).await;
    }
    let address = caller.map(|caller| caller.address);
    tracing::debug!(
        path = request.uri().path(),
        ?address,
        "a caller of the admin server was not let in"
    );
    let refused = "This needs the worker's token (Authorization: Bearer ...) or a client's certificate.\n";
    let mut response = (StatusCode::UNAUTHORIZED, refused).into_response();
    for challenge in ["Bearer", "Basic realm=\"tocsin\", charset=\"UTF-8\""] {
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().append(WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_header_shows_a_token_or_a_password() {
        let check = |header: &str, expected: Option<&str>| {
            let found = shown(&HeaderValue::from_str(header).unwrap());
            assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{header}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic dXNlcjpzZWM6cmV0", Some("sec:ret"));
        check("Basic OnNlY3JldA==", Some("secret"));
        for nothing in ["", "Bearer", "Basic dXNlcg==", "Basic %%%", "Digest abc"] {
            check(nothing, None);
        }
    }
}
