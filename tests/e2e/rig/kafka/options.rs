//! What a cluster of brokers is to be like.

use std::time::Duration;

/// A door of each broker. Only those that a test asks for are opened, besides [`Listener::Plain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listener {
    /// No encryption, no login; brokers talk to each other here, and whoever comes here may do everything.
    Plain,
    /// As `Plain`, but each broker is only reached through its [`Proxy`](crate::Proxy).
    Proxied,
    /// TLS; the client shows no certificate.
    Tls,
    /// TLS; the client must show a certificate of the rig's authority.
    MutualTls,
    /// A login without encryption: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
    Sasl,
    /// A login within TLS.
    SaslTls,
    /// A login by Kerberos (GSSAPI) without encryption, in a realm of the cluster's own.
    Kerberos,
}

impl Listener {
    /// All that librdkafka can come through: it is built without Kerberos here.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::Proxied,
        Self::Tls,
        Self::MutualTls,
        Self::Sasl,
        Self::SaslTls,
    ];

    /// The name in the broker's settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Proxied => "PROXIED",
            Self::Tls => "TLS",
            Self::MutualTls => "MUTUAL",
            Self::Sasl => "SASL",
            Self::SaslTls => "SASLTLS",
            Self::Kerberos => "KERBEROS",
        }
    }

    /// Kafka's name of the protocol, as clients set it in `security.protocol`.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Plain | Self::Proxied => "PLAINTEXT",
            Self::Tls | Self::MutualTls => "SSL",
            Self::Sasl | Self::Kerberos => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_SSL",
        }
    }

    /// The host that clients are told; with Kerberos it is a part of the broker's name.
    pub fn host(self) -> &'static str {
        match self {
            Self::Kerberos => "localhost",
            _ => "127.0.0.1",
        }
    }

    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::MutualTls | Self::SaslTls)
    }

    pub(crate) fn has_login(self) -> bool {
        matches!(self, Self::Sasl | Self::SaslTls)
    }
}

/// The certificate that brokers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerCertificate {
    /// Of the rig's authority, for localhost and 127.0.0.1.
    #[default]
    Good,
    /// The same, run out years ago.
    Expired,
    /// Of an authority that no client trusts.
    Foreign,
    /// Of the rig's authority, for another host.
    OtherHost,
}

/// How a cluster is started: [`KafkaOptions::default`] is one broker with the listener `Plain`.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    pub(crate) brokers: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) server_certificate: ServerCertificate,
    pub(crate) acls: bool,
    pub(crate) disk: Option<u64>,
    pub(crate) heap: u32,
    pub(crate) lives_long: bool,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) within: Duration,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: 1,
            listeners: vec![Listener::Plain],
            server_certificate: ServerCertificate::Good,
            acls: false,
            disk: None,
            heap: 320,
            lives_long: false,
            settings: Vec::new(),
            within: Duration::from_secs(60),
        }
    }
}

impl KafkaOptions {
    /// So many brokers, 1 or 3; each is controller too. With 3, topics of the broker have 3 replicas.
    #[must_use]
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers.max(1);
        self
    }

    /// Opens one more listener.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Self {
        if !self.listeners.contains(&listener) {
            self.listeners.push(listener);
        }
        self
    }

    /// The certificate that brokers show on listeners with TLS.
    #[must_use]
    pub fn server_certificate(mut self, certificate: ServerCertificate) -> Self {
        self.server_certificate = certificate;
        self
    }

    /// Turns authorisation on: without a rule nothing is allowed, but for whoever comes through `Plain` or `Proxied`,
    /// and for the user `admin`.
    #[must_use]
    pub fn acls(mut self) -> Self {
        self.acls = true;
        self
    }

    /// Keeps each broker's data on a file system of its own, of so many bytes, in memory. Needs root
    /// ([`may_mount`](super::may_mount)).
    #[must_use]
    pub fn small_disk(mut self, bytes: u64) -> Self {
        self.disk = Some(bytes);
        self
    }

    /// The Java heap of each broker in MiB.
    #[must_use]
    pub fn heap(mut self, mebibytes: u32) -> Self {
        self.heap = mebibytes;
        self
    }

    /// Lets Java compile the brokers as well as it can, which pays off after a minute: for measurements.
    #[must_use]
    pub fn lives_long(mut self) -> Self {
        self.lives_long = true;
        self
    }

    /// A setting of `server.properties`; it overrules the rig's.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// How long a start may take.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}
