//! Files of snapshots, of which the next is read while one is taken back.

use tocsin_worker_core::snapshot::{Manifest, ShardNames};

use super::SnapshotError;
use super::store::SnapshotStore;

impl SnapshotStore {
    /// Reads the blocks of snapshots, file by file, and hands each to `take` with the number of the snapshot, while the next
    /// is on its way. So two files are in memory.
    ///
    /// # Errors
    /// As [`SnapshotStore::file`], or as `take` has it; of what is behind one file at most is read.
    pub fn each_file(
        &self,
        snapshots: &[(&ShardNames, &Manifest)],
        mut take: impl FnMut(usize, Vec<u8>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let all = snapshots.iter().enumerate();
        let all = all.flat_map(|(number, of)| of.1.files.iter().map(move |file| (number, of, file)));
        std::thread::scope(|scope| {
            let (read, files) = crossbeam_channel::bounded(0);
            scope.spawn(move || {
                for (number, (names, manifest), file) in all {
                    let bytes = self.file(names, manifest, file);
                    let is_last = bytes.is_err();
                    if read.send((number, bytes)).is_err() || is_last {
                        break;
                    }
                }
            });
            files.into_iter().try_for_each(|(number, bytes)| take(number, bytes?))
        })
    }
}
