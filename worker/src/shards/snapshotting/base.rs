//! What a snapshot of changes lies over.

use tocsin_worker_core::snapshot::File;

/// Most files that a snapshot lies over before all is captured anew.
const MOST_FILES: usize = 32;

/// A shard's last snapshot: one of changes may lie over its files.
pub(super) struct Base {
    pub files: Vec<File>,
    /// Bytes of the whole one at the bottom.
    pub whole_bytes: u64,
}

impl Base {
    /// Whether one more snapshot of changes may lie over it: what is read at a restore stays a few times what is needed.
    pub fn may_grow(&self) -> bool {
        let all: u64 = self.files.iter().map(|file| file.bytes).sum();
        self.files.len() < MOST_FILES && all <= self.whole_bytes.saturating_mul(3)
    }
}
