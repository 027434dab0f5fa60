//! What goes out to receivers outside of Kafka: which row is sent when, what an answer means, what a request says.
//!
//! The rows of such a sink stand in its buffer topic, whose committed offset follows behind their delivery. So each row is
//! sent at least once, and a receiver tells repeats by the row's idempotency key. Sends nothing itself, and reads no
//! clock: times are handed in.

pub mod address;
pub mod answer;
pub mod backoff;
pub mod circuit;
pub mod dead;
pub mod identity;
pub mod progress;
pub mod queue;
pub mod shape;
pub mod template;
