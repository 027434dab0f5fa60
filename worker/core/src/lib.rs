//! Tocsin's engine: records in, results out.
//!
//! No IO, no clock, no async. Time is a parameter, and what happens depends on the records alone: the same input gives
//! the same output whatever the batches, crashes and restores.

pub mod aggregate;
pub mod decode;
pub mod json;
pub mod lines;
