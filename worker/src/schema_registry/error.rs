//! What goes wrong with a schema registry.

/// A registry that cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The address is invalid.
    #[error("format.registry.url is no address: {0}")]
    Address(String),
    /// The address holds a secret, which would stand in files and logs.
    #[error("format.registry.url holds a name or a password; take them out: addresses are shown in messages")]
    Credentials,
    /// Nobody's certificate can be believed.
    #[error("this system has no certificate authorities to believe the schema registry by; install ca-certificates")]
    NoAuthorities,
    /// The thread that asks cannot be started.
    #[error("the thread that asks the schema registry cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Why there is no answer yet. None of it says anything about a record: it is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nobody is there, or not in time.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It refuses, or someone in front of it does.
    #[error("it answers with status {status}{}{said}{}", if said.is_empty() { "" } else { ": " }, advice(*status))]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it says.
        said: String,
    },
    /// It answers, but not as a registry does.
    #[error("{0}")]
    Strange(String),
}

fn advice(status: u16) -> &'static str {
    match status {
        404 => "; is format.registry.url that of Confluent's API?",
        401 | 403 => "; it wants credentials, which are not supported yet",
        _ => "",
    }
}
