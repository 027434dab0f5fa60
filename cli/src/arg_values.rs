//! Values of arguments that are made of parts.

use std::path::PathBuf;
use std::str::FromStr;

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
        match text.split_once('/') {
            Some((brokers, topic)) if !brokers.is_empty() && !topic.is_empty() => Ok(Self {
                brokers: brokers.to_owned(),
                topic: topic.to_owned(),
            }),
            _ => Err(format!("expected HOST:PORT/TOPIC, found `{text}`")),
        }
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
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Self {
                name: name.to_owned(),
                path: PathBuf::from(path),
            }),
            _ => Err(format!("expected NAME=PATH, found `{text}`")),
        }
    }
}
