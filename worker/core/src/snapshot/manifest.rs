//! The manifest of a shard's snapshot.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::kafka::fetching::Position;
use crate::shard::Drained;

/// Version of the format that is written, and the newest that is read. Since 8 blocks and heads number only steps with state.
pub const FORMAT: u32 = 8;

/// What a snapshot holds, and where the shard stood. Written as JSON, so that a person can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Number of the shard.
    pub shard: u32,
    /// How many shards there were.
    pub n_shards: u32,
    /// The cut that the state was taken at: a transaction that is known to be committed.
    pub sequence: u64,
    /// The run epoch.
    pub epoch: u32,
    /// Offset of the cut's record in the journal; what came after is behind it.
    pub journal_offset: i64,
    /// The savepoint that the shard began with, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<String>,
    /// The savepoint whose state stands in the place of what the pipeline had done since, if it was resumed from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<String>,
    /// What was said and heard of ends, if the shard was held and nothing was on its way to it: see [`is_drained`].
    ///
    /// [`is_drained`]: super::is_drained
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Drained>,
    /// The revisions that were in effect, of rule sets, KPIs, models and tables, by their numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<u32, u64>,
    /// Where each source is read on, by its name.
    pub positions: Vec<SourcePosition>,
    /// The stages whose state it holds.
    pub stages: Vec<StageEntry>,
    /// What is not kept by key.
    pub head: File,
    /// Blocks of what is kept by key, the newest first: a block stands in place of the same one in files behind.
    pub files: Vec<File>,
}

/// A stage whose state a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageEntry {
    /// Its name.
    pub name: String,
    /// What its state is of: it goes into a stage with the same one. Empty for a stage without state.
    pub shape: String,
}

/// Where a source is read on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePosition {
    /// Name of the source.
    pub source: String,
    /// Offset and reign; none where the shard has no partition of it.
    pub position: Option<(i64, i32)>,
    /// Its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The topic's id, if the brokers gave one: a topic that is made again has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
}

/// A file of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, beside the manifest.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
}

/// A snapshot that cannot be used. It is never replaced by an older one without a person's word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// A newer Tocsin wrote it.
    #[error("is written in format {0}; this Tocsin reads up to format {FORMAT}")]
    Newer(u32),
    /// It is damaged.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It is of something else.
    #[error("is of {found}, not of {expected}")]
    Foreign {
        /// What it is of.
        found: String,
        /// What it should be of.
        expected: String,
    },
    /// A file is not what was written.
    #[error("has a file {name} whose {what} is not what was written")]
    File {
        /// The file.
        name: String,
        /// Size or checksum.
        what: &'static str,
    },
}

impl File {
    /// The entry for a file with these bytes.
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            crc32c: crc32c::crc32c(bytes),
        }
    }

    /// Whether these are the file's bytes.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), InvalidManifest> {
        let wrong = |what| InvalidManifest::File {
            name: self.name.clone(),
            what,
        };
        if bytes.len() as u64 != self.bytes {
            return Err(wrong("size"));
        }
        if crc32c::crc32c(bytes) != self.crc32c {
            return Err(wrong("checksum"));
        }
        Ok(())
    }
}

impl Manifest {
    /// The manifest as bytes: a line with its checksum, and the JSON behind it.
    pub fn encode(&self) -> Vec<u8> {
        seal(self)
    }

    /// The manifest that [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are damaged, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        open(bytes)
    }

    /// Whether it is of this shard.
    ///
    /// # Errors
    /// If it is of another pipeline, shard, or number of shards.
    pub fn check(&self, pipeline: &str, shard: u32, n_shards: u32) -> Result<(), InvalidManifest> {
        let name = |pipeline: &str, shard, n_shards| format!("shard {shard} of {n_shards} of {pipeline}");
        if (self.pipeline.as_str(), self.shard, self.n_shards) == (pipeline, shard, n_shards) {
            return Ok(());
        }
        Err(InvalidManifest::Foreign {
            found: name(&self.pipeline, self.shard, self.n_shards),
            expected: name(pipeline, shard, n_shards),
        })
    }

    /// Where sources of these names are read on: for each its position, if it had a partition; none for those that were not
    /// there.
    pub fn positions(&self, sources: &[&str]) -> Vec<Option<Option<Position>>> {
        let of_source = |name: &&str| {
            let found = self.positions.iter().find(|position| position.source == **name)?;
            Some(found.position.map(|(offset, epoch)| Position { offset, epoch }))
        };
        sources.iter().map(of_source).collect()
    }

    /// All its bytes, the manifest left out.
    pub fn bytes(&self) -> u64 {
        self.files.iter().chain([&self.head]).map(|file| file.bytes).sum()
    }
}

