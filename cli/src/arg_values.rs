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
