//! Snapshots in an object store: a folder of this machine, or a bucket with the S3 API.
//!
//! A snapshot is written by a thread of its own while the shard goes on. Its manifest comes last and only once
//! (conditional put), so that nothing half written, and nothing of a worker that was left behind, is ever taken for a
//! snapshot.

mod begin;
mod catalog;
mod error;
mod read_ahead;
mod restore;
mod store;
mod writer;

pub use self::begin::{Beginning, Begun, begin};
pub use self::catalog::{Entry, Part, StageContents, StageDifference, contents, difference};
pub use self::error::SnapshotError;
pub use self::restore::{Restored, Wanted, restore};
pub use self::store::{Object, SnapshotStore, StoreAddress};
pub use self::writer::{PartOf, Publish, Size, SnapshotWriter, Written};

#[cfg(test)]
mod tests;
