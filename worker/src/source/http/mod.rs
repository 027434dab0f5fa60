//! Events pushed by HTTP: `POST /v1/sources/<name>`.
//!
//! A request is answered with 202 when its records stand in the queue of the engine's thread: in memory, so that they
//! are lost if the process dies. When the queue is full the answer is 429, and the client sends again later; nothing is
//! taken then. The router is mounted by whoever serves it; a source with an address of its own is served there as well.

mod body;
mod intake;
mod listener;
mod source;

pub use self::intake::{HttpIntake, HttpLimits};
pub use self::listener::HttpListener;
pub use self::source::HttpSource;

#[cfg(test)]
mod tests;
