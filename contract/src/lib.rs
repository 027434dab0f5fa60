//! What operator, workers and CLI agree on: the resources that users write, and what passes between the parts.
//!
//! Types and their checks only. No IO, no clock, no client.

pub mod duration;
pub mod pipeline;
pub mod problem;
