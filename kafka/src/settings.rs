//! Where the brokers are, and how to reach them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tocsin_contract::pipeline::kafka::is_principal;

use super::librdkafka::{BEFORE_JOINING, SESSION};
use super::sasl;
use super::tokens::{TokenLogin, Tokens};

/// How to reach a cluster. Neither passwords nor keys show in `Debug`.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Brokers to begin with.
    pub brokers: Brokers,
    /// What brokers call us in their logs and quotas.
    pub client_id: String,
    /// Encryption. Without it nothing is encrypted; with it nothing is ever sent without.
    pub tls: Option<Tls>,
    /// Who we are.
    pub sasl: Option<Sasl>,
    /// Where we are; brokers then name replicas near by.
    pub rack: Option<String>,
    /// Who reads and writes records.
    pub client: ClientKind,
    /// How long a connection may take until it can be used.
    pub connect_timeout: Duration,
    /// How long an answer may take, the time apart for which the broker was asked to wait.
    pub request_timeout: Duration,
}

impl ClusterSettings {
    /// Who reads and writes records, and why, for the log.
    pub fn client_and_why(&self) -> String {
        let login = self.sasl.as_ref().map_or("no login", |sasl| sasl::name(sasl.mechanism));
        let client = self.client();
        match client {
            ClientKind::Own => format!("{client}, which can do the login that is asked for ({login})"),
            ClientKind::Librdkafka if self.needs_librdkafka() => {
                format!("{client}: Tocsin's own client cannot do the login that is asked for ({login})")
            }
            ClientKind::Librdkafka => format!("{client}, as was asked for ({login})"),
        }
    }

    /// Who reads records: whoever is asked for, if that can log in.
    pub fn client(&self) -> ClientKind {
        if self.needs_librdkafka() {
            ClientKind::Librdkafka
        } else {
            self.client
        }
    }

    /// Whether our own client cannot log in.
    pub(super) fn needs_librdkafka(&self) -> bool {
        let mechanism = self.sasl.as_ref().map(|sasl| sasl.mechanism);
        mechanism == Some(SaslMechanism::Kerberos)
    }

    /// How long a member that has left its group stays out of it. librdkafka cannot leave: the group forgets its members when a
    /// session is over.
    pub fn before_joining_anew(&self) -> Duration {
        if self.needs_librdkafka() {
            SESSION + BEFORE_JOINING
        } else {
            BEFORE_JOINING
        }
    }

    /// What clients of librdkafka get tokens by.
    pub fn token_login(&self) -> TokenLogin {
        TokenLogin(self.sasl.as_ref().and_then(|sasl| sasl.tokens.clone()))
    }

    /// Without encryption and name.
    pub fn plain(brokers: Brokers) -> Self {
        Self {
            brokers,
            client_id: "tocsin".to_owned(),
            tls: None,
            sasl: None,
            rack: None,
            client: ClientKind::Own,
            connect_timeout: Duration::from_secs(10),
            // A connection that is silent for so long is of no use any more: bytes were lost on it without a word.
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// Who reads and writes records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientKind {
    /// Our own Fetch and Produce paths.
    #[default]
    Own,
    /// librdkafka: slower, and the reference for the other.
    Librdkafka,
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "Tocsin's own client",
            Self::Librdkafka => "librdkafka",
        })
    }
}

/// Addresses of brokers, at least one: `host:port`, several with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers(Vec<String>);

/// A text that does not say where brokers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected brokers as host:port, several with commas between; found '{0}'")]
pub struct InvalidBrokers(String);

impl Brokers {
    /// Reads addresses.
    ///
    /// # Errors
    /// If one has no host or no port.
    pub fn parse(text: &str) -> Result<Self, InvalidBrokers> {
        let one = |address: &str| {
            let (host, port) = address.rsplit_once(':')?;
            let good = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
            good.then(|| address.to_owned())
        };
        let all: Option<Vec<String>> = text.split(',').map(str::trim).map(one).collect();
        all.filter(|all| !all.is_empty())
            .map(Self)
            .ok_or_else(|| InvalidBrokers(text.to_owned()))
    }

    /// The addresses.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Encryption.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of the authorities that are believed, in PEM; without them the system's.
    pub authorities: Option<Vec<u8>>,
    /// Who we are.
    pub identity: Option<Identity>,
}

/// A client's certificate.
#[derive(Clone)]
pub struct Identity {
    /// The chain, in PEM, the client's own first.
    pub chain: Vec<u8>,
    /// Its key, in PEM.
    pub key: SecretString,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// A name and a password, or where tokens are had for them.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How they are sent.
    pub mechanism: SaslMechanism,
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// With OAUTHBEARER: who gives tokens.
    pub tokens: Option<Arc<Tokens>>,
    /// With Kerberos: how a ticket is got for the name.
    pub ticket: Option<Ticket>,
}

/// How a Kerberos ticket is got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    principal: String,
    keytab: PathBuf,
    service: String,
}

impl Ticket {
    /// For a principal, by the key in a file; `service` is the first part of the brokers' principals. All of it becomes part
    /// of a command (`kinit`), so that nothing is taken which a shell could read as more than a name. None if it is not.
    pub fn new(principal: &str, keytab: PathBuf, service: &str) -> Option<Self> {
        let is_path = !keytab.to_str()?.contains(['"', '$', '`', '\\', '\n', '!']);
        let fits = is_principal(principal) && is_principal(service) && is_path;
        fits.then(|| Self {
            principal: principal.to_owned(),
            keytab,
            service: service.to_owned(),
        })
    }

    /// The principal.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The file with the key.
    pub fn keytab(&self) -> &Path {
        &self.keytab
    }

    /// First part of the brokers' principals.
    pub fn service(&self) -> &str {
        &self.service
    }
}

pub use tocsin_contract::pipeline::kafka::SaslMechanism;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_name_of_a_ticket_is_more_than_a_name_to_a_shell() {
        let ticket = |principal: &str, keytab: &str, service: &str| Ticket::new(principal, keytab.into(), service);
        assert!(ticket("noc/worker-1@EXAMPLE.ORG", "/run/my secrets/noc/key", "kafka").is_some());
        for wrong in ["", "x; id", "$(id)", "a b", "x`id`", "x|y", "x\ny"] {
            assert!(ticket(wrong, "/key", "kafka").is_none(), "{wrong}");
            assert!(ticket("noc", "/key", wrong).is_none(), "{wrong}");
        }
        assert!(ticket("noc", "/key\" ; id", "kafka").is_none());
        assert!(ticket("noc", "/$(id)", "kafka").is_none());
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        let brokers = Brokers::parse("a:1, b.example:9092,[::1]:9093").unwrap();
        assert_eq!(
            brokers.iter().collect::<Vec<_>>(),
            ["a:1", "b.example:9092", "[::1]:9093"]
        );
        for wrong in ["", "a", "a:", ":1", "a:0", "a:70000", "a:1,,b:2"] {
            assert!(Brokers::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let mut settings = ClusterSettings::plain(Brokers::parse("a:1").unwrap());
        settings.sasl = Some(Sasl {
            mechanism: SaslMechanism::Plain,
            username: "worker".to_owned(),
            password: "canary".to_owned().into(),
            tokens: None,
            ticket: None,
        });
        let (chain, key) = (b"canary".to_vec(), "canary".to_owned().into());
        settings.tls = Some(Tls {
            authorities: None,
            identity: Some(Identity { chain, key }),
        });
        let shown = format!("{settings:?}");
        assert!(shown.contains("worker") && !shown.contains("canary"), "{shown}");
    }
}
