//! Snapshots: what is written down of a shard at a cut, under which names, and which of them is gone back to.
//!
//! A snapshot is its manifest: it is written last, and names every file with size and checksum. Files without a manifest
//! are of a snapshot that was interrupted; they are never read.

mod manifest;
mod names;

pub use self::manifest::{Expected, FORMAT, File, InvalidManifest, Manifest, SourcePosition};
pub use self::names::{ShardNames, choose, outdated};
