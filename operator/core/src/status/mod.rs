//! What is said about a pipeline, of what was found and what workers say of themselves.

pub mod condition;
pub mod event;
pub mod measured;
pub mod pipeline;
