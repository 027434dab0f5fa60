//! A managed Kafka: its nodes, and what the pipeline may do with it.

pub mod access;
pub mod pools;
pub mod roll;
