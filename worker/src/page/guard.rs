//! Who may ask, and what browsers may do with the answer.
//!
//! The page listens on loopback, but any web site can make a browser on this machine send requests there. A site that
//! rebinds its own name to 127.0.0.1 is told by its `Host`, a form or script of a foreign page by its `Origin`.

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// How the server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether it may be called by a name of this machine alone.
    pub as_local: bool,
    /// `http` or `https`.
    pub scheme: &'static str,
}

impl Asked {
    /// By a name of this machine, without TLS.
    pub const LOCALLY: Self = Self {
        as_local: true,
        scheme: "http",
    };
}

/// Refuses foreign requests, and adds the security headers to every answer.
pub async fn guard(State(asked): State<Asked>, request: Request, next: Next) -> Response {
    let mut response = if is_own(request.headers(), asked) {
        next.run(request).await
    } else {
        (
            StatusCode::FORBIDDEN,
            match asked.as_local {
                true => "Only pages of this server, asked for as localhost, are answered.\n",
                false => "Only pages of this server are answered.\n",
            },
        )
            .into_response()
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether the request names this server, and no page of another origin sent it.
fn is_own(headers: &HeaderMap, asked: Asked) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or("?"))
    };
    let Some(host) = text(header::HOST) else { return false };
    let named = host.parse::<axum::http::uri::Authority>().is_ok_and(|name| {
        let mut own = ["localhost", "127.0.0.1", "[::1]"].iter();
        !asked.as_local || own.any(|own| name.host().eq_ignore_ascii_case(own))
    });
    let own_origin = text(header::ORIGIN).is_none_or(|origin| {
        origin.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some(asked.scheme)
                && uri
                    .authority()
                    .is_some_and(|name| name.as_str().eq_ignore_ascii_case(host))
        })
    });
    named && own_origin && !host.contains('@')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn check(host: Option<&str>, origin: Option<&str>, expected: bool) {
        check_as(Asked::LOCALLY, host, origin, expected);
    }

    fn check_as(asked: Asked, host: Option<&str>, origin: Option<&str>, expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        assert_eq!(is_own(&headers, asked), expected, "host {host:?}, origin {origin:?}");
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "127.0.0.1:65535",
            "[::1]:8080",
        ] {
            check(Some(host), None, true);
        }
        let foreign = [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "evil@localhost:8080",
            "",
            "localhost:8080, evil.example",
        ];
        for host in foreign {
            check(Some(host), None, false);
        }
        check(None, None, false);
    }

    #[test]
    fn a_page_of_another_origin_is_not_answered() {
        check(Some("localhost:8080"), Some("http://localhost:8080"), true);
        for origin in [
            "http://localhost:3000",
            "https://localhost:8080",
            "http://evil.example",
            "null",
            "",
        ] {
            check(Some("localhost:8080"), Some(origin), false);
        }
    }
    #[test]
    fn a_server_of_the_cluster_has_any_name_and_is_no_page_of_another_origin() {
        let asked = Asked {
            as_local: false,
            scheme: "https",
        };
        for host in ["worker-0.noc:9090", "10.0.0.7:9090"] {
            check_as(asked, Some(host), None, true);
            check_as(asked, Some(host), Some(&format!("https://{host}")), true);
            check_as(asked, Some(host), Some(&format!("http://{host}")), false);
            check_as(asked, Some(host), Some("https://evil.example"), false);
        }
        check_as(asked, None, None, false);
        check_as(asked, Some("worker:9090, evil.example"), None, false);
    }
}
