//! Names of snapshots in an object store, and which of them count.

/// Names of the objects of a shard's snapshots: `<pipeline>/shards/<shard>/<sequence>.manifest` and, beside it, files that
/// begin with the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNames {
    folder: String,
}

/// Ends the name of a manifest.
const MANIFEST: &str = ".manifest";

/// Begins the ids of savepoints that were taken because topics had grown.
const OF_GROWTH: &str = "grown-to-epoch-";

/// Digits of a sequence in a name, so that names sort as numbers do.
const DIGITS: usize = 20;

impl ShardNames {
    /// The names of a shard.
    pub fn of(pipeline: &str, shard: u32) -> Self {
        Self {
            folder: format!("{pipeline}/shards/{shard}"),
        }
    }

    /// The names of a shard in a folder as [`ShardNames::folder`] has it.
    pub fn in_folder(folder: &str) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// What all names begin with, without a slash at the end.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The name of a manifest.
    pub fn manifest(&self, sequence: u64) -> String {
        format!("{}/{sequence:0DIGITS$}{MANIFEST}", self.folder)
    }

    /// The name of a file of a snapshot, as its manifest has it. No two tries share one: what an interrupted one has left
    /// is never written over.
    pub fn file(&self, sequence: u64, what: &str, nonce: u64) -> String {
        format!("{sequence:0DIGITS$}.{what}.{nonce:016x}")
    }

    /// The whole name of a file that a manifest names.
    pub fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }

    /// The sequence that a name begins with, and whether it is that of a manifest.
    pub fn sequence(&self, name: &str) -> Option<(u64, bool)> {
        let file = name.strip_prefix(&self.folder)?.strip_prefix('/')?;
        let (digits, rest) = file.split_at_checked(DIGITS)?;
        Some((digits.parse().ok()?, rest == MANIFEST))
    }
}

/// Names of the objects of a savepoint: `<pipeline>/savepoints/<id>/savepoint.manifest`, and beside it the shards'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavepointNames {
    folder: String,
}

impl SavepointNames {
    /// Longest id.
    pub const LONGEST_ID: usize = 128;

    /// Whether this can be the id of a savepoint: it becomes part of a path.
    pub fn is_id(id: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        (1..=Self::LONGEST_ID).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('.')
    }

    /// The id of the savepoint with which a run epoch begins because topics have grown.
    pub fn id_of_growth(epoch: u32) -> String {
        format!("{OF_GROWTH}{epoch}")
    }

    /// The run epoch that begins with the savepoint of this id, if it is one of those.
    pub fn epoch_of_growth(id: &str) -> Option<u32> {
        id.strip_prefix(OF_GROWTH)?.parse().ok()
    }

    /// The number of an id, by which journals know it: FNV-1a of 64 bits, the same in every version.
    pub fn number(id: &str) -> u64 {
        let step = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        id.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }

    /// The names of a savepoint.
    pub fn of(pipeline: &str, id: &str) -> Self {
        Self {
            folder: format!("{pipeline}/savepoints/{id}"),
        }
    }

    /// What all names begin with, without a slash at the end.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The name of its manifest.
    pub fn manifest(&self) -> String {
        format!("{}/savepoint{MANIFEST}", self.folder)
    }

    /// The names of a shard's part of it.
    pub fn shard(&self, shard: u32) -> ShardNames {
        ShardNames::in_folder(&format!("{}/shards/{shard}", self.folder))
    }
}

/// The snapshot to go back to when the pipeline has committed up to `committed`: the newest that is not newer.
pub fn choose(sequences: &[u64], committed: u64) -> Option<u64> {
    sequences
        .iter()
        .copied()
        .filter(|sequence| *sequence <= committed)
        .max()
}

/// The manifests that are kept when `retained` snapshots are, the newest first.
pub fn kept(manifests: &[u64], retained: usize) -> Vec<u64> {
    let mut newest_first = manifests.to_vec();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    newest_first.truncate(retained.max(1));
    newest_first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_sort_as_numbers_do() {
        let names = ShardNames::of("noc", 3);
        let manifest = names.manifest(42);
        assert_eq!(manifest, "noc/shards/3/00000000000000000042.manifest");
        assert_eq!(names.sequence(&manifest), Some((42, true)));
        let file = names.path(&names.file(42, "state", 7));
        assert_eq!(names.sequence(&file), Some((42, false)));
        assert!(names.manifest(9) < names.manifest(10));
        for foreign in [
            "noc/shards/30/00000000000000000042.manifest",
            "noc/shards/3/x.manifest",
            "other",
        ] {
            assert_eq!(names.sequence(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_newest_that_the_commit_covers_is_gone_back_to() {
        assert_eq!(choose(&[10, 30, 20], 25), Some(20));
        assert_eq!(choose(&[10, 30, 20], 30), Some(30));
        assert_eq!(choose(&[10], 9), None);
    }

    #[test]
    fn as_many_are_kept_as_asked() {
        assert_eq!(kept(&[1, 5, 3, 9], 2), [9, 5]);
        assert_eq!(kept(&[1], 2), [1]);
        assert_eq!(kept(&[1, 2], 0), [2], "one always stays");
    }
}
