//! librdkafka's settings for a cluster.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::ExposeSecret;

use crate::sasl;
use crate::settings::ClusterSettings;

/// Settings of a client of librdkafka for the same cluster. Its context answers with
/// [`ClusterSettings::token_login`] when it is asked for a token.
pub fn client_config(settings: &ClusterSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.brokers.to_string())
        .set("client.id", &settings.client_id)
        .set("socket.nagle.disable", "true")
        // Behind connections that break again and again it waits longer and longer, ten seconds at last: a session is over by then.
        .set("reconnect.backoff.max.ms", "1000")
        .set_log_level(RDKafkaLogLevel::Warning);
    if let Some(rack) = &settings.rack {
        config.set("client.rack", rack);
    }
    let protocol = match (&settings.tls, &settings.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &settings.tls {
        if let Some(authorities) = &tls.authorities {
            config.set("ssl.ca.pem", String::from_utf8_lossy(authorities));
        }
        if let Some(identity) = &tls.identity {
            config
                .set("ssl.certificate.pem", String::from_utf8_lossy(&identity.chain))
                .set("ssl.key.pem", identity.key.expose_secret());
        }
    }
    if let Some(sasl) = &settings.sasl {
        config.set("sasl.mechanism", sasl::name(sasl.mechanism));
        if let Some(ticket) = &sasl.ticket {
            config
                .set("sasl.kerberos.principal", ticket.principal())
                .set("sasl.kerberos.service.name", ticket.service())
                .set("sasl.kerberos.keytab", ticket.keytab().to_string_lossy());
        } else if sasl.tokens.is_none() {
            // With a token endpoint a callback gives tokens.
            config
                .set("sasl.username", &sasl.username)
                .set("sasl.password", sasl.password.expose_secret());
        }
    }
    config
}