/// A manifest as bytes: a line with its checksum, and JSON behind it.
pub(super) fn seal(manifest: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec_pretty(manifest).unwrap_or_default();
    let mut bytes = format!("tocsin-snapshot {:08x}\n", crc32c::crc32c(&json)).into_bytes();
    bytes.extend(json);
    bytes
}

/// The manifest that [`seal`] wrote.
pub(super) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidManifest> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let damaged = |what: &str| InvalidManifest::Damaged(what.to_owned());
    let line = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| damaged("it is cut off"))?;
    let (head, json) = (&bytes[..line], &bytes[line + 1..]);
    let crc = std::str::from_utf8(head)
        .ok()
        .and_then(|head| head.strip_prefix("tocsin-snapshot "));
    let crc = crc.and_then(|crc| u32::from_str_radix(crc, 16).ok());
    if crc != Some(crc32c::crc32c(json)) {
        return Err(damaged("its checksum is another"));
    }
    let unreadable = |error: serde_json::Error| InvalidManifest::Damaged(error.to_string());
    let Versioned { format } = serde_json::from_slice(json).map_err(unreadable)?;
    if format > FORMAT {
        return Err(InvalidManifest::Newer(format));
    }
    serde_json::from_slice(json).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            pipeline: "noc".to_owned(),
            shard: 1,
            n_shards: 2,
            sequence: 40,
            epoch: 0,
            journal_offset: 81,
            restored_from: Some("noc/savepoints/before".to_owned()),
            resumed_from: None,
            drained: None,
            revisions: BTreeMap::from([(3, 12)]),
            positions: vec![SourcePosition {
                source: "alerts".to_owned(),
                position: Some((1_000, 3)),
                topic: Some("noc-alerts".to_owned()),
                topic_id: None,
            }],
            stages: vec![StageEntry {
                name: "kpis".to_owned(),
                shape: "aggregate".to_owned(),
            }],
            head: File::of("head", b"head"),
            files: vec![File::of("state", b"state")],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let read = Manifest::decode(&manifest().encode()).unwrap();
        assert_eq!(read, manifest());
        let position = Position {
            offset: 1_000,
            epoch: 3,
        };
        assert_eq!(read.positions(&["new", "alerts"]), [None, Some(Some(position))]);
    }

    #[test]
    fn a_manifest_that_is_damaged_anywhere_is_never_taken_for_a_good_one() {
        let good = manifest().encode();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            assert!(Manifest::decode(&bytes).is_err(), "byte {at}");
            assert!(Manifest::decode(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_manifest_of_the_first_format_is_read() {
        let first = Manifest {
            format: 1,
            restored_from: None,
            resumed_from: None,
            revisions: BTreeMap::new(),
            ..manifest()
        };
        assert_eq!(Manifest::decode(&first.encode()), Ok(first));
    }

    #[test]
    fn a_newer_format_is_named() {
        let newer = Manifest {
            format: FORMAT + 1,
            ..manifest()
        };
        assert_eq!(
            Manifest::decode(&newer.encode()),
            Err(InvalidManifest::Newer(FORMAT + 1))
        );
    }

    #[test]
    fn a_snapshot_of_something_else_is_refused() {
        assert_eq!(manifest().check("noc", 1, 2), Ok(()));
        for (pipeline, shard, n_shards) in [("other", 1, 2), ("noc", 0, 2), ("noc", 1, 3)] {
            let checked = manifest().check(pipeline, shard, n_shards);
            assert!(matches!(checked, Err(InvalidManifest::Foreign { .. })), "{pipeline}");
        }
    }

    #[test]
    fn a_file_with_other_bytes_is_found() {
        let file = File::of("state", b"state");
        assert_eq!(file.check(b"state"), Ok(()));
        for other in [&b"stat"[..], b"stats", b"State"] {
            assert!(file.check(other).is_err());
        }
    }
}
