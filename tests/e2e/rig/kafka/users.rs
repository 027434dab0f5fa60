//! Who may log in, and how: the users that every cluster with a login knows, and a client's settings for them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;

/// A name and its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: &'static str,
    /// The password, of PLAIN and SCRAM alike.
    pub password: &'static str,
}

/// May do everything, also under authorisation.
pub const ADMIN: User = User {
    name: "admin",
    password: "admin-secret",
};

/// May do what a rule allows her.
pub const ALICE: User = User {
    name: "alice",
    password: "alice-secret",
};

/// The scope that a token must have.
pub const SCOPE: &str = "tocsin";

/// How a client logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// PLAIN.
    Plain {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// SCRAM-SHA-256.
    Scram256 {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// SCRAM-SHA-512.
    Scram512 {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// OAUTHBEARER, with a token that librdkafka makes for itself and does not sign.
    OAuthBearer {
        /// The name that the token gives.
        principal: String,
        /// The scope that the token claims; brokers ask for [`SCOPE`].
        scope: String,
    },
}

impl Login {
    /// PLAIN with a user's own password.
    pub fn plain(user: User) -> Self {
        Self::Plain {
            user: user.name.to_owned(),
            password: user.password.to_owned(),
        }
    }

    /// SCRAM-SHA-256 with a user's own password.
    pub fn scram_256(user: User) -> Self {
        Self::Scram256 {
            user: user.name.to_owned(),
            password: user.password.to_owned(),
        }
    }

    /// SCRAM-SHA-512 with a user's own password.
    pub fn scram_512(user: User) -> Self {
        Self::Scram512 {
            user: user.name.to_owned(),
            password: user.password.to_owned(),
        }
    }

    /// OAUTHBEARER with the right scope.
    pub fn oauth_bearer(user: User) -> Self {
        Self::OAuthBearer {
            principal: user.name.to_owned(),
            scope: SCOPE.to_owned(),
        }
    }

    /// Puts the login into a client's settings.
    pub fn apply(&self, config: &mut ClientConfig) {
        match self {
            Self::Plain { user, password } => Self::password(config, "PLAIN", user, password),
            Self::Scram256 { user, password } => Self::password(config, "SCRAM-SHA-256", user, password),
            Self::Scram512 { user, password } => Self::password(config, "SCRAM-SHA-512", user, password),
            Self::OAuthBearer { principal, scope } => {
                config
                    .set("sasl.mechanism", "OAUTHBEARER")
                    .set("enable.sasl.oauthbearer.unsecure.jwt", "true")
                    .set(
                        "sasl.oauthbearer.config",
                        format!("principal={principal} scope={scope}"),
                    );
            }
        }
    }

    fn password(config: &mut ClientConfig, mechanism: &str, user: &str, password: &str) {
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", user)
            .set("sasl.password", password);
    }
}

/// A token for OAUTHBEARER that nobody signed, good for an hour; brokers of the rig take such.
pub fn unsigned_token(principal: &str, scope: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let claims = serde_json::json!({"sub": principal, "scope": scope, "iat": now, "exp": now + 3_600});
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims.to_string()))
}

/// A broker's settings of a listener with a login, behind `listener.name.NAME.`.
pub fn login_settings() -> Vec<(String, String)> {
    const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer";
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let users: String = [ADMIN, ALICE]
        .iter()
        .map(|user| format!(" user_{}=\"{}\"", user.name, user.password))
        .collect();
    let settings = [
        (
            "sasl.enabled.mechanisms",
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned(),
        ),
        ("plain.sasl.jaas.config", format!("{plain}{users};")),
        ("scram-sha-256.sasl.jaas.config", scram.to_owned()),
        ("scram-sha-512.sasl.jaas.config", scram.to_owned()),
        (
            "oauthbearer.sasl.jaas.config",
            format!(
                "{OAUTH}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\" unsecuredValidatorRequiredScope=\"{SCOPE}\";"
            ),
        ),
        (
            "oauthbearer.sasl.server.callback.handler.class",
            format!("{OAUTH}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"),
        ),
    ];
    settings
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
