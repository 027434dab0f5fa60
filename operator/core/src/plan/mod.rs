//! What is to be done, by what is asked for and what is there.

pub mod history;
pub mod kafka;
pub mod publish;
pub mod savepoints;
pub mod snapshot;
pub mod teardown;
pub mod topics;
pub mod workers;
