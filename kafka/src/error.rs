//! What goes wrong with brokers: with whom, what, and what to do.

use std::io;

use tocsin_worker_core::kafka::error_code::{
    CLUSTER_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION,
};

/// A broker that cannot be used, or an answer that cannot.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// There is nobody, or not for long.
    #[error("broker {broker} cannot be reached: {source}")]
    Unreachable {
        /// Its address.
        broker: String,
        /// Why.
        source: io::Error,
    },
    /// It hung up.
    #[error(
        "broker {broker} closed the connection{}",
        if *.begun { "" } else { " at once: it may expect TLS, or a name and password (spec.kafka.tls, spec.kafka.sasl)" }
    )]
    Closed {
        /// Its address.
        broker: String,
        /// Whether it had answered before.
        begun: bool,
    },
    /// It did not answer in time.
    #[error("broker {broker} did not answer to {what} within {seconds} s")]
    Timeout {
        /// Its address.
        broker: String,
        /// The question.
        what: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// Encryption could not be set up. Nothing was sent without.
    #[error("TLS with broker {broker} failed: {reason}")]
    Tls {
        /// Its address.
        broker: String,
        /// Why.
        reason: String,
    },
    /// The settings for TLS are invalid.
    #[error("spec.kafka.tls: {0}")]
    TlsSettings(String),
    /// It does not believe who we are.
    #[error("broker {broker} refuses user {username} ({mechanism}): {reason}")]
    Authentication {
        /// Its address.
        broker: String,
        /// The user.
        username: String,
        /// How name and password were sent.
        mechanism: &'static str,
        /// What it says.
        reason: String,
    },
    /// It takes no names of this kind.
    #[error("broker {broker} does not take {mechanism}; it takes {offered}")]
    Mechanism {
        /// Its address.
        broker: String,
        /// How name and password should be sent.
        mechanism: &'static str,
        /// What it takes.
        offered: String,
    },
    /// It is too old or too new.
    #[error("broker {broker} does not know {what} in a version that Tocsin speaks; Kafka 3.0 and newer do")]
    Version {
        /// Its address.
        broker: String,
        /// The question.
        what: &'static str,
    },
    /// Its answer is malformed.
    #[error("broker {broker} does not speak Kafka's protocol: {what}")]
    Protocol {
        /// Its address.
        broker: String,
        /// What is odd.
        what: String,
    },
    /// It answered with an error.
    #[error("broker {broker} answers to {what} with {name} ({code})")]
    Answer {
        /// Its address.
        broker: String,
        /// The question.
        what: &'static str,
        /// Kafka's name of the error.
        name: String,
        /// Kafka's number of the error.
        code: i16,
    },
    /// There is no such topic.
    #[error("there is no topic {0}")]
    UnknownTopic(String),
    /// There is no token to log in with.
    #[error("the token endpoint {endpoint} gives no token: {reason}")]
    Token {
        /// Its address.
        endpoint: String,
        /// Why not.
        reason: String,
        /// Whether another try would not do.
        is_final: bool,
    },
    /// librdkafka cannot use them.
    #[error("the brokers at {brokers} cannot be used: {reason}")]
    Client {
        /// Their addresses.
        brokers: String,
        /// What librdkafka says.
        reason: String,
        /// Whether another try would not do.
        is_final: bool,
    },
    /// Somebody else ended it.
    #[error("stopped")]
    Stopped,
}

/// Kafka's errors that say that we may not, or never can.
const REFUSED: [i16; 5] = [
    INVALID_TOPIC_EXCEPTION,
    TOPIC_AUTHORIZATION_FAILED,
    GROUP_AUTHORIZATION_FAILED,
    CLUSTER_AUTHORIZATION_FAILED,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
];

impl KafkaError {
    /// The same with the topic that it is about.
    pub(super) fn of_topic(self, topic: &str) -> Self {
        match self {
            Self::Answer {
                broker,
                what,
                name,
                code,
            } => Self::Answer {
                broker,
                what,
                name: format!("{name} for topic {topic}"),
                code,
            },
            other => other,
        }
    }

    /// Kafka's number of the error, if a broker answered with one.
    pub fn code(&self) -> Option<i16> {
        match self {
            Self::Answer { code, .. } => Some(*code),
            Self::UnknownTopic(_) => Some(UNKNOWN_TOPIC_OR_PARTITION),
            _ => None,
        }
    }

    /// Whether a topic is one that we may not write, or none at all.
    pub(super) fn is_about_a_topic(&self) -> bool {
        matches!(self.code(), Some(TOPIC_AUTHORIZATION_FAILED | INVALID_TOPIC_EXCEPTION))
    }

    /// Whether another try may do for somebody whom the brokers have let in before: one that starts again hangs up on the way,
    /// and knows its topics later than its port.
    pub fn may_pass(&self) -> bool {
        let on_the_way = matches!(
            self,
            Self::Closed { .. }
                | Self::Tls { .. }
                | Self::UnknownTopic(_)
                | Self::Authentication { .. }
                | Self::Client { .. }
                | Self::Token { .. }
        );
        on_the_way || self.is_transient()
    }

    /// Whether it may pass within moments for somebody who has not been let in yet: a broker that goes down takes connections
    /// that it closes at once, as one does that expects something else.
    pub fn may_be_of_a_moment(&self) -> bool {
        matches!(self, Self::Closed { .. }) || self.is_transient()
    }

    /// Whether another try may do. What is not transient needs a person: a password, a certificate, another setting.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Answer { code, .. } => !REFUSED.contains(code),
            Self::Closed { begun, .. } => *begun,
            Self::Client { is_final, .. } | Self::Token { is_final, .. } => !is_final,
            Self::Tls { .. }
            | Self::TlsSettings(_)
            | Self::Authentication { .. }
            | Self::Mechanism { .. }
            | Self::Version { .. }
            | Self::Protocol { .. }
            | Self::UnknownTopic(_)
            | Self::Stopped => false,
        }
    }
}
