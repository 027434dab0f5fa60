//! Snapshots: what is written down of a shard at a cut, under which names, and which of them is gone back to.
//!
//! A snapshot is its manifest: it is written last, and names every file with size and checksum. Files without a manifest
//! are of a snapshot that was interrupted; they are never read.

mod blocks;
mod dealing;
mod inputs;
mod manifest;
mod names;
mod restore;
mod savepoint;

pub use self::blocks::{BlockWriter, ReadBlock, read_blocks};
pub use self::dealing::{Dealt, ReadFrom, TopicNow, dealt};
pub use self::inputs::{ChangedInput, InputNow, inputs_now, is_another};
pub use self::manifest::{FORMAT, File, InvalidManifest, Manifest, SourcePosition, StageEntry};
pub use self::names::{SavepointNames, ShardNames, choose, kept};
pub use self::restore::{Restore, RestoreError};
pub use self::savepoint::{Savepoint, is_drained};
