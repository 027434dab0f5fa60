//! A broker's settings, as text.

use std::path::Path;

use super::certificates::Certificates;
use super::kerberos::Kerberos;
use super::options::{KafkaOptions, Listener};
use super::users;

/// What all brokers have.
const COMMON: &str = include_str!("server.properties");

/// Where one broker listens.
#[derive(Debug, Clone)]
pub struct Ports {
    /// For the other controllers.
    pub controller: u16,
    /// For clients: the listener, the port it is bound to, and the port that clients are told.
    pub listeners: Vec<(Listener, u16, u16)>,
}

/// The text of `server.properties` for broker `index`, whose id is one more.
pub fn properties(
    options: &KafkaOptions,
    ports: &[Ports],
    index: usize,
    data: &Path,
    certificates: Option<&Certificates>,
    kerberos: Option<&Kerberos>,
) -> String {
    let mut text = COMMON.to_owned();
    let mut set = |key: &str, value: &str| text.extend([key, "=", value, "\n"]);
    let own = &ports[index];
    let join = |parts: Vec<String>| parts.join(",");

    set("node.id", &(index + 1).to_string());
    set("broker.rack", &format!("rack-{}", index + 1));
    set("log.dirs", &data.to_string_lossy());
    let voters = ports.iter().enumerate();
    let voters = voters.map(|(other, ports)| format!("{}@127.0.0.1:{}", other + 1, ports.controller));
    set("controller.quorum.voters", &join(voters.collect()));

    let address = |listener: &str, port: u16| format!("{listener}://127.0.0.1:{port}");
    let mut bound = vec![address("CONTROLLER", own.controller)];
    bound.extend(
        own.listeners
            .iter()
            .map(|(listener, port, _)| address(listener.name(), *port)),
    );
    set("listeners", &join(bound));
    let advertised = own.listeners.iter();
    let advertised = advertised.map(|(listener, _, port)| format!("{}://{}:{port}", listener.name(), listener.host()));
    set("advertised.listeners", &join(advertised.collect()));
    let protocols = own
        .listeners
        .iter()
        .map(|(listener, ..)| format!("{}:{}", listener.name(), listener.protocol()));
    set(
        "listener.security.protocol.map",
        &format!("CONTROLLER:PLAINTEXT,{}", join(protocols.collect())),
    );

    let replicas = options.brokers.min(3);
    let in_sync = replicas.div_ceil(2).max(1);
    for topic in [
        "offsets.topic",
        "transaction.state.log",
        "share.coordinator.state.topic",
    ] {
        set(&format!("{topic}.replication.factor"), &replicas.to_string());
    }
    set("transaction.state.log.min.isr", &in_sync.to_string());
    set("share.coordinator.state.topic.min.isr", &in_sync.to_string());
    set("default.replication.factor", &replicas.to_string());
    set("min.insync.replicas", &in_sync.to_string());

    if let Some(certificates) = certificates {
        set("ssl.keystore.type", "PEM");
        set(
            "ssl.keystore.location",
            &certificates.broker(options.server_certificate).to_string_lossy(),
        );
        set("ssl.truststore.type", "PEM");
        set("ssl.truststore.location", &certificates.authority().to_string_lossy());
    }
    for (listener, ..) in &own.listeners {
        let prefix = format!("listener.name.{}", listener.name().to_lowercase());
        if *listener == Listener::MutualTls {
            set(&format!("{prefix}.ssl.client.auth"), "required");
        }
        if let (Listener::Kerberos, Some(kerberos)) = (listener, kerberos) {
            for (key, value) in kerberos.broker_settings() {
                set(&format!("{prefix}.{key}"), &value);
            }
        }
        if listener.has_login() {
            for (key, value) in users::login_settings() {
                set(&format!("{prefix}.{key}"), &value);
            }
        }
    }
    if options.acls {
        set(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        );
        set("super.users", &format!("User:ANONYMOUS;User:{}", users::ADMIN.name));
    }
    for (key, value) in &options.settings {
        set(key, value);
    }
    text
}
