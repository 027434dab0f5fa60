//! Values of arguments.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tocsin_contract::duration::{Duration, InvalidDuration};
use tocsin_contract::names;
use tocsin_contract::ports::ADMIN;

/// As long as a label of a host name.
const LONGEST_WORKER_NAME: usize = 63;

/// `HOST:PORT,.../TOPIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicAddress {
    /// The brokers.
    pub brokers: String,
    /// The topic.
    pub topic: String,
}

impl FromStr for TopicAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (brokers, topic) = parts(text, '/', "HOST:PORT/TOPIC")?;
        Ok(Self { brokers, topic })
    }
}

/// `NAME=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it stands for.
    pub name: String,
    /// The path, or `-`.
    pub path: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = parts(text, '=', "NAME=PATH")?;
        let path = PathBuf::from(path);
        Ok(Self { name, path })
    }
}

/// The two parts of a text, neither of which is empty.
fn parts(text: &str, between: char, expected: &str) -> Result<(String, String), String> {
    match text.split_once(between) {
        Some((first, second)) if !first.is_empty() && !second.is_empty() => Ok((first.to_owned(), second.to_owned())),
        _ => Err(format!("expected {expected}, found `{text}`")),
    }
}

/// A length of time of a second at least.
pub fn period(text: &str) -> Result<Duration, String> {
    let period: Duration = text.parse().map_err(|error: InvalidDuration| error.to_string())?;
    if period < Duration::from_secs(1) {
        return Err("expected 1s or more".to_owned());
    }
    Ok(period)
}

/// Name of a worker. It is a part of transactional ids, `<pipeline>.<worker>.<thread>`: a dot would make it one of another
/// pipeline.
pub fn worker_name(text: &str) -> Result<String, String> {
    let is_one = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > LONGEST_WORKER_NAME || !text.chars().all(is_one) {
        return Err(format!(
            "expected 1 to {LONGEST_WORKER_NAME} letters, digits, `-` and `_`"
        ));
    }
    Ok(text.to_owned())
}

/// A namespace, as Kubernetes names them.
pub fn namespace(text: &str) -> Result<String, String> {
    if text.len() > 63 || names::label(text) != text {
        return Err("expected 1 to 63 small letters, digits and `-`, a letter or digit at both ends".to_owned());
    }
    Ok(text.to_owned())
}

/// Where a server listens.
pub fn listening(text: &str) -> Result<SocketAddr, String> {
    let address = text.replacen("localhost:", "127.0.0.1:", 1).parse();
    address.map_err(|_| format!("expected ADDRESS:PORT, such as 127.0.0.1:{ADMIN} or 0.0.0.0:{ADMIN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_name_is_a_part_of_an_id() {
        for good in ["0", "noc-worker-11", "a_B", &"x".repeat(LONGEST_WORKER_NAME)] {
            assert_eq!(worker_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "host.example", "a b", "ä", &"x".repeat(LONGEST_WORKER_NAME + 1)] {
            assert!(worker_name(bad).is_err(), "{bad}");
        }
    }
}
