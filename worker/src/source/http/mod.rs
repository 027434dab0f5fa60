//! Events pushed by HTTP: `POST /v1/sources/<name>`.
//!
//! A request is answered with 202 when its records stand in the queue of the engine's thread: in memory, so that they
//! are lost if the process dies. When the queue is full the answer is 429, and the client sends again later; nothing is
//! taken then. Opens no port: the router is mounted by whoever serves it.

mod body;
mod intake;
mod source;

pub use self::intake::{HttpIntake, HttpLimits};
pub use self::source::HttpSource;

#[cfg(test)]
mod tests;
