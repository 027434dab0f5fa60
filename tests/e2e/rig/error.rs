//! What can go wrong in the rig: what, where, and what to do next.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of the rig, not of what is tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// A component is not in the cache.
    #[error("{what} is not in {}; run {script}", .place.display())]
    NotInstalled {
        /// The component and its version.
        what: String,
        /// The folder that was looked for.
        place: PathBuf,
        /// The script that puts it there.
        script: &'static str,
    },
    /// A file, a socket or a process could not be worked with.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done, with the path or the address.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A process ended that should run.
    #[error("{what} ended with {status}; the last lines of its log:\n{log}")]
    Ended {
        /// The process.
        what: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A process runs and does not do what it should.
    #[error("{what} was not ready within {within:?}; the last lines of its log:\n{log}")]
    NotReady {
        /// The process and what it was waited for.
        what: String,
        /// How long was waited.
        within: Duration,
        /// The end of its log.
        log: String,
    },
    /// A condition did not come true.
    #[error("waited {within:?} for {what}")]
    TimedOut {
        /// The condition.
        what: String,
        /// How long was waited.
        within: Duration,
    },
    /// A Kafka client failed.
    #[error("{what}: {source}")]
    Client {
        /// What the client was to do.
        what: String,
        /// Why it failed.
        source: rdkafka::error::KafkaError,
    },
    /// A component answered that it will not do what it was asked.
    #[error("{what} was refused: {answer}")]
    Refused {
        /// What was asked.
        what: String,
        /// The component's answer.
        answer: String,
    },
    /// A certificate could not be made.
    #[error("the certificate {name} could not be made: {source}")]
    Certificate {
        /// Which one.
        name: &'static str,
        /// Why not.
        source: rcgen::Error,
    },
    /// The rig was asked for what it was not started with.
    #[error("{0}")]
    Misused(String),
}

impl RigError {
    /// For `map_err`: an input or output error with what was to be done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: an error of a Kafka client with what it was to do.
    pub fn client(what: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let what = what.into();
        move |source| Self::Client { what, source }
    }
}
