//! The load: alerts as record batches, made before the clock starts, and the path by which they come to the broker.

pub mod alerts;
pub mod batch;
pub mod cold;
pub mod fill;
pub mod producer;
