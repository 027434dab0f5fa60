//! The shell around Tocsin's engine: files and HTTP, Kafka (shards, transactions, snapshots), webhooks, the admin server and the
//! live page.
//!
//! All IO and every clock of the worker are here; what happens to records is decided in the core.

#[cfg(feature = "kafka")]
pub mod admin;
pub mod dead_letter;
#[cfg(feature = "kafka")]
pub mod delivery;
pub mod live;
#[cfg(feature = "kafka")]
pub mod metrics;
pub mod page;
pub mod run;
#[cfg(feature = "kafka")]
pub mod schema_registry;
mod server;
#[cfg(feature = "kafka")]
pub mod shards;
pub mod sink;
#[cfg(feature = "kafka")]
pub mod snapshots;
pub mod source;
#[cfg(feature = "kafka")]
pub mod webhook;
