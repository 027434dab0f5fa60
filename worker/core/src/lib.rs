//! Tocsin's engine: records in, results out.
//!
//! No IO, no clock, no async. Time is a parameter, and what happens depends on the records alone: the same input gives
//! the same output whatever the batches, crashes and restores.

pub mod aggregate;
pub mod alignment;
pub mod avro;
pub mod capture;
pub mod csv;
pub mod decode;
pub mod delivery;
pub mod encode;
pub mod engine;
pub mod expr;
pub mod formats;
pub mod generator;
pub mod id;
pub mod influx;
pub mod json;
pub mod kafka;
pub mod key;
pub mod merge;
pub mod plan;
pub mod repartition;
pub mod shard;
pub mod snapshot;
pub mod stage;
pub mod state;
pub mod stream;
pub mod syslog;
pub mod top_keys;
pub mod watermark;
