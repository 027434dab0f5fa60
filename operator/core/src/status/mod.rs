//! What is said about a pipeline, of what was found and what workers say of themselves.

pub mod condition;
mod degraded;
pub mod doing;
pub mod event;
pub mod kafka;
pub mod measured;
mod phase;
pub mod pipeline;
pub mod pods;
pub mod rule_set;
pub mod snapshot;
mod state;
