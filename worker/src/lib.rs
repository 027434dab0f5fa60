//! The worker's shell: whatever a pipeline needs of the world. It does IO, and decides nothing.

pub mod live;
pub mod page;
